"""Can every station keep up with what it is offered?

Before a run the loads say so by arithmetic; after it the number of unanswered requests does.
"""

from __future__ import annotations

from perfmodel.sim.plan import PlanStep, plans_of, transfer_ms
from perfmodel.sim.policy import POLICIES
from perfmodel.sim.scenario import Scenario
from perfmodel.sim.server import BatchService
from perfmodel.sim.tables import UNITS
from perfmodel.sim.workload import mean_rate_per_s

SEEN_BACKLOG = 0.2
FEWEST_REQUESTS = 200
"""A queue is said to grow when this share of all requests, of which there are at least so many,
is unanswered as the last one comes. Chosen from 2,000 M/M/1 runs of each case: of 200 requests at
loads of 0.8, 0.9 and 0.95 there are 0, 0.5 and 1 % such runs, at loads of 1.25, 1.5 and 2 there are
64, 98 and 100 %. Of 50 requests at a load of 0.8 there are 9 %, so fewer requests are no sign."""


def loads(scenario: Scenario) -> dict[str, float]:
    """Return offered work per unit of capacity: units and links of a phone, and the server.

    Only policies that always take the same plan, and workloads that do not wait for answers,
    have a load that is known beforehand. At 1 or more a queue without limit grows for ever.
    """
    found: dict[str, float] = {}
    for task in scenario.task:
        name = POLICIES[task.policy].only_plan(task)
        rate = mean_rate_per_s(task.workload, task.workload.times_s or ())
        if name is None or rate is None or task.workload.max_in_flight is not None:
            continue
        plan = next(plan for plan in plans_of(task, scenario) if plan.name == name)
        for unit in UNITS:
            work_ms = plan.mean_ms(unit)
            if work_ms:
                slots = getattr(scenario.device, unit).slots
                _add(found, unit, rate * work_ms / 1000.0 / slots)
        for step in plan.steps:
            if step.where == "server":
                _add(
                    found,
                    "server",
                    rate * scenario.device.count * _server_ms(scenario, step) / 1000,
                )
            elif step.where in ("uplink", "downlink") and scenario.link is not None:
                _add(found, step.where, _link_load(scenario, step, rate))
    return found


def _add(found: dict[str, float], name: str, load: float) -> None:
    if load > 0:
        found[name] = found.get(name, 0.0) + load


def _server_ms(scenario: Scenario, step: PlanStep) -> float:
    """Return the least server time per request, with the best batch and all replicas at work."""
    spec = scenario.server
    assert spec is not None
    replicas = spec.autoscale.max_replicas if spec.autoscale else spec.replicas
    batch_ms = step.batch_ms
    least = step.law.mean
    if batch_ms and spec.batching:
        table = BatchService(step.batch_sizes, batch_ms)
        sizes = range(1, spec.batching.max_size + 1)
        least = min(table.service_ms(size) / size for size in sizes)
    return float(least / replicas)


def _link_load(scenario: Scenario, step: PlanStep, rate_per_s: float) -> float:
    link = scenario.link
    assert link is not None
    if link.sharing == "unlimited":
        return 0.0
    per_phone = rate_per_s * (scenario.device.count if link.sharing == "cell" else 1)
    fixed_ms = (link.rtt_ms or 0.0) / 2 + link.jitter_ms.mean
    if step.where == "uplink":
        fixed_ms += link.handshake_round_trips * (link.rtt_ms or 0.0)
    bits_ms = transfer_ms(link, step) - fixed_ms
    return per_phone * bits_ms / 1000.0


def warnings_before(scenario: Scenario) -> tuple[str, ...]:
    """Return a sentence for every station that cannot keep up, with how fast its queue grows."""
    if scenario.server is not None and scenario.server.queue_limit is not None:
        known = {name: load for name, load in loads(scenario).items() if name != "server"}
    else:
        known = loads(scenario)
    sentences = []
    for name, load in known.items():
        if load < 1:
            continue
        rate = sum(
            mean_rate_per_s(task.workload, task.workload.times_s or ()) or 0.0
            for task in scenario.task
        )
        shared = name == "server" or (
            scenario.link is not None
            and scenario.link.sharing == "cell"
            and name in ("uplink", "downlink")
        )
        rate *= scenario.device.count if shared else 1
        growth = rate * (1 - 1 / load)
        sentences.append(
            f"unstable: the {name} is offered {load:.2f} times what it can do; its queue grows by "
            f"about {growth:.3g} requests per second{'' if shared else ' on each phone'}, so the "
            "answer depends on how long the run is"
        )
    return tuple(sentences)


def warning_after(answered: int, backlog: int, last_arrival_ms: float) -> str | None:
    """Return a sentence when much of what was asked still waited as the last request came."""
    if answered < FEWEST_REQUESTS or backlog < SEEN_BACKLOG * answered or last_arrival_ms <= 0:
        return None
    return (
        f"unstable: {backlog} of {answered} requests were unanswered when the last one came; the "
        f"backlog grew by about {1000.0 * backlog / last_arrival_ms:.3g} requests per second"
    )
