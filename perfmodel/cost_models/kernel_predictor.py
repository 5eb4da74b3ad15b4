"""What a kernel-level cost model leaves in a profile: speeds by cell, trees, ranges; numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from perfmodel.cost_models.kernel_terms import (
    FEATURES,
    GROUPS,
    LAUNCH,
    OVERLAPS,
    RANGE_FEATURES,
    TERM_PARTS,
    TERMS,
    Machine,
    Work,
    combine,
    family_of,
    work_of,
)
from perfmodel.cost_models.predictor import PARTS, NetworkTerms, no_network_terms
from perfmodel.cost_models.trees import Forest
from perfmodel.errors import ProfileError
from perfmodel.kernels.kernel import KernelTable

BASE_FEATURES = ("log_base", *(f"share_{t}" for t in TERMS))
"""Features of a kernel that follow from the physics, after those of its shape."""

INPUTS = (*FEATURES, *BASE_FEATURES)
"""Columns that the trees of a predictor read."""

UNSEEN_NOVELTY = 1.0
"""Novelty of a kernel whose cell was never measured on the target, at least."""

MAX_CELLS = 1000
MAX_LOG = 60.0

_TERM_TO_PART = np.array([[t == p for p in PARTS] for t in TERM_PARTS], dtype=float)


def base_inputs(work: Work, spent: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Inputs of the trees: shape features, log of the physical time, shares of its terms.

    `spent` is the time by term in microseconds, shape (kernels, terms), `total` that of the kernel.
    """
    share = spent / np.maximum(spent.sum(axis=1), 1e-9)[:, None]
    return np.column_stack([work.features, np.log(np.maximum(total, 1e-9)), share])


