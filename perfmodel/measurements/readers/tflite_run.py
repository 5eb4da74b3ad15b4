"""What a log of `benchmark_model` says of the run: its settings, its delegate, its command line.

Settings are printed as `Name: [value]` (tensorflow/lite/tools/benchmark, delegate providers under
tensorflow/lite/tools/delegates); newer versions print those that were set, older ones all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perfmodel.measurements.evidence import (
    LOG,
    Said,
    by_default,
    by_own_input,
    by_tool,
    in_command,
    in_log,
    precision_of_name,
)
from perfmodel.measurements.readers.command_line import is_on, options_in
from perfmodel.measurements.readers.results import base_name
from perfmodel.zoo.published_names import model_name

SETTING = re.compile(r"^(#?[A-Za-z][^:\[\]]{0,60}?) ?: \[([^\]]*)\]\s*$")
_APPLIED = re.compile(
    r"\b[Aa]pplied (\S{1,40}) delegate(?:, and the model graph will be (completely|partially))?"
)
_FAILED = re.compile(r"[Ff]ailed to (?:apply|create)\b.{0,60}\bdelegate")
_SPLIT = re.compile(
    r"\b(\d{1,9}) operations will run on the \S{1,20}, and the remaining (\d{1,9}) operations"
)
_THREADS = ("#threads used for cpu inference", "num threads")
_UNITS = {"gpu": "gpu", "nnapi": "nnapi", "hexagon": "dsp", "edgetpu": "npu", "xnnpack": "cpu"}
"""Units of delegates that run on one kind of processor; others are asked about."""
_FLAGS = {
    "use_gpu": "gpu",
    "use_nnapi": "nnapi",
    "use_hexagon": "hexagon",
    "use_coreml": "coreml",
    "external_delegate_path": "external",
    "stable_delegate_settings_file": "stable",
}
_SETTING_OF_FLAG = {
    "use gpu": "gpu",
    "use nnapi": "nnapi",
    "use hexagon": "hexagon",
    "use coreml": "coreml",
    "external delegate path": "external",
}
_HALF = {"xnnpack": "xnnpack_force_fp16", "nnapi": "nnapi_allow_fp16"}
"""Flags that let a delegate compute in half precision, which is off unless asked for."""


@dataclass
class Run:
    """What is known of the model being benchmarked, as the log goes on.

    `delegate` is the name of the one that runs the model ("" none) with where the log says so;
    `settings` are those printed, by lower-case name, with their line; `options` the command's.
    """

    model: str = ""
    delegate: Said | None = None
    settings: dict[str, tuple[str, int]] = field(default_factory=dict)
    options: Mapping[str, str] | None = None
    variant: str = ""
    runs: dict[str, float] = field(default_factory=dict)
    done: bool = False

    @property
    def unit(self) -> Said | None:
        """The delegate's unit; the CPU where settings or the command are there and name none."""
        if self.delegate is not None:
            unit = _UNITS.get(str(self.delegate.value))
            return None if unit is None else Said(unit, self.delegate.where)
        if self.options is not None:
            return in_command("cpu")
        if self.settings:
            return Said("cpu", f"{LOG}, whose settings name no delegate")
        return None

    @property
    def threads(self) -> Said | None:
        """CPU threads that the settings or the command state."""
        for name in _THREADS:
            value, line = self.settings.get(name, ("", 0))
            if value.isdecimal() and int(value[:6]) > 0:
                return in_log(float(value[:6]), line)
        value = (self.options or {}).get("num_threads", "")
        return in_command(float(value[:6])) if value.isdecimal() and int(value[:6]) else None

    @property
    def batch(self) -> Said:
        """Inputs of the shape that was asked for, else of the model as it is."""
        shape, line = self.settings.get("input shapes", ("", 0))
        said = in_log(1.0, line)
        if not shape and self.options:
            shape, said = self.options.get("input_layer_shape", ""), in_command(1.0)
        first = shape.split(":")[0].split(",")[0].strip()
        if first.isdecimal() and int(first[:6]):
            return Said(float(first[:6]), said.where)
        return by_own_input()

    @property
    def precision(self) -> Said | None:
        """What the delegate computes in where it differs from what the model's name says."""
        unit = self.unit
        if unit is None or precision_of_name(self.model):
            return None
        delegate = "xnnpack" if unit.value == "cpu" else str(unit.value)
        flag = _HALF.get(delegate, "")
        if is_on(self.options or {}, flag):
            return in_command("fp16")
        for name in ("allow fp16", "allow fp16 in nnapi") if delegate == "nnapi" else ():
            value, line = self.settings.get(name, ("0", 0))
            if value == "1":
                return in_log("fp16", line)
        return self._gpu_precision() if delegate == "gpu" else None

    def _gpu_precision(self) -> Said:
        value, line = self.settings.get("allow lower precision in gpu", ("", 0))
        if value:
            return in_log("fp32" if value == "0" else "fp16", line)
        given = (self.options or {}).get("gpu_precision_loss_allowed")
        if given is not None:
            on = is_on(self.options or {}, "gpu_precision_loss_allowed")
            return in_command("fp16" if on else "fp32")
        return by_default("fp16", "whose GPU delegate computes in half precision")

    def common(self) -> dict[str, Any]:
        """The columns that all rows of the run share."""
        unit = self.unit
        on_cpu = unit is None or unit.value == "cpu"
        return {
            "unit": unit,
            "framework": by_tool("tflite"),
            "precision": self.precision,
            "threads": self.threads if on_cpu else None,
            "model": model_name(self.model) if self.model else "",
            "source_model": self.model,
            "batch": self.batch,
            "variant": self.variant,
            "note": "" if unit is not None else self._why_no_unit(),
        }

    def _why_no_unit(self) -> str:
        if self.delegate is None:
            return "neither settings nor a command line tell whether a delegate ran it"
        return f"a delegate called {self.delegate.value} runs on no one kind of unit"

    def note_line(self, line: str, number: int) -> None:
        """Take what a line says of the run."""
        setting = SETTING.match(line)
        if setting:
            name, value = setting.group(1).strip().lower(), setting.group(2)
            self.settings[name] = (value, number)
            if name == "graph":
                self.model = base_name(value)
            if name in _SETTING_OF_FLAG and value not in ("", "0"):
                self._use(_SETTING_OF_FLAG[name], in_log("", number).where)
        if "delegate" in line:
            self._note_delegate(line, number)
        split = _SPLIT.search(line)
        if split and int(split.group(2)):
            delegated = int(split.group(1))
            total = delegated + int(split.group(2))
            self.variant = f"delegate=partial;delegated_ops={delegated}/{total}"

    def _note_delegate(self, line: str, number: int) -> None:
        where = in_log("", number).where
        applied = _APPLIED.search(line)
        if applied:
            self._use(applied.group(1).lower(), where)
            if applied.group(2) == "partially" and not self.variant:
                self.variant = "delegate=partial"
        elif "XNNPACK delegate for CPU" in line and self.delegate is None:
            self._use("xnnpack", where)
        elif _FAILED.search(line):
            self.delegate = Said("that failed", where)

    def _use(self, delegate: str, where: str) -> None:
        """An accelerator stays the run's delegate when XNNPACK takes the rest of the graph."""
        others = self.delegate is not None and self.delegate.value != "xnnpack"
        if delegate != "flex" and not (delegate == "xnnpack" and others):
            self.delegate = Said(delegate, where)

    @classmethod
    def of_command(cls, command: str) -> Run:
        """The run that a command line starts."""
        options = options_in(command)
        run = cls(model=base_name(options.get("graph", "")), options=options)
        for flag, delegate in _FLAGS.items():
            if options.get(flag, "false").lower() not in ("false", "0", "no", ""):
                run.delegate = Said(delegate, in_command("").where)
        return run
