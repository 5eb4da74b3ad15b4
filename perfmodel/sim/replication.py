"""One replication: the clock, the counters and the end that all its parts share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from perfmodel.errors import ScenarioError
from perfmodel.sim.distributions import random_stream
from perfmodel.sim.request import Asker, Attempt, InferenceRequest
from perfmodel.sim.scenario import Scenario

if TYPE_CHECKING:
    import numpy as np
    import simpy

    from perfmodel.sim.tracing import Tracer


MOST_EVENTS = 2 * 10**9
"""Of a replication, after hours: what takes longer goes round in ever smaller steps."""

COMPONENTS = ("cpu", "gpu", "npu", "ui", "radio", "radio_tail", "base")


class EnergyMeter:
    """Energy by component (mJ) of all phones of a run together."""

    def __init__(self) -> None:
        self.mj = dict.fromkeys(COMPONENTS, 0.0)


class BaseShare:
    """The rest of the phone, powered while requests are in flight and shared evenly by them.

    `mj_per_flight` grows by base power / requests in flight; the difference between a request's
    end and its start is its share, so the shares add up to the energy spent.
    """

    def __init__(self, base_mw: float, meter: EnergyMeter) -> None:
        self._base_mw = base_mw
        self._meter = meter
        self._in_flight = 0
        self._since_ms = 0.0
        self._mj_per_flight = 0.0

    def _catch_up(self, now_ms: float) -> None:
        if self._in_flight:
            spent = self._base_mw * (now_ms - self._since_ms) / 1000.0
            self._meter.mj["base"] += spent
            self._mj_per_flight += spent / self._in_flight
        self._since_ms = now_ms

    def enter(self, now_ms: float) -> float:
        """Count a request in; return the mark to hand to `leave`."""
        self._catch_up(now_ms)
        self._in_flight += 1
        return self._mj_per_flight

    def leave(self, now_ms: float, mark_mj: float) -> float:
        """Count a request out; return its share in mJ."""
        self._catch_up(now_ms)
        self._in_flight -= 1
        return self._mj_per_flight - mark_mj


class RecordTaker(Protocol):
    """Where records go."""

    def add(self, record: tuple[Any, ...]) -> None:
        """Take the record of an answered request."""


class Replication:
    """The state all parts of a replication share: clock, counters, and where records go."""

    def __init__(
        self, scenario: Scenario, replication: int, sink: RecordTaker, tracer: Tracer | None = None
    ) -> None:
        import simpy

        self.env: simpy.Environment = simpy.Environment()
        self.scenario = scenario
        self.replication = replication
        self.meter = EnergyMeter()
        self.tracer = tracer
        self.dropped = 0
        self.lost = 0
        self.answered = 0
        self.backlog_at_last_arrival = 0
        self.last_arrival_ms = 0.0
        self._add = sink.add
        self._asked = 0
        self._sources = 0
        self._over = self.env.event()

    def rng(self, source: str, index: int = 0) -> np.random.Generator:
        """Return the generator of a source of chance in this replication."""
        return random_stream(self.scenario.seed, self.replication, source, index)

    def new_request(self, asker: Asker) -> InferenceRequest:
        """Number a request that arrives now."""
        self._asked += 1
        return InferenceRequest(asker, self._asked - 1, self.env.now)

    def record(self, attempt: Attempt, task: int, device: int, latency_ms: float) -> None:
        """Hand an answered request to the sink."""
        request = attempt.request
        self.answered += 1
        self._add(
            (
                request.number,
                device,
                task,
                attempt.plan,
                request.arrival_ms,
                latency_ms,
                *attempt.steps,
                attempt.batch_size,
                request.energy_mj,
            )
        )
        if not self._sources:
            self._end_if_idle()

    def lose(self, request: InferenceRequest) -> None:
        """Count a request that the server turned away."""
        self.lost += 1
        if not self._sources:
            self._end_if_idle()

    def open_source(self) -> None:
        """Count a source of requests in."""
        self._sources += 1

    def close_source(self) -> None:
        """Count a source out; the run ends when all are out and everything is answered."""
        self._sources -= 1
        if self._sources == 0:
            self.backlog_at_last_arrival = self._asked - self.answered - self.lost
            self.last_arrival_ms = self.env.now
            self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._asked == self.answered + self.lost and not self._over.triggered:
            self._over.succeed()

    def until_over(self) -> None:
        """Let time pass until every request is answered; ScenarioError for one without an end."""
        step, over = self.env.step, self._over
        over.callbacks.append(_stop)
        try:
            for _ in range(MOST_EVENTS):
                step()
        except _Over:
            return
        raise ScenarioError(
            f"the run has not ended after {MOST_EVENTS} events, at {self.env.now:g} ms with "
            f"{self.answered} requests answered",
            "simulate less time, or longer slices and steps",
        )


class _Over(Exception):
    """The last request is answered."""


def _stop(_event: simpy.Event) -> None:
    raise _Over
