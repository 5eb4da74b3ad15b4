"""Files are written whole or not at all, and never through what leads elsewhere."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from perfmodel import files
from perfmodel.errors import OutputError
from perfmodel.files import (
    check_folder,
    check_output,
    check_place,
    is_null_device,
    replaced,
    write_atomically,
)

ROOT = Path(__file__).resolve().parent.parent


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replaced(path) as new:
        new.write_text("half")
        assert path.read_text() == "old"
        assert new.parent == path.parent
        new.write_text("new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(
    error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replaced(path) as new:
            new.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_disk_that_fails_at_the_end_is_an_error_and_leaves_nothing(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OutputError, match=r"a\.txt: cannot be written: No space left on device"):
        write_atomically(tmp_path / "a.txt", "x")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_real_disk_that_takes_no_more_is_found_by_the_check(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    program = """
import resource, sys
from pathlib import Path
from perfmodel import files
from perfmodel.errors import OutputError
from perfmodel.files import check_output
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
try:
    check_output(Path("a.txt"))
except OutputError as error:
    print(error)
"""

    def told(limit: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", program, str(limit)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert "cannot be written: File too large" in told(100)
    assert told(4096) == ""
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    for name, leads_to in (("link", "victim"), ("dangling", "nowhere"), ("folder", ".")):
        (tmp_path / name).symlink_to(leads_to)
        for write in (check_place, check_output, lambda p: write_atomically(p, "x")):
            with pytest.raises(OutputError, match="it is a link") as told:
                write(tmp_path / name)
            assert os.path.realpath(tmp_path / leads_to) in told.value.hint
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()
    # a folder may be reached by a link: the file itself is what counts
    write_atomically(tmp_path / "folder" / "a.txt", "x")
    assert (tmp_path / "a.txt").read_text() == "x"


def test_what_is_no_ordinary_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        Path("link").symlink_to("pipe")  # as /dev/stdout may be one
        for name in ("pipe", "socket", "link", "/dev/zero", "/dev/full"):
            with pytest.raises(OutputError, match="it is no ordinary file"):
                check_output(Path(name))
            with pytest.raises(OutputError, match="it is no ordinary file"):
                write_atomically(Path(name), "x")


def test_the_null_device_swallows(tmp_path: Path) -> None:
    null = Path(os.devnull)
    assert is_null_device(null)
    assert not is_null_device(tmp_path / "null")
    check_output(null)
    write_atomically(null, "x" * 100_000)
    assert null.is_char_device()


def test_names_that_no_file_can_have_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="File name too long"):
        check_output(tmp_path / ("x" * 256))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        check_output(tmp_path / "file" / "deeper" / "a.txt")
    check_output(tmp_path / ("x" * 255))
    write_atomically(tmp_path / ("x" * 255), "long names can be replaced too")


def test_odd_bytes_of_a_name_are_written_escaped(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", os.fsdecode(b"n\xff \xc3\xa9"))
    assert (tmp_path / "a").read_bytes() == b"n\\udcff \xc3\xa9"


def test_the_check_writes_a_block_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    real = tempfile.TemporaryFile

    def seen(**settings: object) -> object:
        file = real(**settings)  # type: ignore[call-overload]
        written.append(os.fstat(file.fileno()).st_size)
        plain = file.write
        file.write = lambda data: written.append(len(data)) or plain(data)  # type: ignore[func-returns-value]
        return file

    monkeypatch.setattr(tempfile, "TemporaryFile", seen)
    try:
        check_folder(tmp_path / "new")
    except AttributeError:  # one that cannot be watched
        pytest.skip("files here cannot be watched")
    assert written == [0, 4096]
    assert list(tmp_path.iterdir()) == []


class TestUnfinishedFiles:
    """A process that is killed while it writes leaves a file that the next writer clears."""

    @staticmethod
    def left_by(folder: Path, process: int) -> Path:
        path = folder / f"{files._own_prefix()}{process}-abc"
        path.write_text("half")
        return path

    def test_those_of_ended_processes_are_cleared(self, tmp_path: Path) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        left = self.left_by(tmp_path, ended.pid)
        mine = self.left_by(tmp_path, os.getpid())
        foreign = tmp_path / f"{files.TEMPORARY}00000000-{ended.pid}-abc"
        foreign.write_text("of another machine")
        files.write_atomically(tmp_path / "out.txt", "whole")
        assert not left.exists()
        assert mine.exists()
        assert foreign.exists()
        assert (tmp_path / "out.txt").read_text() == "whole"

    def test_what_only_looks_like_one_stays(self, tmp_path: Path) -> None:
        kept = [tmp_path / f"{files._own_prefix()}notes", tmp_path / f"{files._own_prefix()}x-1"]
        for path in kept:
            path.write_text("mine")
        files.write_atomically(tmp_path / "out.txt", "whole")
        assert all(path.exists() for path in kept)
