"""Measured networks against what any known device of the kind can do.

What this is after is a time in another unit (us for ms) or with a digit too many or too few: of
all rows, or of one among others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perfmodel.calibration.device_kinds import shipped_kinds
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.population import Population

FARTHEST_DEVICE = 4.0
"""How many times slower or faster than every known device of its kind a new one may be. Of the 187
CPU and 46 GPU targets of ncnn_e2e.csv, each against all other devices, the farthest is 1.4."""

FARTHEST_ROW = 4.0
"""How far a network may lie from what the devices that explain the other rows best say of it. Of
ncnn_e2e.csv, with five rows of a target, no row of a CPU in 935 and 4 in 230 of a GPU lie farther;
of rows made ten times too long or short, 95 % and 91 % do."""

FARTHEST_ROW_OF_KIN = 8.0
"""The same where the known devices are of other frameworks or few."""

BEST = 5
"""Devices that explain the other rows best."""

FEWEST = 5
"""Known targets from which on they tell what a kind can do."""


def implausible(
    measured: Sequence[MeasuredNetwork], known: Population, *, kind: str, threads: int
) -> dict[int, str]:
    """Networks that no known device would measure so, by position, and why.

    Compared are the fitted targets of `known` on devices of `kind` ("" any), with as many threads
    where enough of them are known.
    """
    chosen = _comparable(known, kind, threads)
    if len(chosen) < FEWEST or not measured:
        return {}
    precision = "int8" if known.precision == "int8" else "fp32"
    work = np.array([network.work(precision, known.features) for network in measured])
    with np.errstate(divide="ignore"):
        expected = np.log(work @ np.exp(known.log_cost[chosen]).T).T
    off = np.log([network.latency_ms for network in measured]) - expected
    if not np.isfinite(off).all():
        return {}
    whole = _whole(np.median(off, axis=1), kind or "device")
    if whole:
        return dict.fromkeys(range(len(measured)), whole)
    return _single(off, FARTHEST_ROW if known.networks else FARTHEST_ROW_OF_KIN)


def _comparable(known: Population, kind: str, threads: int) -> list[int]:
    """Positions of the known targets of the kind."""
    kinds = shipped_kinds()
    of_kind = [
        i for i, n in enumerate(known.names) if not kind or kinds.get(n.split("/")[0]) == kind
    ]
    alike = [i for i in of_kind if known.names[i].partition("@")[0].endswith(f"/t{threads}")]
    return alike if len(alike) >= FEWEST else of_kind


def _whole(speeds: np.ndarray, kind: str) -> str:
    """The reason why the median of all rows cannot be; "" where it can."""
    slower, faster = float(np.exp(speeds.min())), float(np.exp(-speeds.max()))
    if max(slower, faster) <= FARTHEST_DEVICE:
        return ""
    times = f"{max(slower, faster):.3g} times {'slower' if slower > faster else 'faster'}"
    return f"all rows: {times} than any known {kind}; {'us' if slower > faster else 's'} for ms?"


def _single(off: np.ndarray, limit: float) -> dict[int, str]:
    """The rows that the devices which explain the others best do not explain."""
    found: dict[int, str] = {}
    if off.shape[1] < 2:
        return found
    if off.shape[1] == 2:  # which of two is wrong, nobody can tell
        apart = float(np.exp(np.abs(off[:, 0] - off[:, 1]).min()))
        reason = f"{apart:.3g} times further from the other row than on any known device"
        return dict.fromkeys((0, 1), reason) if apart > limit else {}
    misfit = off - np.median(off, axis=1, keepdims=True)
    for i in range(off.shape[1]):
        others = np.median(np.abs(np.delete(misfit, i, axis=1)), axis=1)
        best = misfit[np.argsort(others, kind="stable")[:BEST], i]
        nearest = float(best[np.argmin(np.abs(best))])
        if abs(nearest) > np.log(limit):
            times = f"{np.exp(abs(nearest)):.3g} times {'slower' if nearest > 0 else 'faster'}"
            found[i] = f"{times} than the other rows imply on any known device; a digit or a unit?"
    return found