@dataclass(frozen=True)
class KernelPredictor:
    """Time of a kernel = physics of its cell x exp(correction of its group's trees).

    `cells` and `families` map a name to log costs by term (microseconds at the reference speeds
    of `kernel_terms`); a cell that is missing uses its family, then `default`. Corrections are
    clipped to `limit` either way, so that the physics leads far from the data. `ranges` holds the
    fitted (low, high) of the range features by cell.
    """

    kind: ClassVar[str] = "kernel"

    machine: Machine
    cells: Mapping[str, tuple[float, ...]]
    families: Mapping[str, tuple[float, ...]]
    default: tuple[float, ...]
    forests: Mapping[str, Forest]
    ranges: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]
    limit: float = 0.7
    overhead_ms: float = 0.0

    @property
    def needs_whole_network(self) -> bool:
        """Whether the caches of the machine are shared by all that a network holds."""
        return self.machine.whole

    def parts_ms(self, kernels: KernelTable) -> np.ndarray:
        """Milliseconds of each kernel by part, shape (kernels, 3), columns `PARTS`."""
        work = work_of(kernels, self.machine)
        spent = self._physics_us(work)
        total, _ = combine(spent, self.machine.overlap)
        time = total * np.exp(self.correction(work, spent, total)) / 1e3
        share = spent / np.maximum(spent.sum(axis=1), 1e-300)[:, None]
        parts: np.ndarray = (share * time[:, None]) @ _TERM_TO_PART
        return parts

    def log_costs(self, cell: str) -> tuple[float, ...]:
        """Log costs of a cell by term: its own, else its family's, else the target's."""
        return self.cells.get(cell) or self.families.get(family_of(cell)) or self.default

    def _physics_us(self, work: Work) -> np.ndarray:
        costs = {cell: np.exp(self.log_costs(cell)) for cell in set(work.cell)}
        theta = np.array([costs[c] for c in work.cell]).reshape(-1, len(TERMS))
        spent: np.ndarray = theta * work.terms
        return spent

    def correction(self, work: Work, spent: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Learned log correction of the physical time of each kernel."""
        correction = np.zeros(len(spent))
        if not self.forests:
            return correction
        inputs = base_inputs(work, spent, total)
        for group, forest in self.forests.items():
            rows = work.group == group
            if rows.any():
                correction[rows] = forest.predict(inputs[rows])
        # What the trees say of a cell that no target measured is hearsay: the physics stands alone.
        correction[[c not in self.cells for c in work.cell]] = 0.0
        return np.clip(correction, -self.limit, self.limit)

    def waiting(self, factor: float) -> KernelPredictor:
        """The same target where the host waits `factor` times as long for each kernel."""
        step = np.zeros(len(TERMS))
        step[LAUNCH] = np.log(factor)

        def longer(log: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(float(f"{v:.6g}") for v in np.array(log) + step)

        return replace(
            self,
            cells={k: longer(v) for k, v in self.cells.items()},
            families={k: longer(v) for k, v in self.families.items()},
            default=longer(self.default),
        )

    def novelty(self, kernels: KernelTable) -> np.ndarray:
        """How far outside the fitted range each kernel lies: 0 inside, in log units beyond it."""
        work = work_of(kernels, self.machine)
        values = work.features[:, RANGE_FEATURES]
        out = np.full(len(values), UNSEEN_NOVELTY)
        for cell, (low, high) in self.ranges.items():
            rows = work.cell == cell
            beyond = np.maximum(np.maximum(low - values[rows], values[rows] - high), 0.0)
            out[rows] = beyond.max(axis=1, initial=0.0)
        return out

    def network_terms(self, networks: Sequence[KernelTable]) -> NetworkTerms:
        """None beyond the kernels."""
        return no_network_terms(networks)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data (numbers, text, lists), without the tag."""
        return {
            "machine": {
                "lanes": self.machine.lanes,
                "cache_bytes": self.machine.cache_bytes,
                "precision": self.machine.precision,
                "winograd": self.machine.winograd,
                "overlap": self.machine.overlap,
                **{
                    n: v
                    for n in ("whole", *_BLOCKS, "near_bytes")
                    if (v := getattr(self.machine, n)) != getattr(Machine, n)
                },
            },
            "terms": list(TERMS),
            "inputs": list(INPUTS),
            "cells": {k: list(v) for k, v in self.cells.items()},
            "families": {k: list(v) for k, v in self.families.items()},
            "default": list(self.default),
            "forests": {k: v.to_dict() for k, v in self.forests.items()},
            "ranges": {k: [list(a), list(b)] for k, (a, b) in self.ranges.items()},
            "limit": self.limit,
            "overhead_ms": self.overhead_ms,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> KernelPredictor:
        """Read and check plain data; raises `ProfileError` that names the field."""
        known = {f"{n}" for n in _FIELDS}
        extra = sorted(set(data) - known)
        if extra:
            raise ProfileError(f"{extra[0]}: unknown field")
        if data.get("terms") != list(TERMS):
            raise ProfileError(f"terms: must be {', '.join(TERMS)}")
        place = _input_places(data.get("inputs"))
        forests = {
            group: _moved(Forest.from_dict(_object(trees, f"forests.{group}"), len(place)), place)
            for group, trees in _object(data.get("forests"), "forests").items()
        }
        if not set(forests) <= set(GROUPS):
            raise ProfileError(f"forests: must be of {', '.join(GROUPS)}")
        return cls(
            _machine(_object(data.get("machine"), "machine")),
            _log_costs(data, "cells"),
            _log_costs(data, "families"),
            _row(data.get("default"), "default"),
            forests,
            _ranges(_object(data.get("ranges"), "ranges")),
            _number(data.get("limit"), "limit", 0.0, 10.0),
            _number(data.get("overhead_ms"), "overhead_ms", 0.0, 1e9),
        )


_FIELDS = [
    "machine",
    "terms",
    "inputs",
    "cells",
    "families",
    "default",
    "forests",
    "ranges",
    "limit",
    "overhead_ms",
]


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > MAX_CELLS:
        raise ProfileError(f"{where}: must be an object of at most {MAX_CELLS} entries")
    return value


def _number(value: Any, where: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProfileError(f"{where}: must be a number, got {value!r:.60}")
    if not low <= value <= high:
        raise ProfileError(f"{where}: must lie in {low:g} to {high:g}, got {value!r:.60}")
    return float(value)


def _row(value: Any, where: str, length: int = len(TERMS)) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != length:
        raise ProfileError(f"{where}: must be a list of {length} numbers")
    return tuple(_number(v, where, -MAX_LOG, MAX_LOG) for v in value)


def _log_costs(data: Mapping[str, Any], name: str) -> dict[str, tuple[float, ...]]:
    table = _object(data.get(name), name)
    return {key: _row(value, f"{name}.{key}") for key, value in table.items()}


def _ranges(table: dict[str, Any]) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    out = {}
    for key, pair in table.items():
        if not isinstance(pair, list) or len(pair) != 2:
            raise ProfileError(f"ranges.{key}: must be [low, high]")
        low, high = (_row(side, f"ranges.{key}", len(RANGE_FEATURES)) for side in pair)
        out[key] = (low, high)
    return out


_BLOCKS = ("columns", "channels")


def _machine(data: dict[str, Any]) -> Machine:
    for name, choices in (("winograd", ("best", "acl", "none")), ("overlap", OVERLAPS)):
        if data.get(name) not in choices:
            raise ProfileError(f"machine.{name}: must be one of {', '.join(choices)}")
    precision = data.get("precision")
    if not isinstance(precision, str) or len(precision) > 20:
        raise ProfileError("machine.precision: must be text")
    whole = data.get("whole", False)
    if not isinstance(whole, bool):
        raise ProfileError("machine.whole: must be true or false")
    return Machine(
        _number(data.get("lanes"), "machine.lanes", 1e-3, 1e6),
        _number(data.get("cache_bytes"), "machine.cache_bytes", 0.0, 1e12),
        precision,
        data["winograd"],
        data["overlap"],
        whole,
        **{n: round(_number(data.get(n, 1), f"machine.{n}", 1, 4096)) for n in _BLOCKS},
        near_bytes=_number(data.get("near_bytes", 0.0), "machine.near_bytes", 0.0, 1e12),
    )


def _input_places(names: Any) -> np.ndarray:
    """Where the columns that a file's trees read stand in ours."""
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise ProfileError("inputs: must be a list of names")
    unknown = [n for n in names if n not in INPUTS]
    if unknown:
        raise ProfileError(f"inputs: this perfmodel knows no feature {unknown[0]!r:.60}")
    return np.array([INPUTS.index(n) for n in names], dtype=np.int64)


def _moved(forest: Forest, place: np.ndarray) -> Forest:
    return Forest(
        forest.baseline,
        forest.roots,
        place[forest.feature] if len(place) else forest.feature,
        forest.threshold,
        forest.left,
        forest.right,
        forest.value,
        forest.depth,
    )
