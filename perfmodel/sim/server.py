"""The server: replicas behind one queue, batching, cold starts, autoscaling."""

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from collections import deque
from collections.abc import Generator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from perfmodel.errors import ScenarioError
from perfmodel.sim.request import COMPUTE, LOAD, QUEUE, Attempt

if TYPE_CHECKING:
    import simpy

    from perfmodel.sim.distributions import Draw
    from perfmodel.sim.tables import Autoscale, ServerSpec
    from perfmodel.sim.tracing import Tracer

LONGEST_MS = sys.float_info.max  # finite: a replica that never served (-inf) is still colder


class Service(Protocol):
    """What one kind of request costs the server."""

    @property
    def largest(self) -> int:
        """The largest batch whose time is known."""

    def service_ms(self, batch_size: int) -> float:
        """Return the time (ms) for a batch of this size."""


class SingleService:
    """Requests served one at a time, each with its own draw."""

    largest = 1

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def service_ms(self, batch_size: int) -> float:
        assert batch_size == 1
        return self._draw()


class BatchService:
    """A latency table over batch sizes, linear between its entries; never beyond them."""

    def __init__(self, sizes: Sequence[float], times_ms: Sequence[float]) -> None:
        self._table = [interpolate(size, sizes, times_ms) for size in range(1, int(max(sizes)) + 1)]

    @property
    def largest(self) -> int:
        """The largest batch the table covers."""
        return len(self._table)

    def service_ms(self, batch_size: int) -> float:
        return self._table[batch_size - 1]


def interpolate(size: float, sizes: Sequence[float], times_ms: Sequence[float]) -> float:
    """Return the time (ms) of a batch of `size`, linear between neighbours in the table."""
    if not sizes[0] <= size <= sizes[-1]:
        raise ScenarioError(
            f"no batch time for size {size:g}: the table covers {sizes[0]:g} to {sizes[-1]:g}",
            "add the size to batch_sizes and batch_ms",
        )
    right = bisect_left(sizes, size)
    if sizes[right] == size:
        return times_ms[right]
    share = (size - sizes[right - 1]) / (sizes[right] - sizes[right - 1])
    return times_ms[right - 1] + share * (times_ms[right] - times_ms[right - 1])


class FifoLine:
    """First come, first served; a batch holds requests of the same service only."""

    def __init__(self) -> None:
        self._line: deque[Attempt] = deque()

    def __len__(self) -> int:
        return len(self._line)

    def push(self, attempt: Attempt) -> None:
        self._line.append(attempt)

    def head(self) -> Attempt:
        return self._line[0]

    def alike(self, most: int) -> int:
        """Return how many, up to `most`, could go into one batch with the head."""
        kind, found = self._line[0].service, 0
        for attempt in self._line:
            found += attempt.service is kind
            if found == most:
                break
        return found

    def take(self, most: int) -> list[Attempt]:
        """Take the head and up to `most - 1` others of its service, in order."""
        if most == 1:
            return [self._line.popleft()]
        kind = self._line[0].service
        batch: list[Attempt] = []
        passed: list[Attempt] = []
        while self._line and len(batch) < most:
            attempt = self._line.popleft()
            (batch if attempt.service is kind else passed).append(attempt)
        self._line.extendleft(reversed(passed))
        return batch


