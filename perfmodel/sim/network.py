"""The tables of a scenario that describe the network and the server."""

# ruff: noqa: RUF009  (the calls in class bodies make field descriptions, evaluated once)
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.sim.distributions import Distribution, constant
from perfmodel.sim.schema import Table, flag, law, number, numbers, subtable, text, whole

NONE = constant(0.0)


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
        if (self.uplink and self.uplink_mbps) or (self.downlink and self.downlink_mbps):
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
