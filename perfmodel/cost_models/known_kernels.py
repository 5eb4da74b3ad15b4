"""Kernels that were timed on known targets, and a cost model that answers them as they were timed.

What was fitted to all known targets misses single kernels of one by a fifth. The times of a new
target's nearest kin, at its speed, miss other kernels: together they miss least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.predictor import NetworkTerms, Predictor, WorkCosts
from perfmodel.errors import ProfileError
from perfmodel.kernels.kernel import KernelTable

SIZES = (
    *("batch", "cin", "hin", "win", "cout", "hout", "wout", "kh", "kw", "sh", "sw"),
    *("groups", "m", "n", "k", "input_elements", "output_elements"),
)
"""Columns of a kernel table that, with its operator, tell kernels apart."""

MAX_KERNELS = 20_000
MAX_TARGETS = 1_000
MAX_SIZE = 1e12
MAX_LOG_US = 30.0
"""Bounds of a file: e^30 us are four months."""

FEWEST = 10
"""Kernels that two targets must both have run before their times are compared."""

DIGITS = 4
"""Decimals of a log time: a hundredth of a percent."""

Shape = tuple[str, tuple[float, ...]]
"""An operator and its sizes, in the order of `SIZES`."""


def shapes_of(kernels: KernelTable) -> list[Shape]:
    """What tells each kernel from others, in their order."""

    def made() -> list[Shape]:
        sizes = np.column_stack([kernels[c] for c in SIZES]).tolist()
        return [(str(op), tuple(row)) for op, row in zip(kernels["op"], sizes, strict=True)]

    return kernels.once("shapes", made)


@dataclass(frozen=True, kw_only=True, eq=False)
class NearestTimes:
    """Log microseconds of kernels as a known `target` would take them at another target's speed,
    and the standard deviation `sd` by which the kernels at hand depart from that."""

    target: str
    sd: float
    log_us: Mapping[Shape, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownKernels:
    """Log microseconds of kernels by target, (targets, shapes), NaN where one was not timed."""

    shapes: tuple[Shape, ...]
    targets: tuple[str, ...]
    log_us: np.ndarray

    @classmethod
    def of(
        cls,
        kernels: KernelTable,
        target: np.ndarray,
        targets: Sequence[str],
        latency_us: np.ndarray,
    ) -> KnownKernels:
        """From timed kernels, kernel i on `targets[target[i]]`; of several the median."""
        shapes = shapes_of(kernels)
        place = {shape: i for i, shape in enumerate(dict.fromkeys(shapes))}
        timed: dict[tuple[int, int], list[float]] = {}
        for t, shape, us in zip(target.tolist(), shapes, latency_us.tolist(), strict=True):
            timed.setdefault((t, place[shape]), []).append(us)
        log_us = np.full((len(targets), len(place)), np.nan)
        for where, times in timed.items():
            log_us[where] = np.round(np.log(np.median(times)), DIGITS)
        return cls(shapes=tuple(place), targets=tuple(targets), log_us=log_us)

    def nearest(
        self, kernels: KernelTable, latency_us: np.ndarray, device: str
    ) -> NearestTimes | None:
        """The target of another device whose times differ most evenly from those of kernels.

        `latency_us` has shape (kernels,), all > 0; at least half of the kernels must have been
        timed there. None where no target is known so.
        """
        place = {shape: i for i, shape in enumerate(self.shapes)}
        column = np.array([place.get(shape, -1) for shape in shapes_of(kernels)])
        if not (column >= 0).any():
            return None
        gap = np.log(latency_us[column >= 0]) - self.log_us[:, column[column >= 0]]
        found = []
        for target, row in enumerate(gap):
            seen = row[np.isfinite(row)]
            strange = self.targets[target].partition("/")[0] != device
            if strange and len(seen) >= max(FEWEST, len(kernels) / 2):
                found.append((float(seen.std()), target, float(np.median(seen))))
        if not found:
            return None
        sd, best, scale = min(found)
        times = {
            shape: float(us) + scale
            for shape, us in zip(self.shapes, self.log_us[best], strict=True)
            if np.isfinite(us)
        }
        return NearestTimes(target=self.targets[best], sd=sd, log_us=times)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        times = [[None if v != v else v for v in row] for row in self.log_us.tolist()]
        return {
            "shapes": _shapes_to_list(self.shapes),
            "log_us": dict(zip(self.targets, times, strict=True)),
        }

    @classmethod
    def from_dict(cls, data: Any) -> KnownKernels:
        """Read and check plain data; raises `ProfileError` that names the field."""
        found = plain_data.table(data, "known", 2)
        plain_data.only(found, ("shapes", "log_us"), ("shapes", "log_us"))
        shapes = _shapes_from(found["shapes"], "known.shapes")
        rows = plain_data.table(found["log_us"], "known.log_us", MAX_TARGETS)
        times = [_times(row, f"known.log_us.{name:.60}", len(shapes)) for name, row in rows.items()]
        log_us = np.array(times) if times else np.zeros((0, len(shapes)))
        return cls(shapes=shapes, targets=tuple(rows), log_us=log_us)


def _shapes_to_list(shapes: Sequence[Shape]) -> list[list[Any]]:
    return [[op, *(int(v) if v == int(v) else v for v in sizes)] for op, sizes in shapes]


def _shapes_from(data: Any, where: str) -> tuple[Shape, ...]:
    if not isinstance(data, list) or len(data) > MAX_KERNELS:
        raise ProfileError(f"{where}: must be a list of at most {MAX_KERNELS} kernels")
    shapes: list[Shape] = []
    for row in data:
        if not isinstance(row, list) or not row or not isinstance(row[0], str):
            raise ProfileError(f"{where}: each kernel is its operator and {len(SIZES)} sizes")
        shapes.append((row[0], plain_data.numbers(row[1:], where, len(SIZES), 0.0, MAX_SIZE)))
    if len(set(shapes)) < len(shapes):
        raise ProfileError(f"{where}: a kernel stands there twice")
    return tuple(shapes)


def _times(data: Any, where: str, count: int) -> list[float]:
    if not isinstance(data, list) or len(data) != count:
        raise ProfileError(f"{where}: must be a list of {count} numbers or nulls")
    most = MAX_LOG_US
    return [float("nan") if v is None else plain_data.number(v, where, -most, most) for v in data]


@dataclass(frozen=True, kw_only=True, eq=False)
class RememberingPredictor:
    """Time = that of `base`, but of a kernel that was timed exp(`log_us`) microseconds.

    Between the two counts `share` for what was timed, 1 for nothing else (a geometric mean).
    """

    kind: ClassVar[str] = "remembering"

    base: Predictor
    log_us: Mapping[Shape, float]
    share: float = 1.0

    @property
    def overhead_ms(self) -> float:
        """The base's."""
        return self.base.overhead_ms

    @property
    def needs_whole_network(self) -> bool:
        """As the base."""
        return self.base.needs_whole_network

    @property
    def times_single_kernels(self) -> bool:
        """As the base."""
        return self.base.times_single_kernels

    @property
    def work_costs(self) -> WorkCosts | None:
        """The base's."""
        return self.base.work_costs

    @property
    def as_scaled(self) -> None:
        """None: what was timed is no other model's at another speed."""
        return None

    @property
    def grows_with_batch(self) -> bool:
        """Not where a kernel was timed at one batch."""
        return self.base.grows_with_batch and not self.log_us

    def with_overhead(self, overhead_ms: float) -> RememberingPredictor:
        """The same model with another fixed cost of an inference."""
        return replace(self, base=self.base.with_overhead(overhead_ms))

    def adapted(self, kernels: KernelTable, latency_us: np.ndarray) -> RememberingPredictor:
        """The base adapted to the times; what was timed before moves as they do in the middle."""
        moved = np.log(latency_us) - np.log(self.parts_ms(kernels).sum(axis=1) * 1e3)
        middle = float(np.median(moved))
        return replace(
            self,
            base=self.base.adapted(kernels, latency_us),
            log_us={shape: us + middle for shape, us in self.log_us.items()},
        )

    def parts_ms(self, kernels: KernelTable) -> np.ndarray:
        """Milliseconds of each kernel by part, (kernels, 3), in the proportions of the base."""
        parts: np.ndarray = self.base.parts_ms(kernels)
        timed = np.array([self.log_us.get(s, np.nan) for s in shapes_of(kernels)])
        modelled = np.maximum(parts.sum(axis=1), 1e-300) * 1e3
        factor = np.where(np.isfinite(timed), (np.exp(timed) / modelled) ** self.share, 1.0)
        scaled: np.ndarray = parts * factor[:, None]
        return scaled

    def novelty(self, kernels: KernelTable) -> np.ndarray:
        """As on the base."""
        return self.base.novelty(kernels)

    def network_terms(self, networks: Sequence[KernelTable]) -> NetworkTerms:
        """As on the base."""
        return self.base.network_terms(networks)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the tag."""
        from perfmodel.cost_models.kinds import predictor_to_dict

        return {
            "base": predictor_to_dict(self.base),
            "shapes": _shapes_to_list(tuple(self.log_us)),
            "log_us": [round(v, DIGITS) for v in self.log_us.values()],
            "share": round(self.share, DIGITS),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RememberingPredictor:
        """Read and check plain data; raises `ProfileError` that names the field."""
        from perfmodel.cost_models.kinds import predictor_from_dict

        names = ("base", "shapes", "log_us", "share")
        plain_data.only(data, names, names)
        if isinstance(data["base"], Mapping) and data["base"].get("kind") == cls.kind:
            raise ProfileError("base: must not remember kernels itself")
        shapes = _shapes_from(data["shapes"], "shapes")
        times = plain_data.numbers(data["log_us"], "log_us", len(shapes), -MAX_LOG_US, MAX_LOG_US)
        return cls(
            base=predictor_from_dict(data["base"], "base"),
            log_us=dict(zip(shapes, times, strict=True)),
            share=plain_data.number(data["share"], "share", 0.0, 1.0),
        )
