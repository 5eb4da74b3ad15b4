"""The studies of published tables: what is counted, chosen and left out, by hand arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perfmodel.target import Target
from validation.accuracy.nasbench import (
    MEASURED,
    OPERATORS,
    Cells,
    choose,
    fit_counts,
    parse,
    predict_device,
)
from validation.data.published_networks import (
    base_framework,
    family_of_spec,
    pool_of,
    published_rows,
)
from validation.data.soc_facts import facts_of, soc_facts

CHAIN = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|avg_pool_3x3~2|"
"""Input, 3x3, 1x1, pooling, output: three edges of six, all used."""

DEAD = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|"
"""Node 3 takes the input alone: the two convolutions reach nothing."""

FEDLESS = "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|"
"""No path from input to output, though the 3x3 convolution reaches the output."""


def cells(*names: str) -> Cells:
    return Cells(names, np.array([parse(n) for n in names]))


def every_cell() -> Cells:
    """All 15,625 cells of the space."""
    grids = np.meshgrid(*[np.arange(5)] * 6, indexing="ij")
    operators = np.stack([g.ravel() for g in grids], axis=1)
    return Cells(tuple(str(i) for i in range(len(operators))), operators)


def test_a_cell_is_read_edge_by_edge() -> None:
    assert [OPERATORS[o] for o in parse(CHAIN)] == [
        *("nor_conv_3x3", "none", "nor_conv_1x1", "none", "none", "avg_pool_3x3")
    ]


def test_edges_that_reach_the_output_are_used() -> None:
    used = cells(CHAIN, DEAD, FEDLESS).used
    assert used.tolist() == [
        [True, False, True, False, False, True],
        [False, False, False, True, False, False],
        [False, False, True, False, False, True],
    ]
    assert cells(CHAIN, DEAD, FEDLESS).connected.tolist() == [True, True, False]


def test_counts_of_operators_add_up_to_six_edges() -> None:
    space = every_cell()
    assert (space.counts(np.ones((15_625, 6), dtype=bool)).sum(axis=1) == 6).all()


def test_multiply_adds_span_the_published_range() -> None:
    """7.78 to 220.12 million over the space (NAS-Bench-201; README-gpu.md)."""
    macs = every_cell().macs / 1e6
    assert macs.min() == pytest.approx(7.78, abs=0.01)
    assert macs.max() == pytest.approx(220.12, abs=0.01)


def test_chosen_architectures_differ_and_answer_to_their_input() -> None:
    space = every_cell()
    chosen = choose(space)
    assert len(set(chosen.tolist())) == MEASURED
    assert space.connected[chosen].all()
    for design in space.designs.values():
        rank = np.linalg.matrix_rank(design[chosen])
        assert rank == np.linalg.matrix_rank(design)


@pytest.mark.parametrize("reading", ["every edge", "used edges"])
def test_twenty_architectures_recover_a_known_device(reading: str) -> None:
    space = every_cell()
    costs = {"every edge": [4, 0.2, 0.1, 1.5, 5, 2], "used edges": [4, 0.1, 1.5, 5, 2]}[reading]
    truth = space.designs[reading] @ np.array(costs, dtype=float)
    chosen = choose(space)
    predicted, width = predict_device(space, chosen, truth[chosen])
    assert predicted == pytest.approx(truth, rel=1e-4)
    assert width < 1e-3


def test_costs_are_never_negative() -> None:
    design = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    assert (fit_counts(design, np.array([3.0, 2.0, 1.0])) >= 0).all()


def test_builds_that_are_other_kernels_share_a_base() -> None:
    assert base_framework("torch7-cudnn-5.1") == "torch7-cudnn"
    assert base_framework("paddle-lite-armv7") == "paddle-lite"
    assert base_framework("tflite") == "tflite"


def test_detectors_are_left_out_with_their_backbone() -> None:
    assert family_of_spec("ssd_mobilenet_v1") == family_of_spec("mobilenet_v1@width=0.5")
    assert family_of_spec("resnet50") == family_of_spec("resnet101_v2")


def test_processors_of_one_kind_share_a_pool() -> None:
    assert pool_of(Target("pixel-3", "gpu", "tflite", "fp16")) == "mobile-gpu"
    assert pool_of(Target("gtx-1080", "gpu", "torch7-nn", "fp32")) == "cuda"
    assert pool_of(Target("pixel-3", "nnapi", "tflite", "int8")) == "npu"


def test_every_published_row_is_used_or_counted(data_dir: Path) -> None:
    rows, left = published_rows(data_dir)
    with open(data_dir / "published_e2e.csv", encoding="utf-8") as file:
        total = sum(1 for _ in file) - 1
    assert len(rows) + sum(left.values()) == total
    assert not any(r.model.startswith("inception_resnet_v2") for r in rows)


def test_chips_are_found_by_name_and_by_phone(data_dir: Path) -> None:
    facts = soc_facts(data_dir)
    found = facts_of("pixel-3", "Snapdragon 845", facts)
    assert found is not None
    assert found.hardware["gpu_fp32_gflops"].value == 737
    assert facts_of("pixel-4", "", facts) == facts_of("x", "Snapdragon 855", facts)
    assert facts_of("no-such-device", "", facts) is None
