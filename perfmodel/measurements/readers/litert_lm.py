"""LiteRT-LM `--benchmark`: turns of reading and writing with their tokens, time and rate.

Format: BenchmarkInfo of runtime/engine/io_types.cc, LiteRT-LM 0.6 to 0.17. Durations are those of
Abseil: `477.85ms`, `3.917262s`, `1m2.5s`.
"""

from __future__ import annotations

import re
from typing import Any

from perfmodel.measurements.evidence import by_tool, in_command
from perfmodel.measurements.readers.command_line import command_of
from perfmodel.measurements.readers.figures import check_agrees, time_ms
from perfmodel.measurements.readers.llm_rates import rate_row
from perfmodel.measurements.readers.results import Reader, ReadResult, base_name, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.table import bad_input

_TURN = re.compile(
    r"(Prefill|Decode) Turn (\d{1,6}): Processed (\d{1,9}) tokens in (\S{1,40}) duration\.$"
)
_SPEED = re.compile(r"(Prefill|Decode) Speed: (\S{1,40}) tokens/sec\.$")
_DURATION = re.compile(r"([\d.]{1,20})(h|ms|us|ns|m|s)")
_ROUNDED = 0.006
"""Tokens a second; two decimals are printed."""
_KINDS = {"Prefill": "prefill", "Decode": "decode"}
_TOOLS = ("litert_lm_advanced_main", "litert_lm_main", "litert-lm", "lit")


def _is_benchmark(source: SourceText) -> bool:
    return "Prefill Turns (Total" in source.log or "Decode Turns (Total" in source.log


def read(source: SourceText) -> ReadResult:
    """A rate for each turn; the tokens over the time must give the printed rate."""
    rows: list[dict[str, Any]] = []
    common = _common(source)
    turn: tuple[str, float, float, int] | None = None
    for number, raw in enumerate(source.lines, 1):
        line = raw.rstrip()
        found, speed = _TURN.search(line), _SPEED.search(line)
        if (found or speed) and (turn is None) != (speed is None):
            raise bad_input(source.path, number, "a turn without its speed", "cut off, or mixed?")
        if found:
            name, count, text = found.group(1), float(found.group(3)), found.group(4)
            turn = name, count, _duration_ms(text, source, number), number
        elif speed and turn is not None:
            rows.append(_row(turn, speed, common, source, number))
            turn = None
    if turn is not None or not rows:
        reason = "the log ends without the speed of a turn"
        raise bad_input(source.path, len(source.lines), reason, "was the run cut off?")
    for name in _KINDS.values():
        for run, row in enumerate((r for r in rows if r["kind"].value == name), 1):
            row["run"] = float(run)
    return log_result(rows, source)


def _common(source: SourceText) -> dict[str, Any]:
    commands = (command_of(source.lines, tool) for tool in _TOOLS)
    command = next((found for found in commands if found is not None), {})
    backend, threads = command.get("backend", ""), command.get("num_cpu_threads", "")
    model = base_name(command.get("model_path", command.get("model", "")))
    on_cpu = backend == "cpu" and threads.isdecimal()
    return {
        "unit": in_command(backend) if backend in ("cpu", "gpu", "npu") else None,
        "framework": by_tool("litert-lm"),
        "threads": in_command(float(threads[:6])) if on_cpu else None,
        "source": f"LiteRT-LM {source.name}",
        "model": model.removesuffix(".litertlm"),
        "source_model": model,
    }


def _duration_ms(text: str, source: SourceText, line: int) -> float:
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise bad_input(source.path, line, f"column duration: {text[:40]!r} is no duration")
    longer = {"m": 60.0, "h": 3600.0}
    return sum(
        number_in(number, source.path, line, "duration") * longer[unit] * 1e3
        if unit in longer
        else time_ms(number, unit, source.path, line, "duration")
        for number, unit in parts
    )


def _row(
    turn: tuple[str, float, float, int],
    speed: re.Match[str],
    common: dict[str, Any],
    source: SourceText,
    line: int,
) -> dict[str, Any]:
    name, tokens, duration_ms, start = turn
    if speed.group(1) != name:
        raise bad_input(source.path, line, f"the speed of {speed.group(1)} behind a {name} turn")
    if duration_ms <= 0:
        raise bad_input(source.path, start, "column duration: must be above 0")
    per_s = number_in(speed.group(2), source.path, line, f"{name} Speed")
    of, expected = f"{tokens:g} tokens in {duration_ms:g} ms", tokens / duration_ms * 1e3
    share = max(0.01, _ROUNDED / max(expected, _ROUNDED))
    check_agrees(
        per_s, expected, share=share, path=source.path, line=line, column=f"{name} Speed", of=of
    )
    return rate_row(
        source, line, kind=_KINDS[name], tokens=tokens, tokens_per_s=per_s, common=common
    )


READER = Reader("LiteRT-LM benchmark", _is_benchmark, read)
