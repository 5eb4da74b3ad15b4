"""The profile of this machine: targets, facts of the hardware, loads and yardsticks."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from perfmodel.calibration.first_run import fit_load
from perfmodel.calibration.host_fit import FittedTarget
from perfmodel.calibration.yardsticks import chosen
from perfmodel.cost_models.interval import Interval
from perfmodel.devices.facts import LoadFact, Traits
from perfmodel.devices.profile import DeviceProfile, Fact, Provenance, TargetProfile
from perfmodel.runners.host_bench import RunConfig
from perfmodel.runners.host_frameworks import HostFramework
from perfmodel.runners.machine import busy_scaling, shares_cores
from perfmodel.runners.runner import MachineFacts
from perfmodel.runners.samples import Sample
from perfmodel.target import Target

SCALING_CHANGE = 1.15
"""Change of what several busy processes do from which on times on several threads are doubted:
three times the error of a usual prediction."""
SOURCE = "measured or read on this machine by perfmodel calibrate"


def scaling_of(setups: Iterable[RunConfig]) -> dict[int, float]:
    """By number of threads of some setups: how many times one busy process's work as many do."""
    return {n: busy_scaling(n) for n in sorted({s.threads for s in setups if s.threads > 1})}


def host_profile(
    device: str,
    by: HostFramework,
    *,
    fitted: Sequence[FittedTarget],
    samples: Sequence[Sample],
    usual: Mapping[RunConfig, float],
    machine: MachineFacts,
    scaling: Mapping[int, float],
) -> DeviceProfile:
    """A profile of fitted targets; `usual` are the times of the references in ms, `scaling` by
    threads what `scaling_of` found."""
    facts = machine.facts
    hardware = {name: Fact(text[:200], SOURCE) for name, text in facts.items() if text}
    hardware |= {scaling_fact(n): Fact(value, SOURCE) for n, value in scaling.items()}
    for setup, value in usual.items():
        hardware[reference_fact(setup)] = Fact(value, SOURCE)
    hardware |= {name: Fact(value, SOURCE) for name, value in chosen(samples).items()}
    load = tuple(fact for setup in usual if (fact := _load(by, samples, setup)) is not None)
    targets = tuple(_target(device, by, f, samples, facts, scaling) for f in fitted)
    return DeviceProfile(
        device,
        f"This machine: {facts.get('cpu', 'unknown CPU')}",
        "host",
        targets,
        soc=facts.get("cpu", ""),
        year=None,
        hardware=hardware,
        traits=Traits(load=load),
    )


def _load(by: HostFramework, samples: Sequence[Sample], setup: RunConfig) -> LoadFact | None:
    own = [s.first for s in samples if s.setup == setup]
    alike = (s for s in samples if s.setup.precision == setup.precision)
    return fit_load(own, setup, by.name, [s.first for s in alike if s.setup != setup])


def reference_fact(setup: RunConfig) -> str:
    """Key among a profile's hardware facts of the reference network's time in a setup, in ms."""
    return f"reference_{setup.precision}_t{setup.threads}_ms"


def scaling_fact(threads: int) -> str:
    """Key among a profile's hardware facts of what so many busy processes do, in one's work."""
    return f"scaling_t{threads}"


def shared_cores(threads: int, scaling: Mapping[int, float]) -> str:
    """In words, where so many threads have no core each; empty where they have one."""
    found = scaling.get(threads)
    if found is None or not shares_cores(found, threads):
        return ""
    return (
        f"{threads} busy processes do {found:.2f} times the work of one on this machine: its "
        f"threads share cores, and times on {threads} threads change with what else runs"
    )


def doubted(interval: Interval, threads: int, scaling: Mapping[int, float]) -> Interval:
    """The interval of a target whose threads share cores: from what it would be with a core for
    each thread to what it would be with one core for all, as either may be found another time."""
    if not shared_cores(threads, scaling):
        return interval
    found = min(max(scaling[threads], 1.0), float(threads))
    return replace(
        interval,
        low_log=interval.low_log + math.log(threads / found),
        high_log=interval.high_log + math.log(found),
    )


def changed_scaling(profile: DeviceProfile, scaling: Mapping[int, float]) -> str:
    """A warning in words where threads scale otherwise than when the profile was made, else ""."""
    changed = []
    for threads, now in scaling.items():
        fact = profile.hardware.get(scaling_fact(threads))
        then = now if fact is None or isinstance(fact.value, str) else fact.value
        if not 1 / SCALING_CHANGE <= now / then <= SCALING_CHANGE:
            changed.append(
                f"{threads} busy processes do {now:.2f} times the work of one, {then:.2f} when the "
                f"profile was made: times on {threads} threads are off by as much; calibrate again"
            )
    return "; ".join(changed)


def _target(
    device: str,
    by: HostFramework,
    fitted: FittedTarget,
    samples: Sequence[Sample],
    facts: Mapping[str, str],
    scaling: Mapping[int, float],
) -> TargetProfile:
    mine = [s for s in samples if s.setup == fitted.setup]
    target = Target(device, "cpu", by.name, fitted.setup.precision, fitted.setup.threads)
    provenance = Provenance(
        f"{len(mine)} random networks run on this machine, every kernel timed in place",
        sum(len(s.table) for s in mine),
        facts.get("runtime", ""),
        "",
        datetime.date.today().isoformat(),
        "times are ratios to a reference network of the same precision and threads",
        shared_cores(fitted.setup.threads, scaling),
    )
    interval = doubted(fitted.interval, fitted.setup.threads, scaling)
    return TargetProfile(target, "steady", fitted.predictor, interval, fitted.error, provenance)
