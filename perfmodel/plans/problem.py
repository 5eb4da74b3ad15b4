"""From profiles to a problem: layer times on each unit, and what it costs to reach it.

Layer times are those of a prediction's kernels: a network in one segment takes what `predict` says.
An operator that a unit cannot run falls back to another within its segment, as delegates and
TensorRT's GPU fall-back do; a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.devices.energy import EnergyRate, energy_rate
from perfmodel.devices.facts import StorageFact, TransferFact
from perfmodel.devices.registry import ProfileFolder, Resolved
from perfmodel.devices.unsupported import unsupported
from perfmodel.errors import PartitionError, TargetError
from perfmodel.graph.ir import Graph
from perfmodel.kernel_times import NetworkBatch, PricedKernels, kernel_times, network_batch
from perfmodel.kernels.kernel import Kernel
from perfmodel.kernels.precisions import stored_precision
from perfmodel.plans.layers import LayerGraph, layer_graph
from perfmodel.plans.units import NO_TRANSFER, UNKNOWN_TRANSFER, SlowStorage, Transfer, Unit
from perfmodel.prediction import predict_priced
from perfmodel.units import MS_PER_S, mbps_to_bytes_per_s
from perfmodel.workload import BYTES_OF_PRECISION, Workload, fusion_rules, kernel_work, workload


@dataclass(frozen=True)
class Link:
    """A network between a device and a server; rates in megabits (1e6 bits) a second.

    Power is that of the device's radio while it sends or receives, `tail_mj` what it draws after
    its last transfer; None where it is not known.
    """

    name: str
    uplink_mbps: float
    downlink_mbps: float
    rtt_ms: float
    uplink_mw: float | None = None
    downlink_mw: float | None = None
    tail_mj: float = 0.0

    @property
    def knows_power(self) -> bool:
        """Whether energies of plans over this link can be told."""
        return self.uplink_mw is not None and self.downlink_mw is not None

    def transfer(self, upward: bool) -> Transfer:
        """Half a round trip a message, and its bytes over the rate; the tail follows the uplink."""
        mbps = self.uplink_mbps if upward else self.downlink_mbps
        bytes_per_ms = mbps_to_bytes_per_s(mbps) / MS_PER_S
        power_mw = (self.uplink_mw if upward else self.downlink_mw) or 0.0
        return Transfer(
            bytes_per_ms=bytes_per_ms,
            mj_per_byte=power_mw / 1e3 / bytes_per_ms,
            start_ms=self.rtt_ms / 2,
            start_mj=self.tail_mj if upward else 0.0,
        )


@dataclass(frozen=True)
class Problem:
    """A network and the units it may run on; `notes` name assumptions and fall-backs.

    `cloud` is the index of the unit at the far end of a link, if there is one.
    """

    layers: LayerGraph
    units: tuple[Unit, ...]
    notes: tuple[str, ...] = ()
    cloud: int | None = None


def resolve_units(
    folder: ProfileFolder, target: str, units: Sequence[str], stored: str = ""
) -> list[Resolved]:
    """`target` and further units of its device ("cpu", "dla") or full targets, none twice.

    `stored` is the precision of the network's weights (see `ProfileFolder.resolve`). Raises
    `PartitionError` for a unit that the device's profile lacks.
    """
    found = [folder.resolve(target, stored)]
    first = found[0]
    have = sorted({t.target.unit for t in first.device.targets})
    for name in units:
        if "/" not in name and name == first.target.target.unit:
            continue
        try:
            full = name if "/" in name else f"{first.device.device}/{name}"
            other = folder.resolve(full, stored)
        except TargetError as error:
            hint = f"it has: {', '.join(have)}" if "/" not in name else error.hint
            raise PartitionError(f"{first.device.device} has no unit {name!r}", hint) from None
        if other.device.device != first.device.device:
            raise PartitionError(
                f"{name} is not on {first.device.device}", "add it with --server and --link"
            )
        if str(other.target.target) not in [str(f.target.target) for f in found]:
            found.append(other)
    return found


def home_unit(units: Sequence[str]) -> str:
    """Where input and output live: the CPU, or the GPU of a device that pairs it with a DLA."""
    return "gpu" if "dla" in units and "cpu" not in units else "cpu"


def problem(
    graph: Graph,
    resolved: Sequence[Resolved],
    *,
    home: str = "cpu",
    server: Resolved | None = None,
    link: Link | None = None,
    folder: ProfileFolder | None = None,
    allow_uncovered: bool = False,
) -> Problem:
    """Layer times of `graph` on each target, and what it costs to reach it from the home unit.

    The first target's fusion defines the layers. Raises `UncoveredOpError` for operators without a
    cost unless `allow_uncovered` (a note then names them), `PartitionError` for a server without a
    link. A transfer that nobody measured makes no plan move anything that way, and a note says so.
    """
    if server is not None and link is None:
        raise PartitionError("a server needs a link", "add --link, for example --link lte")
    if link is not None and server is None:
        raise PartitionError("a link needs a server", "add --server TARGET")
    asked = [*resolved, *([server] if server is not None else [])]
    works = {
        rules: workload(graph, rules, allow_uncovered=allow_uncovered)
        for rules in dict.fromkeys(map(fusion_rules, asked))
    }
    work = works[fusion_rules(resolved[0])]
    layers = layer_graph(graph, work.kernels)
    folder = folder or ProfileFolder()
    notes = [f"not in the time: {name}" for name in work.uncovered_ops]
    for one in resolved:
        reasons = filter(None, (one.precision_reason, one.stands_for))
        notes += [f"{one.target.target}: {reason}" for reason in reasons]
    there = _Around(layers, works, folder, home, notes)
    units = [_unit(there, one) for one in resolved]
    if server is not None and link is not None:
        remote = _unit(replace(there, home=server.target.target.unit), server)
        inward, outward = link.transfer(upward=True), link.transfer(upward=False)
        # energies are the device's: a server's do not count, the radio's do
        energy = np.zeros(len(layers)) if link.knows_power else None
        remote = replace(remote, name="cloud", inward=inward, outward=outward, moves_ends=True)
        units.append(replace(remote, layer_mj=energy))
    cloud = len(units) - 1 if server is not None else None
    return Problem(layers, tuple(units), tuple(dict.fromkeys(notes)), cloud)


@dataclass(frozen=True)
class _Around:
    """What all units of a problem share; `works` is the network by fusion rules."""

    layers: LayerGraph
    works: Mapping[str, Workload]
    folder: ProfileFolder
    home: str
    notes: list[str]


def _unit(around: _Around, resolved: Resolved) -> Unit:
    target, traits = resolved.target.target, resolved.device.traits
    work = around.works[fusion_rules(resolved)]
    batch = network_batch([work])
    found = kernel_times(batch, resolved)
    low, high = _interval(batch, resolved, found)
    around.notes.extend(_fallback_notes(around.layers, resolved, found))
    owner = _owners(around.layers, work.kernels)
    each = found.parts_ms.sum(axis=1)[found.row]
    times = _by_layer(around.layers, owner, each)
    rate = energy_rate(resolved)
    inward, outward = NO_TRANSFER, NO_TRANSFER
    if target.unit != around.home:
        inward = _transfer(resolved, around.home, target.unit, around)
        outward = _transfer(resolved, target.unit, around.home, around)
    return Unit(
        name=target.unit,
        target=str(target),
        layer_ms=times,
        layer_mj=None if rate is None else _layer_mj(around.layers, work, owner, resolved, rate),
        active_mw=0.0 if rate is None else rate.active_mw,
        most_mw=float("inf") if rate is None else rate.most_mw,
        energy_note="" if rate is None else f"energy on {target}: {rate.described}",
        memory_scale=BYTES_OF_PRECISION[target.precision]
        / BYTES_OF_PRECISION[stored_precision(around.layers.graph)],
        dispatch_ms=resolved.target.predictor.overhead_ms,
        cut_ms=next((d.fixed_ms for d in traits.dispatch if d.unit == target.unit), 0.0),
        inward=inward,
        outward=outward,
        storage=_storage(around.layers, owner, found, each, traits.storage_of(target.unit)),
        low=low,
        high=high,
    )


def _interval(batch: NetworkBatch, resolved: Resolved, times: PricedKernels) -> tuple[float, float]:
    """Ends of the prediction interval as shares of the time, of what the unit can run."""
    can = np.where(np.isfinite(times.parts_ms), times.parts_ms, 0.0)
    answer = predict_priced(batch, resolved, replace(times, parts_ms=can))
    latency = float(answer.latency_ms[0])
    if not latency > 0:
        return 1.0, 1.0
    return float(answer.low_ms[0]) / latency, float(answer.high_ms[0]) / latency


def _storage(
    layers: LayerGraph,
    owner: Sequence[int],
    times: PricedKernels,
    each_ms: np.ndarray,
    fact: StorageFact | None,
) -> SlowStorage | None:
    """What slow storage does to the layers; `owner` and `each_ms` are of kernels."""
    if fact is None:
        return None
    weights = times.weight_bytes[times.row]
    return SlowStorage(
        heavy=_by_layer(layers, owner, fact.is_heavy(weights)) > 0,
        extra_ms=_by_layer(layers, owner, each_ms * (fact.slowdowns(weights) - 1.0)),
    )


def _layer_mj(
    layers: LayerGraph, work: Workload, owner: Sequence[int], resolved: Resolved, rate: EnergyRate
) -> np.ndarray:
    """Energy of the work of each layer, beside what the unit draws while it is busy."""
    work_of_each = kernel_work(work, resolved.target.target.precision)
    return _by_layer(layers, owner, rate.work_mj(work_of_each))


def _fallback_notes(layers: LayerGraph, resolved: Resolved, times: PricedKernels) -> list[str]:
    """What a target's unit cannot run and where it runs instead."""
    target, fallback = resolved.target.target, times.fallback
    if fallback is None:
        refused = sorted(unsupported(layers.graph, target.framework, target.unit))
        if not refused:
            return []
        names = ", ".join(refused[:4]) + (" ..." if len(refused) > 4 else "")
        return [
            f"{target} cannot run {names}: they fall back to the CPU, in its time as far as the "
            "networks it was fitted to have them"
        ]
    if fallback.stand_in is None:
        return [f"{target} cannot run {fallback.problem}"]
    extra, moving = times.parts_ms[fallback.kernels].sum(), fallback.moving_ms.sum()
    names = ", ".join(fallback.names[:4]) + (" ..." if len(fallback.names) > 4 else "")
    return [
        f"{target} cannot run {names}: they fall back to {fallback.stand_in.target.target}, "
        f"{extra:.3g} ms with {moving:.3g} ms of moving"
    ]


