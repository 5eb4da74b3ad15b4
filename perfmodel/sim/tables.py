"""The tables of a scenario that describe phones: units, drawing, heat, memory."""

# ruff: noqa: RUF009  (the calls in class bodies make field descriptions, evaluated once)
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.sim.distributions import Distribution
from perfmodel.sim.schema import Table, law, number, subtable, text, whole

UNITS = ("cpu", "gpu", "npu")


@dataclass(frozen=True)
class UnitSpec(Table):
    """A processor of the phone: `slots` jobs at once, each cut into slices of at most `slice_ms`.

    Between slices a job of higher priority gets in, and jobs of equal priority take turns; without
    `slice_ms` a job runs to its end. `active_mw` is per busy slot, above the rest of the phone.
    """

    table: ClassVar[str] = "device.unit"
    slots: int = whole(1, at_least=1)
    slice_ms: float | None = number(None, above=0)
    active_mw: float | None = number(None, at_least=0)


@dataclass(frozen=True)
class Ui(Table):
    """The app's own drawing: `render_ms` of work on `unit` at every vsync, before any inference."""

    table: ClassVar[str] = "device.ui"
    render_ms: Distribution = law()
    refresh_hz: float = number(60.0, above=0)
    unit: str = text("gpu", choices=UNITS)


@dataclass(frozen=True)
class Heat(Table):
    """One thermal mass: C dT/dt = P - (T - ambient)/R; speed falls between the two temperatures.

    Power of a unit scales with speed ** `power_exponent` (dynamic voltage and frequency scaling).
    """

    table: ClassVar[str] = "device.heat"
    resistance_c_per_w: float = number(above=0)
    capacity_j_per_c: float = number(above=0)
    throttle_from_c: float = number()
    throttle_full_c: float = number()
    slowest_speed: float = number(above=0, at_most=1)
    ambient_c: float = number(25.0)
    power_exponent: float = number(2.0, at_least=0)

    def check(self) -> None:
        if not self.throttle_full_c > self.throttle_from_c:
            self.refuse("throttle_full_c must be above throttle_from_c")


@dataclass(frozen=True)
class Memory(Table):
    """Where models live: LRU eviction above `capacity_mb`, background kills, garbage collection.

    The app goes to the background about every `background_every_s` (exponential) and then loses
    its models with `kill_probability`. After every `heap_mb` allocated a collection pauses the
    inference for `gc_pause_ms`.
    """

    table: ClassVar[str] = "device.memory"
    capacity_mb: float | None = number(None, above=0)
    background_every_s: float | None = number(None, above=0)
    kill_probability: float = number(1.0, at_least=0, at_most=1)
    heap_mb: float | None = number(None, above=0)
    gc_pause_ms: Distribution | None = law(None)

    def check(self) -> None:
        if (self.heap_mb is None) != (self.gc_pause_ms is None):
            self.refuse("heap_mb and gc_pause_ms go together")


@dataclass(frozen=True)
class DeviceSpec(Table):
    """`count` equal phones; `base_mw` is the rest of the phone while a request is in flight."""

    table: ClassVar[str] = "device"
    count: int = whole(1, at_least=1)
    base_mw: float | None = number(None, at_least=0)
    battery_mwh: float | None = number(None, above=0)
    cpu: UnitSpec = subtable(UnitSpec, UnitSpec())
    gpu: UnitSpec = subtable(UnitSpec, UnitSpec())
    npu: UnitSpec = subtable(UnitSpec, UnitSpec())
    ui: Ui | None = subtable(Ui)
    heat: Heat | None = subtable(Heat)
    memory: Memory = subtable(Memory, Memory())
