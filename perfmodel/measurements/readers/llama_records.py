"""llama.cpp `llama-bench -o csv|json|jsonl`: records with settings, nanoseconds and rates.

Format: tools/llama-bench/llama-bench.cpp, builds of 2023 to 2026.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from perfmodel.measurements.readers.figures import check_agrees
from perfmodel.measurements.readers.llama_bench import SETTINGS, llama_result, llama_row
from perfmodel.measurements.readers.results import Reader, ReadResult
from perfmodel.measurements.readers.source_text import SourceText, json_lines, json_number
from perfmodel.measurements.table import BadRow, bad_input

_FIELDS = {"model_type", "n_prompt", "n_gen", "avg_ts", "n_threads"}


def _is_csv(source: SourceText) -> bool:
    first = source.text[:10_000].split("\n", 1)[0]
    return {name.strip(' "\r') for name in first.split(",")} >= _FIELDS


def _is_json(source: SourceText) -> bool:
    first = source.entries[0] if source.entries else source.value
    if first is None and source.text.lstrip().startswith('{"build_commit"'):
        return True
    return isinstance(first, Mapping) and set(first) >= _FIELDS


def read_csv(source: SourceText) -> ReadResult:
    """A rate for each row of the CSV output."""
    reader = csv.reader(io.StringIO(source.text, newline=""), strict=True)
    records = []
    try:
        header = [name.strip() for name in next(reader)]
        for cells in reader:
            if cells and len(cells) != len(header):
                reason = f"{len(cells)} cells where the header has {len(header)}"
                raise bad_input(source.path, reader.line_num, reason, "the file may be cut off")
            if cells:
                records.append((reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise bad_input(source.path, reader.line_num, f"not CSV: {error}") from error
    return _from_records(records, source)


def read_json(source: SourceText) -> ReadResult:
    """A rate for each object of the JSON array, or of the lines of JSON."""
    if source.text.lstrip().startswith("["):
        lines = json_lines(source.text, '"build_commit"')
        records = [(lines[i] if i < len(lines) else 1, e) for i, e in enumerate(source.json)]
    else:
        records = list(_json_lines(source))
    return _from_records(records, source)


def _json_lines(source: SourceText) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = "a line that is no whole JSON object"
                raise bad_input(source.path, number, reason, "the file may be cut off") from error


def _from_records(records: list[tuple[int, Any]], source: SourceText) -> ReadResult:
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    for line, record in records:
        if not isinstance(record, Mapping) or not set(record) >= _FIELDS:
            raise bad_input(source.path, line, "an entry without model, test and speed")
        found = _record_row(record, source, line)
        (left_out if isinstance(found, BadRow) else rows).append(found)  # type: ignore[arg-type]
    return llama_result(rows, left_out, source)


def _record_row(
    record: Mapping[str, Any], source: SourceText, line: int
) -> dict[str, Any] | BadRow:
    def number(name: str) -> float:
        return json_number(record.get(name, 0), source.path, line, name)

    test = (number("n_prompt"), number("n_gen"), number("n_depth"))
    per_s = number("avg_ts")
    if record.get("avg_ns") is not None and number("avg_ns") > 0:
        of = "the tokens over avg_ns"
        expected = (test[0] + test[1]) / number("avg_ns") * 1e9
        # Rates are averaged over the repetitions, times too; both means agree but for the spread.
        check_agrees(
            per_s, expected, share=0.1, path=source.path, line=line, column="avg_ts", of=of
        )
    names = {"ngl": "n_gpu_layers", "fa": "flash_attn", "sm": "split_mode"}
    fields = {
        "model": str(record["model_type"]),
        "file": record.get("model_filename"),
        "backend": str(record.get("backends", "")),
        "threads": str(record["n_threads"]),
        "build": record.get("build_commit"),
        "settings": {n: str(record[k]) for n in SETTINGS if (k := names.get(n, n)) in record},
        "runs": len(record["samples_ns"]) if isinstance(record.get("samples_ns"), list) else None,
    }
    return llama_row(fields, test, per_s, source, line)


CSV = Reader("llama-bench (CSV)", _is_csv, read_csv)
JSON = Reader("llama-bench (JSON)", _is_json, read_json)
