"""Writing files so that a reader sees the old or the new one, never half; reading within bounds.

Nothing is written through a link: who can put one where an output goes would choose which file is
written over. What is no ordinary file is no place for an output either, but for the null device.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from perfmodel.errors import OutputError, PerfmodelError

TEMPORARY = ".perfmodel-"
"""How the names of unfinished files begin; they lie beside the files that they become."""

_CHUNK_BYTES = 1 << 20
_PROBE_BYTES = 4096
"""What is written to find out whether a disk is full: a block of most file systems."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write beside and rename; text is written as UTF-8, missing folders are made.

    Of a file name that is no UTF-8 the odd bytes are written as `\\udcff`. Raises `OutputError`
    where the file cannot be written.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with replaced(path) as new:
        new.write_bytes(data)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A new, empty file to write, which takes the place of `path` when the block ends.

    If the block raises, `path` is as it was and nothing is left. Missing folders are made. Raises
    `OutputError` where that cannot be done.
    """
    check_place(path)
    with as_output_error(path):
        if is_null_device(path):
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_unfinished(path.parent)
        import tempfile  # what only answers need not wait for: it brings random numbers along

        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{_own_prefix()}{os.getpid()}-")
        try:
            os.close(handle)
            yield Path(name)
            _to_disk(name)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise


def _own_prefix() -> str:
    """How the names of this machine's unfinished files begin, up to the process's number."""
    return f"{TEMPORARY}{zlib.crc32(platform.node().encode()):08x}-"


def _clear_unfinished(folder: Path) -> None:
    """Remove unfinished files of this machine's processes that were killed while they wrote.

    A process whose number another has by now keeps its file until a later run.
    """
    for path in _left_behind(folder):
        with suppress(OSError):
            os.unlink(path)


def folder_prefix() -> str:
    """How the names of this process's temporary folders begin; those of dead ones are removed.

    A process that is killed leaves its folder, and nobody else would ever remove it.
    """
    for folder in left_folders():
        shutil.rmtree(folder, ignore_errors=True)
    return f"{_own_prefix().removeprefix('.')}{os.getpid()}-"


def left_folders() -> list[Path]:
    """Temporary folders of this user that processes of this machine left when they were killed."""
    import tempfile

    return [
        path
        for path in _left_behind(Path(tempfile.gettempdir()), _own_prefix().removeprefix("."))
        if path.is_dir() and not path.is_symlink() and _is_mine(path)
    ]


def _is_mine(path: Path) -> bool:
    try:
        return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()
    except OSError:
        return False  # removed meanwhile


def _left_behind(folder: Path, prefix: str = "") -> list[Path]:
    """What lies in a folder and is named after a process of this machine that has ended."""
    prefix = prefix or _own_prefix()
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            number, dash, _ = entry.name.removeprefix(prefix).partition("-")
            ours = entry.name.startswith(prefix) and dash and number.isdecimal()
            if ours and not _is_running(int(number)):
                found.append(Path(entry.path))
    return found


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's, or nobody can say
    return True


def _to_disk(name: str) -> None:
    """Wait until a file is on its disk: a full one is told here at the latest."""
    handle = os.open(name, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_place(path: Path) -> None:
    """Raise `OutputError` where `path` is a folder, a link or something else that is no file."""
    with as_output_error(path):
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISDIR(mode):
            raise OutputError(f"{path}: cannot be written: it is a folder", "name a file in it")
        if stat.S_ISLNK(mode) and not _leads_to_a_device(path):
            raise OutputError(
                f"{path}: cannot be written: it is a link, which might lead anywhere",
                f"name the file itself: {os.path.realpath(path)}",
            )
        if not stat.S_ISREG(mode) and not is_null_device(path):
            raise OutputError(
                f"{path}: cannot be written: it is no ordinary file",
                "name a file; answers go to stdout by themselves",
            )


def check_output(path: Path) -> None:
    """Raise `OutputError` for a file that could not be written, so that no work is in vain.

    Its folder need not be there yet: it is made with the file.
    """
    check_place(path)
    if not is_null_device(path):
        check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Raise `OutputError` for a folder that files cannot be written into, made where missing.

    A block is written there, into a file without a name, so that a full disk is found too.
    """
    with as_output_error(folder):
        place = folder
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise OutputError(f"{folder}: {place} is a file, not a folder", "name another place")
        if not os.access(place, os.W_OK | os.X_OK):
            raise OutputError(f"{folder}: no permission to write in {place}", "name another place")
        import tempfile

        with tempfile.TemporaryFile(dir=place, prefix=TEMPORARY) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()


def _leads_to_a_device(link: Path) -> bool:
    """Whether a link, such as `/dev/stdout`, leads to what is neither a file nor a folder."""
    target = os.path.realpath(link)
    return os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target)


def is_null_device(path: Path) -> bool:
    """Whether a path is the place where everything is thrown away."""
    return os.fspath(path) == os.devnull


@contextmanager
def as_output_error(path: Path) -> Iterator[None]:
    """Raise `OutputError` for `path` in place of what the system raises while it is written."""
    try:
        yield
    except UnicodeEncodeError:
        raise OutputError(f"{path}: this system cannot write such a name") from None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def read_text_file(path: Path, what: str, *, most_bytes: int, error: type[PerfmodelError]) -> str:
    """The text of a file in UTF-8, of which no more than `most_bytes` are read into memory.

    Raises `error`, which names the file and calls it `what`, for one that is larger, cannot be read
    or is no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"{path}: cannot read {what}: {reason}") from None
    if len(data) > most_bytes:
        raise error(f"{path}: larger than {what} may be ({most_bytes} bytes)", "split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: cannot read {what}: byte {problem.start} is not UTF-8") from None


def content_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal: whether it is still the same file."""
    import hashlib  # at start-up nobody asks

    found = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()


TABLE_SUFFIXES = (".csv", ".parquet")
"""The formats of tables that are written, by the ending of a file's name."""


def need_pyarrow(path: Path | None) -> None:
    """Raise `PerfmodelError` for a Parquet file where the library that writes it is missing."""
    from importlib.util import find_spec

    if path is not None and path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise PerfmodelError(
            f"{path}: writing Parquet needs pyarrow, which is not installed",
            "pip install pyarrow, or name the file .csv",
        )
