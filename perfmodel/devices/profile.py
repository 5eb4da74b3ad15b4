"""The profile file: a device's hardware facts and the fitted cost model of each target (JSON).

Profiles come from strangers: a file is size-limited, holds data only, and every field is checked;
what is wrong raises `ProfileError` with file, field and reason.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from perfmodel.answer import Answer
from perfmodel.cost_models.interval import FitError, Interval
from perfmodel.cost_models.kinds import UnmadeModel, made_model, predictor_to_dict, raw_model
from perfmodel.cost_models.plain_file import read_json, write_json
from perfmodel.cost_models.predictor import Predictor
from perfmodel.devices.facts import Traits, traits_from_dict, traits_to_dict
from perfmodel.errors import ProfileError
from perfmodel.target import CLUSTERS, LATENCY_KINDS, PRECISIONS, SLUG, UNITS, Target

FORMAT = "perfmodel-profile"
PROFILE_MARK = f'{{"format":"{FORMAT}",'.encode()
"""How every profile that perfmodel wrote begins."""
VERSION = 1
MAX_FILE_BYTES = 32_000_000
MAX_TARGETS = 500
LARGEST = 1e300
"""Whole numbers of a file may be larger than any float; beyond this they are refused."""
KINDS = ("phone", "jetson", "board", "laptop", "desktop", "server", "host")


@dataclass(frozen=True)
class Fact:
    """One number about the hardware and where it comes from; the unit is in the key."""

    value: float | str
    source: str


@dataclass(frozen=True)
class Provenance:
    """Where the calibration of a target comes from, and what every answer of it `assumes`."""

    source: str
    measurements: int
    build: str = ""
    affinity: str = ""
    date: str = ""
    note: str = ""
    assumes: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `assumes` only where there is something."""
        return {k: v for k, v in vars(self).items() if k != "assumes" or v}


@dataclass(frozen=True)
class TargetProfile:
    """One target of a device: its cost model, interval, error and provenance.

    `model` is the predictor itself, or what it is made of (a file's data); ask `predictor`.
    """

    target: Target
    latency_kind: str
    model: Predictor | UnmadeModel
    interval: Interval
    error: FitError
    provenance: Provenance

    @cached_property
    def predictor(self) -> Predictor:
        """The cost model; raises `ProfileError` if the file's data of it are damaged."""
        return made_model(self.model)


@dataclass(frozen=True)
class DeviceProfile(Answer, command="devices"):
    """A device: facts about its hardware and its targets, the default one first.

    `found_as` says which phone or chip of the market was meant, where the name that was asked for
    is no profile's; it is not written to files.
    """

    device: str
    title: str
    kind: str
    targets: tuple[TargetProfile, ...]
    soc: str = ""
    year: int | None = None
    hardware: Mapping[str, Fact] = field(default_factory=dict)
    traits: Traits = field(default_factory=Traits)
    found_as: str = ""


def profiles_by_device(targets: Iterable[TargetProfile], kind: str) -> tuple[DeviceProfile, ...]:
    """The targets as profiles of one kind of device, one a device, in their order."""
    found: dict[str, list[TargetProfile]] = {}
    for made in targets:
        found.setdefault(made.target.device, []).append(made)
    return tuple(DeviceProfile(name, name, kind, tuple(its)) for name, its in found.items())


def read_profile(path: Path) -> DeviceProfile:
    """Read and check a profile file; raises `ProfileError`."""
    return profile_from_dict(read_json(path, "a profile", MAX_FILE_BYTES), str(path))


def write_profile(profile: DeviceProfile, path: Path) -> None:
    """Write a profile file atomically, the same bytes for the same profile."""
    write_json(path, profile_to_dict(profile))


