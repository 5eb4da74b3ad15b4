"""A phone's side of one task: makes requests, launches attempts, takes answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from perfmodel.sim.plan import TaskPlan, uncontended_ms
from perfmodel.sim.policy import DEVICE, POLICIES
from perfmodel.sim.request import ABANDONED, QUEUE, Attempt, InferenceRequest, Stage

if TYPE_CHECKING:
    import simpy

    from perfmodel.sim.replication import BaseShare, Replication
    from perfmodel.sim.scenario import Scenario

SERVER_WAIT_SMOOTHING = 0.3
"""Weight of the newest server wait in the running mean that `adaptive` goes by. Chosen here: the
mean has followed two thirds of a change after three answers. It decides little. Over eight
replications of the slow phone in examples/metro_ride.toml the weights 0.125 (that of TCP's round
trips, RFC 6298), 0.3 and 0.5 give mean latencies of 860, 844 and 851 ms, and intervals that
overlap; 0.9 gives 994 ms."""


class MeasuredLink(Protocol):
    """What a task asks of its phone's link."""

    observed: bool
    last_upload_ms: float

    def seen_uplink_mbps(self) -> float | None: ...


class TaskOnPhone:
    """One task on one phone, `place` = (task, phone); `stages` are its plans made ready to run."""

    __slots__ = (
        "_all_answered",
        "_base",
        "_device_index",
        "_in_flight",
        "_link",
        "_marks",
        "_most_in_flight",
        "_plans",
        "_policy",
        "_scenario",
        "_server_wait_ms",
        "_stages",
        "_task_index",
        "plan_names",
        "run",
        "task",
    )

    def __init__(
        self,
        run: Replication,
        scenario: Scenario,
        *,
        place: tuple[int, int],
        plans: Mapping[str, TaskPlan],
        stages: Mapping[str, tuple[Stage, ...]],
        link: MeasuredLink | None,
        base: BaseShare | None,
    ) -> None:
        self.run = run
        self._task_index, self._device_index = place
        self.task = task = scenario.task[self._task_index]
        self.plan_names = list(plans)
        self._scenario = scenario
        self._plans = plans
        self._stages = {name: (index, stages[name]) for index, name in enumerate(self.plan_names)}
        self._policy = POLICIES[task.policy]
        self._link = link
        self._base = base
        if link is not None and self._policy.measures_link:
            link.observed = True
        self._marks: dict[int, float] = {}
        self._most_in_flight = task.workload.max_in_flight or math.inf
        self._in_flight = 0
        self._server_wait_ms = 0.0
        self._all_answered: simpy.Event | None = None

    @property
    def priority(self) -> int:
        """Of the task's requests at the server."""
        return self.task.priority

    def submit(self) -> None:
        """Ask for one inference now, or drop it when too many are unanswered."""
        run = self.run
        if self._in_flight >= self._most_in_flight:
            run.dropped += 1
            return
        self._in_flight += 1
        request = run.new_request(self)
        if self._base is not None:
            self._marks[request.number] = self._base.enter(request.arrival_ms)
        self._policy.start(self, request)

    def launch(self, request: InferenceRequest, plan: str, abandoned: bool = False) -> Attempt:
        """Start an attempt along a plan; with `abandoned` its time so far was spent on another."""
        index, stages = self._stages[plan]
        attempt = Attempt(request, index, stages)
        if abandoned:
            attempt.steps[ABANDONED] = self.run.env.now - request.arrival_ms
        attempt.advance()
        return attempt

    def answer(self, attempt: Attempt) -> None:
        """Take the first answer to a request and record it."""
        request = attempt.request
        request.answered = True
        now = self.run.env.now
        if self._base is not None:
            request.energy_mj += self._base.leave(now, self._marks.pop(request.number))
        if self._link is not None and attempt.batch_size:
            fresh_ms = attempt.steps[QUEUE] - self._server_wait_ms
            self._server_wait_ms += SERVER_WAIT_SMOOTHING * fresh_ms
        self.run.record(attempt, self._task_index, self._device_index, now - request.arrival_ms)
        self._leave()

    def rejected(self, attempt: Attempt) -> None:
        """The server turned an attempt away: lost, unless the policy has another answer."""
        request = attempt.request
        if request.answered or self._policy.turned_away(self, request):
            return
        request.answered = True
        if self._base is not None:
            self._base.leave(self.run.env.now, self._marks.pop(request.number))
        self.run.lose(request)
        self._leave()

    def _leave(self) -> None:
        self._in_flight -= 1
        if self._in_flight == 0 and self._all_answered is not None:
            event, self._all_answered = self._all_answered, None
            event.succeed()

    def all_answered(self) -> simpy.Event:
        """Return an event for the moment nothing is in flight any more."""
        self._all_answered = self.run.env.event()
        return self._all_answered

    def after(self, delay_ms: float, callback: Callable[[simpy.Event], None]) -> None:
        """Call back after a delay."""
        self.run.env.timeout(delay_ms).callbacks.append(callback)

    def ms_since_upload(self) -> float:
        """Return how long ago this phone last uploaded anything."""
        return math.inf if self._link is None else self.run.env.now - self._link.last_upload_ms

    def expected_ms(self, plan: str) -> float:
        """Return the time a plan would take at the bandwidth and server wait seen last."""
        seen_mbps = self._link.seen_uplink_mbps() if self._link is not None else None
        expected = uncontended_ms(self._plans[plan], self._scenario, seen_mbps)
        return expected if plan == DEVICE else expected + self._server_wait_ms

    def alone_ms(self, plan: str) -> float:
        """Return the time of a plan for a request that is alone."""
        return uncontended_ms(self._plans[plan], self._scenario)
