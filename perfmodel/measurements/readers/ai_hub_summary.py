"""What the export scripts of Qualcomm AI Hub Models print: "Performance results on-device for ...".

Format: qai_hub_models/utils/printing.py (print_profile_metrics), 0.5 to 0.40. The time has one
decimal of a ms and is AI Hub's estimate, the fastest run, so the statistic is `min`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from perfmodel.measurements.evidence import Said, by_tool, in_log
from perfmodel.measurements.readers.ai_hub_perf import runtime_named
from perfmodel.measurements.readers.figures import check_agrees
from perfmodel.measurements.readers.results import Reader, ReadResult, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.table import BadRow, bad_input
from perfmodel.zoo.published_names import model_name

_TITLE = re.compile(r"^Performance results on-device for (.{1,120}?)\.$")
_FIELD = re.compile(
    r"^(Device|Runtime|Estimated inference time \(ms\)|Total # Ops|Compute Unit\(s\))\s{0,40}:"
    r" (.{1,200})$"
)
_TIME = "Estimated inference time (ms)"
_UNITS = re.compile(r"\b(npu|gpu|cpu) \((\d{1,7}) ops?\)", re.I)


def _is_summary(source: SourceText) -> bool:
    return "Performance results on-device for " in source.log and _TIME in source.log


def read(source: SourceText) -> ReadResult:
    """A network row for each block; one that took less than the printed digit is left out."""
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    blocks: list[tuple[str, dict[str, tuple[str, int]]]] = []
    for number, raw in enumerate(source.lines, 1):
        line = raw.strip()
        if title := _TITLE.match(line):
            blocks.append((title.group(1), {}))
        elif blocks and (field := _FIELD.match(line)):
            blocks[-1][1].setdefault(field.group(1), (field.group(2).strip(), number))
    for model, fields in blocks:
        missing = [n for n in ("Device", "Runtime", _TIME, "Compute Unit(s)") if n not in fields]
        if missing:
            reason = f"column {missing[0]}: not in the block of {model[:40]}"
            raise bad_input(source.path, len(source.lines), reason, "was the text cut off?")
        text, line_number = fields[_TIME]
        if text.startswith("<"):
            reason = f"left out: {model[:60]} took {text[:10]} ms, less than is printed"
            left_out.append(BadRow(source.path, line_number, reason))
        else:
            rows.append(_row(model, fields, source))
    if not blocks:
        raise bad_input(source.path, 1, "no block of results", "was the text cut off?")
    return log_result(rows, source, left_out=left_out)


def _row(model: str, fields: Mapping[str, tuple[str, int]], source: SourceText) -> dict[str, Any]:
    text, line = fields[_TIME]
    runtime, runtime_line = fields["Runtime"]
    known = runtime_named(runtime.lower())
    unit, variant = _unit(*fields["Compute Unit(s)"], fields.get("Total # Ops"), source)
    return {
        "line": line,
        "unit": unit,
        "framework": in_log(known[0], runtime_line) if known else None,
        "build": known[1] if known else "",
        "variant": variant,
        "source": f"AI Hub {source.name}",
        "note": f"device: {fields['Device'][0][:100]}",
        "model": model_name(model.replace("_", "-")),
        "source_model": model,
        "batch": by_tool(1.0),
        "kind": by_tool("steady"),
        "statistic": "min",
        "latency_ms": number_in(text, source.path, line, _TIME),
    }


def _unit(
    text: str, line: int, total: tuple[str, int] | None, source: SourceText
) -> tuple[Said | None, str]:
    """The unit with most operators, and whether others take part."""
    counts = {name.lower(): int(count) for name, count in _UNITS.findall(text) if int(count)}
    if total is not None:
        stated = number_in(total[0], source.path, total[1], "Total # Ops")
        of = "the operators of the units"
        check_agrees(
            stated,
            sum(counts.values()),
            share=0.0,
            path=source.path,
            line=line,
            column="Total # Ops",
            of=of,
        )
    if not counts:
        return None, ""
    most = max(counts, key=lambda name: counts[name])
    return in_log(most, line), "mixed_units" if len(counts) > 1 else ""


READER = Reader("AI Hub summary", _is_summary, read)
