"""What a scenario is made of: frozen tables with units in their names.

A scenario file is these tables in TOML. `perfmodel.sim.files` reads it, `perfmodel.sim.resolve`
fills in times of named models and links, `perfmodel.sim.simulation` runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, ClassVar

from perfmodel.sim.distributions import NOTHING, Distribution
from perfmodel.sim.policy import POLICIES
from perfmodel.sim.schema import Domain, Flag, OneOf, OneOrMore, Quantity, SchemaTable, Text
from perfmodel.sim.tables import LARGEST_BATCH, MOST_PARTS, UNITS, DeviceSpec, LinkSpec, ServerSpec
from perfmodel.sim.workload import mean_rate_per_s

MOST_REQUESTS = 10**9
"""Of a scenario, all phones and replications together: hours of simulation."""

FEWEST_IN_BURSTS = 1e-6
"""Requests that come in a burst on average, at least: of less a run would see silence only."""

WORKLOAD_NEEDS: dict[str, tuple[str, ...]] = {
    "periodic": ("period_ms",),
    "poisson": ("rate_per_s",),
    "renewal": ("interval_ms",),
    "bursty": ("rate_per_s", "on_s", "off_s"),
    "trace": (),
    "closed": (),
}
"""Kinds of workload, and the keys each of them needs."""


@dataclass(frozen=True, kw_only=True)
class TaskWorkload(SchemaTable):
    """When a phone's requests come: `requests` of them per phone, or all within `duration_s`.

    periodic: every `period_ms`, moved by `jitter_ms`. poisson: `rate_per_s`. renewal: gaps
    `interval_ms`. bursty: poisson at `rate_per_s` for about `on_s`, silence for about `off_s`
    (both exponential). trace: arrival times (s), inline as `times_s` or in the column `time_s` of
    `file`. closed: the next
    request `think_ms` after the answer. `group_size` requests come at once. While `max_in_flight`
    requests of a phone are unanswered, new ones are dropped (a camera skips frames).
    """

    table: ClassVar[str] = "task.workload"
    kind: Annotated[str, OneOf(tuple(WORKLOAD_NEEDS))]
    requests: Annotated[int, Domain(at_least=1, at_most=MOST_REQUESTS, whole=True)] | None = None
    duration_s: Annotated[float, Domain("s", above=0)] | None = None
    rate_per_s: Annotated[float, Domain("1/s", above=0)] | None = None
    period_ms: Annotated[float, Domain("ms", above=0)] | None = None
    jitter_ms: Annotated[Distribution, Quantity("ms")] = NOTHING
    interval_ms: Annotated[Distribution, Quantity("ms", positive=True)] | None = None
    on_s: Annotated[float, Domain("s", above=0)] | None = None
    off_s: Annotated[float, Domain("s", above=0)] | None = None
    think_ms: Annotated[Distribution, Quantity("ms")] = NOTHING
    file: Text | None = None
    times_s: tuple[Annotated[float, Domain("s", at_least=0)], ...] | None = None
    group_size: Annotated[int, Domain(at_least=1, at_most=MOST_PARTS, whole=True)] = 1
    max_in_flight: Annotated[int, Domain(at_least=1, at_most=MOST_REQUESTS, whole=True)] | None = (
        None
    )
    random_phase: Flag = False

    def check(self) -> None:
        for name in WORKLOAD_NEEDS.get(self.kind, ()):
            if getattr(self, name) is None:
                self.refuse(f"a {self.kind} workload needs {name}")
        if self.kind == "trace" and self.file is None and not self.times_s:
            self.refuse("a trace workload needs file or times_s")
        if any(later < sooner for sooner, later in pairwise(self.times_s or ())):
            self.refuse("times_s must not go back")
        if self.kind != "trace" and self.requests is None and self.duration_s is None:
            self.refuse("say how long: requests or duration_s")
        if self.kind == "bursty" and (self.rate_per_s or 1) * (self.on_s or 1) < FEWEST_IN_BURSTS:
            self.refuse(f"rate_per_s * on_s must be >= {FEWEST_IN_BURSTS:g} requests a burst")

    def expected_requests(self) -> float:
        """Requests of one phone, or how many are expected; 1 of a closed one without a number."""
        if self.requests is not None:
            return self.requests
        rate = mean_rate_per_s(self, self.times_s or ())
        return max(1.0, len(self.times_s or ()), (rate or 0.0) * (self.duration_s or 0.0))


@dataclass(frozen=True, kw_only=True)
class OnDevice(SchemaTable):
    """An inference on the phone: preprocess on the CPU, compute on `unit`.

    Either `compute_ms`, or `model` with a `target`, or `model` (or its `gmacs`) with the effective
    rate `gmacs_per_s` of a processor of which no more is known. `resident` says whether the model
    is in memory at the start; one that is not pays `load_ms` (or `load_ms_per_mb` of its weights).
    `memory_mb` are weights and activations on the unit; those of a model with a target are known.
    """

    table: ClassVar[str] = "task.on_device"
    unit: Annotated[str, OneOf(UNITS)] = "cpu"
    compute_ms: Annotated[Distribution, Quantity("ms")] | None = None
    model: Text | None = None
    target: Text | None = None
    gmacs: Annotated[float, Domain("GMAC", above=0)] | None = None
    gmacs_per_s: Annotated[float, Domain("GMAC/s", above=0)] | None = None
    preprocess_ms: Annotated[Distribution, Quantity("ms")] = NOTHING
    load_ms: Annotated[Distribution, Quantity("ms")] | None = None
    load_ms_per_mb: Annotated[float, Domain("ms/MB", at_least=0)] | None = None
    weights_mb: Annotated[float, Domain("MB", at_least=0)] | None = None
    memory_mb: Annotated[float, Domain("MB", at_least=0)] | None = None
    allocates_mb: Annotated[float, Domain("MB", at_least=0)] = 0.0
    resident: Flag = True


@dataclass(frozen=True, kw_only=True)
class OnServer(SchemaTable):
    """An inference on the server: preprocess on the phone, upload, compute there, download.

    Service time: `compute_ms`, or `batch_sizes` with `batch_ms`, or `model` with `target`, or
    `model` (or its `gmacs`) with `gmacs_per_s`.
    """

    table: ClassVar[str] = "task.on_server"
    compute_ms: Annotated[Distribution, Quantity("ms")] | None = None
    batch_sizes: tuple[Annotated[float, Domain(above=0, at_most=LARGEST_BATCH)], ...] | None = None
    batch_ms: tuple[Annotated[float, Domain("ms", above=0)], ...] | None = None
    model: Text | None = None
    target: Text | None = None
    gmacs: Annotated[float, Domain("GMAC", above=0)] | None = None
    gmacs_per_s: Annotated[float, Domain("GMAC/s", above=0)] | None = None
    preprocess_ms: Annotated[Distribution, Quantity("ms")] = NOTHING
    upload_bytes: Annotated[Distribution, Quantity("bytes")] = NOTHING
    download_bytes: Annotated[Distribution, Quantity("bytes")] = NOTHING

    def check(self) -> None:
        sizes, times = self.batch_sizes or (), self.batch_ms or ()
        if len(sizes) != len(times) or list(sizes) != sorted(set(sizes)):
            self.refuse("batch_sizes must rise and have as many entries as batch_ms")


@dataclass(frozen=True, kw_only=True)
class SplitSpec(SchemaTable):
    """A cut: `head_ms` on the phone, the cut tensor crosses, `tail_ms` on the server.

    A server that batches whole inferences runs tails one by one, in the order in which they come.
    """

    table: ClassVar[str] = "task.split"
    after: Text
    head_ms: Annotated[Distribution, Quantity("ms")]
    tail_ms: Annotated[Distribution, Quantity("ms")]
    upload_bytes: Annotated[Distribution, Quantity("bytes")]
    download_bytes: Annotated[Distribution, Quantity("bytes")] = NOTHING
    preprocess_ms: Annotated[Distribution, Quantity("ms")] = NOTHING
    unit: Annotated[str, OneOf(UNITS)] = "cpu"
    memory_mb: Annotated[float, Domain("MB", at_least=0)] | None = None


@dataclass(frozen=True, kw_only=True)
class Task(SchemaTable):
    """One stream of inferences per phone and the policy that says where each runs.

    `split_after` names the cut of the policy split. `fallback_after_ms` is how long the policy
    deadline waits for the server (default: the deadline less the time on the phone),
    `hedge_after_ms` how long hedged does. adaptive tries the cloud at least every `probe_every_s`.
    """

    table: ClassVar[str] = "task"
    workload: TaskWorkload
    name: Text = "inference"
    policy: Annotated[str, OneOf(tuple(POLICIES))] = "device"
    on_device: OnDevice | None = None
    on_server: OnServer | None = None
    split: Annotated[tuple[SplitSpec, ...], OneOrMore()] = ()
    split_after: Text | None = None
    deadline_ms: Annotated[float, Domain("ms", above=0)] | None = None
    priority: Annotated[int, Domain(at_least=0, whole=True)] = 1
    fallback_after_ms: Annotated[float, Domain("ms", at_least=0)] | None = None
    hedge_after_ms: Annotated[float, Domain("ms", at_least=0)] = 0.0
    probe_every_s: Annotated[float, Domain("s", above=0)] = 10.0

    def check(self) -> None:
        if self.policy not in POLICIES:
            return  # the field refuses it
        lacking = POLICIES[self.policy].lacking(self)
        if lacking:
            self.refuse(f"the policy {self.policy!r} needs {lacking}")


@dataclass(frozen=True, kw_only=True)
class Scenario(SchemaTable):
    """Phones, tasks, link and server, and how often to run them.

    The first `warmup_requests` answers of each replication are left out of the statistics.
    """

    table: ClassVar[str] = ""
    task: Annotated[tuple[Task, ...], OneOrMore()]
    name: Text = "scenario"
    seed: Annotated[int, Domain(at_least=0, whole=True)] = 0
    replications: Annotated[int, Domain(at_least=1, at_most=MOST_PARTS, whole=True)] = 1
    warmup_requests: Annotated[int, Domain(at_least=0, at_most=MOST_REQUESTS, whole=True)] = 0
    device: DeviceSpec = field(default_factory=DeviceSpec)
    link: LinkSpec | None = None
    server: ServerSpec | None = None

    def check(self) -> None:
        if not self.task:
            self.refuse("task is missing", "add [task] with [task.workload]")
        if len({task.name for task in self.task}) < len(self.task):
            self.refuse("two tasks have the same name")
        asked = sum(task.workload.expected_requests() for task in self.task)
        asked *= self.device.count * self.replications
        if asked > MOST_REQUESTS:
            self.refuse(
                f"asks for {asked:.3g} requests in all, at most {MOST_REQUESTS:g} are simulated",
                "take fewer phones, requests or replications",
            )
        for task in self.task:
            policy = POLICIES.get(task.policy)
            if policy is not None and policy.needs_server and self.server is None:
                self.refuse(f"the policy {task.policy!r} of task {task.name!r} needs [server]")
