"""What a measured target bounds of one that nobody measured, by both their sheets.

A kernel waits for arithmetic or for memory. A target that is slower than a measured one in
something is slower by no more than in its worst; one whose every core and whose memory are faster
is faster, by at least a part of the least of these gains.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from perfmodel.cost_models.sheet_model import Expected, SheetModel
from perfmodel.devices.cpu_specs import CORES, cpu_sheet
from perfmodel.devices.gpu_families import age_of, gpu_family
from perfmodel.devices.sheet_data import MeasuredSheet, Sheets
from perfmodel.devices.sheet_rows import SHARED_BY_ALL, target_class, usual_gb_per_s

FARTHEST_LOG = 0.1
"""A target that is worse in something by more (log units) is not bounded: too little is alike. Of
0, 0.1 and 0.3 none is better by more than 0.01 in the mean log error of phones' chips left out."""

GAINED = 0.5
"""The part of the least gain, in log units, that is counted on: caches and waits gain less than
clocks. From 0 to 0.5 phones' chips left out are as near and stand in the same order; with the whole
gain int8 is off by 0.03 more in the mean log error, and fewer pairs are in order."""

LAUNCHES = 1.0
"""Every GPU's speed in starting kernels: networks wait for it, and no sheet tells it. Without it,
bounds by GFLOPS and memory make ncnn on phones' GPUs worse by 0.17 in the mean log error."""

COMPARED_KINDS = ("phone", "board")
"""Kinds of devices whose measurements bound others: what has a fan stays as fast for longer."""

OWN_DESIGNS = ("Scorpion", "Krait", "Kryo", "Exynos-M", "Denver", "Carmel", "TSV")
"""Beginnings of names of cores that makers designed apart from Arm's: no earlier or later versions
of Arm's. A Kryo of 2015 takes two thirds of a Cortex-A73's time in int8 by ncnn's table, both of
which are Armv8.0 out of order. Oryon is compared with Arm's: nobody measured it yet."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A target's sheet for comparing: with those of its `line`, by what it has and how fast it is.

    `has` are numbers of which more is better but nothing is in proportion (units of cores, rank of
    a design), `speeds` those that times are in proportion to (of every thread, of memory).
    """

    line: Hashable
    has: tuple[float, ...]
    speeds: tuple[float, ...]


def standing(sheet: MeasuredSheet) -> Standing:
    """How a target's sheet compares; raises `ProfileError` for cores that are not known."""
    memory = usual_gb_per_s(sheet.memory_gbs, sheet.kind)
    place = target_class(sheet.target)
    if sheet.target.unit == "gpu":
        family = gpu_family(sheet.gpu)
        return Standing(
            line=(place, family.maker if family else sheet.gpu),
            has=(age_of(family) if family else 0,),
            speeds=(memory, sheet.gflops, LAUNCHES),
        )
    cpu = cpu_sheet(sheet.cores, sheet.target.threads, sheet.target.cluster)
    cores = sorted(zip(cpu.rates, cpu.names, strict=True), reverse=True)
    used = [CORES[name] for _, name in cores]
    has = (float(not sheet.old), *(n for c in used for n in (c.rate, float(c.half), float(c.dot))))
    # an unknown number of threads compares with nothing
    threads = sheet.target.threads or str(sheet.target)
    design = next((own for own in OWN_DESIGNS if cpu.names[0].startswith(own)), cpu.lead.maker)
    line = (place, threads, len(used), design)
    return Standing(line=line, has=has, speeds=(memory, *(rate for rate, _ in cores)))


def slower_at_most(asked: Standing, known: Sequence[Standing]) -> np.ndarray:
    """By how much a target can be slower than others of its line, log units, shape (known,).

    Negative where it is faster in everything, infinite where it lacks what the other has.
    """
    has = np.array([k.has for k in known])
    worse = np.log(np.array([k.speeds for k in known]) / np.array(asked.speeds)).max(axis=1)
    as_good = (np.array(asked.has) >= has).all(axis=1)
    bound: np.ndarray = np.where(as_good, np.maximum(worse, GAINED * worse), np.inf)
    return bound


@dataclass(frozen=True, eq=False)
class Line:
    """Measured targets that compare with one another: chips, how they stand, log ms."""

    chips: tuple[str, ...]
    standings: tuple[Standing, ...]
    log_ms: np.ndarray

    def most(self, asked: Standing, chip: str) -> float:
        """The largest log ms that they allow a target of a chip; infinite where nothing is near.

        Where the chip itself was measured it has shown how it stands: others do not bound it.
        """
        worse = slower_at_most(asked, self.standings)
        counts = worse <= FARTHEST_LOG
        own = np.array([c == chip for c in self.chips])
        counts &= own | ~own.any()
        return float((self.log_ms[counts] + worse[counts]).min(initial=np.inf))


@dataclass(frozen=True, eq=False)
class Bounds:
    """Measured targets that bound others, by `Standing.line`."""

    lines: Mapping[Hashable, Line]

    @staticmethod
    def of(known: Sequence[MeasuredSheet]) -> Bounds:
        """Of measured targets of phones and boards."""
        found: dict[Hashable, list[tuple[MeasuredSheet, Standing]]] = {}
        for sheet in known:
            if sheet.kind in COMPARED_KINDS:
                made = standing(sheet)
                found.setdefault(made.line, []).append((sheet, made))
        return Bounds(
            {
                line: Line(
                    tuple(s.chip for s, _ in mine),
                    tuple(made for _, made in mine),
                    np.array([s.log_ms for s, _ in mine]),
                )
                for line, mine in found.items()
            }
        )

    def most(self, asked: Sequence[MeasuredSheet]) -> np.ndarray:
        """The largest log ms of some targets that measured ones allow, shape (asked,)."""
        found = np.full(len(asked), np.inf)
        for place, sheet in enumerate(asked):
            mine = standing(sheet)
            if mine.line in self.lines:
                found[place] = self.lines[mine.line].most(mine, sheet.chip)
        return found


@lru_cache(maxsize=8)
def bounds_of(sheets: Sheets) -> Bounds:
    """What the measured targets of sheets bound."""
    return Bounds.of(sheets.known)


def expect_bounded(model: SheetModel, bounds: Bounds, asked: Sequence[MeasuredSheet]) -> Expected:
    """What sheets say of the speed of some targets, no slower than measured ones allow."""
    expected = model.expect([s.row() for s in asked], apart_from=SHARED_BY_ALL)
    return replace(expected, log_ms=np.minimum(expected.log_ms, bounds.most(asked)))
