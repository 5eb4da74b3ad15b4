"""From names to numbers: models and targets to times, links to rates, trace files to samples.

The only module of the simulation that asks the floors below for a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ScenarioError, nearest_hint
from perfmodel.sim.distributions import constant
from perfmodel.sim.scenario import OnDevice, OnServer, Scenario, Task, TaskWorkload
from perfmodel.sim.schema import read_table
from perfmodel.sim.tables import DeviceSpec, LinkSpec, Radio, RateSpec
from perfmodel.sim.toml import read_toml
from perfmodel.sim.traces import read_arrivals, read_trace
from perfmodel.units import MB, MS_PER_S

if TYPE_CHECKING:
    from perfmodel.graph.ir import Graph
    from perfmodel.prediction import Prediction

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Batches of a model that are predicted; times of those between are linear."""

BYTES_PER_FP32 = 4
MACS_PER_GMAC = 1e9


def resolve(scenario: Scenario, folder: Path) -> Scenario:
    """Return the scenario with numbers only; files are looked for relative to `folder`."""
    batching = scenario.server.batching if scenario.server else None
    most = batching.max_size if batching else 1
    predicted = [_predicted_on_device(task.on_device, folder) for task in scenario.task]
    return replace(
        scenario,
        device=_device(scenario, predicted),
        task=tuple(
            _task(task, answer, most, folder)
            for task, answer in zip(scenario.task, predicted, strict=True)
        ),
        link=_link(scenario.link, folder) if scenario.link else None,
    )


@dataclass(frozen=True)
class _Predicted:
    """A network and what is predicted of it."""

    graph: Graph
    answer: Prediction


def _task(task: Task, predicted: _Predicted | None, most: int, folder: Path) -> Task:
    return replace(
        task,
        workload=_workload(task.workload, folder),
        on_device=_on_device(task.on_device, predicted, folder) if task.on_device else None,
        on_server=_on_server(task.on_server, most, folder) if task.on_server else None,
    )


def _predicted_on_device(plan: OnDevice | None, folder: Path) -> _Predicted | None:
    """What is predicted of a task's network on the phone; None where its time is given."""
    if plan is None or plan.model is None or plan.compute_ms is not None:
        return None
    if plan.gmacs_per_s is not None:
        return None
    target = _target(plan.model, plan.target, "task.on_device")
    graph = _graph(plan.model, folder)
    return _Predicted(graph, _predict(graph, target))


def _device(scenario: Scenario, predicted: Sequence[_Predicted | None]) -> DeviceSpec:
    """The phone, its units with the power that the predicted networks draw where none is given.

    A unit that several networks share keeps its power open unless all draw the same.
    """
    found: dict[str, set[float | None]] = {}
    for task, network in zip(scenario.task, predicted, strict=True):
        if task.on_device is not None:
            power = None if network is None else _mean_mw(network.answer)
            found.setdefault(task.on_device.unit, set()).add(power)
    device = scenario.device
    for unit, powers in found.items():
        spec, power = getattr(device, unit), next(iter(powers))
        if spec.active_mw is None and len(powers) == 1 and power is not None:
            device = replace(device, **{unit: replace(spec, active_mw=power)})
    return device


def _mean_mw(answer: Prediction) -> float | None:
    """Power whose product with the predicted latency is the predicted energy."""
    return None if answer.energy is None else 1e3 * answer.energy.mj / answer.latency_ms


def _workload(spec: TaskWorkload, folder: Path) -> TaskWorkload:
    if spec.kind != "trace" or spec.file is None:
        return spec
    return replace(spec, times_s=read_arrivals(folder / spec.file), file=None)


def _link(link: LinkSpec, folder: Path) -> LinkSpec:
    resolved = resolve_link(link)
    assert resolved.uplink is not None
    assert resolved.downlink is not None
    return replace(
        resolved,
        uplink=_rate(resolved.uplink, "uplink_mbps", folder),
        downlink=_rate(resolved.downlink, "downlink_mbps", folder),
    )


def _rate(rate: RateSpec, column: str, folder: Path) -> RateSpec:
    if rate.file is None:
        return rate
    trace = read_trace(folder / rate.file, rate.column or column)
    return replace(rate, times_s=trace.times_s, trace_mbps=trace.mbps, file=None)


def _on_device(plan: OnDevice, predicted: _Predicted | None, folder: Path) -> OnDevice:
    if plan.compute_ms is None and plan.gmacs_per_s is not None:
        plan = replace(plan, compute_ms=constant(_rated_ms(plan, "task.on_device", folder)))
        if plan.weights_mb is None and plan.model is not None:
            plan = replace(plan, weights_mb=_weights_mb(plan.model, folder))
    if predicted is not None:
        answer = predicted.answer
        plan = replace(plan, compute_ms=constant(answer.latency_ms))
        if plan.weights_mb is None:
            plan = replace(plan, weights_mb=answer.weights_bytes / MB)
        if plan.memory_mb is None:
            plan = replace(plan, memory_mb=_memory_mb(answer, predicted.graph))
    if plan.load_ms is None and plan.load_ms_per_mb is not None:
        if plan.weights_mb is None:
            raise ScenarioError("[task.on_device] load_ms_per_mb needs weights_mb or model")
        plan = replace(plan, load_ms=constant(plan.load_ms_per_mb * plan.weights_mb))
    return plan


