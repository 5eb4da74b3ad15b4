"""Kernels that were timed on known targets, and a cost model that answers them as they were timed.

What was fitted to all known targets misses single kernels of one by a fifth. Where a new target is
a known one at another speed, that one's own times are the better start: its kernels as timed, and
the fitted model for all others.
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

    def on(self, target: str, predictor: Predictor) -> Predictor:
        """The predictor of a known target with its kernels as they were timed there."""
        if target not in self.targets:
            return predictor
        times = self.log_us[self.targets.index(target)]
        timed = {s: float(v) for s, v in zip(self.shapes, times, strict=True) if np.isfinite(v)}
        return RememberingPredictor(base=predictor, log_us=timed) if timed else predictor

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
    """Time = exp(`log_us`) microseconds of a kernel that was timed, else that of `base`."""

    kind: ClassVar[str] = "remembering"

    base: Predictor
    log_us: Mapping[Shape, float]

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
        factor = np.where(np.isfinite(timed), np.exp(timed) / modelled, 1.0)
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
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RememberingPredictor:
        """Read and check plain data; raises `ProfileError` that names the field."""
        from perfmodel.cost_models.kinds import predictor_from_dict

        names = ("base", "shapes", "log_us")
        plain_data.only(data, names, names)
        if isinstance(data["base"], Mapping) and data["base"].get("kind") == cls.kind:
            raise ProfileError("base: must not remember kernels itself")
        shapes = _shapes_from(data["shapes"], "shapes")
        times = plain_data.numbers(data["log_us"], "log_us", len(shapes), -MAX_LOG_US, MAX_LOG_US)
        return cls(
            base=predictor_from_dict(data["base"], "base"),
            log_us=dict(zip(shapes, times, strict=True)),
        )
