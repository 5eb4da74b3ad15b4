"""The study of NAS-Bench-201 on made-up devices whose times follow from what they run."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from perfmodel.zoo.nasbench import EDGES, OPERATIONS, arch_string
from validation.accuracy import nasbench
from validation.accuracy.nasbench import Setting, drawn, read_columns, simple_models

COST_MS = {
    "none": 0.1,
    "skip_connect": 0.0,
    "nor_conv_1x1": 1.0,
    "nor_conv_3x3": 4.0,
    "avg_pool_3x3": 0.5,
}


def cells(count: int) -> list[tuple[str, ...]]:
    """Cells whose every edge passes something on, so that every export runs them alike."""
    rng, found = np.random.default_rng(1), set()
    while len(found) < count:
        found.add(tuple(OPERATIONS[i] for i in rng.integers(1, len(OPERATIONS), len(EDGES))))
    return sorted(found)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """70 cells on two devices, one of them at two batch sizes."""
    lines = ["arch_index,arch_string,1080ti_1,1080ti_32,pixel3"]
    for i, cell in enumerate(cells(70)):
        own = 2.0 + sum(COST_MS[op] for op in cell)
        lines.append(f"{i},{arch_string(cell)},{own},{3 * own},{5 * own}")
    with gzip.open(tmp_path / "nasbench201_latency.csv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nasbench, "CANDIDATES", 40)
    monkeypatch.setattr(nasbench, "ASKED", 25)


def test_a_device_at_a_batch_size_is_a_column_with_the_framework_it_ran(data: Path) -> None:
    columns = read_columns(data)
    assert [(c.name, c.setting.framework, c.setting.batch) for c in columns] == [
        ("gtx-1080-ti", "pytorch", 1),
        ("gtx-1080-ti, batch 32", "pytorch", 32),
        ("pixel-3", "tflite", 1),
    ]
    assert columns[1].setting.target("new") == "new/gpu/pytorch/fp32"
    assert columns[1].held_out == "held-out-gtx-1080-ti-b32"
    network = columns[0].table.column("model")[7]
    assert columns[1].latency_ms[network] == pytest.approx(3 * columns[0].latency_ms[network])
    assert len(columns[2].rows([network])) == 1
    assert set(columns[2].table.column("threads")) == {1.0}


@pytest.mark.usefixtures("small")
def test_what_is_asked_is_never_a_candidate() -> None:
    networks = [str(i) for i in range(100)]
    candidates, asked = drawn(networks, 0)
    assert (len(candidates), len(asked)) == (40, 25)
    assert not set(candidates) & set(asked)
    assert drawn(networks, 0) == (candidates, asked)
    assert drawn(networks, 1) != (candidates, asked)


@pytest.mark.usefixtures("small")
@pytest.mark.slow
def test_twenty_cells_predict_the_others(data: Path) -> None:
    results = nasbench.one_device(data, 0)
    assert [r.target_kind for r in results] == [
        *("gtx-1080-ti", "gtx-1080-ti, batch 32", "pixel-3", "all devices")
    ]
    assert [r.cases for r in results] == [25, 25, 25, 75]
    assert all(r.median_error < 0.08 for r in results)
    assert all(r.spearman is not None and r.spearman > 0.9 for r in results)
    # the phone is the card five times slower
    assert results[2].baselines["nearest device"] == pytest.approx(0.0, abs=1e-9)
    assert set(results[0].baselines) == {"FLOPs", "linear", "nearest device"}
    pooled = np.mean([r.mean_error for r in results[:3]])
    assert results[-1].mean_error == pytest.approx(pooled)


@pytest.mark.usefixtures("small")
def test_only_the_chosen_cells_of_a_column_are_measured(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfmodel.calibration.from_table import calibrate

    seen = []

    def counted(table: object, **more: object) -> object:
        seen.append((set(table.column("model")), set(table.column("batch"))))  # type: ignore[attr-defined]
        return calibrate(table, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(nasbench.perfmodel, "calibrate", counted, raising=False)
    columns = read_columns(data)[:2]
    found = nasbench.outcomes(columns, 0)
    assert [len(models) for models, _ in seen] == [20, 20]
    assert [batch for _, batch in seen] == [{1.0}, {32.0}]
    candidates, asked = drawn(sorted(columns[0].latency_ms), 0)
    assert all(models <= set(candidates) for models, _ in seen)
    assert found[0].networks == asked


def test_simple_models_by_hand(data: Path) -> None:
    columns = read_columns(data)
    names = sorted(columns[0].latency_ms)[:4]
    chosen, asked = names[:3], names[3:]
    macs = {n: int(1000 * columns[0].latency_ms[n]) for n in names}
    said = simple_models(columns[0], chosen, asked, macs, columns)
    own = columns[0].latency_ms[asked[0]]
    # times are in proportion to these MACs, and the phone's to the card's
    assert {k: v.tolist() for k, v in said.items()} == {
        "FLOPs": pytest.approx([own]),
        "linear": pytest.approx([own]),
        "nearest device": pytest.approx([own]),
    }
    assert "nearest device" not in simple_models(columns[0], chosen, asked, macs, columns[:2])


def test_no_latency_decides_what_is_measured() -> None:
    setting = Setting(unit="cpu", framework="tflite", batch=1)
    names = [f"nasbench201@arch={arch_string(cell)}" for cell in cells(30)]
    first = nasbench.choose(setting, names)
    assert len(first) == len(set(first)) == nasbench.MEASURED
    assert set(first) <= set(names)
    assert nasbench.choose(setting, names) == first
