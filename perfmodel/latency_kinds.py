"""Kinds of latency beside the steady one: first runs, and where the others' answers come from.

A first run is opening a network's file, preparing its kernels and one inference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from perfmodel.cost_models.interval import MEDIAN_SD, NORMAL_90
from perfmodel.devices.facts import LoadFact
from perfmodel.devices.registry import Resolved
from perfmodel.errors import PerfmodelError
from perfmodel.kernels.loading import load_work
from perfmodel.workload import Workload

WAYS_TO: Mapping[str, str] = {
    "first": "a profile of this machine knows its first runs (`perfmodel calibrate --from host`), "
    "rows of kind first in a table give a target of them (`perfmodel calibrate --from TABLE`), and "
    "`perfmodel validate kinds` measures them on this machine",
    "steady": "`perfmodel devices` lists targets of steady runs",
    "sustained": "`perfmodel simulate` heats a device up; `perfmodel validate kinds` this machine",
    "in_app": "`perfmodel simulate` runs it beside other work",
}
"""Where an answer of a kind comes from, for targets that answer another."""


@dataclass(frozen=True, kw_only=True)
class FirstRunTime:
    """How long a first run takes, by the `fact` that was measured of loading."""

    latency_ms: float
    interval_ms: tuple[float, float]
    fact: LoadFact


def first_run_time(
    work: Workload, resolved: Resolved, steady_ms: float, steady_interval_ms: tuple[float, float]
) -> FirstRunTime | None:
    """The first run of a network whose steady latency on a target is known.

    None where the target answers another kind of latency than steady, or nobody measured how its
    device loads networks. Its inference is as unsure as the steady one, and the whole as unsure
    beside it as first runs that were measured show, whose errors are taken as normal. Of 304
    first runs of the campaign in validation/results/host 92 % lay inside (81 to 98 % by framework).
    """
    target = resolved.target.target
    fact = resolved.device.traits.load_of(target)
    if fact is None or not fact.measurements or resolved.target.latency_kind != "steady":
        return None
    todo = load_work(work.table, target.precision)
    low, high = (fact.first_ms(todo, ms) for ms in steady_interval_ms)
    width = math.log1p(fact.median_error) * NORMAL_90 / MEDIAN_SD
    return FirstRunTime(
        latency_ms=fact.first_ms(todo, steady_ms),
        interval_ms=(low * math.exp(-width), high * math.exp(width)),
        fact=fact,
    )


def another_kind(target: str, have: str, wanted: str) -> PerfmodelError:
    """The error for a kind of latency that a target does not answer."""
    return PerfmodelError(
        f"{target} answers latency kind {have!r}, not {wanted!r}",
        f"kinds are never mixed: {WAYS_TO[wanted]}",
    )
