"""What a scenario is made of: frozen, checked tables with units in their names.

A scenario file is these tables in TOML. `perfmodel.sim.files` reads it, `perfmodel.sim.resolve`
fills in times of named models and links, `perfmodel.sim.engine` runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.sim.distributions import Distribution, constant
from perfmodel.sim.schema import Table, flag, law, number, numbers, subtable, subtables, text, whole

UNITS = ("cpu", "gpu", "npu")
POLICIES = ("device", "cloud", "split", "adaptive", "deadline", "hedged")
CLOUD_POLICIES = ("cloud", "split", "adaptive", "deadline", "hedged")
NONE = constant(0.0)


@dataclass(frozen=True)
class UnitSpec(Table):
    """A processor of the phone: `slots` jobs at once, each cut into slices of at most `slice_ms`.

    Between slices a job of higher priority gets in, and jobs of equal priority take turns; without
    `slice_ms` a job runs to its end. `active_mw` is drawn per busy slot, above the rest of the phone.
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


@dataclass(frozen=True)
class Radio(Table):
    """Power of the radio: P = base + alpha * Mbit/s while it transfers, then a tail, then idle.

    After the tail has run out the next transfer waits `promotion_ms` (at `promotion_mw`).
    Model of Huang et al., MobiSys 2012.
    """

    table: ClassVar[str] = "link.radio"
    base_mw: float = number(at_least=0)
    uplink_mw_per_mbps: float = number(at_least=0)
    downlink_mw_per_mbps: float = number(at_least=0)
    tail_mw: float = number(0.0, at_least=0)
    tail_s: float = number(0.0, at_least=0)
    promotion_ms: float = number(0.0, at_least=0)
    promotion_mw: float = number(0.0, at_least=0)


@dataclass(frozen=True)
class RateSpec(Table):
    """How a bandwidth changes: constant, trace, markov or lognormal; `mbps` is its mean.

    trace: `file` with the column `column`, repeated for ever, optionally `scale`d; or the same
    inline as `times_s` and `trace_mbps`.
    markov: `states_mbps` with mean sojourns `dwell_s`, the next state drawn evenly.
    lognormal: a new value every `step_s`, coefficient of variation `cv`, lag-one correlation
    `correlation` of its logarithm.
    """

    table: ClassVar[str] = "link.rate"
    kind: str = text("constant", choices=("constant", "trace", "markov", "lognormal"))
    mbps: float | None = number(None, above=0)
    file: str | None = text(None)
    column: str | None = text(None)
    scale: float = number(1.0, above=0)
    times_s: tuple[float, ...] | None = numbers(None)
    trace_mbps: tuple[float, ...] | None = numbers(None)
    states_mbps: tuple[float, ...] | None = numbers(None)
    dwell_s: tuple[float, ...] | None = numbers(None, above=0)
    step_s: float = number(1.0, above=0)
    cv: float = number(0.0, at_least=0)
    correlation: float = number(0.0, at_least=0, at_most=0.999)

    def check(self) -> None:
        if self.kind in ("constant", "lognormal") and self.mbps is None:
            self.refuse(f"a {self.kind} rate needs mbps")
        if self.kind == "trace" and self.file is None and self.times_s is None:
            self.refuse("a trace rate needs file, or times_s with trace_mbps")
        if (self.times_s is None) != (self.trace_mbps is None):
            self.refuse("times_s and trace_mbps go together")
        if self.kind == "markov":
            states, dwell = self.states_mbps or (), self.dwell_s or ()
            if len(states) < 2 or len(states) != len(dwell) or not max(states) > 0:
                self.refuse("a markov rate needs states_mbps and dwell_s, two or more of each")


@dataclass(frozen=True)
class LinkSpec(Table):
    """The network between phone and server; `name` takes the numbers of a named link.

    `sharing`: own (each phone its own link, its transfers one after the other), cell (all phones
    share the rate equally at every moment), unlimited (transfers never meet).
    `loss` is the share of packets lost; `handshake_round_trips` is paid by every request.
    """

    table: ClassVar[str] = "link"
    name: str | None = text(None)
    uplink_mbps: float | None = number(None, above=0)
    downlink_mbps: float | None = number(None, above=0)
    uplink: RateSpec | None = subtable(RateSpec)
    downlink: RateSpec | None = subtable(RateSpec)
    rtt_ms: float | None = number(None, at_least=0)
    jitter_ms: Distribution = law(NONE)
    loss: float = number(0.0, at_least=0, at_most=0.5)
    handshake_round_trips: float = number(0.0, at_least=0)
    sharing: str = text("own", choices=("own", "cell", "unlimited"))
    radio: Radio | None = subtable(Radio)

    def check(self) -> None:
        if self.uplink and self.uplink_mbps or self.downlink and self.downlink_mbps:
            self.refuse("give either uplink_mbps or [link.uplink], not both (same for downlink)")


