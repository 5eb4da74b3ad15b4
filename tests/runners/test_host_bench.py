"""How a bench treats its worker: one for each number of threads, one load where that is dear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from perfmodel.runners import host_bench
from perfmodel.runners.host_bench import ONE_KERNEL, HostBench, RunConfig
from perfmodel.runners.host_frameworks import FRAMEWORKS
from perfmodel.runners.runner import RawRuns

SETUP = RunConfig("fp32", 1)


class Prepared:
    load_ms, first_ms = 1.0, 2.0

    def run_set(self, runs: int, warmups: int) -> RawRuns:
        return RawRuns((), (1.0,) * runs, 0.0, 1.0, 2.0)

    def close(self) -> None:
        pass


class FakeWorker:
    """One whose runner takes anything; it counts its processes and what is loaded in them."""

    def __init__(self) -> None:
        self.generation, self.lives, self.loads = 0, False, 0

    def start(self) -> None:
        self.generation += not self.lives
        self.lives = True

    def stop(self) -> None:
        self.lives = False

    close = stop

    def runner(self, name: str, **options: Any) -> Any:
        return SimpleNamespace(prepare=self.prepare)

    def call(self, function: str, **asked: Any) -> None:
        self.asked = function, asked
        assert Path(asked["source"]).is_file()
        Path(asked["made"]).write_bytes(b"made")

    def prepare(self, job: Any) -> Prepared:
        self.loads += 1
        return Prepared()


@pytest.fixture
def bench_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], HostBench]:
    monkeypatch.setattr(host_bench, "Worker", FakeWorker)
    (tmp_path / "net").write_bytes(b"a file")
    monkeypatch.setattr(HostBench, "write", lambda self, graph, precision: tmp_path / "net")
    return lambda framework: HostBench(framework=framework)


@pytest.mark.parametrize(("framework", "processes"), [("executorch", 3), ("tflite", 1)])
def test_another_number_of_threads_gets_a_process_of_its_own(
    bench_of: Callable[[str], HostBench], framework: str, processes: int
) -> None:
    with bench_of(framework) as bench:
        for threads in (1, 1, 2, 1):
            bench.reference(RunConfig("fp32", threads))
        assert bench.worker.generation == processes


@pytest.mark.parametrize(("framework", "loads"), [("pytorch-compiled", 0), ("onnxruntime", 3)])
def test_what_is_compiled_as_it_is_loaded_is_loaded_once(
    bench_of: Callable[[str], HostBench], framework: str, loads: int
) -> None:
    with bench_of(framework) as bench:
        path = bench.write(host_bench.reference_graph(), "fp32")
        entry = bench.measure("net", path, SETUP, ONE_KERNEL, loads=4)
        assert len(entry["loads"]) == loads
        # the reference too
        assert bench.worker.loads == loads + 2  # type: ignore[attr-defined]


def test_a_real_file_of_another_format_is_converted_apart_from_what_is_timed(
    bench_of: Callable[[str], HostBench], tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"a file")
    with bench_of("onnxruntime") as bench:
        assert bench.runnable(path, "fp32") == path
    for framework, stored in (("executorch", "int8"), ("mnn", "weights8")):
        with bench_of(framework) as bench:
            made = bench.runnable(path, "int8", {"": (1, 4)})
            assert made.parent == bench.folder
            assert made.suffix == bench.framework.suffix
            function, asked = bench._converting.asked  # type: ignore[attr-defined]
            assert function == "convert"
            assert asked["source"] == str(path)
            assert (asked["stored"], asked["shapes"]) == (stored, {"": (1, 4)})
            assert not hasattr(bench.worker, "asked")


def test_a_network_is_written_as_its_source_and_then_converted(tmp_path: Path) -> None:
    worker: Any = FakeWorker()
    FRAMEWORKS["executorch"].write(host_bench.reference_graph(), tmp_path / "a.pte", "int8", worker)
    _, asked = worker.asked
    assert (tmp_path / "a.pte").read_bytes() == b"made"
    assert asked["source"].endswith(".onnx")
    assert not Path(asked["source"]).exists()
