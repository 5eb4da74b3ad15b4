"""The order of a device's targets: first the one that its owner would choose.

A target that is measured comes before one from a data sheet, a float one before an integer one (a
quantised network looks for the first integer one), one that answers for more of the networks that
most people know before one that answers for fewer. Of those the fastest on these networks leads,
with the others of its unit behind it. A Jetson's owner takes its GPU by TensorRT in half precision,
however little is known of it if it is measured, and where a board with the same kind of chip was if
that tells of one of the networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

import perfmodel
from perfmodel.devices.profile import DeviceProfile, TargetProfile
from perfmodel.target import QUANTISED

KNOWN_NETWORKS = ("mobilenet_v2", "resnet50")
"""Networks by which the units of a device are compared: a light and a heavy one."""

CARD_NETWORKS = (*KNOWN_NETWORKS, "bert_large")
"""Those of desktops and servers, whose owners run transformers too."""

FEWEST = 3
"""Measurements from which on a target may lead: fewer tell a scale and no more."""

OWN_CHOICE = ("phone", "laptop", "board", "jetson")
"""Kinds of devices whose owner chooses between units. On desktops and servers floats lead, of these
what answers for more of `CARD_NETWORKS`, then what is not `FOR_PHONES`, then what was measured;
else they keep their order: a card that somebody measured with ncnn answers by PyTorch, as cards
like it do."""

FOR_PHONES = ("ncnn", "mnn", "tnn")
"""Frameworks that hardly anybody runs on the GPU of a desktop or server."""

NEVER_FIRST = ("nnapi", "dla")
"""Units behind which anything may stand (NNAPI), or that need another one's help (DLA)."""


@dataclass(frozen=True, kw_only=True)
class DefaultSaid:
    """What a target says of networks: the geometric mean of their times, and of how many its
    interval is too wide to be an answer."""

    latency_ms: float
    unknown: int


def said_of(profile: DeviceProfile) -> Mapping[int, DefaultSaid]:
    """What each target of a profile says, by its `id`; a network that it cannot run is no answer.

    Asked are `KNOWN_NETWORKS`, of desktops and servers `CARD_NETWORKS`. A target measured with
    hundreds of inputs at once may know nothing of one, and one of few networks nothing of those
    that are unlike them.
    """
    networks = KNOWN_NETWORKS if profile.kind in OWN_CHOICE else CARD_NETWORKS
    queries = [(n, str(t.target), None) for t in profile.targets for n in networks]
    said = list(perfmodel.predict_many(queries, profiles=(profile,)))
    found, count = {}, len(networks)
    for place, target in enumerate(profile.targets):
        mine = said[place * count : (place + 1) * count]
        times = [np.inf if isinstance(a, Exception) else a.latency_ms for a in mine]
        unknown = sum(isinstance(a, Exception) or bool(a.unknown) for a in mine)
        mean_ms = float(np.exp(np.mean(np.log(times))))
        found[id(target)] = DefaultSaid(latency_ms=mean_ms, unknown=unknown)
    return found


def in_order(profile: DeviceProfile) -> tuple[TargetProfile, ...]:
    """The targets of a profile, the default first; those alike keep their order."""
    said = said_of(profile)
    rank = {id(t): _rank(t, said[id(t)]) for t in profile.targets}
    if profile.kind not in OWN_CHOICE:

        def as_cards_do(t: TargetProfile) -> tuple[int, ...]:
            unmeasured, quantised, unknown, *_ = rank[id(t)]
            foreign = t.target.unit == "gpu" and t.target.framework in FOR_PHONES
            return unknown == len(CARD_NETWORKS), quantised, unknown, foreign, unmeasured

        return tuple(sorted(profile.targets, key=as_cards_do))
    if profile.kind == "jetson":
        rank = {id(t): (not _leads(t, said[id(t)]), *rank[id(t)]) for t in profile.targets}
    unit = {id(t): (*rank[id(t)], t.target.unit) for t in profile.targets}
    best: dict[tuple[object, ...], float] = {}
    for t in profile.targets:
        best[unit[id(t)]] = min(best.get(unit[id(t)], np.inf), said[id(t)].latency_ms)

    def order(t: TargetProfile) -> tuple[float, ...]:
        return (*rank[id(t)], best[unit[id(t)]], said[id(t)].latency_ms)

    return tuple(sorted(profile.targets, key=order))


def _rank(target: TargetProfile, said: DefaultSaid) -> tuple[int, ...]:
    """Not measured; integers; networks without an answer; never first; few measurements."""
    return (
        target.provenance.measurements == 0,
        target.target.precision in QUANTISED,
        said.unknown,
        target.target.unit in NEVER_FIRST,
        target.provenance.measurements < FEWEST,
    )


def _leads(target: TargetProfile, said: DefaultSaid) -> bool:
    """Whether a Jetson's target is TensorRT in half precision and says anything."""
    t, tells = target.target, said.unknown < len(KNOWN_NETWORKS)
    tensorrt = (t.unit, t.framework, t.precision) == ("gpu", "tensorrt", "fp16")
    return tensorrt and (tells or target.provenance.measurements > 0)


def ordered(profiles: Sequence[DeviceProfile]) -> list[DeviceProfile]:
    """The profiles with their targets in order."""
    return [replace(p, targets=in_order(p)) for p in profiles]
