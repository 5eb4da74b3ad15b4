"""MNN `llm_bench`: Markdown tables of tokens per second.

Format: transformers/llm/engine/tools/llm_bench.cpp, MNN 3.x: one rate a line (column `t/s`), or
with `-kv true` reading and writing in one cell, parted by `<br>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from perfmodel.measurements.evidence import by_tool, in_log
from perfmodel.measurements.readers.llm_rates import mixed, rate_row, test_named, unit_of_backend
from perfmodel.measurements.readers.results import Reader, ReadResult, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.readers.text_tables import has_header, table_rows
from perfmodel.measurements.table import BadRow, bad_input

_RATE = re.compile(r"(\S{1,30}) \N{PLUS-MINUS SIGN} (\S{1,30})")
_DEMO = re.compile(r"prompt=(\d{1,8})<br>decode=(\d{1,8})")
_HEADER = frozenset({"model", "modelSize", "backend"})
_SETTINGS = ("precision", "memory", "dynamicOption", "quantAttention", "smeCoreNum", "mmap")


def _is_table(source: SourceText) -> bool:
    return has_header(source, _HEADER)


def read(source: SourceText) -> ReadResult:
    """One or two rates for each line of the tables."""
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    for cells, number in table_rows(source, _HEADER):
        if "+tg" in cells.get("test", ""):
            left_out.append(mixed(source, number))
        else:
            rows.extend(_rows(cells, source, number))
    if not rows and not left_out:
        raise bad_input(source.path, len(source.lines), "no row of a test", "was the run cut off?")
    return log_result(rows, source, left_out=left_out)


def _rows(cells: Mapping[str, str], source: SourceText, line: int) -> Iterator[dict[str, Any]]:
    unit = unit_of_backend(cells["backend"], line)
    on_cpu = unit is not None and unit.value == "cpu"
    settings = (f"{name}={cells[name]}" for name in _SETTINGS if name in cells)
    common = {
        "unit": unit,
        "framework": by_tool("mnn"),
        "build": "" if on_cpu else cells["backend"].lower(),
        "threads": in_log(number_in(cells["threads"], source.path, line, "threads"), line)
        if on_cpu and "threads" in cells
        else None,
        "source": f"MNN llm_bench {source.name}",
        "model": cells["model"],
        "source_model": cells["model"],
        "variant": ";".join(settings),
    }
    for kind, tokens, text in _rates(cells, source, line):
        rate = _RATE.fullmatch(text.strip())
        if rate is None:
            raise bad_input(
                source.path,
                line,
                f"column t/s: {text[:40]!r} is no mean \N{PLUS-MINUS SIGN} spread",
            )
        per_s = number_in(rate.group(1), source.path, line, "t/s")
        yield rate_row(source, line, kind=kind, tokens=tokens, tokens_per_s=per_s, common=common)


def _rates(
    cells: Mapping[str, str], source: SourceText, line: int
) -> Iterator[tuple[str, float, str]]:
    """Kind, tokens and text of each rate in a line."""
    demo = _DEMO.fullmatch(cells.get("llm_demo", ""))
    test = test_named(cells.get("test", ""))
    if demo and cells.get("speed(tok/s)", "").count("<br>") == 1:
        reading, writing = cells["speed(tok/s)"].split("<br>")
        yield "prefill", float(demo.group(1)), reading
        yield "decode", float(demo.group(2)), writing
    elif test and "t/s" in cells:
        yield ("prefill", test[0], cells["t/s"]) if test[0] else ("decode", test[1], cells["t/s"])
    else:
        raise bad_input(source.path, line, "column test: names no test such as pp512 or tg128")


READER = Reader("MNN llm_bench", _is_table, read)
