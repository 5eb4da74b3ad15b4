"""From profiles to a problem: layer times on each unit, and what it costs to reach it.

An operator that a unit cannot run falls back to the home unit within its segment, as delegates and
TensorRT's GPU fall-back do; a note says what that costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.devices.facts import TransferFact
from perfmodel.devices.registry import ProfileFolder, Resolved
from perfmodel.errors import PartitionError, TargetError
from perfmodel.graph.ir import Graph
from perfmodel.kernels.kernel import Kernel
from perfmodel.plans.layers import LayerGraph, layer_graph
from perfmodel.plans.units import NO_TRANSFER, CoResidency, Transfer, Unit
from perfmodel.plans.unsupported import unsupported
from perfmodel.prediction import fusion_rules, workload


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
        bytes_per_ms = mbps * 1e6 / 8 / 1e3
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


def resolve_units(folder: ProfileFolder, target: str, units: Sequence[str]) -> list[Resolved]:
    """`target` and further units of its device ("cpu", "dla") or full targets, none twice.

    Raises `PartitionError` for a unit that the device's profile lacks.
    """
    found = [folder.resolve(target)]
    first = found[0]
    have = sorted({t.target.unit for t in first.device.targets})
    for name in units:
        if "/" not in name and name == first.target.target.unit:
            continue
        try:
            other = folder.resolve(name if "/" in name else f"{first.device.device}/{name}")
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
) -> Problem:
    """Layer times of `graph` on each target, and what it costs to reach it from the home unit.

    The first target's fusion defines the layers. Raises `UncoveredOpError` for operators without a
    cost, `PartitionError` for a server without a link or a device without a transfer model.
    """
    if server is not None and link is None:
        raise PartitionError("a server needs a link", "add --link, for example --link lte")
    if link is not None and server is None:
        raise PartitionError("a link needs a server", "add --server TARGET")
    layers = layer_graph(graph, workload(graph, fusion_rules(resolved[0])).kernels)
    folder = folder or ProfileFolder()
    notes: list[str] = []
    units = []
    for one in resolved:
        unit = _unit(layers, one, home, folder, notes)
        units.append(_with_fallback(layers, unit, one, home, folder, notes))
    if server is not None and link is not None:
        remote = _unit(layers, server, server.target.target.unit, folder, notes)
        inward, outward = link.transfer(upward=True), link.transfer(upward=False)
        # energies are the device's: a server's do not count, the radio's do
        energy = np.zeros(len(layers)) if link.knows_power else None
        remote = replace(remote, name="cloud", inward=inward, outward=outward, layer_mj=energy)
        units.append(remote)
    cloud = len(units) - 1 if server is not None else None
    return Problem(layers, tuple(units), tuple(dict.fromkeys(notes)), cloud)


def _unit(
    layers: LayerGraph, resolved: Resolved, home: str, folder: ProfileFolder, notes: list[str]
) -> Unit:
    target, traits = resolved.target.target, resolved.device.traits
    dispatch = next((d.fixed_ms for d in traits.dispatch if d.unit == target.unit), 0.0)
    power = next((p.active_mw for p in traits.power if p.unit == target.unit), None)
    storage = next((s for s in traits.storage if s.unit == target.unit), None)
    times = layer_times(layers, resolved)
    inward, outward = NO_TRANSFER, NO_TRANSFER
    if target.unit != home:
        inward = _transfer(resolved, home, target.unit, folder, notes)
        outward = _transfer(resolved, target.unit, home, folder, notes)
    return Unit(
        target.unit,
        str(target),
        times,
        None if power is None else times * power / 1e3,
        dispatch + resolved.target.predictor.overhead_ms,
        inward=inward,
        outward=outward,
        co_residency=CoResidency(storage.weight_limit_bytes, storage.slowdown) if storage else None,
    )


def _with_fallback(
    layers: LayerGraph,
    unit: Unit,
    resolved: Resolved,
    home: str,
    folder: ProfileFolder,
    notes: list[str],
) -> Unit:
    """The unit with its unsupported layers run on the home unit, tensors moved there and back."""
    target = resolved.target.target
    refused = unsupported(layers.graph, target.framework, target.unit)
    blocked = [
        i
        for i, layer in enumerate(layers.layers)
        if any(layers.graph.ops[o].name in refused for o in layer.ops)
    ]
    if not blocked:
        return unit
    names = ", ".join(layers.layers[i].name for i in blocked[:4])
    names += " ..." if len(blocked) > 4 else ""
    times = unit.layer_ms.copy()
    try:
        stand_in = folder.resolve(f"{resolved.device.device}/{home}/{target.framework}")
    except TargetError:
        try:
            stand_in = folder.resolve(f"{resolved.device.device}/{home}")
        except TargetError:
            times[blocked] = np.inf
            notes.append(
                f"{unit.target} cannot run {names}, and the profile has no {home} to fall back to"
            )
            return replace(unit, layer_ms=times)
    there = layer_times(layers, stand_in)
    for i in blocked:
        times[i] = there[i] + _moving_ms(layers, unit, i)
    extra = float(times[blocked].sum())
    notes.append(
        f"{unit.target} cannot run {names}: they fall back to {stand_in.target.target}, "
        f"{extra:.3g} ms with {float(extra - there[blocked].sum()):.3g} ms of moving"
    )
    return replace(unit, layer_ms=times)


def _moving_ms(layers: LayerGraph, unit: Unit, layer: int) -> float:
    """Moving what one layer reads to the home unit and what it makes back."""
    total = 0.0
    for crossing in layers.crossings:
        if layer in crossing.readers:
            total += float(unit.outward.latency_ms(1, crossing.size_bytes))
        if crossing.maker == layer and crossing.readers[0] < len(layers):
            total += float(unit.inward.latency_ms(1, crossing.size_bytes))
    return total


def layer_times(layers: LayerGraph, resolved: Resolved) -> np.ndarray:
    """Milliseconds of each layer on a target, shape (layers,), by the target's own fusion."""
    work = workload(layers.graph, fusion_rules(resolved))
    times = resolved.target.predictor.parts_ms(work.table).sum(axis=1)
    return times_by_layer(layers, work.kernels, times)


def times_by_layer(layers: LayerGraph, kernels: Sequence[Kernel], times: np.ndarray) -> np.ndarray:
    """Sum of kernel times by the layer that holds the kernel's first operator."""
    index_of = {op.name: i for i, op in enumerate(layers.graph.ops)}
    layer_of = {op: n for n, layer in enumerate(layers.layers) for op in layer.ops}
    owner = [layer_of[index_of[k.fused[0]]] for k in kernels]
    if not owner:
        return np.zeros(len(layers))
    return np.bincount(owner, weights=times, minlength=len(layers))


def _transfer(
    resolved: Resolved, a: str, b: str, folder: ProfileFolder, notes: list[str]
) -> Transfer:
    device = resolved.device
    fact = device.traits.transfer(a, b)
    if fact is None:
        fact = typical_transfer(folder, a, b)
        if fact is None:
            raise PartitionError(
                f"{device.device}: what it costs to move a tensor from {a} to {b} is not known",
                "add a transfer to the device's profile (traits.transfers)",
            )
        notes.append(f"{device.device} has no measured {a} to {b} transfer: {fact.source}")
    return Transfer(fact.fixed_ms, fact.bytes_per_ms)


def typical_transfer(folder: ProfileFolder, a: str, b: str) -> TransferFact | None:
    """The median of the devices whose profiles have measured this transfer."""
    known = [
        fact
        for name in folder.paths()
        if (fact := folder.device(name).traits.transfer(a, b)) is not None and fact.measurements
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
