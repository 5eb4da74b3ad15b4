"""The tables of a scenario that describe phones, the network and the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, ClassVar

from perfmodel.sim.distributions import LARGEST_CV, NOTHING, Distribution
from perfmodel.sim.schema import Domain, Flag, OneOf, Quantity, SchemaTable, Text

UNITS = ("cpu", "gpu", "npu")
MOST_PARTS = 1_000_000
"""Phones, slots or replicas of a scenario at most: each of them takes memory."""

SHORTEST_MS = 1e-3
SHORTEST_S = 1e-3
"""Of slices of work, and of the steps in which a rate or the number of replicas changes: each step
is an event, and no processor or network changes faster."""

LARGEST_BATCH = 65_536
"""Far above any measured batch; the time of every size up to the largest is kept."""


@dataclass(frozen=True, kw_only=True)
class UnitSpec(SchemaTable):
    """A processor of the phone: `slots` jobs at once, each cut into slices of at most `slice_ms`.

    Between slices a job of higher priority gets in, and jobs of equal priority take turns; without
    `slice_ms` a job runs to its end. `active_mw` is per busy slot, above the rest of the phone.
    Where `memory_mb` says what the unit may hold, tasks whose networks hold more are refused.
    """

    table: ClassVar[str] = "device.unit"
    slots: Annotated[int, Domain(at_least=1, at_most=MOST_PARTS, whole=True)] = 1
    slice_ms: Annotated[float, Domain("ms", at_least=SHORTEST_MS)] | None = None
    active_mw: Annotated[float, Domain("mW", at_least=0)] | None = None
    memory_mb: Annotated[float, Domain("MB", above=0)] | None = None


@dataclass(frozen=True, kw_only=True)
class Ui(SchemaTable):
    """The app's own drawing: `render_ms` of work on `unit` at every vsync, before any inference."""

    table: ClassVar[str] = "device.ui"
    render_ms: Annotated[Distribution, Quantity("ms")]
    refresh_hz: Annotated[float, Domain("Hz", above=0, at_most=1000)] = 60.0
    unit: Annotated[str, OneOf(UNITS)] = "gpu"


@dataclass(frozen=True, kw_only=True)
class HeatSpec(SchemaTable):
    """One thermal mass: C dT/dt = P - (T - ambient)/R; speed falls between the two temperatures.

    Power of a unit scales with speed ** `power_exponent` (dynamic voltage and frequency scaling).
    """

    table: ClassVar[str] = "device.heat"
    resistance_c_per_w: Annotated[float, Domain("C/W", above=0)]
    capacity_j_per_c: Annotated[float, Domain("J/C", above=0)]
    throttle_from_c: Annotated[float, Domain("C")]
    throttle_full_c: Annotated[float, Domain("C")]
    slowest_speed: Annotated[float, Domain(above=0, at_most=1)]
    ambient_c: Annotated[float, Domain("C")] = 25.0
    power_exponent: Annotated[float, Domain(at_least=0, at_most=10)] = 2.0

    def check(self) -> None:
        if not self.throttle_full_c > self.throttle_from_c:
            self.refuse("throttle_full_c must be above throttle_from_c")


@dataclass(frozen=True, kw_only=True)
class Memory(SchemaTable):
    """Where models live: LRU eviction above `capacity_mb`, background kills, garbage collection.

    The app goes to the background about every `background_every_s` (exponential) and then loses
    its models with `kill_probability`. After every `heap_mb` allocated a collection pauses the
    inference for `gc_pause_ms`.
    """

    table: ClassVar[str] = "device.memory"
    capacity_mb: Annotated[float, Domain("MB", above=0)] | None = None
    background_every_s: Annotated[float, Domain("s", at_least=SHORTEST_S)] | None = None
    kill_probability: Annotated[float, Domain(at_least=0, at_most=1)] = 1.0
    heap_mb: Annotated[float, Domain("MB", above=0)] | None = None
    gc_pause_ms: Annotated[Distribution, Quantity("ms")] | None = None

    def check(self) -> None:
        if (self.heap_mb is None) != (self.gc_pause_ms is None):
            self.refuse("heap_mb and gc_pause_ms go together")


