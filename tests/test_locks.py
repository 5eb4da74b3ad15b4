"""One run at a time writes an output; what a dead run left is no obstacle."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from perfmodel.errors import OutputError
from perfmodel.locks import claimed, lock_file

ROOT = Path(__file__).resolve().parent.parent

CLAIM = """
import sys
from pathlib import Path
from perfmodel.locks import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds the claim on a file until it is killed or the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_claim_is_refused_to_a_second_process_which_is_told_the_first(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with holder(path) as other:
        with pytest.raises(OutputError, match=rf"another run \(process {other.pid}\) is writing"):
            claimed(path).__enter__()
        with claimed(tmp_path / "rows2.csv"):
            pass


def test_a_link_to_the_folder_leads_to_the_same_claim(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with holder(tmp_path / "real" / "a"), pytest.raises(OutputError, match="another run"):
        claimed(tmp_path / "link" / "a").__enter__()


def test_the_claim_of_a_killed_run_is_void(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with holder(path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert lock_file(path).read_text() == f"{other.pid}\n"
        with claimed(path):
            assert lock_file(path).read_text() == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", ["1\n", f"{os.getpid()}\n", "", "no number\n", "9" * 4000])
def test_what_stands_in_a_lock_file_that_nobody_holds_does_not_matter(
    left: str, tmp_path: Path
) -> None:
    # 1 is a process that lives: a number that another process has by now
    path = tmp_path / "rows.csv"
    lock_file(path).write_text(left)
    with claimed(path):
        assert lock_file(path).read_text() == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_claim_within_a_claim_is_granted_and_the_outer_one_lasts(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with claimed(path):
        with claimed(path), claimed(path):
            pass
        assert lock_file(path).exists()
    assert not lock_file(path).exists()
    with claimed(path):
        assert lock_file(path).exists()


def test_folders_are_made_and_go_again_where_nothing_was_written(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with claimed(tmp_path / "here" / "a" / "b" / "rows.csv"):
        assert (tmp_path / "here" / "a" / "b").is_dir()
    assert [p.name for p in tmp_path.iterdir()] == ["here"]
    assert list((tmp_path / "here").iterdir()) == []
    with claimed(tmp_path / "a" / "b" / "rows.csv"):
        (tmp_path / "a" / "note").write_text("kept")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["note"]


def test_a_name_as_long_as_a_name_may_be_can_be_claimed(tmp_path: Path) -> None:
    for length in (249, 250, 255):
        path = tmp_path / ("x" * length)
        assert len(lock_file(path).name) <= 255
        with claimed(path):
            path.write_text("")


def test_no_lock_is_taken_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock_file(tmp_path / "rows.csv").symlink_to(victim)
    with pytest.raises(OutputError, match="cannot be written"):
        claimed(tmp_path / "rows.csv").__enter__()
    assert victim.read_text() == "precious"


def test_where_nothing_can_be_written_no_lock_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match=r"rows\.csv: cannot be written: No space left"):
        claimed(tmp_path / "deep" / "rows.csv").__enter__()
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_grants_every_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def none_here(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none_here)
    with claimed(tmp_path / "rows.csv"):
        pass


def test_a_lock_file_that_went_away_meanwhile_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    path, real, calls = tmp_path / "rows.csv", fcntl.flock, []

    def gone_first(handle: int, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:
            lock_file(path).unlink()  # as the run before does when it ends
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", gone_first)
    with claimed(path):
        assert len(calls) == 2
        assert lock_file(path).read_text() == f"{os.getpid()}\n"
