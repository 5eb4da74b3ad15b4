"""The plans of a task: which steps an inference takes, where, and how long each takes alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from perfmodel.errors import ScenarioError
from perfmodel.sim.distributions import Distribution, constant
from perfmodel.sim.policy import CLOUD, DEVICE, split_plan
from perfmodel.sim.rates import BITS_PER_MS_PER_MBPS
from perfmodel.sim.scenario import OnServer, Scenario, Task
from perfmodel.sim.tables import LinkSpec


@dataclass(frozen=True)
class PlanStep:
    """One step: `step` is its name in records, `where` a unit, memory, heap, uplink, downlink or
    server; `law` is in ms, or in bytes on the links."""

    step: str
    where: str
    law: Distribution
    batch_sizes: tuple[float, ...] = ()
    batch_ms: tuple[float, ...] = ()


@dataclass(frozen=True)
class TaskPlan:
    """A named way to run one inference."""

    name: str
    steps: tuple[PlanStep, ...]

    def mean_ms(self, where: str) -> float:
        """Return the mean work (ms) of one request at a place."""
        return sum(step.law.mean for step in self.steps if step.where == where)


def plans_of(task: Task, scenario: Scenario) -> tuple[TaskPlan, ...]:
    """Return every plan the task describes: device, cloud and one per split."""
    plans = []
    if task.on_device is not None:
        plans.append(TaskPlan(DEVICE, _device_steps(task, scenario)))
    if task.on_server is not None and scenario.server is not None:
        plans.append(TaskPlan(CLOUD, _cloud_steps(task.on_server, scenario)))
    for cut in task.split:
        head = (PlanStep("compute", cut.unit, cut.head_ms),)
        server = (PlanStep("compute", "server", cut.tail_ms),)
        up = _link_steps("upload", "uplink", cut.upload_bytes, scenario)
        down = _link_steps("download", "downlink", cut.download_bytes, scenario)
        first = _optional("preprocess", "cpu", cut.preprocess_ms)
        plans.append(TaskPlan(split_plan(cut.after), first + head + up + server + down))
    return tuple(plans)


def _optional(step: str, where: str, law: Distribution) -> tuple[PlanStep, ...]:
    return (PlanStep(step, where, law),) if law.mean > 0 else ()


def _link_steps(
    step: str, where: str, size_bytes: Distribution, scenario: Scenario
) -> tuple[PlanStep, ...]:
    if scenario.link is None:
        if size_bytes.mean > 0:
            raise ScenarioError(f"task has {step}_bytes but the scenario no [link]", "add [link]")
        return ()
    return (PlanStep(step, where, size_bytes),)


def _device_steps(task: Task, scenario: Scenario) -> tuple[PlanStep, ...]:
    plan = task.on_device
    assert plan is not None
    if plan.compute_ms is None:
        raise ScenarioError(f"task {task.name!r}: on_device needs compute_ms, or model and target")
    memory = scenario.device.memory
    may_load = (
        not plan.resident or memory.background_every_s is not None or memory.capacity_mb is not None
    )
    if may_load and plan.load_ms is None:
        raise ScenarioError(
            f"task {task.name!r}: on_device.load_ms is missing, but the model may need loading",
            "give load_ms, or load_ms_per_mb with weights_mb",
        )
    load = (PlanStep("load", "memory", plan.load_ms),) if may_load and plan.load_ms else ()
    pauses = memory.gc_pause_ms if plan.allocates_mb > 0 else None
    pause = (PlanStep("pause", "heap", pauses),) if pauses else ()
    first = _optional("preprocess", "cpu", plan.preprocess_ms)
    return load + first + pause + (PlanStep("compute", plan.unit, plan.compute_ms),)


def _cloud_steps(plan: OnServer, scenario: Scenario) -> tuple[PlanStep, ...]:
    first = _optional("preprocess", "cpu", plan.preprocess_ms)
    up = _link_steps("upload", "uplink", plan.upload_bytes, scenario)
    down = _link_steps("download", "downlink", plan.download_bytes, scenario)
    return first + up + (_server_step(plan, scenario),) + down


def _server_step(plan: OnServer, scenario: Scenario) -> PlanStep:
    assert scenario.server is not None
    batching = scenario.server.batching
    most = batching.max_size if batching else 1
    if plan.batch_sizes and plan.batch_ms:
        if plan.batch_sizes[0] != 1 or plan.batch_sizes[-1] < most:
            raise ScenarioError(
                f"batch_sizes must go from 1 to at least server.batching.max_size = {most}"
            )
        return PlanStep(
            "compute", "server", constant(plan.batch_ms[0]), plan.batch_sizes, plan.batch_ms
        )
    if plan.compute_ms is None:
        raise ScenarioError("on_server needs compute_ms, batch_sizes with batch_ms, or model")
    if most > 1:
        raise ScenarioError(
            "server.batching needs the time of every batch size, compute_ms is for one request",
            "give on_server.batch_sizes and on_server.batch_ms",
        )
    return PlanStep("compute", "server", plan.compute_ms)


def mean_mbps(link: LinkSpec, upload: bool) -> float:
    """Return the long-run mean bandwidth of one direction; the link must be resolved."""
    rate = link.uplink if upload else link.downlink
    assert rate is not None, "resolve the scenario first"
    if rate.trace_mbps and rate.times_s:
        steps = [b - a for a, b in pairwise(rate.times_s)]
        steps.append(sorted(steps)[len(steps) // 2] if steps else 1.0)
        bits = sum(m * s for m, s in zip(rate.trace_mbps, steps, strict=True))
        return bits / sum(steps) * rate.scale
    if rate.states_mbps and rate.dwell_s:
        bits = sum(m * d for m, d in zip(rate.states_mbps, rate.dwell_s, strict=True))
        return bits / sum(rate.dwell_s)
    assert rate.mbps is not None
    return rate.mbps


def transfer_ms(link: LinkSpec, step: PlanStep, mbps: float | None = None) -> float:
    """Return the mean time (ms) of an uncontended transfer, without waking the radio or loss."""
    upload = step.where == "uplink"
    rate = mbps if mbps is not None else mean_mbps(link, upload)
    handshake_ms = link.handshake_round_trips * (link.rtt_ms or 0.0) if upload else 0.0
    bits_ms = 8.0 * step.law.mean / (rate * BITS_PER_MS_PER_MBPS)
    return handshake_ms + bits_ms + (link.rtt_ms or 0.0) / 2 + link.jitter_ms.mean


def uncontended_ms(plan: TaskPlan, scenario: Scenario, uplink_mbps: float | None = None) -> float:
    """Return the plan's own sum: the mean time of a request that never waits, model resident.

    Exact for constant times and rates; the simulation of a single request gives the same number.
    """
    total_ms = 0.0
    for step in plan.steps:
        if step.where in ("uplink", "downlink"):
            assert scenario.link is not None
            seen = uplink_mbps if step.where == "uplink" else None
            total_ms += transfer_ms(scenario.link, step, seen)
        elif step.where not in ("memory", "heap"):
            total_ms += step.law.mean
    return total_ms
