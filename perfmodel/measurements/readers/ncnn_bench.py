"""ncnn `benchncnn`: its stderr, and whole pages of it such as ncnn's benchmark/README.md.

Each run prints five settings and then one line a model, in ms. Weights are not loaded, so its
load time means nothing and is not read. Pages name the device in a heading above a fenced block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from perfmodel.measurements.device_names import device_slug
from perfmodel.measurements.evidence import Said, by_name, by_tool, in_log
from perfmodel.measurements.readers.results import Reader, ReadResult, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.table import bad_input
from perfmodel.zoo.published_names import model_name

_ROW = re.compile(
    r"^\s*(\S{1,60})\s{1,60}min =\s{0,20}(\S+)\s{1,20}max =\s{0,20}(\S+)\s{1,20}avg =\s{0,20}(\S+)"
)
_SETTING = re.compile(
    r"^(loop_count|num_threads|powersave|gpu_device|cooling_down) = (\S{1,40})\s*$"
)
_GPU_NAME = re.compile(r"^\[(\d{1,3}) ([^\]]{1,80})\]  ?\w")
_HEADING = re.compile(r"^#{1,6}\s+(\S.{0,200})$")
_TITLE_END = re.compile(r"\s*[(,].*$")
_POWERSAVE = {0: "all", 1: "little", 2: "big"}


def _is_ncnn(source: SourceText) -> bool:
    """Whether the text holds a line of benchncnn."""
    mark = r" min = {1,12}\S{1,40} {1,12}max = {1,12}\S{1,40} {1,12}avg = "
    return re.search(mark, source.log) is not None


@dataclass
class _Page:
    device: str = ""
    title: str = ""
    settings: dict[str, float] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    gpu_names: dict[int, str] = field(default_factory=dict)
    run: int = 0


def read(source: SourceText) -> ReadResult:
    """A network row for each line of a model; `latency_ms` is min_ms, the least noisy figure."""
    page = _Page()
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(source.lines, 1):
        heading, setting = _HEADING.match(line), _SETTING.match(line)
        gpu, row = _GPU_NAME.match(line), _ROW.match(line)
        if heading:
            title = heading.group(1).strip()
            page = _Page(device_slug(_TITLE_END.sub("", title)), title)
        elif setting:
            name, text = setting.groups()
            if name == "loop_count":
                page.run += 1
                page.settings, page.lines = {}, {}
            page.settings[name] = number_in(text, source.path, number, name)
            page.lines[name] = number
        elif gpu:
            page.gpu_names[int(gpu.group(1))] = gpu.group(2)
        elif row:
            rows.append(_network(row, page, source, number))
        elif " min = " in line:
            reason = "column min: a model's line needs its name, min, max and avg in ms"
            raise bad_input(source.path, number, reason)
    if not rows:
        raise bad_input(source.path, len(source.lines), "no line of a model", "cut off?")
    return log_result(rows, source)


def _said(value: str | float, page: _Page, setting: str) -> Said:
    line = page.lines.get(setting)
    return by_tool(value) if line is None else in_log(value, line)


def _network(row: re.Match[str], page: _Page, source: SourceText, number: int) -> dict[str, Any]:
    name = row.group(1)
    plain = re.sub(r"[_-]int8$", "", name)
    low, high, mean = (
        number_in(row.group(i), source.path, number, column)
        for i, column in ((2, "min"), (3, "max"), (4, "avg"))
    )
    nan = float("nan")
    gpu_device = page.settings.get("gpu_device", -1)
    on_gpu = gpu_device >= 0
    return {
        "line": number,
        "device": page.device,
        "soc": page.title,
        "unit": _said("gpu" if on_gpu else "cpu", page, "gpu_device"),
        "framework": by_tool("ncnn"),
        "precision": by_tool("float") if plain == name else by_name("int8", name),
        "threads": None
        if on_gpu or "num_threads" not in page.settings
        else _said(page.settings["num_threads"], page, "num_threads"),
        "affinity": "" if on_gpu else _POWERSAVE.get(int(page.settings.get("powersave", -1)), ""),
        "source": f"benchncnn {source.name}",
        "model": model_name(plain, tool="ncnn"),
        "source_model": name,
        "batch": by_tool(1.0),
        "kind": by_tool("steady"),
        "runs": page.settings.get("loop_count", nan),
        "run": float(max(page.run, 1)),
        "statistic": "min",
        "processor": page.gpu_names.get(int(gpu_device), "") if on_gpu else "",
        "latency_ms": low,
        "min_ms": low,
        "mean_ms": mean,
        "max_ms": high,
    }


READER = Reader("ncnn benchncnn", _is_ncnn, read)
