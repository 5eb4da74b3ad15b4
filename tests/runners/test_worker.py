"""A native runtime may die in any way: what is told of it, and that the next job is run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_native import SIGNALS, DyingWorker

from perfmodel.errors import RunnerError
from perfmodel.runners import worker as worker_module
from perfmodel.runners.litert_profiler import ProfilerError
from perfmodel.runners.runner import Job, RawRuns
from perfmodel.runners.worker import Worker, WorkerDied, WorkerPrepared

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def worker() -> Iterator[DyingWorker]:
    with DyingWorker(answer_s=60.0) as made:
        yield made


def loaded(worker: Worker, key: str) -> WorkerPrepared:
    return worker.runner("fake").prepare(Job(key, Path("net")))


def test_a_set_comes_back_as_it_was_measured(worker: DyingWorker) -> None:
    prepared = loaded(worker, "net")
    expected = RawRuns((0.1,), (0.3, 0.3), 7.0, 1.5, 2.5, {"0 CONV": (0.0, 1.0)}, (0.2, 0.2))
    assert prepared.run_set(2, 1) == expected
    assert (prepared.load_ms, prepared.first_ms) == (1.5, 2.5)
    prepared.close()


def test_options_reach_the_runner_and_one_process_serves_all(worker: DyingWorker) -> None:
    loaded(worker, "a").run_set(1, 0)
    before = worker.pid
    facts = worker.runner("fake", seed=3).describe().facts
    assert facts["runtime"] == "fake {'seed': 3}"
    assert worker.pid == before


def test_a_worker_s_files_are_few_and_go_with_it(worker: DyingWorker) -> None:
    facts = worker.runner("fake").describe().facts
    assert facts["temporary"] == worker._folder.name
    # no core file of gigabytes, and no file without end
    assert facts["limits"] == str([0, 2**32])


def test_ctrl_c_is_for_the_parent_alone(worker: DyingWorker) -> None:
    before, pid = loaded(worker, "net"), worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    assert before.run_set(1, 0).runs_ms == (0.3,)
    assert worker.pid == pid


def test_a_process_whose_parent_is_gone_already_ends_at_once() -> None:
    # 1 has not started it
    program = "from perfmodel.processes import killed_with_parent as k; k(1); print('lives')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("when", ["load ", ""])
def test_a_death_is_told_with_its_signal_and_the_next_job_runs(
    worker: DyingWorker, name: str, when: str
) -> None:
    with pytest.raises(WorkerDied, match=name) as died:
        loaded(worker, when + name).run_set(1, 0)
    assert died.value.signal == name
    # the last words are those of the runtime, printable
    assert died.value.message.endswith("its last words: \\x1b[31mmalloc(): �corrupted")
    assert ("memory is short" in str(died.value)) == (name == "SIGKILL")
    # a process that the system killed had sound memory; in one that failed nothing is sure
    assert died.value.faulty == (name != "SIGKILL")
    assert len(loaded(worker, "next").run_set(4, 0).runs_ms) == 4


def test_what_an_earlier_process_had_loaded_is_gone_without_harm(worker: DyingWorker) -> None:
    early, dying = loaded(worker, "early"), loaded(worker, "SIGSEGV")
    with pytest.raises(WorkerDied):
        dying.run_set(1, 0)
    late = loaded(worker, "late")
    assert not early.alive
    assert late.alive
    with pytest.raises(WorkerDied, match="is gone"):
        early.run_set(1, 0)
    early.close()
    assert late.run_set(1, 0).runs_ms == (0.3,)


def test_a_death_while_closing_is_told_too(worker: DyingWorker) -> None:
    prepared = loaded(worker, "SIGABRT in close")
    prepared.run_set(1, 0)
    with pytest.raises(WorkerDied, match="SIGABRT"):
        prepared.close()


def test_an_exit_is_told_with_its_status(worker: DyingWorker) -> None:
    with pytest.raises(WorkerDied, match="ended by itself with exit status 3") as died:
        loaded(worker, "exit").run_set(1, 0)
    assert not died.value.faulty


def test_an_error_of_a_runtime_s_own_class_is_an_error_of_the_job(worker: DyingWorker) -> None:
    before = loaded(worker, "before")
    with pytest.raises(RunnerError, match="ValueError: a class of its own") as error:
        loaded(worker, "raise").run_set(1, 0)
    assert not isinstance(error.value, WorkerDied)
    assert before.alive


def test_a_hanging_runtime_is_stopped_in_time() -> None:
    with DyingWorker(answer_s=1.0) as worker:
        prepared, pid = loaded(worker, "hang"), worker.pid
        assert pid is not None
        with pytest.raises(WorkerDied, match="no answer within 1 s") as died:
            prepared.run_set(1, 0)
        assert died.value.signal == ""
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_the_wait_for_a_set_grows_with_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(Worker, "ask", lambda self, request, more_s=0.0: waits.append(more_s) or {})
    monkeypatch.setattr(worker_module, "raw_from_dict", lambda answer: answer)
    monkeypatch.setattr(WorkerPrepared, "alive", True)
    with Worker() as worker:
        WorkerPrepared(worker, 0, load_ms=5.0, first_ms=50.0).run_set(18, 2)
        WorkerPrepared(worker, 0, load_ms=None, first_ms=None).run_set(18, 2)
    # 20 runs of 50 ms, once timed and once profiled, ten times slower than the first
    assert waits == [pytest.approx(2 * 20 * 0.05 * 10), 0.0]


def test_what_a_runtime_prints_never_stands_between_the_answers(worker: DyingWorker) -> None:
    assert loaded(worker, "print").run_set(3, 0).runs_ms == (0.3, 0.3, 0.3)


@ON_LINUX
def test_nonsense_in_place_of_an_answer_is_told(worker: DyingWorker) -> None:
    with pytest.raises(WorkerDied, match=r"answered what is no answer \(\\x1b\[0mno answer\)"):
        loaded(worker, "nonsense").run_set(1, 0)
    assert worker.pid is None


@ON_LINUX
def test_an_answer_without_end_is_told(worker: DyingWorker) -> None:
    with pytest.raises(WorkerDied, match="without end"):
        loaded(worker, "endless").run_set(1, 0)


@ON_LINUX
def test_a_runtime_that_asks_for_all_memory_is_refused_it(worker: DyingWorker) -> None:
    with pytest.raises(RunnerError, match="MemoryError"):
        loaded(worker, "hog").run_set(1, 0)
    score = Path(f"/proc/{worker.pid}/oom_score_adj").read_text()
    assert int(score) == 900


def test_the_profiler_s_refusal_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "start", lambda self: None)
    with Worker() as worker:
        monkeypatch.setattr(worker, "_process", _Mute())
        answer = {"error": {"kind": "ProfilerError", "message": "what", "hint": "do"}}
        monkeypatch.setattr(worker, "_answer", lambda limit_s: answer)
        with pytest.raises(ProfilerError, match="what; do"):
            worker.ask({"do": "prepare"})
        monkeypatch.setattr(worker, "_process", None)


class _Mute:
    """A process that takes every request."""

    class stdin:
        write = staticmethod(len)
        flush = staticmethod(lambda: None)


def test_a_closed_worker_leaves_no_process_and_no_file() -> None:
    with DyingWorker() as worker:
        prepared, pid = loaded(worker, "net"), worker.pid
        folder = Path(worker._folder.name)
        assert prepared.run_set(1, 0).runs_ms
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not folder.exists()


PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fake_native import DyingWorker
from perfmodel.runners.runner import Job
worker = DyingWorker()
prepared = worker.runner("fake").prepare(Job(sys.argv[2], Path("net")))
print(worker.pid, worker._folder.name, flush=True)
prepared.run_set(1, 0)
time.sleep(1000)
"""


@ON_LINUX
@pytest.mark.parametrize("key", ["idle", "hang"])
def test_a_worker_ends_with_a_parent_that_was_killed(key: str) -> None:
    command = [sys.executable, "-c", PARENT, str(Path(__file__).parent), key]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, folder = parent.stdout.readline().split()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and _state(pid) != "Z" and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists() or _state(pid) == "Z"
    Path(folder, "output.txt").unlink()
    Path(folder).rmdir()


def _state(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def test_the_first_answer_of_a_process_may_take_twice_as_long() -> None:
    with (
        DyingWorker(answer_s=0.5) as worker,
        pytest.raises(WorkerDied, match="no answer within 1 s"),
    ):
        loaded(worker, "load hang")
