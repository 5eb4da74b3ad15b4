"""llama.cpp `llama-bench` as Markdown: tokens per second; `llama_records` reads its other outputs.

Format: tools/llama-bench/llama-bench.cpp, builds of 2023 (`pp 512`) to 2026 (`pp512 @ d4096`).
A rate is no latency; the quantisation of the weights is no precision of this table either (the
arithmetic differs by back end), so it stands in `variant`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from perfmodel.measurements.evidence import by_tool, in_log
from perfmodel.measurements.readers.llm_rates import mixed, rate_row, test_named, unit_of_backend
from perfmodel.measurements.readers.results import Reader, ReadResult, base_name, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.readers.text_tables import has_header, table_rows
from perfmodel.measurements.table import BadRow, bad_input

_HEADER = frozenset({"model", "size", "params", "backend", "test", "t/s"})
_RATE = re.compile(r"(\S{1,30}) (?:\N{PLUS-MINUS SIGN}|\+/-|\+-) (\S{1,30})")
SETTINGS = ("ngl", "n_batch", "n_ubatch", "type_k", "type_v", "fa", "sm", "n_cpu_moe", "mmap")


def _is_markdown(source: SourceText) -> bool:
    return has_header(source, _HEADER)


def read_markdown(source: SourceText) -> ReadResult:
    """A rate for each line of the tables; tests that read and write in one are left out."""
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    for cells, number in table_rows(source, _HEADER):
        found = _markdown_row(cells, source, number)
        (left_out if isinstance(found, BadRow) else rows).append(found)  # type: ignore[arg-type]
    return llama_result(rows, left_out, source)


def _markdown_row(
    cells: Mapping[str, str], source: SourceText, line: int
) -> dict[str, Any] | BadRow:
    test, rate = test_named(cells["test"]), _RATE.fullmatch(cells["t/s"])
    if test is None or rate is None:
        column = "test" if test is None else "t/s"
        raise bad_input(source.path, line, f"column {column}: {cells[column][:40]!r}")
    fields = {
        "model": cells["model"],
        "backend": cells["backend"],
        "threads": cells.get("threads"),
        "settings": {name: cells[name] for name in SETTINGS if name in cells},
    }
    per_s = number_in(rate.group(1), source.path, line, "t/s")
    return llama_row(fields, test, per_s, source, line)


def llama_row(
    fields: Mapping[str, Any],
    test: tuple[float, float, float],
    per_s: float,
    source: SourceText,
    line: int,
) -> dict[str, Any] | BadRow:
    """The row of a test (tokens read, written, in the context); BadRow where it does both."""
    read, written, depth = test
    if read and written:
        return mixed(source, line)
    unit = unit_of_backend(fields["backend"], line)
    threads = fields.get("threads")
    settings = {"context": f"{depth:g}"} if depth else {}
    settings |= {"weights": fields["model"].split(" ", 2)[-1], **fields["settings"]}
    name = fields.get("file") or fields["model"]
    common = {
        "unit": unit,
        "framework": by_tool("llama.cpp"),
        "build": str(fields.get("build") or ""),
        "threads": in_log(number_in(threads, source.path, line, "threads"), line)
        if threads and unit is not None and unit.value == "cpu"
        else None,
        "source": f"llama-bench {source.name}",
        "model": base_name(name).removesuffix(".gguf"),
        "source_model": fields["model"],
        "variant": ";".join(f"{key}={value}" for key, value in settings.items()),
        "runs": float(fields.get("runs") or "nan"),
    }
    kind, tokens = ("prefill", read) if read else ("decode", written)
    return rate_row(source, line, kind=kind, tokens=tokens, tokens_per_s=per_s, common=common)


def llama_result(
    rows: list[dict[str, Any]], left_out: list[BadRow], source: SourceText
) -> ReadResult:
    """The result of a benchmark's rows; MeasurementError where there is none."""
    if not rows and not left_out:
        raise bad_input(source.path, len(source.lines), "no row of a test", "was the run cut off?")
    return log_result(rows, source, left_out=left_out)


MARKDOWN = Reader("llama-bench", _is_markdown, read_markdown)
