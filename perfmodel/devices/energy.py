"""What an inference costs a phone's battery: power of busy cores, or energy of its kernels.

Three sources, the first that knows the target counts. A profile's own power is taken as it is. A
CPU whose cores were measured draws the sum of the cores that its threads keep busy. Other units of
phones are charged what a kernel, a multiply-accumulate and a byte took on the one phone of a
published study; that is an estimate for an unknown phone, and no unit of a phone is said to draw
more than the most that any measured processor draws with all its cores busy. Energy is above idle.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.devices.market import Chip, chips
from perfmodel.devices.market_profiles import chip_of
from perfmodel.devices.registry import Resolved

ENERGY_FILE = Path(__file__).parent / "kernel_energy.csv"
"""Energy of kernels by unit; written by validation/profiles/energy_table.py, which says how."""

PICOJOULES_PER_MJ = 1e9
STUDY_PRECISIONS = frozenset({"fp32", "float", "fp16"})
"""Precisions that the study's kernels (floating point) speak for; of int8 it has none."""
SCATTER_OF_CORES = 0.35
"""Of the power of busy cores (log): CoreMark, with which they were measured, is integer code that
fits the caches, and how much more or less a network draws is not measured. Taken is the scatter,
over 13 processors, of the energy that an iteration takes on their fastest cores."""
VENDORS_OF_BOARDS = ("Rockchip", "Allwinner", "NXP")
"""Makers of chips of boards and tablets, for which phones' energies say little."""
_DEVIATIONS = 1.6448536269514715
"""Standard deviations either way of the mean that hold 90 % of a normal distribution, as
`statistics.NormalDist` finds them; to import that takes longer than a prediction."""


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy of one inference in mJ above idle, its 90 % interval, and where it comes from."""

    mj: float
    interval_mj: tuple[float, float]
    source: str


@dataclass(frozen=True, kw_only=True)
class KernelWork:
    """Work of kernels: how many they are, their multiply-accumulates, and the bytes of inputs,
    weights and outputs that they move; numbers, or arrays over kernels."""

    kernels: Any
    macs: Any
    moved_bytes: Any

    def total(self) -> KernelWork:
        """All of it together, where the fields are arrays of kernels."""
        return KernelWork(
            kernels=np.sum(self.kernels),
            macs=np.sum(self.macs, dtype=float),
            moved_bytes=np.sum(self.moved_bytes, dtype=float),
        )


@dataclass(frozen=True, kw_only=True)
class EnergyRate:
    """Energy of work on a unit: a power while it is busy, or so much a kernel, operation and byte.

    `most_mw` bounds what the unit can draw. `log_sd` is the scatter (natural logarithm) of the
    rate itself, without that of the latency it is multiplied with.
    """

    active_mw: float = 0.0
    pj_per_mac: float = 0.0
    pj_per_byte: float = 0.0
    pj_per_kernel: float = 0.0
    most_mw: float = math.inf
    log_sd: float = 0.0
    source: str

    def mj(self, latency_ms: float, work: KernelWork) -> float:
        """Energy of work that takes so long."""
        wanted = self.active_mw * latency_ms / 1e3 + self.work_mj(work)
        return float(min(wanted, self.most_mw * latency_ms / 1e3))

    def work_mj(self, work: KernelWork) -> Any:
        """Energy of kernels beside what is drawn while the unit is busy; an array for arrays."""
        picojoules = (
            self.pj_per_kernel * work.kernels
            + self.pj_per_mac * work.macs
            + self.pj_per_byte * work.moved_bytes
        )
        return picojoules / PICOJOULES_PER_MJ

    @property
    def spread(self) -> float:
        """Factor to both sides that the rate's own 90 % interval spans."""
        return math.exp(_DEVIATIONS * self.log_sd)

    @property
    def described(self) -> str:
        """The source, and how sure it is."""
        sure = f"; 90 % within a factor of {self.spread:.1f}" if self.log_sd else ""
        return self.source + sure

    def mean_mw(self, latency_ms: float, work: KernelWork) -> float:
        """Power that, drawn for `latency_ms`, is that energy."""
        return 1e3 * self.mj(latency_ms, work) / latency_ms if latency_ms else 0.0

    def energy(
        self, latency_ms: float, interval_ms: tuple[float, float], work: KernelWork
    ) -> Energy:
        """Energy with its interval, of a predicted latency with its own."""
        low, high = (self.mj(ms, work) for ms in interval_ms)
        most = self.most_mw * interval_ms[1] / 1e3
        return Energy(
            mj=self.mj(latency_ms, work),
            interval_mj=(low / self.spread, min(high * self.spread, most)),
            source=self.described,
        )


def energy_rate(resolved: Resolved) -> EnergyRate | None:
    """What a target's unit draws; None where nobody says."""
    target = resolved.target.target
    for fact in resolved.device.traits.power:
        if fact.unit == target.unit:
            return EnergyRate(active_mw=fact.active_mw, source=fact.source)
    made = chip_of(resolved.device)
    if made is None or made.vendor in VENDORS_OF_BOARDS:
        return None  # no phone: boards and desktops have no measured energy here
    if target.unit == "cpu" and made.core_mw:
        busy = busy_cores_mw(made, max(target.threads, 1), little=target.cluster == "little")
        return EnergyRate(
            active_mw=busy,
            log_sd=SCATTER_OF_CORES,
            most_mw=all_cores_mw(made),
            source=f"power of the busy cores of {made.name} ({made.sources['core_mw']})",
        )
    rate = kernel_rates().get(target.unit)
    return rate if target.precision in STUDY_PRECISIONS else None


def busy_cores_mw(made: Chip, threads: int, *, little: bool = False) -> float:
    """Power of as many busy cores as there are threads, the fastest first (or the slowest)."""
    left, total = threads, 0.0
    for cores, milliwatts in made.core_mw if little else reversed(made.core_mw):
        used = min(left, cores)
        total += used * milliwatts
        left -= used
    return total


def all_cores_mw(made: Chip) -> float:
    """What a processor's CPU draws with every core busy at its highest clock."""
    return sum(cores * milliwatts for cores, milliwatts in made.core_mw)


@lru_cache(maxsize=1)
def most_of_any_phone_mw() -> float:
    """The most that any measured phone processor's CPU draws."""
    return max(map(all_cores_mw, chips().values()))


@lru_cache(maxsize=1)
def kernel_rates() -> dict[str, EnergyRate]:
    """Energy of operations and bytes by unit of a phone that is not known."""
    with open(ENERGY_FILE, encoding="utf-8", newline="") as file:
        return {
            row["unit"]: EnergyRate(
                pj_per_mac=float(row["pj_per_mac"]),
                pj_per_byte=float(row["pj_per_byte"]),
                pj_per_kernel=float(row["pj_per_kernel"]),
                most_mw=most_of_any_phone_mw(),
                log_sd=float(row["log_sd"]),
                source=f"energy of {row['kernels']} kernels on one unknown phone ({row['source']})",
            )
            for row in csv.DictReader(file)
        }
