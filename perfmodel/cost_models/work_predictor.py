"""What the joint whole-network model leaves in a profile: a cost per unit of work; numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.hierarchy import Level, Observations, fit_levels, log_times
from perfmodel.cost_models.network_correction import FIELDS as CORRECTION_FIELDS
from perfmodel.cost_models.network_correction import NetworkCorrection
from perfmodel.cost_models.plain_data import Range, joined_ranges
from perfmodel.cost_models.predictor import (
    PARTS,
    UNSEEN_NOVELTY,
    ByKernel,
    NetworkTerms,
    WorkCosts,
)
from perfmodel.cost_models.width_by_kind import WidthByKind
from perfmodel.cost_models.work_features import (
    ALL_FEATURES,
    FEATURE_NAMES,
    LIMITS,
    UNIT_FEATURES,
    feature_matrix,
    one_row,
    several_rows,
)
from perfmodel.errors import ProfileError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.operators import PRECISION_BYTES

WORK_UNIT = 1e6
"""Costs are per million MAC equivalents, so that their logarithms are of moderate size."""

SIZE_COLUMNS = ("macs", "input_elements", "weight_elements", "output_elements")
"""Sizes whose fitted range, by kernel class, tells how far a kernel is from what was seen."""

MAX_LOG_COST = 60.0
MAX_CLASSES = 100
MAX_LOG_SIZE = 100.0

DEPARTURE_SD, KERNEL_NOISE_SD = 0.4, 0.3
"""How far kernels move each kind of work's cost in log units, and how far single kernels stray
from costs that were fitted to whole networks. The departure is that between targets of a
framework (`work_model.JointEfficiencyModel.hardware_sd`)."""

_PART_MATRIX = np.array([[f.part == p for p in PARTS] for f in ALL_FEATURES], dtype=float)


def work_matrix(
    kernels: KernelTable, precision: str, features: int = len(FEATURE_NAMES)
) -> np.ndarray:
    """Work of each kernel in `WORK_UNIT`s, shape (kernels, features).

    `features` is the number of costs that it meets: what every unit pays for, or more
    (`work_features.UNIT_FEATURES`).
    """
    counted = ALL_FEATURES[:features]
    return kernels.once(
        ("work", precision, features),
        lambda: np.asarray(feature_matrix(kernels, precision, counted) / WORK_UNIT),
    )


def network_work(kernels: KernelTable, precision: str, features: int) -> np.ndarray:
    """Work of a whole network by feature in `WORK_UNIT`s, shape (features,)."""
    return kernels.once(
        ("network_work", precision, features),
        lambda: np.asarray(work_matrix(kernels, precision, features).sum(axis=0)),
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


@dataclass(frozen=True, kw_only=True)
class EfficiencyPredictor(ByKernel):
    """Time of a kernel = sum over its features of work x cost; costs differ by target.

    `log_cost` holds the logarithm of milliseconds per `WORK_UNIT` by feature, in the order of
    `work_features.features_of` its unit; `precision` sets the bytes of a weight; `ranges` the sizes
    of kernels that were fitted, by class; `correction` what whole networks take beyond; `strange`
    how unsure a network is that is like no measured one (None: as the correction says).
    """

    kind: ClassVar[str] = "efficiency"

    log_cost: tuple[float, ...]
    precision: str = "fp32"
    ranges: Mapping[str, Range] = field(default_factory=dict)
    overhead_ms: float = 0.0
    correction: NetworkCorrection = field(default_factory=NetworkCorrection)
    strange: WidthByKind | None = None

    @property
    def work_costs(self) -> WorkCosts:
        """What its target pays for each kind of work."""
        return WorkCosts(
            log_cost=self.log_cost,
            precision=self.precision,
            ranges=self.ranges,
            correction=self.correction,
        )

    def with_overhead(self, overhead_ms: float) -> EfficiencyPredictor:
        """The same model with another fixed cost of an inference."""
        return replace(self, overhead_ms=overhead_ms)

    def adapted(self, kernels: KernelTable, latency_us: np.ndarray) -> EfficiencyPredictor:
        """The predictor with its costs moved towards what kernels took: all by one factor, and
        each kind of work by its own, as far as single kernels tell of sums (`DEPARTURE_SD`)."""
        features = len(self.log_cost)
        place = np.zeros(len(kernels), dtype=np.int64)
        alone = np.zeros(1, dtype=np.int64)
        fitted = fit_levels(
            Observations(
                place=place,
                terms=work_matrix(kernels, self.precision, features),
                log_time=log_times(latency_us) - np.log(1e3),
                noise=np.full(len(kernels), KERNEL_NOISE_SD),
                weight=np.ones(len(kernels)),
            ),
            [
                Level(index=alone, loadings=np.ones((features, 1)), sd=float("inf")),
                Level(index=alone, loadings=np.eye(features), sd=DEPARTURE_SD),
            ],
            start=np.array(self.log_cost),
            huber_limit=2.0,
            max_iter=200,
            limits=LIMITS,
        )
        costs = tuple(float(v) for v in fitted.log_cost[0])
        return replace(
            self, log_cost=costs, ranges=joined_ranges(self.ranges, size_ranges([kernels]))
        )

    def parts_ms(self, kernels: KernelTable) -> np.ndarray:
        """Milliseconds of each kernel by part, shape (kernels, 3), columns `PARTS`."""
        cost = np.exp(self.log_cost)
        spent = work_matrix(kernels, self.precision, len(cost)) * cost
        parts: np.ndarray = spent @ _PART_MATRIX[: len(cost)]
        rows = kernels.once("several_rows", lambda: several_rows(kernels))
        if rows.any():
            # fitted networks seldom had more than one row, which reads the same weights
            one = one_row(kernels, self.precision, len(cost)) / WORK_UNIT * cost
            one = one @ _PART_MATRIX[: len(cost)]
            less = rows & (parts.sum(axis=1) < one.sum(axis=1))
            parts[less] = one[less]
        return parts

    def novelty(self, kernels: KernelTable) -> np.ndarray:
        """How far outside the fitted range each kernel lies: 0 inside, in log units beyond it."""
        return novelty_beyond(self.ranges, kernels)

    def network_terms(self, networks: Sequence[KernelTable]) -> NetworkTerms:
        """Misfits of the networks that the correction knows, extra width for strange ones."""
        if self.strange is None:
            return self.correction.terms(networks)
        cost = np.exp(self.log_cost)
        spent = [network_work(n, self.precision, len(cost)) * cost for n in networks]
        wide = self.strange.beyond_known(np.array(spent).reshape(-1, len(cost)))
        return self.correction.terms(networks, wide)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the tag."""
        return {
            "precision": self.precision,
            "log_cost": {
                f.name: round(float(v), 5)
                for f, v in zip(ALL_FEATURES[: len(self.log_cost)], self.log_cost, strict=True)
            },
            "ranges": ranges_to_dict(self.ranges),
            "overhead_ms": self.overhead_ms,
            **self.correction.to_dict(),
            **({} if self.strange is None else {"strange": self.strange.to_dict()}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EfficiencyPredictor:
        """Read and check plain data; raises `ProfileError` that names the field."""
        known = ("precision", "log_cost", "ranges", "overhead_ms", "strange", *CORRECTION_FIELDS)
        plain_data.only(data, known)
        precision = plain_data.choice(data.get("precision"), "precision", PRECISION_BYTES)
        costs, strange = data.get("log_cost"), data.get("strange")
        return cls(
            log_cost=costs_from_dict(costs, _names_of(costs), "feature"),
            precision=precision,
            ranges=ranges_from_dict(data.get("ranges")),
            correction=NetworkCorrection.from_dict(data),
            overhead_ms=plain_data.number(data.get("overhead_ms", 0.0), "overhead_ms", 0.0, 1e9),
            strange=None if strange is None else WidthByKind.from_dict(strange, "strange"),
        )


def _names_of(costs: Any) -> tuple[str, ...]:
    """The features that a vector of costs must name: those of every unit, or all."""
    own = tuple(f.name for f in UNIT_FEATURES)
    named = isinstance(costs, Mapping) and any(n in costs for n in own)
    return FEATURE_NAMES + own if named else FEATURE_NAMES


def novelty_beyond(ranges: Mapping[str, Range], kernels: KernelTable) -> np.ndarray:
    """How far outside the ranges of its class each kernel lies, in log units; 0 inside."""
    sizes = log_sizes(kernels)
    far = np.full(len(kernels), UNSEEN_NOVELTY)
    for name, rows in rows_by_class(kernels).items():
        if name in ranges:
            low, high = (np.array(side) for side in ranges[name])
            mine = sizes[rows]
            far[rows] = np.maximum(low - mine, mine - high).max(axis=1).clip(0.0)
    return far


def novelty_by_time(
    ranges: Mapping[str, Range], kernels: KernelTable, spent: np.ndarray
) -> np.ndarray:
    """How far outside the ranges a network lies on targets, its kernels weighted by their times.

    `spent` (kernels, targets) in any unit; shape (targets,).
    """
    total = np.maximum(spent.sum(axis=0), 1e-300)
    return np.asarray(novelty_beyond(ranges, kernels) @ spent / total)


def costs_from_dict(data: Any, names: Sequence[str], each: str) -> tuple[float, ...]:
    """Log costs in the order of `names`, of which each is an `each`; raises `ProfileError`."""
    if not isinstance(data, Mapping) or set(data) != set(names):
        raise ProfileError(
            f"log_cost: must give a number for each {each} of this version",
            "rebuild the profile with `perfmodel calibrate`",
        )
    number, most = plain_data.number, MAX_LOG_COST
    return tuple(number(data[n], f"log_cost.{n}", -most, most) for n in names)


def ranges_to_dict(ranges: Mapping[str, Range]) -> dict[str, list[list[float]]]:
    """Plain data of ranges by class."""
    return {n: [list(low), list(high)] for n, (low, high) in ranges.items()}


def ranges_from_dict(data: Any) -> dict[str, Range]:
    """Ranges of sizes by kernel class from plain data; raises `ProfileError`."""
    return plain_data.ranges(data, "ranges", MAX_CLASSES, len(SIZE_COLUMNS), MAX_LOG_SIZE)
