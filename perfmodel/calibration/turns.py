"""Which setup of a host calibration measures next, and what a budget is enough for.

First every setup gets the networks that a target needs, one setup after the other, so that a short
budget ends with fewer targets rather than with none; then they share the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perfmodel.calibration.host_fit import MIN_NETWORKS
from perfmodel.errors import MeasurementError
from perfmodel.runners.host_bench import RunConfig

SHARES: Mapping[tuple[str, int], float] = {
    ("fp32", 1): 0.29,
    ("int8", 1): 0.26,
    ("fp32", 2): 0.22,
    ("int8", 2): 0.15,
    ("uint8", 1): 0.08,
}
"""Share of the measuring time that each setup gets, in the order in which they take turns.

By judgement: one thread first, as most ask for it; uint8 least, as its files are old. The committed
campaign has 214, 308, 188, 176 and 56 networks by it."""
OTHER_SHARE = 0.1
"""Of a setup that is not listed above."""

ENOUGH = MIN_NETWORKS + MIN_NETWORKS // 2
"""Networks with times of kernels after which the next setup has its turn, by judgement: some are
lost again, because the reference moved or the profile cannot be split."""
TRIED = 3 * ENOUGH
"""Networks after which a setup has had its first turn even if few of them can be used: in the
committed campaign nine of ten had times of kernels."""

NETWORK_SHARE = 0.07
"""Measuring a network takes about this share of the time that planning took, which tells how fast
this machine is: 0.35 to 0.55 s a network beside 5 to 7 s of planning where this was written, with
and without other work on the machine. The lower end: what is refused could not have been enough."""


def ordered(setups: Iterable[RunConfig]) -> dict[RunConfig, float]:
    """Setups with their shares, in the order of their first turns.

    `float`, a framework's own mixture, is what `fp32` is elsewhere: what most ask for.
    """
    found = {
        s: SHARES.get((s.precision.replace("float", "fp32"), s.threads), OTHER_SHARE)
        for s in setups
    }
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def next_setup(entries: Mapping[str, Any], shares: Mapping[RunConfig, float]) -> RunConfig:
    """The first setup that still lacks networks, or else the one that is farthest behind its share.

    `entries` are those of the journal, with keys "SETUP/NETWORK".
    """
    for setup in shares:
        mine = entries_of(entries, setup)
        if sum(map(has_kernels, mine)) < ENOUGH and len(mine) < TRIED:
            return setup
    return min(shares, key=lambda s: spent_s(entries_of(entries, s)) / shares[s])


def entries_of(entries: Mapping[str, Any], setup: RunConfig) -> list[Mapping[str, Any]]:
    """What the journal has of a setup."""
    return [e for key, e in entries.items() if key.startswith(f"{setup}/")]


def has_kernels(entry: Mapping[str, Any]) -> bool:
    """Whether an entry times the kernels of a whole network, by its profile or piece by piece."""
    sets = entry.get("sets", ())
    return bool(entry.get("pieces")) or any(s["raw"]["per_op_us"] for s in sets)


def spent_s(entries: Iterable[Mapping[str, Any]]) -> float:
    """Seconds that entries took."""
    return sum(float(e.get("spent_s", 0.0)) for e in entries)


def check_budget(
    budget_s: float, planned_s: float, fit_share: float, entries: Mapping[str, Any]
) -> None:
    """Raise `MeasurementError` before anything is measured where one target would get too little.

    `planned_s` of the budget are spent on planning, `fit_share` is kept for the fit; the journal's
    `entries` count.
    """
    have = sum(has_kernels(e) for e in entries.values())
    lacking_s = max(0, MIN_NETWORKS - have) * NETWORK_SHARE * planned_s
    needed_s = (planned_s + spent_s(entries.values()) + lacking_s) / (1 - fit_share)
    if lacking_s and budget_s < needed_s:
        raise MeasurementError(
            f"a budget of {budget_s:.0f} s is too short for this machine: planning took "
            f"{planned_s:.0f} s of it, and a target needs {MIN_NETWORKS} networks",
            f"give --budget {_rounded(1.5 * needed_s)}s or more; nothing was measured yet",
        )


def _rounded(seconds: float) -> int:
    """Up to whole tens of seconds."""
    return 10 * -int(-seconds // 10)


def not_fitted(
    entries: Mapping[str, Any], setups: Iterable[RunConfig], fitted: Sequence[RunConfig]
) -> dict[str, str]:
    """Setups without a target, with the reason in words."""
    return {
        str(s): f"{sum(map(has_kernels, entries_of(entries, s)))} networks with times of kernels "
        f"measured; a target needs {MIN_NETWORKS} that can be used"
        for s in setups
        if s not in fitted
    }