class PriorityLine:
    """Lowest priority number first, in order of arrival among equals; batches as above."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Attempt]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, attempt: Attempt) -> None:
        priority = attempt.request.asker.priority
        heappush(self._heap, (priority, next(self._order), attempt))

    def head(self) -> Attempt:
        return self._heap[0][2]

    def alike(self, most: int) -> int:
        kind = self._heap[0][2].service
        return min(most, sum(entry[2].service is kind for entry in self._heap))

    def take(self, most: int) -> list[Attempt]:
        kind = self._heap[0][2].service
        batch: list[Attempt] = []
        passed: list[tuple[int, int, Attempt]] = []
        while self._heap and len(batch) < most:
            entry = heappop(self._heap)
            if entry[2].service is kind:
                batch.append(entry[2])
            else:
                passed.append(entry)
        for entry in passed:
            heappush(self._heap, entry)
        return batch


class Server:
    """Equal replicas serve one queue; an idle replica takes a batch as soon as one is due."""

    def __init__(
        self,
        env: simpy.Environment,
        spec: ServerSpec,
        draw_cold_start: Draw,
        tracer: Tracer | None = None,
    ) -> None:
        self._env = env
        self._spec = spec
        self._most = spec.batching.max_size if spec.batching else 1
        self._patience_ms = spec.batching.timeout_ms if spec.batching else 0.0
        self._by_priority = spec.discipline == "priority"
        self._line, self._single = (
            PriorityLine() if self._by_priority else FifoLine() for _ in range(2)
        )
        self._draw_cold_start = draw_cold_start
        kept_s = spec.keep_alive_s
        self._keep_alive_ms = LONGEST_MS if kept_s is None else 1000.0 * kept_s
        self._has_cold_starts = spec.cold_start_ms.mean > 0
        self._tracer = tracer
        last_used_ms = -math.inf if spec.starts_cold else 0.0
        self._idle = [(replica, last_used_ms) for replica in reversed(range(spec.replicas))]
        self._to_retire = 0
        self.replicas = spec.replicas
        self.busy_ms = 0.0
        self.busy = 0
        self.rejected = 0
        self.batches = 0
        self._replica_ms = 0.0
        self._replicas_since_ms = 0.0
        if spec.autoscale:
            env.process(autoscaler(env, self, spec.autoscale))

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._line) + len(self._single)

    def submit(self, attempt: Attempt, service: Service) -> bool:
        """Queue an attempt; False when the queue is full and it was turned away.

        Where others are batched, one whose service knows the time of a single request only (the
        tail of a split) waits in a line of its own: it needs no company to start.
        """
        limit = self._spec.queue_limit
        if limit is not None and self.waiting >= limit and not self._idle:
            self.rejected += 1
            return False
        attempt.service = service
        attempt.queued_ms = self._env.now
        alone = self._most > 1 and service.largest == 1
        (self._single if alone else self._line).push(attempt)
        self._dispatch()
        return True

    def _dispatch(self) -> None:
        while self._idle:
            single = bool(self._single)
            if self._line and (self._most == 1 or self._due()):
                single = single and self._comes_before(self._single.head(), self._line.head())
            elif not single:
                return
            self._start(self._single.take(1) if single else self._line.take(self._most))

    def _comes_before(self, one: Attempt, other: Attempt) -> bool:
        """Whose turn it is of two heads of lines: by priority where that rules, then by arrival."""
        return self._turn(one) < self._turn(other)

    def _turn(self, attempt: Attempt) -> tuple[float, float, int]:
        request = attempt.request
        priority = request.asker.priority if self._by_priority else 0
        return priority, attempt.queued_ms, request.number

    def _due(self) -> bool:
        """Return whether the head's batch may start: full, or its head has been patient enough."""
        head = self._line.head()
        if head.expired or self._patience_ms == 0:
            return True
        if len(self._line) >= self._most and self._line.alike(self._most) == self._most:
            return True
        if not head.timed:
            head.timed = True
            left_ms = max(0.0, head.queued_ms + self._patience_ms - self._env.now)
            self._env.timeout(left_ms, head).callbacks.append(self._expire)
        return False

    def _expire(self, event: simpy.Event) -> None:
        event.value.expired = True  # type: ignore[union-attr]
        self._dispatch()

    def _start(self, batch: list[Attempt]) -> None:
        now = self._env.now
        replica, last_used_ms = self._idle.pop()
        cold_ms = 0.0
        if self._has_cold_starts and now - last_used_ms > self._keep_alive_ms:
            cold_ms = self._draw_cold_start()
        service_ms = batch[0].service.service_ms(len(batch))
        self.busy += 1
        self.batches += 1
        over = self._env.timeout(cold_ms + service_ms, (replica, batch, now, cold_ms, service_ms))
        over.callbacks.append(self._end)

    def _end(self, event: simpy.Event) -> None:
        replica, batch, started_ms, cold_ms, service_ms = event.value  # type: ignore[misc]
        now = self._env.now
        self.busy -= 1
        self.busy_ms += cold_ms + service_ms
        if self._to_retire:
            self._to_retire -= 1
        else:
            self._idle.append((replica, now))
        if self._tracer is not None:
            for attempt in batch:
                number = attempt.request.number
                label = f"batch of {len(batch)}" if self._most > 1 else "serve"
                self._tracer.slice("server", f"replica {replica}", label, started_ms, now, number)
        if self._line or self._single:
            self._dispatch()
        for attempt in batch:
            steps = attempt.steps
            steps[QUEUE] += started_ms - attempt.queued_ms
            steps[COMPUTE] += service_ms
            if cold_ms:
                steps[LOAD] += cold_ms
            attempt.batch_size = len(batch)
            attempt.advance()

    def scale_to(self, replicas: int, start_ms: float) -> None:
        """Change the number of replicas: new ones serve after `start_ms`, spare ones stop idle."""
        self._count_replicas()
        for number in range(self.replicas, replicas):
            ready = self._env.timeout(start_ms, (number, -math.inf))
            ready.callbacks.append(self._ready)
        for _ in range(replicas, self.replicas):
            if self._idle:
                self._idle.pop(0)
            else:
                self._to_retire += 1
        self.replicas = replicas

    def _ready(self, event: simpy.Event) -> None:
        if self._to_retire:
            self._to_retire -= 1
            return
        self._idle.append(event.value)  # type: ignore[arg-type]
        self._dispatch()

    def _count_replicas(self) -> None:
        self._replica_ms += self.replicas * (self._env.now - self._replicas_since_ms)
        self._replicas_since_ms = self._env.now

    def utilization(self) -> float:
        """Return the share of all replicas' time so far that was spent serving."""
        self._count_replicas()
        return self.busy_ms / self._replica_ms if self._replica_ms else 0.0


def autoscaler(
    env: simpy.Environment, server: Server, spec: Autoscale
) -> Generator[Any, Any, None]:
    """Process: keep the replicas at demand over target utilisation, within the bounds."""
    seen_busy_ms = 0.0
    while True:
        yield env.timeout(1000.0 * spec.interval_s)
        busy_replicas = (server.busy_ms - seen_busy_ms) / (1000.0 * spec.interval_s)
        seen_busy_ms = server.busy_ms
        demand = max(busy_replicas, float(server.busy)) + server.waiting
        wanted = math.ceil(demand / spec.target_utilization)
        server.scale_to(
            min(max(wanted, spec.min_replicas), spec.max_replicas), 1000.0 * spec.start_s
        )


class ServerStage:
    """Queueing for and computing on the server."""

    __slots__ = (
        "_server",
        "_service",
    )

    def __init__(self, server: Server, service: Service) -> None:
        self._server = server
        self._service = service

    def start(self, attempt: Attempt) -> None:
        if not self._server.submit(attempt, self._service):
            attempt.cancelled = True
            attempt.request.asker.rejected(attempt)
