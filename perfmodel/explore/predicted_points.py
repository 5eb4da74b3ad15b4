"""Points of a sweep that need no queue: predictions, vectorised over everything but networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfmodel import zoo
from perfmodel.devices.registry import ProfileFolder, ProfileSource, Resolved
from perfmodel.errors import GraphError, PerfmodelError, ScenarioError, TargetError
from perfmodel.explore.accuracy import accuracy_of
from perfmodel.explore.candidates import Networks, memory_mb
from perfmodel.prediction import network_energy
from perfmodel.sim.resolve import named_link
from perfmodel.target import parse_target
from perfmodel.units import MB, mbps_to_bytes_per_s
from perfmodel.workload import BYTES_OF_PRECISION
from perfmodel.zoo.pack import library_of

if TYPE_CHECKING:
    import numpy as np

TARGET_PARTS = ("device", "unit", "framework", "precision", "threads")
LINK_PATHS = ("link", "link.uplink_mbps", "link.downlink_mbps", "link.rtt_ms")
CLOUD_PATHS = (*LINK_PATHS, "server", "upload_bytes", "download_bytes")
OTHER_PATHS = ("model", "target", "batch_size", "slowdown", *TARGET_PARTS, *CLOUD_PATHS)
OBJECTIVES = {"latency_ms": 1, "energy_mj": 1, "accuracy": -1, "size_mb": 1}
"""Columns of a Pareto front; 1 where less is better, -1 where more is."""

Columns = Mapping[str, "np.ndarray"]

FIGURES = ("latency_ms", "low_ms", "high_ms", "energy_mj", "accuracy", "size_mb", "memory_mb")
TIMED = FIGURES[:4]
"""Figures that a slowdown stretches."""


def _part(name: str, value: Any) -> str:
    """A part of a target as targets write it: threads may be given as their number."""
    text = f"{value:g}" if isinstance(value, (int, float)) else str(value)
    return f"t{text}" if name == "threads" and text.isdecimal() else text


@dataclass(frozen=True)
class _Answer:
    """The figures of a network on a target, in the order of `FIGURES`, NaN where one is not known.

    `unknown` says why it has no latency, where the interval is too wide to be an answer.
    """

    figures: tuple[float, ...]
    unknown: str = ""

    @property
    def latency_ms(self) -> float:
        return self.figures[0]


@dataclass
class AnalyticJob:
    """Evaluates points of a prediction: `model` on `target`, with what the points vary.

    A point may give the network (`model`, `batch_size`, any parameter of its zoo entry), the
    target (`target`, or its parts `device`, `unit`, ...), `slowdown` (times the latency), and with
    `server` a cloud to compare with: `link` or `link.uplink_mbps` and so on, `upload_bytes`
    (default: the input at a byte a value), `download_bytes`. Without a queue a request in the cloud
    takes upload + round trip + server + download.
    """

    model: str
    target: str
    profiles: tuple[ProfileSource, ...] = ()
    allow_uncovered: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._folder = ProfileFolder(self.profiles)
        self._resolved: dict[tuple[str, str], Resolved | str] = {}
        self._networks: dict[str, Networks] = {}
        self._answers: dict[tuple[str, str], _Answer | str] = {}

    def check(self, point: Mapping[str, Any]) -> None:
        """Raise for a point that could never be evaluated, such as an unknown path.

        One whose latency is not known well enough is no such point: its other figures are known.
        """
        full = {**self.fixed, **point}
        self([full])
        places = [self._target(full), *([str(full["server"])] if "server" in full else [])]
        for place in places:
            answer = self._answer(self._spec(full), place)
            if isinstance(answer, str):
                raise ScenarioError(answer)

    def __call__(self, points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One row of results a point."""
        import numpy as np

        full = [{**self.fixed, **p} for p in points]
        specs = [self._spec(p) for p in full]
        targets = [self._target(p) for p in full]
        found = [self._answer(s, t) for s, t in zip(specs, targets, strict=True)]
        nothing = (np.nan,) * len(FIGURES)
        table = np.array([nothing if isinstance(f, str) else f.figures for f in found])
        slow = np.array([float(p.get("slowdown", 1.0)) for p in full])
        results: dict[str, Any] = {
            name: table[:, n] * slow if name in TIMED else table[:, n]
            for n, name in enumerate(FIGURES)
        }
        problems = [f if isinstance(f, str) else f.unknown for f in found]
        if any("server" in p for p in full):
            unsure = np.array([isinstance(f, _Answer) and bool(f.unknown) for f in found])
            self._cloud(full, specs, results, problems, unsure)
        keys, columns = list(results), [np.asarray(v).tolist() for v in results.values()]
        return [
            dict(zip(keys, (_known(v) for v in row), strict=True)) | {"problem": problem}
            for *row, problem in zip(*columns, problems, strict=True)
        ]

    def _spec(self, point: Mapping[str, Any]) -> str:
        """The network of a point, as a spec."""
        model = str(point.get("model", self.model))
        extra = {k: v for k, v in point.items() if k not in OTHER_PATHS}
        if not extra and "batch_size" not in point:
            return model
        name, given = zoo.parse_spec(model)
        if library_of(name) and not zoo.knows(name):
            batch = {"batch": point["batch_size"]} if "batch_size" in point else {}
            items = {**given, **extra, **batch}.items()
            return f"{name}@{','.join(f'{k}={v}' for k, v in items)}"
        try:
            entry = zoo.entry(name)
        except PerfmodelError:
            raise ScenarioError(
                f"{next(iter(extra), 'batch_size')} cannot be varied: {model} is no zoo network",
                f"other paths are {', '.join(OTHER_PATHS)}",
            ) from None
        if "batch_size" in point:
            extra["batch"] = point["batch_size"]
        try:
            return entry.spec(entry.resolve({**given, **extra}))
        except GraphError as error:
            raise ScenarioError(
                error.message, f"{error.hint}; other paths are {', '.join(OTHER_PATHS)}"
            ) from None

    def _target(self, point: Mapping[str, Any]) -> str:
        """The target of a point; parts that are given replace those of the base."""
        base = str(point.get("target", self.target))
        given = {i: _part(p, point[p]) for i, p in enumerate(TARGET_PARTS) if p in point}
        if not given:
            return base
        parts = [*base.split("/"), "", "", "", ""][:5]
        kept = [given.get(i, parts[i]) for i in range(5)]
        whole = "/".join(kept).rstrip("/")
        if not isinstance(self._find(whole), str):
            return whole
        first = min(given)
        short = [given.get(i, parts[i] if i < first else "") for i in range(5)]
        return "/".join(short).rstrip("/")

    def _find(self, target: str, stored: str = "") -> Resolved | str:
        """The profile of a target for a network's precision, or what is wrong with it."""
        key = target, stored
        if key not in self._resolved:
            try:
                # an empty part means any, which parse_target reads as left out
                parse_target(target)
                self._resolved[key] = self._folder.resolve(target, stored)
            except TargetError as error:
                self._resolved[key] = str(error)
        return self._resolved[key]

    def _answer(self, spec: str, target: str) -> _Answer | str:
        """What is known of a network on a target, or why it cannot run there."""
        key = spec, target
        if key not in self._answers:
            self._answers[key] = self._predict(spec, target)
        return self._answers[key]

    def _predict(self, spec: str, target: str) -> _Answer | str:
        try:
            if spec not in self._networks:
                self._networks[spec] = Networks([spec], allow_uncovered=self.allow_uncovered)
            network = self._networks[spec]
            resolved = self._find(target, network.stored[0])
            if isinstance(resolved, str):
                return resolved
            answer = network.one_on(resolved)
        except PerfmodelError as error:
            return str(error)
        place, work = resolved.target.target, answer.work
        energy = network_energy(resolved, work, answer.latency_ms, answer.interval_ms)
        accuracy = accuracy_of(spec, place.precision)
        unknown = f"{spec} on {place}: {answer.unknown}" if answer.unknown else ""
        figures = (
            math.nan if unknown else answer.latency_ms,
            *answer.interval_ms,
            math.nan if unknown or energy is None else energy.mj,
            math.nan if accuracy is None else accuracy.value,
            work.params * BYTES_OF_PRECISION[place.precision] / MB,
            memory_mb(work, place),
        )
        return _Answer(figures, unknown)

    def _cloud(
        self,
        points: Sequence[Mapping[str, Any]],
        specs: Sequence[str],
        results: dict[str, Any],
        problems: list[str],
        unsure: np.ndarray,
    ) -> None:
        """Add the latency in the cloud and the better place.

        A place that cannot run the network leaves the other; where the time of one is not known
        well enough (`unsure`, on the device) neither is which of them is better.
        """
        import numpy as np

        cloud = np.full(len(points), np.nan)
        for i, point in enumerate(points):
            served = self._answer(specs[i], str(point.get("server", "")))
            if isinstance(served, str):
                problems[i] = problems[i] or served
                continue
            problems[i] = problems[i] or served.unknown
            unsure[i] |= bool(served.unknown)
            up, down, rtt = _link(point)
            size = point.get("upload_bytes")
            upload = self._input_values(specs[i]) if size is None else float(size)
            cloud[i] = (
                served.latency_ms
                + rtt
                + 1e3 * upload / mbps_to_bytes_per_s(up)
                + 1e3 * float(point.get("download_bytes", 0)) / mbps_to_bytes_per_s(down)
            )
        results["cloud_ms"] = cloud
        device = results["latency_ms"]
        best = np.where(unsure, np.nan, np.fmin(device, cloud))
        results["best_ms"] = best
        place = np.where(np.isnan(device) | (cloud < device), "cloud", "device").astype(object)
        place[np.isnan(best)] = None
        results["place"] = place

    def _input_values(self, spec: str) -> float:
        graph = self._networks[spec].graphs[0]
        return float(sum(graph.tensors[name].elements for name in graph.inputs))


def _link(point: Mapping[str, Any]) -> tuple[float, float, float]:
    """Uplink, downlink (Mbit/s) and round trip (ms) of a point."""
    named = named_link(str(point["link"])) if "link" in point else None
    values: list[float] = []
    for name in ("uplink_mbps", "downlink_mbps", "rtt_ms"):
        value = point.get(f"link.{name}", getattr(named, name) if named else None)
        if value is None and name == "downlink_mbps":
            value = values[0]
        if value is None:
            # what a value may be is declared in `perfmodel.explore.inputs`
            raise ScenarioError(f"link.{name} is missing", "give link=lte or link.uplink_mbps=...")
        values.append(float(value))
    return values[0], values[1], values[2]


def _known(value: Any) -> Any:
    """A value, or None for a NaN."""
    return None if isinstance(value, float) and value != value else value
