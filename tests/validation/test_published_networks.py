"""Published tables of whole networks: which rows belong together, and facts of chips."""

from __future__ import annotations

from pathlib import Path

from perfmodel.target import Target
from validation.data.published_networks import (
    base_framework,
    family_of_spec,
    pool_of,
    published_rows,
)
from validation.data.soc_facts import facts_of, soc_facts


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