@dataclass(frozen=True, kw_only=True)
class DeviceSpec(SchemaTable):
    """`count` equal phones; `base_mw` is the rest of the phone while a request is in flight."""

    table: ClassVar[str] = "device"
    count: Annotated[int, Domain(at_least=1, at_most=MOST_PARTS, whole=True)] = 1
    base_mw: Annotated[float, Domain("mW", at_least=0)] | None = None
    battery_mwh: Annotated[float, Domain("mWh", above=0)] | None = None
    cpu: UnitSpec = field(default_factory=UnitSpec)
    gpu: UnitSpec = field(default_factory=UnitSpec)
    npu: UnitSpec = field(default_factory=UnitSpec)
    ui: Ui | None = None
    heat: HeatSpec | None = None
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True, kw_only=True)
class Radio(SchemaTable):
    """Power of the radio: P = base + alpha * Mbit/s while it transfers, then a tail, then idle.

    After the tail has run out the next transfer waits `promotion_ms` (at `promotion_mw`).
    Model of Huang et al., MobiSys 2012.
    """

    table: ClassVar[str] = "link.radio"
    base_mw: Annotated[float, Domain("mW", at_least=0)]
    uplink_mw_per_mbps: Annotated[float, Domain("mW per Mbit/s", at_least=0)]
    downlink_mw_per_mbps: Annotated[float, Domain("mW per Mbit/s", at_least=0)]
    tail_mw: Annotated[float, Domain("mW", at_least=0)] = 0.0
    tail_s: Annotated[float, Domain("s", at_least=0)] = 0.0
    promotion_ms: Annotated[float, Domain("ms", at_least=0)] = 0.0
    promotion_mw: Annotated[float, Domain("mW", at_least=0)] = 0.0


@dataclass(frozen=True, kw_only=True)
class RateSpec(SchemaTable):
    """How a bandwidth changes: constant, trace, markov or lognormal; `mbps` is its mean.

    trace: `file` with the column `column`, repeated for ever, optionally `scale`d; or the same
    inline as `times_s` and `trace_mbps`.
    markov: `states_mbps` with mean sojourns `dwell_s`, the next state drawn evenly.
    lognormal: a new value every `step_s`, coefficient of variation `cv`, lag-one correlation
    `correlation` of its logarithm.
    """

    table: ClassVar[str] = "link.rate"
    kind: Annotated[str, OneOf(("constant", "trace", "markov", "lognormal"))] = "constant"
    mbps: Annotated[float, Domain("Mbit/s", above=0)] | None = None
    file: Text | None = None
    column: Text | None = None
    scale: Annotated[float, Domain(above=0)] = 1.0
    times_s: tuple[Annotated[float, Domain("s", at_least=0)], ...] | None = None
    trace_mbps: tuple[Annotated[float, Domain("Mbit/s", at_least=0)], ...] | None = None
    states_mbps: tuple[Annotated[float, Domain("Mbit/s", at_least=0)], ...] | None = None
    dwell_s: tuple[Annotated[float, Domain("s", at_least=SHORTEST_S)], ...] | None = None
    step_s: Annotated[float, Domain("s", at_least=SHORTEST_S)] = 1.0
    cv: Annotated[float, Domain(at_least=0, at_most=LARGEST_CV)] = 0.0
    correlation: Annotated[float, Domain(at_least=0, at_most=0.999)] = 0.0

    def check(self) -> None:
        if self.kind in ("constant", "lognormal") and self.mbps is None:
            self.refuse(f"a {self.kind} rate needs mbps")
        if self.kind == "trace" and self.file is None and not self.times_s:
            self.refuse("a trace rate needs file, or times_s with trace_mbps")
        times, rates = self.times_s or (), self.trace_mbps or ()
        if len(times) != len(rates):
            self.refuse("times_s and trace_mbps go together, with as many entries")
        if any(later <= sooner for sooner, later in pairwise(times)):
            self.refuse("times_s must rise")
        if rates and not max(rates) > 0:
            self.refuse("trace_mbps is zero throughout, nothing would ever arrive")
        if self.kind == "markov":
            states, dwell = self.states_mbps or (), self.dwell_s or ()
            if len(states) < 2 or len(states) != len(dwell) or not max(states) > 0:
                self.refuse("a markov rate needs states_mbps and dwell_s, two or more of each")


