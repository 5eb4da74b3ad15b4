"""One replication: the clock, the counters and the end that all its parts share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmodel.sim.energy import Meter
from perfmodel.sim.randomness import stream
from perfmodel.sim.request import Attempt, Request
from perfmodel.sim.scenario import Scenario

if TYPE_CHECKING:
    import numpy as np
    import simpy

    from perfmodel.sim.client import Client
    from perfmodel.sim.records import Sink
    from perfmodel.sim.tracing import Tracer


class Run:
    """The state all parts of a replication share: clock, counters, and where records go."""

    def __init__(
        self, scenario: Scenario, replication: int, sink: Sink, tracer: Tracer | None = None
    ) -> None:
        import simpy

        self.env: simpy.Environment = simpy.Environment()
        self.scenario = scenario
        self.replication = replication
        self.meter = Meter()
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
        return stream(self.scenario.seed, self.replication, source, index)

    def new_request(self, client: Client) -> Request:
        """Number a request that arrives now."""
        self._asked += 1
        return Request(client, self._asked - 1, self.env.now)

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

    def lose(self, request: Request) -> None:
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
        """Let time pass until every request is answered."""
        self.env.run(until=self._over)
