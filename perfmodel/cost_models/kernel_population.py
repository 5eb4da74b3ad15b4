"""What the known targets of one framework share, from which a new target is made; numpy only.

The physics of every cell, trees that correct it, and how much targets depart from one another. A
new target needs its data sheet alone, or some measured kernels, or whole networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.efficiencies import (
    Efficiencies,
    Shrinkage,
    TimedKernels,
    fit_corrected,
    unmeasured_population,
)
from perfmodel.cost_models.hierarchy import log_times
from perfmodel.cost_models.interval import FitError, Interval
from perfmodel.cost_models.kernel_predictor import (
    DIGITS,
    EXACT,
    INPUTS,
    MAX_CELLS,
    MAX_LOG,
    KernelPredictor,
    ranges_of,
    read_forests,
    rounded,
)
from perfmodel.cost_models.kernel_terms import (
    RANGE_FEATURES,
    TERMS,
    Machine,
    Work,
    family_of,
    work_of,
)
from perfmodel.cost_models.kernel_widths import KernelWidths
from perfmodel.cost_models.known_kernels import KnownKernels
from perfmodel.cost_models.plain_data import Range, joined_ranges
from perfmodel.cost_models.trees import Forest
from perfmodel.errors import MeasurementError, ProfileError
from perfmodel.kernels.kernel import KernelTable

CORRECTION_ROUNDS = 2
"""Times that a new target's speeds are fitted: the trees' correction depends on them, and moves
them by less than a percent the second time."""

MAX_TRAITS = 20
MAX_WORDS = 200


@dataclass(frozen=True)
class TargetTraits:
    """What is known of a target before any measurement.

    `known_log` are log costs by term that its data sheet gives (0 where it says nothing), relative
    to the reference speeds; `traits` are numbers the correction may depend on, such as threads,
    in one order for all targets of a model.
    """

    name: str
    machine: Machine = field(default_factory=Machine)
    known_log: tuple[float, ...] = (0.0,) * len(TERMS)
    traits: tuple[float, ...] = ()

    def work(self, table: KernelTable) -> Work:
        """Work of kernels on this target, with what its data sheet says of its speeds."""
        work = work_of(table, self.machine)
        return Work(work.cell, work.group, work.terms * np.exp(self.known_log), work.features)


@dataclass(frozen=True, kw_only=True)
class SheetLeftOut:
    """What leaving known targets out found of targets that are not measured.

    `widths`, where kernels were measured one by one, is how unsure each kind of them is, which
    comes on top of `interval`.
    """

    interval: Interval
    error: FitError
    widths: KernelWidths | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        widths = {} if self.widths is None else {"widths": self.widths.to_dict()}
        return {"interval": self.interval.to_dict(), "error": asdict(self.error), **widths}

    @classmethod
    def from_dict(cls, data: Any) -> SheetLeftOut:
        """Read and check plain data; raises `ProfileError` that names the field."""
        found = plain_data.table(data, "left_out", 3)
        plain_data.only(found, ("interval", "error", "widths"), ("interval", "error"))
        interval = plain_data.table(found["interval"], "left_out.interval", 10)
        names = [f.name for f in fields(Interval)]
        plain_data.only(interval, names, [n for n in names if n != "short_ms"])
        error = dict(plain_data.table(found["error"], "left_out.error", 10))
        names = [f.name for f in fields(FitError)]
        plain_data.only(error, names, names)
        words = error.pop("experiment")
        if not isinstance(words, str) or len(words) > MAX_WORDS:
            raise ProfileError(f"left_out.error.experiment: must be text of {MAX_WORDS} characters")
        at = "left_out.error"
        numbers = {n: plain_data.number(v, f"{at}.{n}", 0.0, 1e9) for n, v in error.items()}
        return cls(
            interval=Interval(
                **{
                    n: plain_data.number(v, f"left_out.interval.{n}", 0.0, MAX_LOG)
                    for n, v in interval.items()
                }
            ),
            error=FitError(
                words,
                int(numbers["cases"]),
                numbers["median"],
                numbers["mean"],
                numbers["within_20"],
            ),
            widths=KernelWidths.from_dict(found["widths"]) if "widths" in found else None,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelPopulation:
    """Physics, trees and ranges that the known targets of one framework share.

    `efficiencies` are those of a target without effects of its own. `forests` read the columns of
    `kernel_predictor.INPUTS`, then `traits` numbers of the target, then, if `described`, its
    `Efficiencies.descriptor`. `ranges` are those of the kernels that any known target ran.
    `left_out` tells how wrong a data sheet alone is, None where that was not tried; `known` what
    kernels took on each known target, None where that is not kept.
    """

    efficiencies: Efficiencies
    shrinkage: Shrinkage
    forests: Mapping[str, Forest]
    traits: int
    described: bool
    ranges: Mapping[str, Range]
    limit: float
    left_out: SheetLeftOut | None = None
    known: KnownKernels | None = None

    def unmeasured(self, traits: TargetTraits) -> KernelPredictor:
        """The predictor of a target that was never measured: the average, at its data sheet."""
        made = self._predictor(self.efficiencies, traits, self.ranges, DIGITS)
        return replace(made, widths=self.left_out.widths) if self.left_out is not None else made

    def calibrated(
        self,
        table: KernelTable,
        traits: TargetTraits,
        latency_us: np.ndarray,
        member: np.ndarray | None = None,
    ) -> KernelPredictor:
        """A predictor of a new target from few measurements.

        `latency_us` are those of the kernels, or, with `member` given, of groups of kernels
        (whole networks): kernel i belongs to group `member[i]`. Kernels of cells that no known
        target ran start from their family, or from the terms alone.
        """
        work = traits.work(table)
        shared = self.efficiencies.with_cells(sorted(set(work.cell)))
        place = {c: i for i, c in enumerate(shared.cells)}
        log_us = log_times(latency_us)
        seen = TimedKernels(
            cell=np.array([place[c] for c in work.cell]),
            target=np.zeros(len(table), dtype=np.int64),
            terms=work.terms,
            log_us=log_us,
            weight=np.ones(len(log_us)),
            overlap=traits.machine.overlap,
            member=member,
        )

        def correct(own: Efficiencies, spent: np.ndarray, total: np.ndarray) -> np.ndarray:
            return self._predictor(own, traits, {}, EXACT).correction(work, spent, total)

        own = fit_corrected(seen, shared, self.shrinkage, correct, CORRECTION_ROUNDS)
        return self._predictor(own, traits, joined_ranges(self.ranges, ranges_of(work)), DIGITS)

    def _predictor(
        self, own: Efficiencies, traits: TargetTraits, ranges: Mapping[str, Range], digits: int
    ) -> KernelPredictor:
        if len(traits.traits) != self.traits:
            raise MeasurementError(
                f"{traits.name}: {len(traits.traits)} traits, the known targets have {self.traits}"
            )
        seen = [*traits.traits, *(own.descriptor()[0] if self.described else ())]
        return predictor_of(own, 0, traits, self.forests, seen, ranges, self.limit, digits)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data (numbers, text, lists)."""
        e = self.efficiencies
        return {
            "terms": list(TERMS),
            "inputs": list(INPUTS),
            "term": list(rounded(e.term)),
            "families": {
                f: list(rounded(row)) for f, row in zip(e.families, e.family, strict=True)
            },
            "cells": {c: list(rounded(row)) for c, row in zip(e.cells, e.cell, strict=True)},
            "shrinkage": asdict(self.shrinkage),
            "forests": {g: f.rounded(DIGITS).to_dict() for g, f in self.forests.items()},
            "traits": self.traits,
            "described": self.described,
            "ranges": {c: [list(low), list(high)] for c, (low, high) in self.ranges.items()},
            "limit": self.limit,
            **({} if self.left_out is None else {"left_out": self.left_out.to_dict()}),
            **({} if self.known is None else {"known": self.known.to_dict()}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> KernelPopulation:
        """Read and check plain data; raises `ProfileError` that names the field."""
        plain_data.only(data, (*_FIELDS, "left_out", "known"), _FIELDS)
        if data["terms"] != list(TERMS):
            raise ProfileError(f"terms: must be {', '.join(TERMS)}")
        width = len(TERMS)
        families = plain_data.rows(data["families"], "families", MAX_CELLS, width, MAX_LOG)
        cells = plain_data.rows(data["cells"], "cells", MAX_CELLS, width, MAX_LOG)
        lost = sorted({family_of(c) for c in cells} - set(families))
        if lost or not cells:
            raise ProfileError(f"families: {lost[0] if lost else 'all'} is missing")
        given = plain_data.table(data["shrinkage"], "shrinkage", 20)
        known = [f.name for f in fields(Shrinkage)]
        plain_data.only(given, known, known)
        shrinkage = Shrinkage(
            **{n: plain_data.number(v, f"shrinkage.{n}", 1e-6, 1e6) for n, v in given.items()}
        )
        traits = int(plain_data.number(data["traits"], "traits", 0, MAX_TRAITS))
        described = plain_data.flag(data["described"], "described")
        more = traits + (1 + width if described else 0)
        return cls(
            efficiencies=unmeasured_population(
                tuple(cells),
                tuple(families),
                np.array(plain_data.numbers(data["term"], "term", width, -MAX_LOG, MAX_LOG)),
                np.array(list(families.values())),
                np.array(list(cells.values())),
            ),
            shrinkage=shrinkage,
            forests=read_forests(data["forests"], data["inputs"], more),
            traits=traits,
            described=described,
            ranges=plain_data.ranges(
                data["ranges"], "ranges", MAX_CELLS, len(RANGE_FEATURES), MAX_LOG
            ),
            limit=plain_data.number(data["limit"], "limit", 0.0, 10.0),
            left_out=SheetLeftOut.from_dict(data["left_out"]) if "left_out" in data else None,
            known=KnownKernels.from_dict(data["known"]) if "known" in data else None,
        )


_FIELDS = (
    "terms",
    "inputs",
    "term",
    "families",
    "cells",
    "shrinkage",
    "forests",
    "traits",
    "described",
    "ranges",
    "limit",
)


def predictor_of(
    efficiencies: Efficiencies,
    target: int,
    traits: TargetTraits,
    forests: Mapping[str, Forest],
    seen: list[float],
    ranges: Mapping[str, Range],
    limit: float,
    digits: int,
) -> KernelPredictor:
    """The predictor of one fitted target; `seen` are the inputs of the trees that describe it."""
    known = np.array(traits.known_log)
    theta = efficiencies.theta()[target] + known
    family = efficiencies.of_family(target) + known
    fixed = {len(INPUTS) + i: float(v) for i, v in enumerate(seen)}
    special = {group: forest.specialise(fixed) for group, forest in forests.items()}
    if digits < EXACT:
        special = {g: f.rounded(digits) for g, f in special.items()}
    return KernelPredictor(
        machine=traits.machine,
        cells={c: rounded(theta[i], digits) for i, c in enumerate(efficiencies.cells)},
        families={f: rounded(family[i], digits) for i, f in enumerate(efficiencies.families)},
        default=rounded(efficiencies.of_target(target) + known, digits),
        forests=special,
        ranges={
            c: (rounded(low, digits), rounded(high, digits)) for c, (low, high) in ranges.items()
        },
        limit=limit,
    )