class Checker:
    """Reads fields of parsed JSON with their path, so that an error says where it is."""

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, dict):
            raise ProfileError(f"{where}: must be an object, got {type(data).__name__}")
        self.data: dict[str, Any] = data
        self.where = where

    def fail(self, name: str, reason: str) -> ProfileError:
        """The error for field `name`."""
        return ProfileError(f"{self.where}.{name}: {reason}", "see docs/profiles.md for the fields")

    def text(self, name: str, default: str | None = None, choices: Sequence[str] = ()) -> str:
        """A string of at most 2,000 characters, one of `choices` if given."""
        value = self.data.get(name, default)
        if not isinstance(value, str) or len(value) > 2000:
            raise self.fail(name, f"must be text of at most 2000 characters, got {_short(value)}")
        if choices and value not in choices:
            raise self.fail(name, f"must be one of {', '.join(choices)}, got {_short(value)}")
        return value

    def number(self, name: str, default: float | None = None, low: float = -math.inf) -> float:
        """A finite number of at least `low`."""
        value = self.data.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(name, f"must be a number, got {_short(value)}")
        if not low <= value <= LARGEST:
            raise self.fail(name, f"must be finite and at least {low:g}, got {value}")
        return float(value)

    def optional(self, name: str, low: float = -math.inf) -> float | None:
        """A number, or None where the field is missing or null."""
        return None if self.data.get(name) is None else self.number(name, low=low)

    def whole(self, name: str, default: int | None = None, low: int = 0) -> int:
        """An integer of at least `low`."""
        value = self.number(name, default, low)
        if value != int(value):
            raise self.fail(name, f"must be a whole number, got {value}")
        return int(value)

    def child(self, name: str) -> Checker:
        """The object in field `name`."""
        return Checker(self.data.get(name), f"{self.where}.{name}")

    def only(self, *names: str) -> None:
        """Refuse fields that are not in `names`."""
        extra = sorted(set(self.data) - set(names))
        if extra:
            raise self.fail(extra[0], f"unknown field; known: {', '.join(names)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."


def profile_from_dict(data: Any, where: str = "profile") -> DeviceProfile:
    """Check plain data and make the profile; `where` names it in errors."""
    c = Checker(data, where)
    c.only(
        *("format", "version", "device", "title", "kind", "soc", "year", "hardware"),
        *("targets", "traits", "shared"),
    )
    c.text("format", choices=[FORMAT])
    version = c.whole("version")
    if version != VERSION:
        raise c.fail("version", f"this perfmodel reads version {VERSION}, got {version}")
    device = c.text("device")
    if not SLUG.fullmatch(device):
        raise c.fail("device", f"{_short(device)} is no device name (a-z, 0-9, - and .)")
    raw = c.data.get("targets")
    if not isinstance(raw, list) or not 0 < len(raw) <= MAX_TARGETS:
        raise c.fail("targets", f"must be a list of 1 to {MAX_TARGETS} targets")
    shared = c.child("shared").data if "shared" in c.data else {}
    targets = tuple(_target(t, device, f"{where}.targets[{i}]", shared) for i, t in enumerate(raw))
    names = [str(t.target) for t in targets]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise c.fail("targets", f"{twice} stands twice")
    return DeviceProfile(
        device=device,
        title=c.text("title", ""),
        kind=c.text("kind", choices=KINDS),
        targets=targets,
        soc=c.text("soc", ""),
        year=None if c.data.get("year") is None else c.whole("year", low=1970),
        hardware=_facts(c),
        traits=traits_from_dict(c.data.get("traits", {}), f"{where}.traits"),
    )


def _facts(c: Checker) -> dict[str, Fact]:
    if "hardware" not in c.data:
        return {}
    hardware, facts = c.child("hardware"), {}
    for key in hardware.data:
        fact = hardware.child(key)
        fact.only("value", "source")
        raw = fact.data.get("value")
        value = fact.text("value") if isinstance(raw, str) else fact.number("value")
        facts[key] = Fact(value, fact.text("source"))
    return facts


def _target(data: Any, device: str, where: str, shared: Mapping[str, Any]) -> TargetProfile:
    c = Checker(data, where)
    c.only(
        *("unit", "framework", "version", "precision", "threads", "cluster", "latency_kind"),
        "model",
        *("interval", "error", "provenance"),
    )
    return TargetProfile(
        target=_name(c, device),
        interval=_interval(c),
        error=_error(c.child("error")),
        provenance=_provenance(c.child("provenance")),
        latency_kind=c.text("latency_kind", "steady", LATENCY_KINDS),
        model=raw_model(c.data.get("model"), f"{where}.model", shared),
    )


def _name(c: Checker, device: str) -> Target:
    framework = c.text("framework")
    if not SLUG.fullmatch(framework):
        raise c.fail("framework", f"{_short(framework)} is no framework name")
    return Target(
        device,
        c.text("unit", choices=UNITS),
        framework,
        c.text("precision", choices=PRECISIONS),
        threads=c.whole("threads", 0),
        cluster=c.text("cluster", "", ("", *CLUSTERS)),
        version=c.text("version", ""),
    )


def _interval(c: Checker) -> Interval:
    i = c.child("interval")
    interval = Interval(
        i.number("coverage", low=0),
        i.number("low_log", low=0),
        i.number("high_log", low=0),
        i.number("novelty_slope", 1.0, low=0),
        i.number("short_ms", 0.0, low=0),
    )
    widest = max(interval.low_log, interval.high_log, interval.novelty_slope)
    if interval.coverage >= 1 or widest > 20 or interval.short_ms > 1e6:
        raise c.fail("interval", "coverage must be below 1, bounds below 20, short_ms below 1e6")
    return interval


def _error(c: Checker) -> FitError:
    return FitError(
        c.text("experiment"),
        c.whole("cases"),
        c.number("median", low=0),
        c.optional("mean", 0),
        c.optional("within_20", 0),
    )


def _provenance(c: Checker) -> Provenance:
    return Provenance(
        c.text("source"),
        c.whole("measurements"),
        *(c.text(name, "") for name in ("build", "affinity", "date", "note", "assumes")),
    )


def profile_to_dict(profile: DeviceProfile) -> dict[str, Any]:
    """Plain JSON data of a profile."""
    targets = [_target_to_dict(t) for t in profile.targets]
    shared = _share(targets)
    return {
        "format": FORMAT,
        "version": VERSION,
        "device": profile.device,
        "title": profile.title,
        "kind": profile.kind,
        "soc": profile.soc,
        "year": profile.year,
        "hardware": {
            k: {"value": f.value, "source": f.source} for k, f in profile.hardware.items()
        },
        "traits": traits_to_dict(profile.traits),
        "targets": targets,
        **({"shared": shared} if shared else {}),
    }


SHARED_FIELDS = ("forests", "ranges", "anchors", "known_work")
"""Large fields of a model that several targets of a device may have in common."""


def _share(targets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Move what two or more models have in common out of them; returns it by name."""
    places: dict[str, list[tuple[dict[str, Any], str]]] = {}
    for target in targets:
        for name in SHARED_FIELDS:
            if target["model"].get(name):
                text = json.dumps(target["model"][name])
                places.setdefault(text, []).append((target["model"], name))
    shared: dict[str, Any] = {}
    for text, users in places.items():
        if len(users) > 1:
            key = f"{users[0][1]}_{len(shared) + 1}"
            shared[key] = json.loads(text)
            for model, name in users:
                model[name] = {"shared": key}
    return shared


def _target_to_dict(t: TargetProfile) -> dict[str, Any]:
    return {
        "unit": t.target.unit,
        "framework": t.target.framework,
        **({"version": t.target.version} if t.target.version else {}),
        "precision": t.target.precision,
        "threads": t.target.threads,
        "cluster": t.target.cluster,
        "latency_kind": t.latency_kind,
        "model": predictor_to_dict(t.predictor),
        "interval": t.interval.to_dict(),
        "error": dict(vars(t.error)),
        "provenance": t.provenance.to_dict(),
    }
