"""Qualcomm's `qnn-profile-viewer`: its CSV of events and its printed statistics; times in us.

Formats: QNN (QAIRT) SDK 2.5 to 2.40, and the CSV that ONNX Runtime's QNN provider writes in the
same columns. The latency is what the caller waits for: NetRun's time of a graph, else that of QNN's
own execution; the accelerator's share of it, and times in cycles, are parts of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.measurements.evidence import Said, by_tool, in_log
from perfmodel.measurements.readers.results import Reader, ReadResult, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.table import bad_input
from perfmodel.zoo.published_names import network_called

_HEADER = (
    "Msg Timestamp,Message,Time,Unit of Measurement,Timing Source,Event Level,Event Identifier"
)
_GRAPH = re.compile(r"^-* ?Graph \d{1,4} \((.{1,200})\):$")
_GRAPH_EVENT = re.compile(r"Graph \d{1,4}: (.{1,200})")
_TIME = re.compile(r"^(NetRun|Backend \(.{1,80}\)):\s{1,20}(\d{1,18}) us$")
_SECTION = re.compile(r"^([A-Za-z][A-Za-z -]{1,40}) Stats(?: \((\w{1,20})\))?:$")
_WAITED = ("NetRun", "Backend (QNN (execute) time)")
_ACCELERATOR = ("QNN accelerator (execute) time", "Accelerator (execute) time")


def _is_csv(source: SourceText) -> bool:
    return source.text.lstrip("\r\n").startswith(_HEADER)


def _is_text(source: SourceText) -> bool:
    return "Execute Stats (Average):" in source.log


def read_csv(source: SourceText) -> ReadResult:
    """A network row for each graph: the median of its executions, the first apart."""
    import numpy as np

    graphs: dict[str, list[tuple[float, int]]] = {}
    backend: list[tuple[float, int]] = []
    accelerator = False
    for number, line in enumerate(source.lines, 1):
        cells = line.strip().split(",", 6)
        if number == 1 or not line.strip():
            continue
        if len(cells) != 7 or not cells[6]:
            raise bad_input(source.path, number, "a row of fewer cells", "the file may be cut off")
        _, message, text, unit, origin, level, name = (cell.strip() for cell in cells)
        accelerator = accelerator or name.startswith(_ACCELERATOR)
        if (message, unit, level) != ("EXECUTE", "US", "ROOT"):
            continue
        time_us = number_in(text, source.path, number, "Time")
        if origin == "NETRUN" and (graph := _GRAPH_EVENT.fullmatch(name)):
            graphs.setdefault(graph.group(1), []).append((time_us, number))
        elif origin == "NETRUN":
            raise bad_input(source.path, number, f"an execution of no graph: {name[:40]!r}")
        elif name in ("QNN (execute) time", "NULL"):
            backend.append((time_us, number))
    graphs = graphs or ({"": backend} if backend else {})
    if not graphs:
        reason = "no execution of a graph in us; times in cycles are no latency"
        raise bad_input(
            source.path, len(source.lines), reason, "profile with --profiling_level basic"
        )
    rows = []
    for name, executions in graphs.items():
        steady = [us for us, _ in executions[1:]]
        if not steady:
            reason = "one execution, the first, which is slower than those that follow"
            hint = "run it several times: --num_inferences 10"
            raise bad_input(source.path, executions[0][1], reason, hint)
        columns = {
            "latency_ms": float(np.median(steady)) / 1e3,
            "statistic": "median",
            "mean_ms": float(np.mean(steady)) / 1e3,
            "min_ms": min(steady) / 1e3,
            "max_ms": max(steady) / 1e3,
            "runs": float(len(steady)),
        }
        first_line = executions[0][1]
        npu = in_log("npu", first_line) if accelerator else None
        rows.append(_base(name, first_line, npu, source) | columns)
    return log_result(rows, source)


def read_text(source: SourceText) -> ReadResult:
    """A network row for each graph: the average of its executions, with minimum and maximum."""
    found: dict[tuple[str, str], dict[str, tuple[float, int]]] = {}
    section, part, graph = "", "", ""
    for number, raw in enumerate(source.lines, 1):
        line = raw.strip()
        if match := _SECTION.match(line):
            section, part, graph = match.group(1), match.group(2) or "", ""
        elif match := _GRAPH.match(line):
            graph = match.group(1)
        elif match := _TIME.match(line):
            time_us = number_in(match.group(2), source.path, number, match.group(1))
            times = found.setdefault((f"{section} {part}".strip(), graph), {})
            times.setdefault(match.group(1), (time_us, number))
    rows = _text_rows(found, source)
    if not rows:
        reason = "no average of executions in us"
        raise bad_input(source.path, len(source.lines), reason, "was the text cut off?")
    return log_result(rows, source)


def _text_rows(
    found: Mapping[tuple[str, str], Mapping[str, tuple[float, int]]], source: SourceText
) -> Sequence[dict[str, Any]]:
    rows = []
    for (section, graph), times in found.items():
        name = next((name for name in _WAITED if name in times), None)
        if section != "Execute Average" or name is None:
            continue
        mean_us, line = times[name]
        parts = [us for other, (us, _) in times.items() if other != name]
        if any(us > mean_us * 1.02 for us in parts):
            reason = f"column {name}: {mean_us:g} us is less than a part of it, {max(parts):g} us"
            raise bad_input(source.path, line, reason, "the file may be damaged, or of two runs")
        accelerated = any(a in other for other in times for a in _ACCELERATOR)
        row = _base(graph, line, in_log("npu", line) if accelerated else None, source)
        for column, part in (("min_ms", "Execute Min"), ("max_ms", "Execute Max")):
            extreme = found.get((part, graph), {}).get(name)
            row[column] = extreme[0] / 1e3 if extreme else float("nan")
        rows.append(
            row | {"latency_ms": mean_us / 1e3, "mean_ms": mean_us / 1e3, "statistic": "mean"}
        )
    return rows


def _base(graph: str, line: int, unit: Said | None, source: SourceText) -> dict[str, Any]:
    """The columns that do not depend on the times; few graphs are named after their network."""
    return {
        "line": line,
        "unit": unit,
        "framework": by_tool("qnn"),
        "source": f"QNN profile {source.name}",
        "model": network_called(graph) or "",
        "source_model": graph[:200],
        "batch": by_tool(1.0),
        "kind": by_tool("steady"),
    }


CSV = Reader("QNN profile (CSV)", _is_csv, read_csv)
TEXT = Reader("QNN profile (qnn-profile-viewer)", _is_text, read_text)
