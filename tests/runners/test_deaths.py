"""Networks that take the runtime down: told as such, and the campaign goes on with the next one."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from detector_file import BOXES, write_detector
from fake_native import DyingWorker

from perfmodel.calibration.yardsticks import Yardstick
from perfmodel.errors import RunnerError
from perfmodel.experiments.host import validate_host
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.plans.units import Transfer
from perfmodel.runners import host_bench
from perfmodel.runners.campaign import Discipline
from perfmodel.runners.host_bench import HostBench, RunConfig, reference_graph
from perfmodel.runners.journal import Journal
from perfmodel.runners.random_nets import random_network
from perfmodel.runners.runner import Job
from perfmodel.runners.scaling import is_look
from perfmodel.runners.worker import Worker, WorkerDied

pytest.importorskip("ai_edge_litert")

SETUP = RunConfig("fp32", 1)
QUICK = Discipline(sets=1, runs=2, max_runs=2, set_ms=1.0, warmups=0, reference_runs=2)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostBench]:
    monkeypatch.setattr(host_bench, "Worker", DyingWorker)
    with HostBench(profile=False) as made:
        yield made


def measured(bench: HostBench, folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.tflite"
    if not path.exists():
        write_tflite(random_network(5, blocks=1), path)
    return bench.measure(name, path, SETUP, QUICK)


@pytest.mark.parametrize("name", ["SIGSEGV_net", "SIGKILL_net", "exit_net"])
def test_the_next_network_is_measured_after_one_that_died(
    bench: HostBench, tmp_path: Path, name: str
) -> None:
    with pytest.raises(WorkerDied, match=r"SIGSEGV|SIGKILL|exit status 3"):
        measured(bench, tmp_path, name)
    # nothing else had run in that process: it is not tried again
    assert bench.worker.generation == 1
    assert len(measured(bench, tmp_path, "net")["sets"]) == 1


def test_a_network_is_not_blamed_for_what_an_earlier_one_damaged(
    bench: HostBench, tmp_path: Path
) -> None:
    measured(bench, tmp_path, "poison_net")
    assert len(measured(bench, tmp_path, "net")["sets"]) == 1
    assert bench.worker.generation == 2
    measured(bench, tmp_path, "other")
    assert bench.worker.generation == 2


def test_a_network_that_dies_in_a_fresh_process_too_is_told(
    bench: HostBench, tmp_path: Path
) -> None:
    measured(bench, tmp_path, "net")
    with pytest.raises(WorkerDied, match="SIGSEGV"):
        measured(bench, tmp_path, "SIGSEGV_net")
    assert bench.worker.generation == 2


def test_memory_that_is_short_is_no_reason_to_try_again(bench: HostBench, tmp_path: Path) -> None:
    measured(bench, tmp_path, "net")
    with pytest.raises(WorkerDied, match="SIGKILL"):
        measured(bench, tmp_path, "SIGKILL_net")
    assert bench.worker.generation == 1


@pytest.mark.parametrize(("post_process", "said"), [(False, 1), (True, 1), (False, BOXES - 200)])
def test_operators_are_timed_where_outputs_are_larger_than_the_file_says(
    tmp_path: Path, post_process: bool, said: int
) -> None:
    path = tmp_path / "detector.tflite"
    write_detector(path, post_process=post_process, said=said)
    with Worker() as worker:
        prepared = worker.runner("tflite", profile=True).prepare(Job("detector", path))
        raws = [prepared.run_set(3, 1) for _ in range(3)]
        prepared.close()
        assert worker.generation == 1
    names = [key.partition(" ")[2] for key in raws[-1].per_op_us]
    # the convolution by the delegate, what is computed of its result by the runtime itself
    assert any("Convolution" in n or "CONV" in n for n in names)
    assert {"SHAPE", "STRIDED_SLICE", "PACK", "RESHAPE"} <= set(names)
    assert ("TFLite_Detection_PostProcess" in names) == post_process
    assert all(len(times) == 3 for times in raws[-1].per_op_us.values())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_closed_network_s_buffers_are_given_back(tmp_path: Path) -> None:
    builder = GraphBuilder("wide")
    path = tmp_path / "wide.tflite"
    # 8 MB in and out, held by the plain interpreter and by the profiled one
    write_tflite(builder.build(builder.op("relu", builder.input((1, 1, 1, 2_000_000)))), path)
    with Worker() as worker:
        held_kb = []
        for _ in range(8):
            prepared = worker.runner("tflite", profile=True).prepare(Job("wide", path))
            prepared.run_set(1, 0)
            prepared.close()
            status = Path(f"/proc/{worker.pid}/status").read_text()
            held_kb.append(int(status.partition("VmRSS:")[2].split()[0]))
    # what was used once may stay with the allocator, but not 16 MB more each time
    assert held_kb[-1] - held_kb[1] < 40_000


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """The committed profile of a host."""
    packed = ROOT / "validation" / "results" / "host" / "host_profile.json.gz"
    path = tmp_path / "host.json"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    return path


@pytest.mark.slow
def test_validation_goes_on_after_a_crash_and_the_journal_keeps_it(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_bench, "Worker", DyingWorker)
    monkeypatch.setattr("perfmodel.experiments.host.yardsticks_of", lambda profile: ())
    monkeypatch.setattr("perfmodel.experiments.host.discipline_for", lambda predicted_ms: QUICK)
    files = [tmp_path / f"{name}.tflite" for name in ("one", "SIGSEGV_net", "three")]
    for path in files:
        write_tflite(reference_graph(), path)
    journal = tmp_path / "journal.jsonl"

    def validate(retry: bool = False) -> Any:
        return validate_host(profile, journal, budget_s=600.0, models=(), files=files, retry=retry)

    done = validate()
    setups = [str(RunConfig("fp32", t)) for t in (1, 2)]
    assert sorted(c.model for c in done.cases) == sorted(["one", "three"] * len(setups))
    assert set(done.left_out) == {f"{s}/SIGSEGV_net" for s in setups}
    in_words = "died of SIGSEGV: it touched memory that is not its own"
    assert all(in_words in why for why in done.left_out.values())
    lines = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    died = [e for e in lines if "SIGSEGV" in e.get("refused", "")]
    assert {e["key"] for e in died} == set(done.left_out)
    # it is in the journal, so that the same call does not run it again
    before = journal.read_bytes()
    again = validate()
    assert journal.read_bytes() == before
    assert again.left_out == done.left_out
    # unless that is asked for; what was measured is not
    assert keys_behind(journal, before, lambda: validate(retry=True)) == set(done.left_out)
    # a file of the same name that is another network is measured, the others are not
    before = journal.read_bytes()
    write_tflite(random_network(5, blocks=1), files[0])
    assert keys_behind(journal, before, validate) >= {f"{s}/one" for s in setups}
    lines = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    measured = [e for e in lines if not is_look(e["key"])]
    assert measured[-1]["content"] == hashlib.sha256(files[0].read_bytes()).hexdigest()


def keys_behind(journal: Path, before: bytes, run: Callable[[], Any]) -> set[str]:
    """Keys of the networks that a run adds to a journal, without those that it repeats."""
    run()
    after = journal.read_bytes()
    assert after.startswith(before)
    keys = [json.loads(line)["key"] for line in after[len(before) :].splitlines()]
    return {key.removesuffix("#2") for key in keys if not is_look(key)}


class DyingYardstick(Yardstick):
    @property
    def graph(self) -> Graph:
        return replace(reference_graph(), name="SIGKILL_yardstick")


@pytest.mark.slow
def test_a_yardstick_that_dies_does_not_end_a_validation(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yardstick = DyingYardstick(SETUP, "net", 1.0)
    monkeypatch.setattr(host_bench, "Worker", DyingWorker)
    monkeypatch.setattr("perfmodel.experiments.host.yardsticks_of", lambda profile: (yardstick,))
    monkeypatch.setattr("perfmodel.experiments.host.discipline_for", lambda predicted_ms: QUICK)
    path = tmp_path / "net.tflite"
    write_tflite(reference_graph(), path)
    done = validate_host(profile, tmp_path / "j", budget_s=600.0, models=(), files=[path])
    assert len(done.cases) == 2
    assert all(change == 1.0 for change in done.drift.values())


def test_a_whole_network_that_dies_leaves_the_other_s_plans(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfmodel.experiments import partition

    monkeypatch.setattr(host_bench, "Worker", DyingWorker)
    monkeypatch.setattr(
        partition, "load", lambda name: replace(reference_graph(), name=f"{name}_net")
    )
    with HostBench() as bench, Journal(tmp_path / "j", {}) as book:
        for _ in range(2):
            with pytest.raises(RunnerError, match="SIGSEGV"):
                partition._network(
                    book=book,
                    bench=bench,
                    model="SIGSEGV",
                    host=None,
                    handover=(Transfer(0.0, 1.0), 0.0),
                    allowance_s=1.0,
                    most_cuts=1,
                )
        # the second time the journal knew
        assert bench.worker.generation == 1