@dataclass(frozen=True)
class Batching(Table):
    """A batch starts when `max_size` requests wait or the oldest has waited `timeout_ms`."""

    table: ClassVar[str] = "server.batching"
    max_size: int = whole(at_least=1)
    timeout_ms: float = number(0.0, at_least=0)


@dataclass(frozen=True)
class Autoscale(Table):
    """Every `interval_s` the number of replicas moves to busy share / `target_utilization`.

    A new replica serves `start_s` later. The rule is that of the Kubernetes horizontal autoscaler:
    desired = ceil(current * utilization / target), with the queue counted as busy.
    """

    table: ClassVar[str] = "server.autoscale"
    max_replicas: int = whole(at_least=1)
    min_replicas: int = whole(1, at_least=1)
    target_utilization: float = number(0.7, above=0, at_most=1)
    interval_s: float = number(15.0, above=0)
    start_s: float = number(30.0, at_least=0)

    def check(self) -> None:
        if self.max_replicas < self.min_replicas:
            self.refuse("max_replicas must be >= min_replicas")


@dataclass(frozen=True)
class ServerSpec(Table):
    """`replicas` equal servers behind one queue. A replica idle for `keep_alive_s` goes cold and
    pays `cold_start_ms` on its next batch; with `starts_cold` the first one is cold as well."""

    table: ClassVar[str] = "server"
    replicas: int = whole(1, at_least=1)
    discipline: str = text("fifo", choices=("fifo", "priority"))
    queue_limit: int | None = whole(None, at_least=0)
    batching: Batching | None = subtable(Batching)
    cold_start_ms: Distribution = law(NONE)
    keep_alive_s: float | None = number(None, at_least=0)
    starts_cold: bool = flag(False)
    autoscale: Autoscale | None = subtable(Autoscale)


@dataclass(frozen=True)
class Workload(Table):
    """When a phone's requests come: `requests` of them per phone, or all within `duration_s`.

    periodic: every `period_ms`, moved by `jitter_ms`. poisson: `rate_per_s`. renewal: gaps
    `interval_ms`. bursty: poisson at `rate_per_s` for about `on_s`, silence for about `off_s`
    (both exponential). trace: arrival times (s), inline as `times_s` or in the column `time_s` of
    `file`. closed: the next
    request `think_ms` after the answer. `group_size` requests come at once. While `max_in_flight`
    requests of a phone are unanswered, new ones are dropped (a camera skips frames).
    """

    table: ClassVar[str] = "task.workload"
    kind: str = text(choices=("periodic", "poisson", "renewal", "bursty", "trace", "closed"))
    requests: int | None = whole(None, at_least=1)
    duration_s: float | None = number(None, above=0)
    rate_per_s: float | None = number(None, above=0)
    period_ms: float | None = number(None, above=0)
    jitter_ms: Distribution = law(NONE)
    interval_ms: Distribution | None = law(None, positive=True)
    on_s: float | None = number(None, above=0)
    off_s: float | None = number(None, above=0)
    think_ms: Distribution = law(NONE)
    file: str | None = text(None)
    times_s: tuple[float, ...] | None = numbers(None)
    group_size: int = whole(1, at_least=1)
    max_in_flight: int | None = whole(None, at_least=1)
    random_phase: bool = flag(False)

    def check(self) -> None:
        needs = {
            "periodic": ("period_ms",),
            "poisson": ("rate_per_s",),
            "renewal": ("interval_ms",),
            "bursty": ("rate_per_s", "on_s", "off_s"),
            "trace": (),
            "closed": (),
        }[self.kind]
        for name in needs:
            if getattr(self, name) is None:
                self.refuse(f"a {self.kind} workload needs {name}")
        if self.kind == "trace" and self.file is None and self.times_s is None:
            self.refuse("a trace workload needs file or times_s")
        if self.kind != "trace" and self.requests is None and self.duration_s is None:
            self.refuse("say how long: requests or duration_s")


@dataclass(frozen=True)
class OnDevice(Table):
    """An inference on the phone: preprocess on the CPU, compute on `unit`.

    Either `compute_ms`, or `model` and `target`. `resident` says whether the model is in memory
    at the start; a model that is not pays `load_ms` (or `load_ms_per_mb` of its weights).
    """

    table: ClassVar[str] = "task.on_device"
    unit: str = text("cpu", choices=UNITS)
    compute_ms: Distribution | None = law(None)
    model: str | None = text(None)
    target: str | None = text(None)
    preprocess_ms: Distribution = law(NONE)
    load_ms: Distribution | None = law(None)
    load_ms_per_mb: float | None = number(None, at_least=0)
    weights_mb: float | None = number(None, at_least=0)
    allocates_mb: float = number(0.0, at_least=0)
    resident: bool = flag(True)


