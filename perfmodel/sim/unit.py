"""A processor of the phone: slots, priorities, slices, heat and energy; and who uses it."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

from perfmodel.sim.request import PREPROCESS, QUEUE, Attempt

if TYPE_CHECKING:
    import simpy

    from perfmodel.sim.distributions import Draw
    from perfmodel.sim.replication import EnergyMeter
    from perfmodel.sim.tables import HeatSpec, UnitSpec
    from perfmodel.sim.tracing import Tracer

UI_PRIORITY = 0
LEAST_WORK_MS = 1e-9  # what rounding may leave of a sliced job


class UnitWork:
    """A job on a unit: what is left of it, and the time it has waited and run."""

    __slots__ = (
        "attempt",
        "busy_ms",
        "done",
        "energy_mj",
        "label",
        "left_ms",
        "priority",
        "request",
        "waited_ms",
    )

    def __init__(
        self,
        work_ms: float,
        priority: int,
        done: Callable[[UnitWork], None],
        label: str,
        request: int,
        attempt: Attempt | None = None,
    ) -> None:
        self.attempt = attempt
        self.left_ms = work_ms
        self.priority = priority
        self.done = done
        self.label = label
        self.request = request
        self.waited_ms = 0.0
        self.busy_ms = 0.0
        self.energy_mj = 0.0


class PhoneUnit:
    """`slots` equal processors behind one queue ordered by (priority, turn)."""

    __slots__ = (
        "_env",
        "_free",
        "_meter",
        "_power_mw",
        "_queue",
        "_slice_ms",
        "_thermometer",
        "_tracer",
        "_track",
        "_turns",
        "busy_ms",
        "name",
    )

    def __init__(
        self,
        env: simpy.Environment,
        name: str,
        spec: UnitSpec,
        meter: EnergyMeter,
        *,
        thermometer: Thermometer | None = None,
        tracer: Tracer | None = None,
        track: str = "device",
    ) -> None:
        self._env = env
        self.name = name
        self._slice_ms = spec.slice_ms or float("inf")
        self._power_mw = spec.active_mw or 0.0
        self._free = spec.slots
        self._queue: list[tuple[int, int, float, UnitWork]] = []
        self._turns = count()
        self._meter = meter
        self._thermometer = thermometer
        self._tracer = tracer
        self._track = track
        self.busy_ms = 0.0

    @property
    def now_ms(self) -> float:
        """The simulated time."""
        return float(self._env.now)

    def submit(self, work: UnitWork) -> None:
        """Run `work` as soon as its turn comes; `work.done(work)` is called at its end."""
        if self._free:
            self._free -= 1
            self._run(work)
        else:
            heappush(self._queue, (work.priority, next(self._turns), self._env.now, work))

    def _run(self, work: UnitWork) -> None:
        piece_ms = work.left_ms
        if piece_ms > self._slice_ms:
            piece_ms = self._slice_ms
        duration_ms, power_mw = piece_ms, self._power_mw
        if self._thermometer is not None:
            speed = self._thermometer.speed(self._env.now)
            duration_ms /= speed
            power_mw *= self._thermometer.power_share(speed)
            self._thermometer.add_power(self._env.now, power_mw)
        work.left_ms -= piece_ms
        over = self._env.timeout(duration_ms, (work, duration_ms, power_mw))
        over.callbacks.append(self._end)

    def _end(self, event: simpy.Event) -> None:
        work, duration_ms, power_mw = event.value  # type: ignore[misc]
        now = self._env.now
        self.busy_ms += duration_ms
        work.busy_ms += duration_ms
        if power_mw:
            work.energy_mj += power_mw * duration_ms / 1000.0
        if self._thermometer is not None:
            self._thermometer.add_power(now, -power_mw)
        if self._tracer is not None:
            self._tracer.slice(
                self._track, self.name, work.label, now - duration_ms, now, work.request
            )
        unfinished = work.left_ms > LEAST_WORK_MS
        if unfinished:
            heappush(self._queue, (work.priority, next(self._turns), now, work))
        if self._queue:
            _, _, since_ms, following = heappop(self._queue)
            following.waited_ms += now - since_ms
            self._run(following)
        else:
            self._free += 1
        if not unfinished:
            work.done(work)


class Thermometer:
    """Temperature under piecewise constant power: goes to ambient + P R, time constant R C."""

    def __init__(self, heat: HeatSpec) -> None:
        self._heat = heat
        self._tau_ms = 1000.0 * heat.resistance_c_per_w * heat.capacity_j_per_c
        self._power_w = 0.0
        self._since_ms = 0.0
        self.temperature_c = heat.ambient_c
        self.hottest_c = heat.ambient_c

    def add_power(self, now_ms: float, power_mw: float) -> None:
        """Change the dissipated power by `power_mw` (negative when a unit goes idle)."""
        self._catch_up(now_ms)
        self._power_w += power_mw / 1000.0

    def speed(self, now_ms: float) -> float:
        """Return the clock share allowed now: 1 cool, `slowest_speed` hot, linear between."""
        self._catch_up(now_ms)
        heat = self._heat
        span = heat.throttle_full_c - heat.throttle_from_c
        hot = min(1.0, max(0.0, (self.temperature_c - heat.throttle_from_c) / span))
        return 1.0 - hot * (1.0 - heat.slowest_speed)

    def power_share(self, speed: float) -> float:
        """Return the share of full power drawn at `speed`."""
        return float(speed**self._heat.power_exponent)

    def _catch_up(self, now_ms: float) -> None:
        settled = self._heat.ambient_c + self._power_w * self._heat.resistance_c_per_w
        decay = math.exp(-(now_ms - self._since_ms) / self._tau_ms)
        self.temperature_c = settled + (self.temperature_c - settled) * decay
        self.hottest_c = max(self.hottest_c, self.temperature_c)
        self._since_ms = now_ms


class UnitStage:
    """Preprocessing or computing on a unit of the phone."""

    __slots__ = (
        "_draw",
        "_label",
        "_meter",
        "_priority",
        "_step",
        "_unit",
    )

    def __init__(
        self, unit: PhoneUnit, step: int, draw: Draw, priority: int, meter: EnergyMeter
    ) -> None:
        self._unit = unit
        self._step = step
        self._draw = draw
        self._priority = priority
        self._meter = meter
        self._label = "preprocess" if step == PREPROCESS else "compute"

    def start(self, attempt: Attempt) -> None:
        number = attempt.request.number
        work = UnitWork(self._draw(), self._priority, self._done, self._label, number, attempt)
        self._unit.submit(work)

    def _done(self, work: UnitWork) -> None:
        attempt = work.attempt
        assert attempt is not None
        attempt.steps[QUEUE] += work.waited_ms
        attempt.steps[self._step] += work.busy_ms
        if work.energy_mj:
            self._meter.mj[self._unit.name] += work.energy_mj
            attempt.request.energy_mj += work.energy_mj
        attempt.advance()


class Screen:
    """The app's drawing at every vsync: counts frames, and those not ready by the next vsync."""

    def __init__(
        self,
        env: simpy.Environment,
        unit: PhoneUnit,
        draw: Draw,
        refresh_hz: float,
        meter: EnergyMeter,
    ) -> None:
        self._env = env
        self._unit = unit
        self._draw = draw
        self._period_ms = 1000.0 / refresh_hz
        self._meter = meter
        self._drawing = False
        self.frames = 0
        self.late_frames = 0
        env.process(self._vsync())

    def _vsync(self) -> Generator[Any, Any, None]:
        while True:
            self.frames += 1
            if self._drawing:
                self.late_frames += 1  # the frame before is not ready: this vsync shows the old one
            else:
                self._drawing = True
                self._unit.submit(UnitWork(self._draw(), UI_PRIORITY, self._drawn, "draw", -1))
            yield self._env.timeout(self._period_ms)

    def _drawn(self, work: UnitWork) -> None:
        self._drawing = False
        self._meter.mj["ui"] += work.energy_mj
