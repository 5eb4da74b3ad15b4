"""Tensors between CPU and GPU, by phone: `python -m validation.partition`.

A fixed cost plus bytes over a rate for each direction, fitted to the logarithm of the times with a
robust loss: repeats of one shape differ by a median factor of 1.4 in the source, so single rows say
little. Rows with the same value in both columns were measured in one direction only, which one is
not said, and are left out.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perfmodel.devices.facts import TransferFact
from perfmodel.measurements.device_names import device_slug

SOURCE = (
    "DAG-Scheduler, commit 9acc93f27b4f, MNN, layout conversion included (transfers_phones.csv)"
)
DIRECTIONS = (("cpu", "gpu", "cpu_to_gpu_us"), ("gpu", "cpu", "gpu_to_cpu_us"))
_ROBUST_LOG = 0.2
"""Log residuals beyond this count linearly, not squared."""


@dataclass(frozen=True)
class TransferFit:
    """The line of one phone and direction; errors are relative, in sample and by 5 folds."""

    device: str
    fact: TransferFact
    mean_error: float
    fold_median_error: float
    repeat_factor: float


def fit_line(size_bytes: np.ndarray, latency_ms: np.ndarray) -> tuple[float, float]:
    """(fixed_ms, bytes_per_ms) of latency = fixed + bytes / rate, on log time with a robust loss.

    Needs positive times of at least two sizes.
    """
    from scipy.optimize import least_squares

    def residual(p: np.ndarray) -> np.ndarray:
        return np.log(np.exp(p[0]) + size_bytes / np.exp(p[1])) - np.log(latency_ms)

    start = [math.log(float(np.median(latency_ms))), math.log(2e6)]
    found = least_squares(residual, start, loss="soft_l1", f_scale=_ROBUST_LOG)
    return float(np.exp(found.x[0])), float(np.exp(found.x[1]))


def transfer_rows(data: Path) -> Mapping[str, list[Mapping[str, str]]]:
    """Rows of transfers_phones.csv by device, those of one measured direction left out."""
    rows: dict[str, list[Mapping[str, str]]] = {}
    with open(data / "transfers_phones.csv", newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["cpu_to_gpu_us"] != row["gpu_to_cpu_us"]:
                rows.setdefault(device_slug(row["device"]), []).append(row)
    return rows


def fit_transfers(data: Path) -> tuple[TransferFit, ...]:
    """Both directions of every phone of transfers_phones.csv, in its order of names."""
    fits = []
    for device, rows in sorted(transfer_rows(data).items()):
        size = np.array([float(r["bytes_fp32"]) for r in rows])
        for a, b, column in DIRECTIONS:
            time = np.array([float(r[column]) / 1e3 for r in rows])
            fixed, rate = fit_line(size, time)
            error = np.abs((fixed + size / rate) / time - 1)
            fact = TransferFact(
                *(a, b, round(fixed, 4), round(rate, 1), SOURCE, len(rows)),
                round(float(np.median(error)), 4),
            )
            folds = float(np.median(_fold_errors(size, time)))
            fits.append(TransferFit(device, fact, float(error.mean()), folds, _repeats(size, time)))
    return tuple(fits)


def _fold_errors(size: np.ndarray, time: np.ndarray, folds: int = 5) -> np.ndarray:
    """Relative errors with whole sizes left out, so that repeats of a shape do not help."""
    sizes, of_row = np.unique(size, return_inverse=True)
    fold_of = np.random.default_rng(0).permutation(len(sizes)) % folds
    errors = np.zeros(len(size))
    for fold in range(folds):
        out = fold_of[of_row] == fold
        fixed, rate = fit_line(size[~out], time[~out])
        errors[out] = np.abs((fixed + size[out] / rate) / time[out] - 1)
    return errors


def _repeats(size: np.ndarray, time: np.ndarray) -> float:
    """Median over sizes seen more than once of largest over smallest time: what no line can fit."""
    groups = [time[size == s] for s in np.unique(size)]
    return float(np.median([g.max() / g.min() for g in groups if len(g) > 1]))


def typical_transfers(fits: Sequence[TransferFit]) -> tuple[TransferFact, ...]:
    """The median phone, for one that nobody measured."""
    facts = []
    for a, b, _ in DIRECTIONS:
        known = [f.fact for f in fits if (f.fact.from_unit, f.fact.to_unit) == (a, b)]
        facts.append(
            TransferFact(
                *(a, b, round(float(np.median([f.fixed_ms for f in known])), 4)),
                round(float(np.median([f.bytes_per_ms for f in known])), 1),
                f"not measured on this device: median of {len(known)} phones; {SOURCE}",
            )
        )
    return tuple(facts)
