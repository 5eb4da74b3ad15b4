"""Targets: what executes a network, written `device/unit/framework/precision/threads@cluster`.

A framework may carry its version, `qnn@2.42`, where targets of several versions are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from perfmodel.errors import MeasurementError, TargetError

UNITS = ("cpu", "gpu", "npu", "dsp", "dla", "nnapi")
UNIT_CALLED = {
    **dict.fromkeys(("tpu", "edgetpu", "ane", "apu", "htp", "hexagon"), "npu"),
    **dict.fromkeys(("cuda", "vulkan", "opencl", "metal", "adreno", "mali"), "gpu"),
}
"""What makers and interfaces call units; errors tell the word for them here."""

PRECISIONS = ("fp32", "tf32", "fp16", "int8", "uint8", "w8a8", "w8a16", "float")

LATENCY_KINDS = ("first", "steady", "sustained", "in_app")
"""Kinds of latency: of a first run, of a warm one, of one among many in a row, of one in an app."""

QUANTISED = ("int8", "uint8", "w8a8", "w8a16")
"""Precisions of integer arithmetic; all others are floats. NPUs tell weights of 8 bits with
activations of 8 (`w8a8`) from those with 16 (`w8a16`)."""

MEANT_BY = {"int8": "w8a8"}
"""What a precision stands for where a device has no target of just that word: an NPU's w8a8."""

CLUSTERS = ("big", "little", "all")

SLUG = re.compile(r"[a-z0-9][a-z0-9.+-]{0,79}")
ANY_PART = "*"
"""A part of a target that may be anything, as one that is left out."""
LONGEST_NAME = 120
"""Characters of a market name; the longest in the catalogue has 60."""
_VERSION = re.compile(r"[0-9a-z][0-9a-z.]{0,19}")
_THREADS = re.compile(r"t([1-9][0-9]{0,2})(?:@(big|little|all))?")


def check_device(name: str) -> None:
    """Raise `MeasurementError` for what cannot name a device, in targets and in file names."""
    if not SLUG.fullmatch(name):
        raise MeasurementError(
            f"--device {name!r} is no device name", "use a-z, 0-9, - and ., such as my-phone"
        )


def is_market_name(name: str) -> bool:
    """Whether a text can name a phone as people write it, in any script: `galaxy s22 (exynos)`."""
    written = name.isprintable() and not set(name) & set("/\\*?")
    return written and len(name) <= LONGEST_NAME and any(c.isalnum() for c in name)


@dataclass(frozen=True)
class Target:
    """A full target; `threads` is 0 and `cluster` empty where they mean nothing (a GPU).

    `version` is that of the framework, empty where targets are not told apart by it.
    """

    device: str
    unit: str
    framework: str
    precision: str
    threads: int = 0
    cluster: str = ""
    version: str = ""

    def __str__(self) -> str:
        framework = self.framework + (f"@{self.version}" if self.version else "")
        parts = [self.device, self.unit, framework, self.precision]
        if self.threads:
            parts.append(f"t{self.threads}" + (f"@{self.cluster}" if self.cluster else ""))
        return "/".join(parts)


@dataclass(frozen=True)
class TargetQuery:
    """A target as a user writes it: trailing parts may be missing (empty).

    `device` is a device's name, or a phone or chip of the market as people write it.
    """

    device: str
    unit: str = ""
    framework: str = ""
    precision: str = ""
    threads: int = 0
    cluster: str = ""
    version: str = ""

    def matches(self, target: Target) -> bool:
        """Whether every part that is given agrees with `target`."""
        if self.precision and target.precision not in (
            self.precision,
            MEANT_BY.get(self.precision),
        ):
            return False
        return all(
            not asked or asked == have
            for asked, have in (
                (self.unit, target.unit),
                (self.framework, target.framework),
                (self.threads, target.threads),
                (self.cluster, target.cluster),
                (self.version, target.version),
            )
        )


def as_written(text: str) -> str:
    """A target as people write it: a part that is left out before others is `*`."""
    return "/".join(part or ANY_PART for part in text.strip().split("/"))


def full_target(text: str) -> Target:
    """The target that a text names in full; raises `TargetError` as `parse_target` does."""
    return Target(**vars(parse_target(text)))


def parse_target(text: str) -> TargetQuery:
    """Read a target string; raises `TargetError` that names the part which is wrong."""
    parts = text.strip().split("/")
    form = "write device/unit/framework/precision/threads, for example pixel-3/cpu/tflite/fp32/t4"
    if not parts[0] or len(parts) > 5:
        raise TargetError(f"target {text!r} is not of the form device/unit/...", form)
    device = " ".join(parts[0].lower().split())
    if not SLUG.fullmatch(device) and not is_market_name(device):
        raise TargetError(f"target {text!r}: {parts[0]!r} is no device name", form)
    named = as_written(text)
    given = ["" if part == ANY_PART else part for part in parts[1:]]
    unit, framework, precision, threads = (given + [""] * 4)[:4]
    if unit and unit not in UNITS:
        called = UNIT_CALLED.get(unit.lower())
        hint = f"it is called {called} here" if called else form
        raise TargetError(f"target {named!r}: unit {unit!r} is none of {', '.join(UNITS)}", hint)
    framework, at, version = framework.partition("@")
    if framework and not SLUG.fullmatch(framework):
        raise TargetError(f"target {named!r}: {framework!r} is no framework name", form)
    if at and not (framework and _VERSION.fullmatch(version)):
        raise TargetError(f"target {named!r}: {version!r} is no version, as in qnn@2.42", form)
    if precision and precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise TargetError(f"target {named!r}: precision {precision!r} is none of {known}", form)
    count, cluster = 0, ""
    if threads:
        match = _THREADS.fullmatch(threads)
        if match is None:
            raise TargetError(
                f"target {named!r}: threads {threads!r} is not like t4 or t4@big", form
            )
        count, cluster = int(match[1]), match[2] or ""
    return TargetQuery(
        device,
        unit=unit,
        framework=framework,
        precision=precision,
        threads=count,
        cluster=cluster,
        version=version,
    )
