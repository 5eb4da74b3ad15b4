"""`perfmodel predict --queries`: a table of questions answered at once."""

from __future__ import annotations

import csv
import io
import reprlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from perfmodel.cli.output import as_json_text
from perfmodel.cli.streams import say
from perfmodel.errors import PerfmodelError, printable
from perfmodel.files import read_text_file, write_atomically
from perfmodel.prediction import Prediction, predict_many

MAX_QUERIES = 1_000_000
MAX_BYTES = 64_000_000
MAX_BATCH = 65_536
COLUMNS = ("model", "target", "batch_size")
ANSWERS = ("latency_ms", "low_ms", "high_ms", "extrapolated", "error")
ANSWERS_MARK = ",".join((*COLUMNS, *ANSWERS)).encode()
"""How a file of answers begins."""


def answer_queries(
    queries: Path,
    output: Path | None,
    profiles: Sequence[Path],
    allow_uncovered: bool,
    as_json: bool,
) -> int:
    """Answer a CSV of queries; bad rows fill `error`, the others still answer."""
    started = time.perf_counter()
    rows = list(_read(queries))
    answers = predict_many(
        ((r["model"], r["target"], r["batch_size"]) for r in rows),
        profiles=profiles,
        allow_uncovered=allow_uncovered,
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, *ANSWERS))
    # a file has the names as they are, a terminal what it can show of them
    shown = printable if output is None else str
    failed = 0
    for row, answer in zip(rows, answers, strict=True):
        failed += not isinstance(answer, Prediction) or bool(answer.unknown)
        asked = (row["model"], row["target"], str(row["batch_size"] or ""))
        writer.writerow(map(shown, (*asked, *_cells(answer))))
    elapsed = time.perf_counter() - started
    if output is not None:
        write_atomically(output, text.getvalue())
    if as_json:
        say(as_json_text({"queries": len(rows), "errors": failed, "elapsed_s": elapsed}))
    elif output is not None:
        counted = f"{len(rows)} queries, {failed} without an answer, {elapsed:.2f} s"
        say(f"{counted}; answers in {printable(str(output))}")
    else:
        say(text.getvalue().removesuffix("\n"))
    return 0


def _cells(answer: Prediction | Exception) -> tuple[str, ...]:
    """An answer's columns: times in ms, or why there are none."""
    if not isinstance(answer, Prediction):
        return ("", "", "", "", str(answer))
    if answer.unknown:
        return ("", "", "", str(answer.extrapolated).lower(), answer.unknown)
    times = (f"{ms:.6g}" for ms in (answer.latency_ms, *answer.interval_ms))
    return (*times, str(answer.extrapolated).lower(), "")


def _read(path: Path) -> Iterator[dict[str, Any]]:
    text = read_text_file(path, "this table", most_bytes=MAX_BYTES, error=PerfmodelError)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        missing = {"model", "target"} - set(reader.fieldnames or ())
        if missing:
            raise PerfmodelError(
                f"{path}: line 1: no column {sorted(missing)[0]!r}",
                "columns are model,target[,batch_size]",
            )
        for count, row in enumerate(reader):
            if count >= MAX_QUERIES:
                raise PerfmodelError(f"{path}: more than {MAX_QUERIES} rows", "split the file")
            yield _query(row, path, reader.line_num)
    except csv.Error as error:
        raise PerfmodelError(f"{path}: line {reader.line_num}: not a table: {error}") from None


def _query(row: dict[str, Any], path: Path, line: int) -> dict[str, Any]:
    batch = (row.get("batch_size") or "").strip()
    digits = batch.isascii() and batch.isdigit() and len(batch) < 10
    if batch and not (digits and 0 < int(batch) <= MAX_BATCH):
        raise PerfmodelError(
            f"{path}: line {line}: batch_size {reprlib.repr(batch)} is no whole number "
            f"from 1 to {MAX_BATCH}"
        )
    return {
        "model": (row["model"] or "").strip(),
        "target": (row["target"] or "").strip(),
        "batch_size": int(batch) if batch else None,
    }