@dataclass(frozen=True, kw_only=True)
class LinkSpec(SchemaTable):
    """The network between phone and server; `name` takes the numbers of a named link.

    `sharing`: own (each phone its own link, its transfers one after the other), cell (all phones
    share the rate equally at every moment), unlimited (transfers never meet).
    `loss` is the share of packets lost; `handshake_round_trips` is paid by every request.
    """

    table: ClassVar[str] = "link"
    name: Text | None = None
    uplink_mbps: Annotated[float, Domain("Mbit/s", above=0)] | None = None
    downlink_mbps: Annotated[float, Domain("Mbit/s", above=0)] | None = None
    uplink: RateSpec | None = None
    downlink: RateSpec | None = None
    rtt_ms: Annotated[float, Domain("ms", at_least=0)] | None = None
    jitter_ms: Annotated[Distribution, Quantity("ms")] = NOTHING
    loss: Annotated[float, Domain(at_least=0, at_most=0.5)] = 0.0
    handshake_round_trips: Annotated[float, Domain(at_least=0)] = 0.0
    sharing: Annotated[str, OneOf(("own", "cell", "unlimited"))] = "own"
    radio: Radio | None = None

    def check(self) -> None:
        if (self.uplink and self.uplink_mbps) or (self.downlink and self.downlink_mbps):
            self.refuse("give either uplink_mbps or [link.uplink], not both (same for downlink)")


@dataclass(frozen=True, kw_only=True)
class Batching(SchemaTable):
    """A batch starts when `max_size` requests wait or the oldest has waited `timeout_ms`."""

    table: ClassVar[str] = "server.batching"
    max_size: Annotated[int, Domain(at_least=1, at_most=LARGEST_BATCH, whole=True)]
    timeout_ms: Annotated[float, Domain("ms", at_least=0)] = 0.0


@dataclass(frozen=True, kw_only=True)
class Autoscale(SchemaTable):
    """Every `interval_s` the number of replicas moves to busy share / `target_utilization`.

    A new replica serves `start_s` later. The rule is that of the Kubernetes horizontal autoscaler:
    desired = ceil(current * utilization / target), with the queue counted as busy.
    """

    table: ClassVar[str] = "server.autoscale"
    max_replicas: Annotated[int, Domain(at_least=1, at_most=MOST_PARTS, whole=True)]
    min_replicas: Annotated[int, Domain(at_least=1, at_most=MOST_PARTS, whole=True)] = 1
    target_utilization: Annotated[float, Domain(above=0, at_most=1)] = 0.7
    interval_s: Annotated[float, Domain("s", at_least=SHORTEST_S)] = 15.0
    start_s: Annotated[float, Domain("s", at_least=0)] = 30.0

    def check(self) -> None:
        if self.max_replicas < self.min_replicas:
            self.refuse("max_replicas must be >= min_replicas")


@dataclass(frozen=True, kw_only=True)
class ServerSpec(SchemaTable):
    """`replicas` equal servers behind one queue. A replica idle for `keep_alive_s` goes cold and
    pays `cold_start_ms` on its next batch; with `starts_cold` the first one is cold as well."""

    table: ClassVar[str] = "server"
    replicas: Annotated[int, Domain(at_least=1, at_most=MOST_PARTS, whole=True)] = 1
    discipline: Annotated[str, OneOf(("fifo", "priority"))] = "fifo"
    queue_limit: Annotated[int, Domain(at_least=0, whole=True)] | None = None
    batching: Batching | None = None
    cold_start_ms: Annotated[Distribution, Quantity("ms")] = NOTHING
    keep_alive_s: Annotated[float, Domain("s", at_least=0)] | None = None
    starts_cold: Flag = False
    autoscale: Autoscale | None = None
