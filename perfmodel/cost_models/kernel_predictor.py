"""What a kernel-level cost model leaves in a profile: speeds by cell, trees, ranges; numpy only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.efficiencies import (
    Efficiencies,
    Shrinkage,
    TimedKernels,
    family_places,
    fit_corrected,
    unmeasured_population,
)
from perfmodel.cost_models.hierarchy import log_times
from perfmodel.cost_models.kernel_terms import (
    FEATURES,
    GROUPS,
    LAUNCH,
    OVERLAPS,
    RANGE_FEATURES,
    SIDES,
    TERM_PARTS,
    TERMS,
    Machine,
    Work,
    combine,
    family_of,
    work_of,
)
from perfmodel.cost_models.kernel_widths import KernelWidths, kinds_of
from perfmodel.cost_models.plain_data import Range, joined_ranges
from perfmodel.cost_models.predictor import PARTS, UNSEEN_NOVELTY, NetworkTerms, no_network_terms
from perfmodel.cost_models.trees import Forest
from perfmodel.errors import ProfileError
from perfmodel.kernels.kernel import KernelTable

BASE_FEATURES = ("log_base", *(f"share_{t}" for t in TERMS))
"""Features of a kernel that follow from the physics, after those of its shape."""

INPUTS = (*FEATURES, *BASE_FEATURES)
"""Columns that the trees of a predictor read."""

MAX_CELLS = 1000
MAX_LOG = 60.0
"""Bound of a log cost or log size: e^60 of anything is past all hardware."""

MAX_COLD = 1e3
"""Bound of how many times longer a kernel takes because its like ran long ago."""

WINOGRAD_RULES = ("best", "acl", "none")

ROUNDING = 1e-4
"""Log units by which a fitted range is widened, so that rounding leaves every row inside."""

DIGITS = 6
"""Significant digits of what a file keeps: 1e-6 of a time, far below any measurement's noise."""

EXACT = 17
"""Digits that keep a float64 as it is."""

DEPARTURES = Shrinkage(target=1.5, target_term=0.4, target_family=0.3, target_cell=0.3)
"""How far a new target departs from the known one that resembles it most: a device of the same
framework may be twice or half as fast, and its kinds of kernel differ as those of the phones of
layers_phones.csv.gz do (`efficiencies.Shrinkage`)."""

ADAPTING_ROUNDS = 4
"""Fits of the speeds, each with the trees' correction at the last ones. The known target may be
several times faster, where its trees stand elsewhere, so more than for a population."""

_TERM_TO_PART = np.array([[t == p for p in PARTS] for t in TERM_PARTS], dtype=float)