@dataclass(frozen=True)
class OnServer(Table):
    """An inference on the server: preprocess on the phone, upload, compute there, download.

    Service time: `compute_ms`, or `batch_sizes` with `batch_ms`, or `model` and `target`.
    """

    table: ClassVar[str] = "task.on_server"
    compute_ms: Distribution | None = law(None)
    batch_sizes: tuple[float, ...] | None = numbers(None, above=0)
    batch_ms: tuple[float, ...] | None = numbers(None, above=0)
    model: str | None = text(None)
    target: str | None = text(None)
    preprocess_ms: Distribution = law(NONE)
    upload_bytes: Distribution = law(NONE)
    download_bytes: Distribution = law(NONE)

    def check(self) -> None:
        sizes, times = self.batch_sizes or (), self.batch_ms or ()
        if len(sizes) != len(times) or list(sizes) != sorted(set(sizes)):
            self.refuse("batch_sizes must rise and have as many entries as batch_ms")


@dataclass(frozen=True)
class Split(Table):
    """A cut of the network: `head_ms` on the phone, the cut tensor crosses, `tail_ms` on the server."""

    table: ClassVar[str] = "task.split"
    after: str = text()
    head_ms: Distribution = law()
    tail_ms: Distribution = law()
    upload_bytes: Distribution = law()
    download_bytes: Distribution = law(NONE)
    preprocess_ms: Distribution = law(NONE)
    unit: str = text("cpu", choices=UNITS)


@dataclass(frozen=True)
class Task(Table):
    """One stream of inferences per phone and the policy that says where each runs.

    deadline: cloud first; the phone takes over after `fallback_after_ms` (default: the deadline
    less the time on the phone). hedged: cloud, and after `hedge_after_ms` the phone as well.
    adaptive: the plan with the least expected time at the bandwidth seen in the last uploads; the
    cloud is tried at least every `probe_every_s`.
    """

    table: ClassVar[str] = "task"
    workload: Workload = subtable(Workload, None)
    name: str = text("inference")
    policy: str = text("device", choices=POLICIES)
    on_device: OnDevice | None = subtable(OnDevice)
    on_server: OnServer | None = subtable(OnServer)
    split: tuple[Split, ...] = subtables(Split)
    split_after: str | None = text(None)
    deadline_ms: float | None = number(None, above=0)
    priority: int = whole(1)
    fallback_after_ms: float | None = number(None, at_least=0)
    hedge_after_ms: float = number(0.0, at_least=0)
    probe_every_s: float = number(10.0, above=0)

    def check(self) -> None:
        if self.workload is None:
            self.refuse("workload is missing", "add [task.workload]")
        needs_device = self.policy in ("device", "adaptive", "deadline", "hedged")
        if needs_device and self.on_device is None:
            self.refuse(f"the policy {self.policy!r} needs [task.on_device]")
        if self.policy in ("cloud", "deadline", "hedged", "adaptive") and self.on_server is None:
            self.refuse(f"the policy {self.policy!r} needs [task.on_server]")
        if self.policy == "split" and self.split_after not in [cut.after for cut in self.split]:
            known = ", ".join(cut.after for cut in self.split) or "none given"
            self.refuse(f"split_after must name one of [[task.split]] ({known})")
        if self.policy == "deadline" and self.deadline_ms is None:
            self.refuse("the policy 'deadline' needs deadline_ms")


@dataclass(frozen=True)
class Scenario(Table):
    """Phones, tasks, link and server, and how often to run them.

    The first `warmup_requests` answers of each replication are left out of the statistics.
    """

    table: ClassVar[str] = ""
    task: tuple[Task, ...] = subtables(Task, None)
    name: str = text("scenario")
    seed: int = whole(0)
    replications: int = whole(1, at_least=1)
    warmup_requests: int = whole(0)
    device: DeviceSpec = subtable(DeviceSpec, DeviceSpec())
    link: LinkSpec | None = subtable(LinkSpec)
    server: ServerSpec | None = subtable(ServerSpec)

    def check(self) -> None:
        if not self.task:
            self.refuse("task is missing", "add [task] with [task.workload]")
        if len({task.name for task in self.task}) < len(self.task):
            self.refuse("two tasks have the same name")
        for task in self.task:
            if task.policy in CLOUD_POLICIES and self.server is None:
                self.refuse(f"the policy {task.policy!r} of task {task.name!r} needs [server]")
