"""Where answers go: stdout as text or JSON, and files that are checked before work starts."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from perfmodel.cli import claims, command_line, notices
from perfmodel.cli.streams import say
from perfmodel.errors import OutputError, PerfmodelError
from perfmodel.files import (
    TABLE_SUFFIXES,
    as_output_error,
    check_output,
    is_null_device,
    need_pyarrow,
    write_atomically,
)
from perfmodel.locks import claimed, is_claimed
from perfmodel.render.page import PAGE_MARK
from perfmodel.render.result import Result, as_page, as_text, plain
from perfmodel.render.svg import SVG_MARK
from perfmodel.render.table_file import TABLES, mark_of, table_mark, write_rows

ANSWER_MARK = b'"reproduce": "perfmodel '
"""Stands in every answer that is saved as JSON."""

MARKS = {".html": PAGE_MARK, ".svg": SVG_MARK, ".json": ANSWER_MARK}
"""By the ending of an output: what stands in those that perfmodel made."""


WHOLE = (".html", ".json")
"""Endings of files that hold a whole answer."""

WIDTH_OF_NO_TERMINAL = 100
"""Columns of a table that goes to a file or another program."""


def show(result: Result, as_json: bool) -> None:
    """Print a result as JSON, or as text that fits the terminal."""
    say(as_json_text(result.data) if as_json else as_text(result, text_width()))


def text_width() -> int:
    """Columns that text may take: what COLUMNS says, else the terminal's, else a fixed number."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    fallback = (WIDTH_OF_NO_TERMINAL, 24)
    return shutil.get_terminal_size(fallback).columns if known else WIDTH_OF_NO_TERMINAL


def answer(result: Result, command: str, output: Path | None, as_json: bool) -> None:
    """Print a command's result, and write it to `output`, where one is named, by its ending."""
    if output is not None:
        write(result, command, output)
        result = replace(result, closing=(*result.closing, f"wrote {output}"))
    show(result, as_json)


def write(result: Result, command: str, path: Path) -> None:
    """Write a command's result by the path's ending: its rows, a page or all of it as JSON."""
    if path.suffix in TABLE_SUFFIXES:
        write_rows(command, result.data, path)
    elif path.suffix == ".html":
        data = _with_command(plain(result.data))
        made_by = data.get("reproduce", "") if isinstance(data, dict) else command_line.get()
        write_atomically(path, as_page(result, made_by))
    else:
        write_atomically(path, as_json_text(result.data) + "\n")


def check_answer(
    command: str,
    output: Path | None,
    *,
    force: bool,
    others: Sequence[Path | None] = (),
) -> None:
    """Refuse an output of `answer` that could not or must not be written, before anything runs.

    `others` are further outputs of the command: without any, `force` would do nothing.
    """
    if force and output is None and all(path is None for path in others):
        raise PerfmodelError("--force does nothing without an output", "leave it out")
    if output is None:
        return
    mark = table_mark(command, output.suffix) if command in TABLES else b""
    check_outputs(output, suffixes=(*TABLE_SUFFIXES, *WHOLE), mark=mark, force=force)
    need_pyarrow(output)


def as_json_text(data: Any) -> str:
    """A result's data as JSON, with the command that made it and what that left out."""
    return json.dumps(_with_command(plain(data)), allow_nan=False)


def _with_command(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    if command_line.get():
        data = data | {"reproduce": data.get("reproduce") or command_line.get()}
    return data | {"notices": list(notices.get())} if notices.get() else data


def check_table(output: Path | None, columns: Sequence[str], *, force: bool) -> None:
    """Refuse a file for rows with these columns as `check_answer` refuses an answer's."""
    if output is not None:
        suffixes = () if is_null_device(output) else TABLE_SUFFIXES
        mark = mark_of(columns, output.suffix)
        check_outputs(output, suffixes=suffixes, mark=mark, force=force)
        need_pyarrow(output)


def check_outputs(
    *paths: Path | None,
    suffixes: Sequence[str] = (),
    mark: bytes = b"",
    force: bool = False,
) -> None:
    """Refuse outputs that could not or must not be written, before anything runs; claim the others.

    `suffixes` are the formats that these outputs are written in, where the name says the format.
    `mark` stands in what the command has written there before (else what `MARKS` says of the
    suffix); a file without it is somebody else's, and is written over with `force` only.
    """
    for path in paths:
        if path is None:
            continue
        if suffixes and path.suffix not in suffixes:
            raise PerfmodelError(
                f"{path}: is written as {' or '.join(suffixes)}", "change the name's ending"
            )
        check_output(path)
        if not force:
            refuse_foreign(path, mark or MARKS.get(path.suffix, b""))
        _claim(path)


def check_journal(path: Path, *, force: bool = False) -> None:
    """Refuse a journal as `check_outputs` refuses outputs; with `force` a foreign file is emptied.

    A journal goes on with what is in it, and must not find anything else there.
    """
    from perfmodel.runners.journal import JOURNAL_MARK

    check_outputs(path, mark=JOURNAL_MARK, force=force)
    if force and not _is_ours(path, JOURNAL_MARK):
        write_atomically(path, "")


def _claim(path: Path) -> None:
    """Keep other runs, and other outputs of this one, from writing a file until this run ends."""
    held = claims.get()
    if held is None:
        return
    if is_claimed(path):
        raise OutputError(f"{path}: is named as two outputs", "name another file for one of them")
    held.enter_context(claimed(path))


def refuse_foreign(path: Path, mark: bytes) -> None:
    """Raise `OutputError` for a file that holds something, but not `mark`."""
    if not is_null_device(path) and not _is_ours(path, mark):
        raise OutputError(
            f"{path}: is there already, and this command did not write it",
            "name another file, or write over it with --force",
        )


def _is_ours(path: Path, mark: bytes) -> bool:
    """Whether a file is missing, empty, or has the mark somewhere in it."""
    with as_output_error(path):
        try:
            file = open(path, "rb")  # noqa: SIM115
        except (FileNotFoundError, NotADirectoryError):
            return True
        with file:
            if not os.fstat(file.fileno()).st_size:
                return True
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
                return bool(mark) and held.find(mark) >= 0
