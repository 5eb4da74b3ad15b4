"""What the joint whole-network model leaves in a profile: a cost per unit of work; numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from perfmodel.cost_models.predictor import PARTS, NetworkTerms, no_network_terms
from perfmodel.cost_models.work_features import FEATURE_NAMES, FEATURE_PARTS, feature_matrix
from perfmodel.errors import ProfileError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.operators import PRECISION_BYTES

WORK_UNIT = 1e6
"""Costs are per million MAC equivalents, so that their logarithms are of moderate size."""

SIZE_COLUMNS = ("macs", "input_elements", "weight_elements", "output_elements")
"""Sizes whose fitted range, by kernel class, tells how far a kernel is from what was seen."""

UNSEEN_NOVELTY = 1.0
"""Novelty of a kernel whose class no fitted network had."""

MAX_LOG_COST = 60.0

_PART_MATRIX = np.array([[part == p for p in PARTS] for part in FEATURE_PARTS], dtype=float)

Range = tuple[tuple[float, ...], tuple[float, ...]]


def work_matrix(kernels: KernelTable, precision: str) -> np.ndarray:
    """Work of each kernel in `WORK_UNIT`s, shape (kernels, features)."""
    return kernels.once(
        ("work", precision), lambda: np.asarray(feature_matrix(kernels, precision) / WORK_UNIT)
    )


def log_sizes(kernels: KernelTable) -> np.ndarray:
    """log(1 + size) of every kernel, shape (kernels, len(SIZE_COLUMNS))."""
    return kernels.once(
        "log_sizes", lambda: np.log1p(np.column_stack([kernels[c] for c in SIZE_COLUMNS]))
    )


def rows_by_class(kernels: KernelTable) -> dict[str, np.ndarray]:
    """Indices of the kernels of each class."""
    names = kernels["kernel_class"]
    return kernels.once(
        "rows_by_class", lambda: {str(n): np.flatnonzero(names == n) for n in set(names)}
    )


def size_ranges(tables: Sequence[KernelTable]) -> dict[str, Range]:
    """Lowest and highest log sizes by kernel class over the kernels of several networks."""
    found: dict[str, list[np.ndarray]] = {}
    for table in tables:
        sizes = log_sizes(table)
        for name in np.unique(table["kernel_class"]):
            found.setdefault(str(name), []).append(sizes[table["kernel_class"] == name])
    ranges: dict[str, Range] = {}
    for name, parts in sorted(found.items()):
        sizes = np.vstack(parts)
        low, high = sizes.min(axis=0), sizes.max(axis=0)
        ranges[name] = (
            tuple(float(v) for v in np.floor(low * 1e4) / 1e4),
            tuple(float(v) for v in np.ceil(high * 1e4) / 1e4),
        )
    return ranges


@dataclass(frozen=True)
class EfficiencyPredictor:
    """Time of a kernel = sum over its features of work x cost; costs differ by target.

    `log_cost` holds the logarithm of milliseconds per `WORK_UNIT` by feature, in the order of
    `work_features.FEATURES`; `precision` sets the bytes of a weight; `ranges` the sizes
    of kernels that were fitted, by class.
    """

    kind: ClassVar[str] = "efficiency"

    log_cost: tuple[float, ...]
    precision: str = "fp32"
    ranges: Mapping[str, Range] = field(default_factory=dict)
    overhead_ms: float = 0.0

    @property
    def needs_whole_network(self) -> bool:
        """Never: a kernel's time follows from the kernel alone."""
        return False

    def parts_ms(self, kernels: KernelTable) -> np.ndarray:
        """Milliseconds of each kernel by part, shape (kernels, 3), columns `PARTS`."""
        spent = work_matrix(kernels, self.precision) * np.exp(self.log_cost)
        parts: np.ndarray = spent @ _PART_MATRIX
        return parts

    def latency_ms(self, kernels: KernelTable) -> float:
        """Milliseconds of a whole network."""
        return self.overhead_ms + float(self.parts_ms(kernels).sum())

    def novelty(self, kernels: KernelTable) -> np.ndarray:
        """How far outside the fitted range each kernel lies: 0 inside, in log units beyond it."""
        sizes = log_sizes(kernels)
        far = np.full(len(kernels), UNSEEN_NOVELTY)
        for name, rows in rows_by_class(kernels).items():
            if name in self.ranges:
                low, high = (np.array(side) for side in self.ranges[name])
                mine = sizes[rows]
                far[rows] = np.maximum(low - mine, mine - high).max(axis=1).clip(0.0)
        return far

    def network_terms(self, networks: Sequence[KernelTable]) -> NetworkTerms:
        """None beyond the kernels."""
        return no_network_terms(networks)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the tag."""
        return {
            "precision": self.precision,
            "log_cost": {
                n: round(float(v), 5) for n, v in zip(FEATURE_NAMES, self.log_cost, strict=True)
            },
            "ranges": {n: [list(low), list(high)] for n, (low, high) in self.ranges.items()},
            "overhead_ms": self.overhead_ms,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EfficiencyPredictor:
        """Read and check plain data; raises `ProfileError` that names the field."""
        unknown = set(data) - {"precision", "log_cost", "ranges", "overhead_ms"}
        if unknown:
            raise ProfileError(f"predictor: unknown field {sorted(unknown)[0]!r:.60}")
        precision = data.get("precision")
        if not isinstance(precision, str) or precision not in PRECISION_BYTES:
            raise ProfileError(f"predictor.precision: {precision!r:.40} is not a precision")
        costs = data.get("log_cost")
        if not isinstance(costs, Mapping) or set(costs) != set(FEATURE_NAMES):
            raise ProfileError(
                "predictor.log_cost: must give a number for each feature of this version",
                "rebuild the profile with `perfmodel calibrate`",
            )
        numbers = tuple(_number(costs[n], f"log_cost.{n}", MAX_LOG_COST) for n in FEATURE_NAMES)
        overhead = _number(data.get("overhead_ms", 0.0), "overhead_ms", 1e9)
        if overhead < 0:
            raise ProfileError("predictor.overhead_ms: must not be negative")
        return cls(numbers, str(precision), _ranges(data.get("ranges")), overhead)


def _number(value: Any, where: str, limit: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProfileError(f"predictor.{where}: must be a number, got {value!r:.40}")
    if not abs(value) <= limit:
        raise ProfileError(f"predictor.{where}: {value!r:.40} is out of range")
    return float(value)


def _ranges(data: Any) -> dict[str, Range]:
    if not isinstance(data, Mapping) or len(data) > 100:
        raise ProfileError("predictor.ranges: must be an object of at most 100 kernel classes")
    ranges: dict[str, Range] = {}
    for name, pair in data.items():
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ProfileError(f"predictor.ranges.{name:.40}: must be [low, high]")
        low, high = (_bounds(side, f"ranges.{name:.40}") for side in pair)
        ranges[str(name)] = (low, high)
    return ranges


def _bounds(data: Any, where: str) -> tuple[float, ...]:
    if not isinstance(data, Sequence) or isinstance(data, str) or len(data) != len(SIZE_COLUMNS):
        raise ProfileError(f"predictor.{where}: must hold {len(SIZE_COLUMNS)} numbers")
    return tuple(_number(v, where, 100.0) for v in data)