def _owners(layers: LayerGraph, kernels: Sequence[Kernel]) -> list[int]:
    """The layer of each kernel: the one that holds its first operator."""
    index_of = {op.name: i for i, op in enumerate(layers.graph.ops)}
    layer_of = {op: n for n, layer in enumerate(layers.layers) for op in layer.ops}
    return [layer_of[index_of[k.fused[0]]] for k in kernels]


def _by_layer(layers: LayerGraph, owner: Sequence[int], values: np.ndarray) -> np.ndarray:
    if not owner:
        return np.zeros(len(layers))
    return np.bincount(owner, weights=values, minlength=len(layers))


def times_by_layer(layers: LayerGraph, kernels: Sequence[Kernel], times: np.ndarray) -> np.ndarray:
    """Sum of kernel times by the layer that holds the kernel's first operator."""
    return _by_layer(layers, _owners(layers, kernels), times)


def _transfer(resolved: Resolved, a: str, b: str, around: _Around) -> Transfer:
    device = resolved.device
    fact = device.traits.transfer(a, b)
    if fact is None:
        fact = typical_transfer(around.folder, a, b)
        if fact is None:
            around.notes.append(
                f"{device.device}: what it costs to move a tensor from {a} to {b} is not known, so "
                "no plan does; add a transfer to its profile (traits.transfers)"
            )
            return UNKNOWN_TRANSFER
        around.notes.append(f"{device.device} has no measured {a} to {b} transfer: {fact.source}")
    return Transfer(fact.fixed_ms, fact.bytes_per_ms)


def typical_transfer(folder: ProfileFolder, a: str, b: str) -> TransferFact | None:
    """The median of the devices whose profiles have measured this transfer."""
    known = [
        fact
        for profile in folder.profiles()
        if (fact := profile.traits.transfer(a, b)) is not None and fact.measurements
    ]
    if not known:
        return None
    return TransferFact(
        a,
        b,
        float(np.median([f.fixed_ms for f in known])),
        float(np.median([f.bytes_per_ms for f in known])),
        f"median of {len(known)} measured devices",
    )
