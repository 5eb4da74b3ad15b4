"""`perfmodel predict --queries`: a table of questions answered at once."""

from __future__ import annotations

import csv
import io
import reprlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfmodel.cli.output import as_json_text
from perfmodel.cli.streams import say
from perfmodel.errors import PerfmodelError, printable
from perfmodel.files import read_text_file, write_atomically
from perfmodel.many_queries import predict_many
from perfmodel.prediction import Prediction
from perfmodel.render.table_file import write_table

MAX_QUERIES = 1_000_000
MAX_BYTES = 64_000_000
MAX_BATCH = 65_536
COLUMNS = ("model", "target", "batch_size")
ANSWERS = ("latency_ms", "low_ms", "high_ms", "extrapolated", "error")


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
    answered = [{**r, **_cells(answer)} for r, answer in zip(rows, answers, strict=True)]
    failed = sum(bool(row["error"]) for row in answered)
    elapsed = time.perf_counter() - started
    if output is not None and output.suffix == ".parquet":
        write_table((*COLUMNS, *ANSWERS), answered, output)
    elif output is not None:
        write_atomically(output, _as_csv(answered, str))
    if as_json:
        say(as_json_text({"queries": len(rows), "errors": failed, "elapsed_s": elapsed}))
    elif output is not None:
        counted = f"{len(rows)} queries, {failed} without an answer, {elapsed:.2f} s"
        say(f"{counted}; answers in {printable(str(output))}")
    else:
        # a file has the names as they are, a terminal what it can show of them
        say(_as_csv(answered, printable).removesuffix("\n"))
    return 0


def _cells(answer: Prediction | Exception) -> dict[str, Any]:
    """An answer's columns: times in ms, or why there are none."""
    if not isinstance(answer, Prediction):
        return dict.fromkeys(ANSWERS) | {"error": str(answer)}
    sure = {"extrapolated": answer.extrapolated, "error": answer.unknown}
    if answer.unknown:
        return dict.fromkeys(ANSWERS) | sure
    low, high = answer.interval_ms
    return {"latency_ms": answer.latency_ms, "low_ms": low, "high_ms": high, **sure}


def _as_csv(rows: Sequence[Mapping[str, Any]], shown: Callable[[str], str]) -> str:
    """Rows as CSV: times of six digits, an empty cell for what is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, *ANSWERS))
    writer.writerows([shown(_written(row[c])) for c in (*COLUMNS, *ANSWERS)] for row in rows)
    return text.getvalue()


def _written(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


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
