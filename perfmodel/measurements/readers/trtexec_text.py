"""TensorRT `trtexec`: what it prints, versions 6 to 10; times in ms.

Since version 7.2 a summary is one line (`GPU Compute Time: min = 2.5 ms, ...`), before that a
heading and a line a figure (`GPU Compute`, `min: 2.5 ms`). The options in force are printed above.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perfmodel.measurements.evidence import Said, by_own_input, in_command, in_log
from perfmodel.measurements.readers.command_line import options_in
from perfmodel.measurements.readers.results import Reader, ReadResult, base_name, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.readers.trtexec import common
from perfmodel.measurements.table import bad_input
from perfmodel.zoo.published_names import model_name

_STAMP = re.compile(r"^(?:# )?\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] \[[A-Z]\] ?")
_RUNNING = "&&&& RUNNING TensorRT.trtexec"
_COMPUTE = "GPU Compute Time: "
_FIELD = re.compile(r"(min|max|mean|median|percentile\(\d{1,2}%\)) = ([^\s,]+) (\w+)")
_OLD_FIELD = re.compile(r"(min|max|mean|median): (\S+) (\w+)\s*$")
_OLD_HEADING = re.compile(r"(GPU Compute|[Hh]ost [Ll]atency|Enqueue Time|Host Wall)\b[^:]*:?\s*$")
_BINDING = re.compile(r"Input binding for .{1,200} with dimensions (\d{1,9})x")
_SHAPES = re.compile(r"Input inference shapes? ?(?:\(profile \d+\))?:? ?: ?\S{1,200}?=(\d{1,9})x")
_QUERIES = re.compile(r"Timing trace has (\d{1,12}) queries")
_TOTAL = re.compile(r"Total GPU Compute Time: (\S+) s\s*$")
_VERSION = re.compile(r"\[TensorRT v(\d{1,8})\]|TensorRT version: (\d[\w.]{0,20})")
_SETTINGS = ("Precision", "Model", "Load engine", "Batch", "DLACore", "Selected Device")
_LOW = ("fp8", "int4", "fp4")
_MODEL = ("onnx", "deploy", "uff", "model", "loadEngine")
SAME_TOTAL = 0.03
"""Share by which the total may differ from the mean times the queries: the mean has six digits."""


@dataclass
class _Run:
    """What is known of the network being timed; settings by name with the line of each."""

    options: Mapping[str, str] | None = None
    settings: dict[str, tuple[str, int]] = field(default_factory=dict)
    batch_said: Said | None = None
    build: str = ""
    queries: float = float("nan")

    def _setting(self, name: str) -> tuple[str, int]:
        return self.settings.get(name, ("", 0))

    @property
    def model(self) -> str:
        """The file that was built or loaded."""
        given = (self.options or {}).get
        named = next((str(given(name)) for name in _MODEL if given(name)), "")
        return base_name(named or self._setting("Model")[0] or self._setting("Load engine")[0])

    @property
    def _loaded(self) -> bool:
        """Whether the engine was made before, by another call with options of its own."""
        built = any((self.options or {}).get(name) for name in ("onnx", "deploy", "uff"))
        loaded = (self.options or {}).get("loadEngine") or self._setting("Load engine")[0]
        return bool(loaded) and not built

    @property
    def unit(self) -> Said | None:
        """The DLA where it is asked for, else the GPU where options are there at all."""
        if self.options is not None:
            return in_command("dla" if "useDLACore" in self.options else "gpu")
        core, line = self.settings.get("DLACore", (None, 0))
        if core is None:
            return None
        return in_log("dla" if core[:1].isdecimal() else "gpu", line)

    @property
    def precision(self) -> Said | None:
        """The lowest that the builder may choose; None of an engine that was built before."""
        if self._loaded or (self.options is not None and "stronglyTyped" in self.options):
            return None
        if self.options is not None:
            return _lowest([name.lower() for name in self.options], in_command("").where)
        words, line = self._setting("Precision")
        return _lowest(words.lower().replace("+", " ").split(), in_log("", line).where)

    @property
    def batch(self) -> Said | None:
        """Inputs of the bound tensors, of the shapes asked for, or of an implicit batch."""
        if self.batch_said is not None:
            return self.batch_said
        for name in ("shapes", "optShapes"):
            shape = (self.options or {}).get(name, "")
            first = re.match(r"[^,]{0,200}?:(\d{1,9})x", shape)
            if first:
                return in_command(float(first.group(1)))
        given = (self.options or {}).get("batch", "")
        if given.isdecimal():
            return in_command(float(given[:9]))
        size, line = self._setting("Batch")
        if size.isdecimal() and not self._loaded:
            return in_log(float(size[:9]), line)
        if self._loaded or self.options is None:
            return None
        return by_own_input()

    def common(self, source: SourceText) -> dict[str, Any]:
        """The columns that all rows of the run share."""
        precision = self.precision
        return common(source) | {
            "unit": self.unit,
            "precision": precision,
            "batch": self.batch,
            "model": model_name(self.model) if self.model else "",
            "source_model": self.model,
            "build": self.build,
            "processor": self._setting("Selected Device")[0],
            "note": "" if precision else self._why_no_precision(),
        }

    def _why_no_precision(self) -> str:
        if self._loaded:
            return "an engine was loaded, whose precision and shapes its own build has set"
        return "neither --fp16, --int8 and the like nor a line Precision: tell it"

    def note_line(self, line: str, number: int) -> None:
        """Take what a line says of the run."""
        name, separator, value = line.partition(":")
        if separator and name.strip() in _SETTINGS:
            self.settings[name.strip()] = (value.strip(), number)
        bound = _BINDING.search(line) or (None if self.batch_said else _SHAPES.search(line))
        if bound:
            self.batch_said = in_log(float(bound.group(1)), number)
        version = _VERSION.search(line)
        if version and not self.build:
            self.build = (version.group(1) or version.group(2))[:20]
        queries = _QUERIES.search(line)
        if queries:
            self.queries = float(queries.group(1))


def _lowest(words: list[str], where: str) -> Said | None:
    """The precision of options or of a line such as FP32+FP16; None for one without a name here."""
    if "best" in words or "int8" in words:
        return Said("int8", where)
    if any(low in words for low in _LOW):
        return None
    named = [name for name in ("fp16", "bf16") if name in words]
    return Said(named[0] if named else "fp32", where) if words else None


def read(source: SourceText) -> ReadResult:
    """A network row for each summary of GPU compute times in the printed output."""
    rows: list[dict[str, Any]] = []
    run, old = _Run(), _OldSummary()
    for number, stamped in enumerate(source.lines, 1):
        line = _STAMP.sub("", stamped).strip()
        if _RUNNING in line:
            run = _Run(options=options_in(line))
        if line.startswith("&&&& FAILED"):
            raise bad_input(source.path, number, "trtexec failed", "run it again")
        run.note_line(line, number)
        figures = old.feed(line, number, source.path)
        if line.startswith(_COMPUTE):
            figures = _figures(_FIELD.findall(line), source, number)
        if figures:
            rows.append(run.common(source) | _summary(figures, source, number))
        total = _TOTAL.match(line)
        if total and rows:
            _check_total(
                rows[-1],
                run,
                number_in(total.group(1), source.path, number, "total"),
                source,
                number,
            )
    if not rows:
        reason = "the log ends without a line 'GPU Compute Time: min = ...'"
        raise bad_input(source.path, len(source.lines), reason, "was the run cut off?")
    return log_result(rows, source)


@dataclass
class _OldSummary:
    """Figures under a heading `GPU Compute`, a line each, as versions 6 and 7.1 print them."""

    inside: bool = False
    found: dict[str, float] = field(default_factory=dict)

    def feed(self, line: str, number: int, path: str) -> dict[str, float]:
        """The figures once the last of them, the median, is there; {} before."""
        heading = _OLD_HEADING.match(line)
        if heading:
            self.inside, self.found = heading.group(1) == "GPU Compute", {}
        figure = _OLD_FIELD.match(line) if self.inside else None
        if figure is None:
            return {}
        name, value, unit = figure.groups()
        if unit != "ms":
            raise bad_input(path, number, f"column {name}: unit {unit[:20]!r}, expected ms")
        self.found[name] = number_in(value, path, number, name)
        if name != "median":
            return {}
        self.inside = False
        return self.found


def _figures(
    fields: list[tuple[str, str, str]], source: SourceText, number: int
) -> dict[str, float]:
    figures = {}
    for name, value, unit in fields:
        if unit != "ms":
            raise bad_input(source.path, number, f"column {name}: unit {unit[:20]!r}, expected ms")
        figures[name] = number_in(value, source.path, number, name)
    if not {"median", "mean"} & set(figures):
        raise bad_input(source.path, number, "column median: neither median nor mean is given")
    return figures


def _summary(figures: Mapping[str, float], source: SourceText, number: int) -> dict[str, Any]:
    nan = float("nan")
    median = figures.get("median")
    return {
        "line": number,
        "statistic": "mean" if median is None else "median",
        "latency_ms": figures["mean"] if median is None else median,
        "min_ms": figures.get("min", nan),
        "mean_ms": figures.get("mean", nan),
        "max_ms": figures.get("max", nan),
        "p90_ms": figures.get("percentile(90%)", nan),
    }


def _check_total(
    row: Mapping[str, Any], run: _Run, total_s: float, source: SourceText, number: int
) -> None:
    """The total of all queries is their number times the mean."""
    expected_s = run.queries * row["mean_ms"] / 1e3
    if abs(total_s - expected_s) > SAME_TOTAL * expected_s:
        reason = (
            f"column Total GPU Compute Time: {total_s:g} s, but {run.queries:.0f} queries of "
            f"{row['mean_ms']:g} ms are {expected_s:.3g} s"
        )
        raise bad_input(source.path, number, reason, "is the log changed or cut?")


def _is_text(source: SourceText) -> bool:
    """Whether the text is trtexec's own output."""
    return _COMPUTE in source.log or _RUNNING in source.log


READER = Reader("trtexec", _is_text, read)