def base_inputs(work: Work, spent: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Inputs of the trees: shape features, log of the physical time, shares of its terms.

    `spent` is the time by term in microseconds, shape (kernels, terms), `total` that of the kernel.
    """
    share = spent / np.maximum(spent.sum(axis=1), 1e-9)[:, None]
    return np.column_stack([work.features, np.log(np.maximum(total, 1e-9)), share])


@dataclass(frozen=True, kw_only=True)
class KernelPredictor:
    """Time of a kernel = physics of its cell x exp(correction of its group's trees).

    `cells` and `families` map a name to log costs by term (microseconds at the reference speeds
    of `kernel_terms`); a cell that is missing uses its family, then `default`. Corrections are
    clipped to `limit` either way, so that the physics leads far from the data. `ranges` holds the
    fitted (low, high) of the range features by cell. `widths` is how unsure each kind of kernel is
    on a target of which nothing was measured; None where its own kernels or networks tell.
    """

    kind: ClassVar[str] = "kernel"

    machine: Machine
    cells: Mapping[str, tuple[float, ...]]
    families: Mapping[str, tuple[float, ...]]
    default: tuple[float, ...]
    forests: Mapping[str, Forest]
    ranges: Mapping[str, Range]
    limit: float = 0.7
    overhead_ms: float = 0.0
    widths: KernelWidths | None = None

    @property
    def needs_whole_network(self) -> bool:
        """Whether the caches of the machine are shared by all that a network holds."""
        return self.machine.shares_cache

    @property
    def grows_with_batch(self) -> bool:
        """Its physics does; trees may jump either way from one batch to the next."""
        return not self.forests

    def parts_ms(self, kernels: KernelTable) -> np.ndarray:
        """Milliseconds of each kernel by part, shape (kernels, 3), columns `PARTS`."""
        return self._parts_ms(work_of(kernels, self.machine))

    def _parts_ms(self, work: Work) -> np.ndarray:
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
        # trees that never saw a kind of kernel know nothing of it: the physics alone counts there
        correction[[c not in self.cells for c in work.cell]] = 0.0
        return np.clip(correction, -self.limit, self.limit)

    def waiting(self, factor: float) -> KernelPredictor:
        """The same target where the host waits `factor` times as long for each kernel."""
        step = np.zeros(len(TERMS))
        step[LAUNCH] = np.log(factor)

        def longer(log: tuple[float, ...]) -> tuple[float, ...]:
            return rounded(np.array(log) + step)

        return replace(
            self,
            cells={k: longer(v) for k, v in self.cells.items()},
            families={k: longer(v) for k, v in self.families.items()},
            default=longer(self.default),
        )

    @property
    def times_single_kernels(self) -> bool:
        """Its costs are those of kernels measured one by one."""
        return True

    @property
    def work_costs(self) -> None:
        """Its costs are of kinds of kernel, not of amounts of work."""
        return None

    @property
    def as_scaled(self) -> None:
        """None: a model of its own."""
        return None

    def with_overhead(self, overhead_ms: float) -> KernelPredictor:
        """The same model with another fixed cost of an inference."""
        return replace(self, overhead_ms=overhead_ms)

    def adapted(self, kernels: KernelTable, latency_us: np.ndarray) -> KernelPredictor:
        """The predictor with its log costs moved towards what kernels took (`fit_target`).

        What all kernels show moves everything; what a kind of kernel shows moves its kind.
        """
        work = work_of(kernels, self.machine)
        shared = self._efficiencies().with_cells(sorted(set(work.cell)))
        place = {c: i for i, c in enumerate(shared.cells)}
        seen = TimedKernels(
            cell=np.array([place[c] for c in work.cell]),
            target=np.zeros(len(kernels), dtype=np.int64),
            terms=work.terms,
            log_us=log_times(latency_us),
            weight=np.ones(len(kernels)),
            overlap=self.machine.overlap,
        )

        def correct(own: Efficiencies, spent: np.ndarray, total: np.ndarray) -> np.ndarray:
            return self.correction(work, spent, total)

        own = fit_corrected(seen, shared, DEPARTURES, correct, ADAPTING_ROUNDS)
        theta, family = own.theta()[0], own.of_family(0)
        return replace(
            self,
            cells={c: rounded(theta[i]) for i, c in enumerate(own.cells)},
            families={f: rounded(family[i]) for i, f in enumerate(own.families)},
            default=rounded(own.of_target(0)),
            ranges={
                c: (rounded(low), rounded(high))
                for c, (low, high) in joined_ranges(self.ranges, ranges_of(work)).items()
            },
            widths=None,
        )

    def _efficiencies(self) -> Efficiencies:
        """The log costs as a population whose only target has no effects of its own."""
        cells = tuple(self.cells)
        families = tuple(dict.fromkeys((*self.families, *(family_of(c) for c in cells))))
        default = np.array(self.default)
        family = np.array([self.families.get(f, self.default) for f in families])
        family = family.reshape(-1, len(TERMS))
        of_cell = family[family_places(cells, families)]
        own = np.array([self.cells[c] for c in cells]).reshape(-1, len(TERMS))
        return unmeasured_population(cells, families, default, family - default, own - of_cell)

    def novelty(self, kernels: KernelTable) -> np.ndarray:
        """How far outside the fitted range each kernel lies: 0 inside, in log units beyond it."""
        work = work_of(kernels, self.machine)
        values = work.features[:, RANGE_FEATURES]
        out = np.full(len(values), UNSEEN_NOVELTY)
        for cell, (low, high) in self.ranges.items():
            rows = work.cell == cell
            beyond = np.maximum(np.maximum(low - values[rows], values[rows] - high), 0.0)
            # sides of a tensor, which tables state and graphs do not, where nothing is multiplied
            beyond[np.ix_(work.group[rows] == "other", SIDES)] = 0.0
            out[rows] = beyond.max(axis=1, initial=0.0)
        return self._less_starts(work, out) if self.machine.overlap == "memory" else out

    def _less_starts(self, work: Work, novelty: np.ndarray) -> np.ndarray:
        """Novelty where a start takes as long whatever the kernel's size, so that what is new is
        the rest: e^n times as much of it takes log(start + rest e^n) longer."""
        spent = self._physics_us(work)
        total, _ = combine(spent, self.machine.overlap)
        start = np.clip(spent[:, LAUNCH] / np.maximum(total, 1e-300), 1e-9, 1 - 1e-9)
        return np.logaddexp(np.log(start), np.log1p(-start) + novelty)

    def network_terms(self, networks: Sequence[KernelTable]) -> NetworkTerms:
        """No factor; how unsure the kinds of kernels leave each network."""
        terms = no_network_terms(networks)
        if self.widths is None or not networks:
            return terms
        each = [self.unsure_log(k, np.zeros(len(k), dtype=np.int64)) for k in networks]
        return replace(terms, extra_log=np.concatenate(each))

    def unsure_log(self, kernels: KernelTable, network: np.ndarray) -> np.ndarray:
        """How unsure the kinds of kernels leave every network (log units), of shape (networks,)
        where kernel i belongs to network `network[i]`."""
        if self.widths is None:
            return np.zeros(network.max(initial=-1) + 1)
        work = work_of(kernels, self.machine)
        numbers = np.column_stack([work.features, work.terms])
        _, shape = np.unique(numbers, axis=0, return_inverse=True)
        times = self._parts_ms(work).sum(axis=1)
        return self.widths.of_sums(kinds_of(work), shape.ravel(), times, network)

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
                    key: value
                    for key, name in _ONLY_IF_SET.items()
                    if (value := getattr(self.machine, name)) != getattr(Machine, name)
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
            **({} if self.widths is None else {"widths": self.widths.to_dict()}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> KernelPredictor:
        """Read and check plain data; raises `ProfileError` that names the field."""
        plain_data.only(data, (*_FIELDS, "widths"))
        if data.get("terms") != list(TERMS):
            raise ProfileError(f"terms: must be {', '.join(TERMS)}")
        get, width = data.get, len(TERMS)
        return cls(
            machine=_machine(plain_data.table(get("machine"), "machine", MAX_CELLS)),
            cells=plain_data.rows(get("cells"), "cells", MAX_CELLS, width, MAX_LOG),
            families=plain_data.rows(get("families"), "families", MAX_CELLS, width, MAX_LOG),
            default=plain_data.numbers(get("default"), "default", width, -MAX_LOG, MAX_LOG),
            forests=read_forests(get("forests"), get("inputs")),
            ranges=plain_data.ranges(
                get("ranges"), "ranges", MAX_CELLS, len(RANGE_FEATURES), MAX_LOG
            ),
            limit=plain_data.number(get("limit"), "limit", 0.0, 10.0),
            overhead_ms=plain_data.number(get("overhead_ms"), "overhead_ms", 0.0, 1e9),
            widths=KernelWidths.from_dict(data["widths"]) if "widths" in data else None,
        )


_FIELDS = (
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
)

_BLOCKS = ("columns", "channels")
_NUMBERS = (*_BLOCKS, "near_bytes", "cold_start", "cold_bytes")
_ONLY_IF_SET = {"whole": "shares_cache", **{n: n for n in _NUMBERS}}
"""Fields of a machine by their name in a file, which leaves them out where they are the default."""


def _machine(data: dict[str, Any]) -> Machine:
    number = plain_data.number
    winograd = plain_data.choice(data.get("winograd"), "machine.winograd", WINOGRAD_RULES)
    overlap = plain_data.choice(data.get("overlap"), "machine.overlap", OVERLAPS)
    precision = data.get("precision")
    if not isinstance(precision, str) or len(precision) > 20:
        raise ProfileError("machine.precision: must be text of at most 20 characters")
    return Machine(
        lanes=number(data.get("lanes"), "machine.lanes", 1e-3, 1e6),
        cache_bytes=number(data.get("cache_bytes"), "machine.cache_bytes", 0.0, 1e12),
        precision=precision,
        winograd=winograd,
        overlap=overlap,
        shares_cache=plain_data.flag(data.get("whole", False), "machine.whole"),
        **{n: round(number(data.get(n, 1), f"machine.{n}", 1, 4096)) for n in _BLOCKS},
        near_bytes=number(data.get("near_bytes", 0.0), "machine.near_bytes", 0.0, 1e12),
        cold_start=number(data.get("cold_start", 0.0), "machine.cold_start", 0.0, MAX_COLD),
        cold_bytes=number(data.get("cold_bytes", 0.0), "machine.cold_bytes", 0.0, MAX_COLD),
    )


def read_forests(data: Any, inputs: Any, more: int = 0) -> dict[str, Forest]:
    """The trees of a file by group of kernels; `inputs` names the columns they read.

    After those columns a population's trees read `more` numbers of the target.
    """
    unknown = [n for n in plain_data.names(inputs, "inputs") if n not in INPUTS]
    if unknown:
        raise ProfileError(f"inputs: this perfmodel knows no feature {unknown[0]!r:.60}")
    place = [INPUTS.index(n) for n in inputs] + [len(INPUTS) + i for i in range(more)]
    forests = {
        group: _moved(
            Forest.from_dict(plain_data.table(trees, f"forests.{group:.40}", 20), len(place)),
            np.array(place, dtype=np.int64),
        )
        for group, trees in plain_data.table(data, "forests", MAX_CELLS).items()
    }
    if not set(forests) <= set(GROUPS):
        raise ProfileError(f"forests: must be of {', '.join(GROUPS)}")
    return forests


def _moved(forest: Forest, place: np.ndarray) -> Forest:
    """The forest for columns in another order."""
    return replace(forest, feature=place[forest.feature] if len(place) else forest.feature)


def ranges_of(work: Work) -> dict[str, Range]:
    """Lowest and highest range features of the kernels of each cell, widened by `ROUNDING`."""
    values, out = work.features[:, RANGE_FEATURES], {}
    for cell in sorted(set(work.cell)):
        mine = values[work.cell == cell]
        low, high = mine.min(axis=0) - ROUNDING, mine.max(axis=0) + ROUNDING
        out[str(cell)] = (rounded(low, EXACT), rounded(high, EXACT))
    return out


def rounded(values: Iterable[float], digits: int = DIGITS) -> tuple[float, ...]:
    """Numbers at some significant digits."""
    return tuple(float(f"{v:.{digits}g}") for v in values)
