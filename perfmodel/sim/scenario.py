"""What a scenario is made of: frozen, checked tables with units in their names.

A scenario file is these tables in TOML. `perfmodel.sim.files` reads it, `perfmodel.sim.resolve`
fills in times of named models and links, `perfmodel.sim.engine` runs it.
"""

# ruff: noqa: RUF009  (the calls in class bodies make field descriptions, evaluated once)
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.sim.distributions import Distribution
from perfmodel.sim.network import (
    NONE,
    Autoscale,
    Batching,
    LinkSpec,
    Radio,
    RateSpec,
    ServerSpec,
)
from perfmodel.sim.schema import Table, flag, law, number, numbers, subtable, subtables, text, whole
from perfmodel.sim.tables import UNITS, DeviceSpec, Heat, Memory, Ui, UnitSpec

__all__ = [
    "UNITS",
    "Autoscale",
    "Batching",
    "DeviceSpec",
    "Heat",
    "LinkSpec",
    "Memory",
    "OnDevice",
    "OnServer",
    "Radio",
    "RateSpec",
    "Scenario",
    "ServerSpec",
    "Split",
    "Task",
    "Ui",
    "UnitSpec",
    "Workload",
]
POLICIES = ("device", "cloud", "split", "adaptive", "deadline", "hedged")
CLOUD_POLICIES = ("cloud", "split", "adaptive", "deadline", "hedged")


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

    Either `compute_ms`, or `model` with a `target`, or `model` (or its `gmacs`) with the effective
    rate `gmacs_per_s` of a processor of which no more is known. `resident` says whether the model
    is in memory at the start; one that is not pays `load_ms` (or `load_ms_per_mb` of its weights).
    """

    table: ClassVar[str] = "task.on_device"
    unit: str = text("cpu", choices=UNITS)
    compute_ms: Distribution | None = law(None)
    model: str | None = text(None)
    target: str | None = text(None)
    gmacs: float | None = number(None, above=0)
    gmacs_per_s: float | None = number(None, above=0)
    preprocess_ms: Distribution = law(NONE)
    load_ms: Distribution | None = law(None)
    load_ms_per_mb: float | None = number(None, at_least=0)
    weights_mb: float | None = number(None, at_least=0)
    allocates_mb: float = number(0.0, at_least=0)
    resident: bool = flag(True)


@dataclass(frozen=True)
class OnServer(Table):
    """An inference on the server: preprocess on the phone, upload, compute there, download.

    Service time: `compute_ms`, or `batch_sizes` with `batch_ms`, or `model` with `target`, or
    `model` (or its `gmacs`) with `gmacs_per_s`.
    """

    table: ClassVar[str] = "task.on_server"
    compute_ms: Distribution | None = law(None)
    batch_sizes: tuple[float, ...] | None = numbers(None, above=0)
    batch_ms: tuple[float, ...] | None = numbers(None, above=0)
    model: str | None = text(None)
    target: str | None = text(None)
    gmacs: float | None = number(None, above=0)
    gmacs_per_s: float | None = number(None, above=0)
    preprocess_ms: Distribution = law(NONE)
    upload_bytes: Distribution = law(NONE)
    download_bytes: Distribution = law(NONE)

    def check(self) -> None:
        sizes, times = self.batch_sizes or (), self.batch_ms or ()
        if len(sizes) != len(times) or list(sizes) != sorted(set(sizes)):
            self.refuse("batch_sizes must rise and have as many entries as batch_ms")


@dataclass(frozen=True)
class Split(Table):
    """A cut: `head_ms` on the phone, the cut tensor crosses, `tail_ms` on the server."""

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
