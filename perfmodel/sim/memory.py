"""Model residency: load, least-recently-used eviction, background kills, garbage collection."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from perfmodel.sim.request import LOAD, PAUSE, QUEUE, Attempt
from perfmodel.sim.unit import PhoneUnit, UnitWork

if TYPE_CHECKING:
    import numpy as np
    import simpy

    from perfmodel.sim.distributions import Draw
    from perfmodel.sim.replication import EnergyMeter
    from perfmodel.sim.tables import Memory


class ModelMemory:
    """Which models a phone holds; sizes in MB, in order of last use."""

    def __init__(self, capacity_mb: float | None) -> None:
        self._capacity_mb = float("inf") if capacity_mb is None else capacity_mb
        self._size_mb: dict[str, float] = {}
        self.loads = 0
        self.evictions = 0
        self.kills = 0

    def holds(self, model: str) -> bool:
        """Return whether the model is in memory, and count this as a use of it."""
        if model not in self._size_mb:
            return False
        self._size_mb[model] = self._size_mb.pop(model)
        return True

    def put(self, model: str, size_mb: float) -> None:
        """Keep a model, throwing out the least recently used ones until it fits."""
        self._size_mb[model] = size_mb
        while len(self._size_mb) > 1 and sum(self._size_mb.values()) > self._capacity_mb:
            oldest = next(iter(self._size_mb))
            del self._size_mb[oldest]
            self.evictions += 1

    def kill(self) -> None:
        """Lose everything: the operating system took the app's memory."""
        self._size_mb.clear()
        self.kills += 1


def background_kills(
    env: simpy.Environment, memory: ModelMemory, spec: Memory, rng: np.random.Generator
) -> Generator[Any, Any, None]:
    """Process: send the app to the background now and then; it may come back without its models."""
    assert spec.background_every_s is not None
    while True:
        yield env.timeout(1000.0 * float(rng.exponential(spec.background_every_s)))
        if rng.random() < spec.kill_probability:
            memory.kill()


class LoadStage:
    """Bring the model into memory if it is not there; requests that come meanwhile wait for it."""

    def __init__(
        self,
        memory: ModelMemory,
        model: str,
        *,
        size_mb: float,
        cpu: PhoneUnit,
        draw: Draw,
        priority: int,
        meter: EnergyMeter,
    ) -> None:
        self._memory = memory
        self._model = model
        self._size_mb = size_mb
        self._cpu = cpu
        self._draw = draw
        self._priority = priority
        self._meter = meter
        self._waiting: list[tuple[Attempt, float]] = []
        self._loading = False

    def start(self, attempt: Attempt) -> None:
        if self._memory.holds(self._model):
            attempt.advance()
        elif self._loading:
            self._waiting.append((attempt, self._cpu.now_ms))
        else:
            self._loading = True
            work = UnitWork(
                self._draw(), self._priority, self._loaded(attempt), "load", attempt.request.number
            )
            self._cpu.submit(work)

    def _loaded(self, attempt: Attempt) -> Callable[[UnitWork], None]:
        def done(work: UnitWork) -> None:
            self._loading = False
            self._memory.loads += 1
            self._memory.put(self._model, self._size_mb)
            attempt.steps[QUEUE] += work.waited_ms
            attempt.steps[LOAD] += work.busy_ms
            attempt.request.energy_mj += work.energy_mj
            self._meter.mj[self._cpu.name] += work.energy_mj
            waiting, self._waiting = self._waiting, []
            attempt.advance()
            for other, since_ms in waiting:
                other.steps[LOAD] += self._cpu.now_ms - since_ms
                other.advance()

        return done


class PauseStage:
    """Allocate, and stop for the garbage collector whenever a heap's worth has been allocated."""

    def __init__(
        self, env: simpy.Environment, heap: Heap, allocates_mb: float, draw_pause: Draw
    ) -> None:
        self._env = env
        self._heap = heap
        self._allocates_mb = allocates_mb
        self._draw_pause = draw_pause

    def start(self, attempt: Attempt) -> None:
        if not self._heap.allocate(self._allocates_mb):
            attempt.advance()
            return
        pause_ms = self._draw_pause()
        attempt.steps[PAUSE] += pause_ms
        self._env.timeout(pause_ms).callbacks.append(attempt.advance)


class Heap:
    """The app's managed heap: counts megabytes allocated since the last collection."""

    def __init__(self, heap_mb: float) -> None:
        self._heap_mb = heap_mb
        self._allocated_mb = 0.0
        self.collections = 0

    def allocate(self, size_mb: float) -> bool:
        """Allocate; return whether this filled the heap and made a collection necessary."""
        self._allocated_mb += size_mb
        if self._allocated_mb < self._heap_mb:
            return False
        self._allocated_mb %= self._heap_mb
        self.collections += 1
        return True
