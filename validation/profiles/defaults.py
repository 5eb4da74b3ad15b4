"""The order of a device's targets: first the one that its owner would choose.

A target that is measured comes before one from a data sheet, one that is known within a factor of
ten before one that is not, a float one before an integer one (a quantised network looks for the
first integer one). Of those the fastest on two networks that most people know leads, with the
others of its unit behind it. A Jetson's owner takes its GPU by TensorRT in half precision, however
little is known of it, if only it is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

import perfmodel
from perfmodel.cost_models.predictor import network_ms
from perfmodel.devices.profile import DeviceProfile, TargetProfile
from perfmodel.devices.registry import Resolved
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.prediction import MOST_UNSURE
from perfmodel.target import QUANTISED
from perfmodel.workload import fusion_rules

KNOWN_NETWORKS = ("mobilenet_v2", "resnet50")
"""Networks by whose time the units of a device are compared: a light and a heavy one."""

FEWEST = 3
"""Measurements from which on a target may lead: fewer tell a scale and no more."""

OWN_CHOICE = ("phone", "laptop", "board", "jetson")
"""Kinds of devices whose owner chooses between units; a server's targets keep their order."""

NEVER_FIRST = ("nnapi", "dla")
"""Units behind which anything may stand (NNAPI), or that need another one's help (DLA)."""


def in_order(profile: DeviceProfile) -> tuple[TargetProfile, ...]:
    """The targets of a profile, the default first; those alike keep their order."""
    rank = {id(t): _rank(profile, t) for t in profile.targets}
    if profile.kind not in OWN_CHOICE:
        first = {id(t): (not _answers(profile, t), *rank[id(t)][:2]) for t in profile.targets}
        return tuple(sorted(profile.targets, key=lambda t: first[id(t)]))
    if profile.kind == "jetson":
        rank = {
            id(t): (rank[id(t)][0], not _by_tensorrt(t), *rank[id(t)][1:]) for t in profile.targets
        }
    time = {id(t): reference_ms(profile, t) for t in profile.targets}
    unit = {id(t): (*rank[id(t)], t.target.unit) for t in profile.targets}
    best: dict[tuple[object, ...], float] = {}
    for t in profile.targets:
        best[unit[id(t)]] = min(best.get(unit[id(t)], np.inf), time[id(t)])

    def order(t: TargetProfile) -> tuple[float, ...]:
        return (*rank[id(t)], best[unit[id(t)]], time[id(t)])

    return tuple(sorted(profile.targets, key=order))


def _rank(profile: DeviceProfile, target: TargetProfile) -> tuple[bool, ...]:
    """Not measured; not known; never first; few measurements; integers."""
    return (
        target.provenance.measurements == 0,
        _unsure(profile, target) > MOST_UNSURE,
        target.target.unit in NEVER_FIRST,
        target.provenance.measurements < FEWEST,
        target.target.precision in QUANTISED,
    )


def _unsure(profile: DeviceProfile, target: TargetProfile) -> float:
    """High over low end of a target's interval of `KNOWN_NETWORKS`, their geometric mean."""
    rules = fusion_rules(Resolved(profile, target))
    kernels = [_kernels(n, rules) for n in KNOWN_NETWORKS]
    extra = float(np.mean(target.predictor.network_terms(kernels).extra_log))
    return float(np.exp(target.interval.low_log + target.interval.high_log + 2 * extra))


def _answers(profile: DeviceProfile, target: TargetProfile) -> bool:
    """Whether one input of any of `KNOWN_NETWORKS` has an answer.

    Cards that were measured with hundreds of inputs at once may know nothing of a single one.
    """
    name, source = str(target.target), (profile,)
    return not all(perfmodel.predict(n, name, profiles=source).unknown for n in KNOWN_NETWORKS)


def _by_tensorrt(target: TargetProfile) -> bool:
    t = target.target
    return (t.unit, t.framework, t.precision) == ("gpu", "tensorrt", "fp16")


def reference_ms(profile: DeviceProfile, target: TargetProfile) -> float:
    """Geometric mean of a target's times of `KNOWN_NETWORKS`."""
    rules, model = fusion_rules(Resolved(profile, target)), target.predictor
    times = [network_ms(model, _kernels(network, rules)) for network in KNOWN_NETWORKS]
    return float(np.exp(np.mean(np.log(times))))


@cache
def _kernels(network: str, rules: str) -> KernelTable:
    return KernelTable.from_kernels(fuse(perfmodel.load(network), rules))


def ordered(profiles: Sequence[DeviceProfile]) -> list[DeviceProfile]:
    """The profiles with their targets in order."""
    from dataclasses import replace

    return [replace(p, targets=in_order(p)) for p in profiles]
