"""The profile of this machine: targets, facts of the hardware, loads and yardsticks."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from perfmodel.calibration.first_run import fit_load
from perfmodel.calibration.host_fit import FittedTarget
from perfmodel.calibration.yardsticks import chosen
from perfmodel.cost_models.interval import Interval
from perfmodel.devices.facts import LoadFact, Traits
from perfmodel.devices.profile import DeviceProfile, Fact, Provenance, TargetProfile
from perfmodel.runners.host_bench import RunConfig
from perfmodel.runners.host_frameworks import HostFramework
from perfmodel.runners.machine import shares_cores
from perfmodel.runners.runner import MachineFacts
from perfmodel.runners.samples import Sample
from perfmodel.runners.scaling import Scaling, scaling_facts, scaling_then, work_of_many
from perfmodel.target import Target

SCALING_CHANGE = 1.15
"""Change of what several busy processes do from which on times on several threads are doubted:
three times the error of a usual prediction."""
SOURCE = "measured or read on this machine by perfmodel calibrate"


def host_profile(
    device: str,
    by: HostFramework,
    *,
    fitted: Sequence[FittedTarget],
    samples: Sequence[Sample],
    usual: Mapping[RunConfig, float],
    machine: MachineFacts,
    scaling: Mapping[int, Scaling],
) -> DeviceProfile:
    """A profile of fitted targets; `usual` are the times of the references in ms, `scaling` by
    threads what as many busy processes did meanwhile."""
    facts = machine.facts
    hardware = {name: Fact(text[:200], SOURCE) for name, text in facts.items() if text}
    hardware |= {name: Fact(value, SOURCE) for name, value in scaling_facts(scaling).items()}
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


def unsteady_cores(threads: int, scaling: Mapping[int, Scaling]) -> str:
    """In words, where so many threads have no core each, or at one time and not at another; empty
    where they have one."""
    found = scaling.get(threads)
    if found is None or not (shares_cores(found.least, threads) or _wavers(found)):
        return ""
    if shares_cores(found.most, threads):
        what = "its threads share cores"
    elif shares_cores(found.least, threads):
        what = "its threads share cores at times"
    else:
        what = "its cores are not always free"
    return (
        f"{work_of_many(threads, found)} on this machine: {what}, and times on {threads} threads "
        "change with what else runs"
    )


def _wavers(found: Scaling) -> bool:
    return found.most > SCALING_CHANGE * found.least


def doubted(interval: Interval, threads: int, scaling: Mapping[int, Scaling]) -> Interval:
    """The interval of a target whose threads share cores, or did so at times: it reaches from what
    would be with the most of them that was seen to what would be with the least.

    The times were taken somewhere in between. Threads that share cores may have one for all another
    time, and those that were never seen to have one each may have that.
    """
    if not unsteady_cores(threads, scaling):
        return interval
    found = scaling[threads]
    least, most = (min(max(s, 1.0), float(threads)) for s in (found.least, found.most))
    slowest = 1.0 if shares_cores(least, threads) else least
    quickest = float(threads) if shares_cores(most, threads) else most
    return replace(
        interval,
        low_log=interval.low_log + math.log(quickest / least),
        high_log=interval.high_log + math.log(most / slowest),
    )


def changed_scaling(profile: DeviceProfile, scaling: Mapping[int, Scaling]) -> str:
    """A warning in words where threads scale otherwise than when the profile was made, else ""."""
    changed = []
    for threads, now in scaling.items():
        then = scaling_then(profile, threads) or now
        less, more = then.least / SCALING_CHANGE, then.most * SCALING_CHANGE
        if now.least < less or now.most > more:
            changed.append(
                f"{work_of_many(threads, now)}, {then} when the profile was made: times on "
                f"{threads} threads are off by as much; calibrate again"
            )
    return "; ".join(changed)


def _target(
    device: str,
    by: HostFramework,
    fitted: FittedTarget,
    samples: Sequence[Sample],
    facts: Mapping[str, str],
    scaling: Mapping[int, Scaling],
) -> TargetProfile:
    mine = [s for s in samples if s.setup == fitted.setup]
    target = Target(device, "cpu", by.name, fitted.setup.precision, fitted.setup.threads)
    provenance = Provenance(
        source=f"{len(mine)} random networks run on this machine, every kernel timed in place",
        measurements=sum(len(s.table) for s in mine),
        build=facts.get("runtime", ""),
        date=datetime.date.today().isoformat(),
        note="times are ratios to a reference network of the same precision and threads",
        assumes=unsteady_cores(fitted.setup.threads, scaling),
    )
    interval = doubted(fitted.interval, fitted.setup.threads, scaling)
    return TargetProfile(target, "steady", fitted.predictor, interval, fitted.error, provenance)
