"""A calibration of this machine whose cores are shared at one time and not at another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel.calibration import from_host, host_fit
from perfmodel.calibration.from_host import HostCalibration, calibrate_host, calibration_to_dict
from perfmodel.calibration.host_profile import changed_scaling
from perfmodel.cost_models.kernel_model import KernelModel
from perfmodel.graph.ir import Graph
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.runners import litert_profiler, scaling
from perfmodel.runners.host_bench import HostBench, RunConfig
from perfmodel.runners.runner import MachineFacts
from perfmodel.runners.scaling import Scaling
from perfmodel.zoo import build

STILL = {"reference_before_ms": [1.0], "reference_after_ms": [1.0]}


def entry(ms: float) -> dict[str, Any]:
    """What a journal keeps of a network of that time on a machine that stands still."""
    raw = {"warmup_ms": [], "runs_ms": [ms] * 3, "started_s": 0.0, "load_ms": 1.0, "first_ms": ms}
    return {"sets": [{"raw": raw | {"per_op_us": {}}, **STILL}], "loads": [], "cold": False}


class Arithmetic:
    """Describes a machine of 40 GMAC/s that is not there."""

    def describe(self) -> MachineFacts:
        return MachineFacts("tflite", {"runtime": "arithmetic 1"})


class FakeBench(HostBench):
    """A bench that runs nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.runner = Arithmetic()  # type: ignore[assignment]
        self.graph: Graph | None = None

    def write(self, graph: Graph, precision: str) -> Path:
        self.graph = graph
        return self.folder / "none.tflite"

    def kernel_ms(self, graph: Graph) -> np.ndarray:
        table = KernelTable.from_kernels(fuse(graph, "tflite-cpu"))
        times: np.ndarray = table["macs"] / 4e7 + table["weight_elements"] / 2e6 + 0.002
        return times

    def measure(self, key: str, path: Path, setup: RunConfig, *_: Any, **__: Any) -> dict[str, Any]:
        assert self.graph is not None
        return entry(0.1 + float(self.kernel_ms(self.graph).sum()))

    def measure_pieces(self, key: str, graph: Graph, setup: RunConfig) -> list[dict[str, Any]]:
        return [entry(float(ms)) for ms in self.kernel_ms(graph)]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    seen = iter([1.85, 1.05])
    monkeypatch.setattr(scaling, "busy_scaling", lambda *_: next(seen))
    monkeypatch.setattr(from_host, "CANDIDATES", 18)
    monkeypatch.setattr(from_host, "MICRO_CANDIDATES", 3)
    monkeypatch.setattr(from_host, "HostBench", FakeBench)
    monkeypatch.setattr(litert_profiler, "profiler_available", lambda: False)
    monkeypatch.setattr(host_fit, "model", lambda seed=0: KernelModel(trees=2, random_state=seed))
    return tmp_path / "journal.jsonl"


def calibrated(journal: Path) -> HostCalibration:
    interest = [build("squeezenet_1_1")]
    options: dict[str, Any] = {"precisions": ("fp32",), "threads": (1, 2), "interest": interest}
    return calibrate_host(600.0, journal, **options)


def test_targets_of_two_threads_say_and_span_what_the_cores_were_seen_to_do(journal: Path) -> None:
    done = calibrated(journal)
    assert done.scaling == {2: Scaling(1.05, 1.85)}
    assert calibration_to_dict(done)["scaling"] == {"2": {"least": 1.05, "most": 1.85}}
    one, two = done.profile.targets
    assert one.provenance.assumes == ""
    assert "do 1.05 to 1.85 times the work of one" in two.provenance.assumes
    assert one.interval == done.fitted[0].interval
    fitted = done.fitted[1].interval
    assert two.interval.high_log - fitted.high_log == pytest.approx(np.log(1.85))
    assert two.interval.low_log - fitted.low_log == pytest.approx(np.log(1.85 / 1.05))
    assert changed_scaling(done.profile, {2: Scaling(1.0, 1.9)}) == ""
    assert "1.05 to 1.85 when" in changed_scaling(done.profile, {2: Scaling(0.9, 1.9)})
    # the journal has all: nothing is measured, and the cores are not looked at again
    again = calibrated(journal)
    assert (again.scaling, again.samples, again.lost) == (done.scaling, done.samples, done.lost)
