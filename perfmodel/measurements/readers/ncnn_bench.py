"""ncnn `benchncnn`: its stderr, and whole pages of it such as ncnn's benchmark/README.md.

Each run prints five settings and then one line a model, in ms. Weights are not loaded, so its
load time means nothing and is not read. Pages name the device in a heading above a fenced block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from perfmodel.measurements.device_names import device_slug
from perfmodel.measurements.evidence import Said, by_name, by_tool, in_command, in_log
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
_COMMAND = re.compile(r"\bbenchncnn\b((?: {1,4}-?\d{1,6}){1,5})")
_PROMPT = re.compile(
    r"\bbenchncnn\b|&&|[|;<>]|^(?:\./|/|(?:adb|su|sudo|cd|ls|sh|cat|cp|mv|echo|exit|chmod|export|"
    r"taskset|time|getprop|setprop|push|logcat|mkdir|uname|make|cmake)(?: |$))|^\w{1,40}=\S"
)
"""What follows the # of a root shell's prompt: a command, no heading of a page."""
_ARGUMENTS = ("loop_count", "num_threads", "powersave", "gpu_device", "cooling_down")
_TITLE_END = re.compile(r"\s*[(,].*$")
_POWERSAVE = {0: "all", 1: "little", 2: "big"}


def _is_ncnn(source: SourceText) -> bool:
    """Whether the text holds a line of benchncnn."""
    mark = r" min = {1,12}\S{1,40} {1,12}max = {1,12}\S{1,40} {1,12}avg = "
    return re.search(mark, source.log) is not None


@dataclass
class _Page:
    """The device that a heading names, and the settings of the run that goes on.

    `where` is that of a command line until the settings of its run are printed.
    """

    device: str = ""
    title: str = ""
    settings: dict[str, Said] = field(default_factory=dict)
    gpu_names: dict[int, str] = field(default_factory=dict)
    run: int = 0
    where: str = ""

    def start(self, where: str) -> None:
        """Another run of the tool begins."""
        self.run += 1
        self.settings, self.where = {}, where

    def setting(self, name: str) -> float:
        """A setting as a number; NaN where it is not there."""
        return float(self.settings[name].value) if name in self.settings else float("nan")

    @property
    def unit(self) -> Said | None:
        """The GPU whose number is given; versions without GPUs print no gpu_device."""
        gpu = self.settings.get("gpu_device")
        if gpu is not None:
            return Said("gpu" if float(gpu.value) >= 0 else "cpu", gpu.where)
        powersave = self.settings.get("powersave")
        return None if powersave is None else Said("cpu", powersave.where)


def read(source: SourceText) -> ReadResult:
    """A network row for each line of a model; `latency_ms` is min_ms, the least noisy figure."""
    page = _Page()
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(source.lines, 1):
        heading, setting = _HEADING.match(line), _SETTING.match(line)
        gpu, row, command = _GPU_NAME.match(line), _ROW.match(line), _COMMAND.search(line)
        if command:
            page.start(in_command("").where)
            for name, text in zip(_ARGUMENTS, command.group(1).split(), strict=False):
                page.settings[name] = Said(number_in(text, source.path, number, name), page.where)
        elif heading and _PROMPT.search(heading.group(1)) is None:
            title = heading.group(1).strip()
            page = _Page(device_slug(_TITLE_END.sub("", title)), title)
        elif setting:
            name, text = setting.groups()
            if name == "loop_count" and page.where != in_command("").where:
                page.start("")
            page.where = ""
            page.settings[name] = in_log(number_in(text, source.path, number, name), number)
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


def _network(row: re.Match[str], page: _Page, source: SourceText, number: int) -> dict[str, Any]:
    name = row.group(1)
    plain = re.sub(r"[_-]int8$", "", name)
    low, high, mean = (
        number_in(row.group(i), source.path, number, column)
        for i, column in ((2, "min"), (3, "max"), (4, "avg"))
    )
    unit = page.unit
    on_gpu = unit is not None and unit.value == "gpu"
    powersave = page.setting("powersave")
    cluster = "" if on_gpu or powersave != powersave else _POWERSAVE.get(int(powersave), "")
    gpu_device = page.setting("gpu_device")
    return {
        "line": number,
        "device": page.device,
        "soc": page.title,
        "unit": unit,
        "framework": by_tool("ncnn"),
        "precision": by_tool("float") if plain == name else by_name("int8", name),
        "threads": None if on_gpu else page.settings.get("num_threads"),
        "affinity": cluster,
        "source": f"benchncnn {source.name}",
        "model": model_name(plain, tool="ncnn"),
        "source_model": name,
        "batch": by_tool(1.0),
        "kind": by_tool("steady"),
        "runs": page.setting("loop_count"),
        "run": float(max(page.run, 1)),
        "statistic": "min",
        "processor": page.gpu_names.get(int(gpu_device), "") if on_gpu else "",
        "latency_ms": low,
        "min_ms": low,
        "mean_ms": mean,
        "max_ms": high,
    }


READER = Reader("ncnn benchncnn", _is_ncnn, read)