def _memory_mb(prediction: Prediction, graph: Graph) -> float:
    """Weights and activations at the precision of the target, in MB."""
    from perfmodel.kernels.precisions import stored_precision
    from perfmodel.target import parse_target
    from perfmodel.workload import BYTES_OF_PRECISION

    held = prediction.weights_bytes + prediction.peak_activation_bytes
    computed = BYTES_OF_PRECISION[parse_target(prediction.target).precision]
    return float(held * computed / BYTES_OF_PRECISION[stored_precision(graph)] / MB)


def _on_server(plan: OnServer, most: int, folder: Path) -> OnServer:
    if plan.compute_ms is not None or plan.batch_ms is not None:
        return plan
    if plan.gmacs_per_s is not None:
        return replace(plan, compute_ms=constant(_rated_ms(plan, "task.on_server", folder)))
    if plan.model is None:
        return plan
    sizes = [size for size in BATCH_SIZES if size < most] + [most]
    target = _target(plan.model, plan.target, "task.on_server")
    graph = _graph(plan.model, folder)
    times = [_predict(graph, target, size).latency_ms for size in sizes]
    if most == 1:
        return replace(plan, compute_ms=constant(times[0]))
    return replace(plan, batch_sizes=tuple(map(float, sizes)), batch_ms=tuple(times))


def _rated_ms(plan: OnDevice | OnServer, table: str, folder: Path) -> float:
    """Return work over effective rate, in ms; the work is counted from the graph if not given."""
    assert plan.gmacs_per_s is not None
    gmacs = plan.gmacs
    if gmacs is None:
        if plan.model is None:
            raise ScenarioError(f"[{table}] gmacs_per_s needs gmacs or model")
        from perfmodel.kernels import macs

        gmacs = macs(_graph(plan.model, folder)) / MACS_PER_GMAC
    return MS_PER_S * gmacs / plan.gmacs_per_s


def _weights_mb(model: str, folder: Path) -> float:
    """Return the size of the weights as fp32, in MB."""
    from perfmodel.kernels import params

    return BYTES_PER_FP32 * params(_graph(model, folder)) / MB


def _graph(model: str, folder: Path) -> Graph:
    from perfmodel.formats.load import load, named_from

    return load(named_from(model, folder))


def _target(model: str, target: str | None, table: str) -> str:
    if target is None:
        raise ScenarioError(
            f"[{table}] model {model!r} needs a target", "give target, gmacs_per_s or compute_ms"
        )
    return target


def _predict(graph: Graph, target: str, batch_size: int = 1) -> Prediction:
    import perfmodel

    return perfmodel.predict(graph, target, batch_size=batch_size)


CALLED = {"4g": "lte", "wi-fi": "wifi", "wlan": "wifi"}
"""Links by other words that people use."""


@lru_cache(maxsize=1)
def link_table() -> Mapping[str, Mapping[str, Any]]:
    """Return the named links as written, with their sources."""
    return read_toml(Path(__file__).with_name("links.toml"))


def named_link(name: str) -> LinkSpec:
    """Return a typical link by name; raises ScenarioError with the names that it may mean."""
    table = link_table()
    name = CALLED.get(name.lower(), name)
    if name not in table:
        meant = [known for known in table if known.startswith(f"{name.lower()}-")]
        hint = f"say which: {', '.join(meant)}" if meant else nearest_hint(name, sorted(table))
        raise ScenarioError(f"unknown link {name!r}", hint)
    entry = table[name]
    radio = {key: value for key, value in entry.get("radio", {}).items() if key != "source"}
    return LinkSpec(
        uplink_mbps=entry["uplink_mbps"],
        downlink_mbps=entry["downlink_mbps"],
        rtt_ms=entry["rtt_ms"],
        radio=read_table(Radio, radio) if radio else None,
    )


def resolve_link(link: LinkSpec) -> LinkSpec:
    """Return the link with both directions as rates; what it leaves out comes from its name."""
    base = named_link(link.name) if link.name else LinkSpec()
    resolved = replace(
        link,
        uplink=link.uplink or _constant(link.uplink_mbps or base.uplink_mbps, "uplink"),
        downlink=link.downlink or _constant(link.downlink_mbps or base.downlink_mbps, "downlink"),
        uplink_mbps=None,
        downlink_mbps=None,
        rtt_ms=link.rtt_ms if link.rtt_ms is not None else base.rtt_ms,
        radio=link.radio or base.radio,
    )
    if resolved.rtt_ms is None:
        raise ScenarioError("[link] rtt_ms is missing", "give rtt_ms, or the name of a link")
    return resolved


def _constant(mbps: float | None, direction: str) -> RateSpec:
    if mbps is None:
        raise ScenarioError(
            f"[link] {direction}_mbps is missing",
            f"give {direction}_mbps, a table [link.{direction}], or the name of a link",
        )
    return RateSpec(mbps=mbps)
