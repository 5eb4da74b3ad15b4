"""The radio link of a phone: pipes in both directions, round trips, loss, and the radio's power."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perfmodel.sim.rates import Bandwidth, ConstantRate
from perfmodel.sim.request import DOWNLOAD, QUEUE, UPLOAD, Attempt

if TYPE_CHECKING:
    import numpy as np
    import simpy

    from perfmodel.sim.cell import RadioCell
    from perfmodel.sim.distributions import Draw
    from perfmodel.sim.replication import EnergyMeter
    from perfmodel.sim.tables import LinkSpec, Radio
    from perfmodel.sim.tracing import Tracer

SEGMENT_BYTES = 1448  # TCP payload of a 1500-byte packet with time stamps (RFC 7323)
LEAST_TIMEOUT_MS = 200.0  # least retransmission timeout of Linux TCP (TCP_RTO_MIN)
MATHIS_CONSTANT = math.sqrt(1.5)  # Mathis et al. 1997: rate <= C MSS / (RTT sqrt(loss))
OBSERVATIONS_KEPT = 5  # uploads that a bandwidth is seen from, as many as Yin et al. 2015 take


class RadioPower:
    """Energy of one phone's radio: transfers, tail after them, promotion from idle (in mJ)."""

    __slots__ = (
        "_active_until_ms",
        "_base_w",
        "_mj",
        "_open",
        "_radio",
        "_tail_ms",
        "promotes",
    )

    def __init__(self, radio: Radio, meter: EnergyMeter) -> None:
        self._radio = radio
        self._mj = meter.mj
        self._tail_ms = 1000.0 * radio.tail_s
        self._base_w = radio.base_mw / 1000.0
        self._active_until_ms = -math.inf
        self._open = 0
        self.promotes = radio.promotion_ms > 0

    def wake_ms(self, now_ms: float) -> float:
        """Return the promotion delay a transfer that wants to start now must wait."""
        asleep = now_ms > self._active_until_ms + self._tail_ms
        return self._radio.promotion_ms if asleep and not self._open else 0.0

    def transfer(self, begin_ms: float, end_ms: float, bits: float, mw_per_mbps: float) -> float:
        """Account a transfer whose end is known; return its energy (mJ) without the tail."""
        spent_mj = mw_per_mbps * bits / 1e6
        until_ms = self._active_until_ms
        woken_mj = 0.0
        if begin_ms > until_ms:
            woken_mj = self._end_tail(begin_ms)
            until_ms = begin_ms
        if end_ms > until_ms:
            spent_mj += self._base_w * (end_ms - until_ms)
            until_ms = end_ms
        self._active_until_ms = until_ms
        self._mj["radio"] += spent_mj
        return woken_mj + spent_mj

    def open(self, now_ms: float) -> float:
        """Account the start of a transfer of unknown length; return the energy to wake (mJ)."""
        woken_mj = 0.0 if self._open else self._end_tail(now_ms)
        if not self._open:
            self._active_until_ms = max(self._active_until_ms, now_ms)
        self._open += 1
        return woken_mj

    def close(self, now_ms: float, bits: float, mw_per_mbps: float) -> float:
        """Account the end of such a transfer; return its energy (mJ)."""
        self._open -= 1
        fresh_ms = max(0.0, now_ms - self._active_until_ms)
        self._active_until_ms = max(now_ms, self._active_until_ms)
        spent_mj = self._base_w * fresh_ms + mw_per_mbps * bits / 1e6
        self._mj["radio"] += spent_mj
        return spent_mj

    def finish(self) -> None:
        """Account the tail after the last transfer of the run."""
        if self._active_until_ms > -math.inf:
            self._mj["radio_tail"] += self._radio.tail_mw * self._radio.tail_s

    def _end_tail(self, begin_ms: float) -> float:
        gap_s = (begin_ms - self._active_until_ms) / 1000.0
        if gap_s <= 0:
            return 0.0
        if math.isfinite(gap_s) and self._tail_ms:
            self._mj["radio_tail"] += self._radio.tail_mw * min(gap_s, self._radio.tail_s)
        if gap_s <= self._radio.tail_s:
            return 0.0
        woken_mj = self._radio.promotion_mw * self._radio.promotion_ms / 1000.0
        self._mj["radio"] += woken_mj
        return woken_mj


class Pipe:
    """One direction of a phone's own link: transfers one after the other, or all at once."""

    __slots__ = (
        "_changes",
        "_free_ms",
        "_one_after_the_other",
        "_rate",
        "busy_ms",
    )

    def __init__(self, rate: Bandwidth, one_after_the_other: bool = True) -> None:
        self._rate = rate
        self._changes = not isinstance(rate, ConstantRate)
        self._one_after_the_other = one_after_the_other
        self._free_ms = 0.0
        self.busy_ms = 0.0

    def send(self, now_ms: float, ready_ms: float, bits: float) -> tuple[float, float]:
        """Return when a transfer handed over now and ready at `ready_ms` begins and ends."""
        begin_ms = ready_ms
        if self._one_after_the_other and self._free_ms > ready_ms:
            begin_ms = self._free_ms
        if self._changes:
            self._rate.forget_before(now_ms)
        end_ms = self._rate.finish_ms(begin_ms, bits)
        self._free_ms = end_ms
        self.busy_ms += end_ms - begin_ms
        return begin_ms, end_ms

    def hold_until(self, time_ms: float) -> None:
        """Keep the pipe busy for longer than its bits need (a window-limited transfer)."""
        self._free_ms = max(self._free_ms, time_ms)


class Losses:
    """Lost packets of TCP transfers: bits sent again, a rate limit, and now and then a timeout."""

    def __init__(self, loss: float, rtt_ms: float, rng: np.random.Generator) -> None:
        self._loss = loss
        self._rng = rng
        self._timeout_ms = max(LEAST_TIMEOUT_MS, 2.0 * rtt_ms)
        rtt_s = max(rtt_ms, 1e-3) / 1000.0
        self._most_bits_per_ms = (
            MATHIS_CONSTANT * SEGMENT_BYTES * 8 / (rtt_s * math.sqrt(loss)) / 1000.0
        )

    def draw(self, size_bytes: float) -> tuple[float, float, float]:
        """Return the bits to send, the least time they need (ms), and a timeout delay (ms).

        Each packet is sent until it arrives; the last one has no follower whose acknowledgement
        would reveal its loss, so losing it costs a retransmission timeout.
        """
        packets = max(1, math.ceil(size_bytes / SEGMENT_BYTES))
        again = int(self._rng.negative_binomial(packets, 1.0 - self._loss))
        bits = 8.0 * (size_bytes + again * SEGMENT_BYTES)
        late_ms = self._timeout_ms if self._rng.random() < self._loss else 0.0
        return bits, bits / self._most_bits_per_ms, late_ms


class PhoneLink:
    """One phone's side of the network."""

    __slots__ = (
        "_seen_ms_per_bit",
        "down",
        "downlink_mw_per_mbps",
        "draw_jitter",
        "env",
        "half_rtt_ms",
        "handshake_ms",
        "in_turn",
        "last_upload_ms",
        "losses",
        "observed",
        "radio",
        "rtt_ms",
        "tracer",
        "track",
        "up",
        "uplink_mw_per_mbps",
    )

    def __init__(
        self,
        env: simpy.Environment,
        spec: LinkSpec,
        *,
        up: Pipe | RadioCell,
        down: Pipe | RadioCell,
        draw_jitter: Draw,
        losses: Losses | None,
        radio: RadioPower | None,
        tracer: Tracer | None = None,
        track: str = "device",
    ) -> None:
        self.env = env
        self.up = up
        self.down = down
        self.in_turn = spec.sharing == "own"
        self.rtt_ms = float(spec.rtt_ms or 0.0)
        self.half_rtt_ms = self.rtt_ms / 2
        self.handshake_ms = spec.handshake_round_trips * self.rtt_ms
        self.draw_jitter = draw_jitter if spec.jitter_ms.mean else None
        self.losses = losses
        self.radio = radio
        self.uplink_mw_per_mbps = spec.radio.uplink_mw_per_mbps if spec.radio else 0.0
        self.downlink_mw_per_mbps = spec.radio.downlink_mw_per_mbps if spec.radio else 0.0
        self.tracer = tracer
        self.track = track
        self.observed = False  # switched on by a policy that looks at the bandwidth
        self._seen_ms_per_bit: tuple[float, ...] = ()
        self.last_upload_ms = -math.inf

    def observe_upload(self, bits: float, taken_ms: float) -> None:
        """Remember how fast an upload was; tiny ones say nothing about bandwidth."""
        self.last_upload_ms = self.env.now
        if bits > 8 * SEGMENT_BYTES and taken_ms > 0:
            self._seen_ms_per_bit = (*self._seen_ms_per_bit, taken_ms / bits)[-OBSERVATIONS_KEPT:]

    def seen_uplink_mbps(self) -> float | None:
        """Return the harmonic mean of the last uploads (as in FESTIVE, Jiang et al. 2012)."""
        if not self._seen_ms_per_bit:
            return None
        return 1e-3 * len(self._seen_ms_per_bit) / sum(self._seen_ms_per_bit)


class TransferStage:
    """Upload or download: waking the radio, handshake, the bits, half a round trip and jitter."""

    __slots__ = (
        "_draw_bytes",
        "_label",
        "_lane",
        "_link",
        "_mw_per_mbps",
        "_pipe",
        "_step",
        "_upload",
    )

    def __init__(self, link: PhoneLink, upload: bool, draw_bytes: Draw) -> None:
        self._link = link
        self._upload = upload
        self._draw_bytes = draw_bytes
        self._step = UPLOAD if upload else DOWNLOAD
        self._pipe = link.up if upload else link.down
        self._mw_per_mbps = link.uplink_mw_per_mbps if upload else link.downlink_mw_per_mbps
        self._label = "upload" if upload else "download"
        self._lane = "uplink" if upload else "downlink"

    def start(self, attempt: Attempt) -> None:
        link = self._link
        now = link.env.now
        setup_ms = link.handshake_ms if self._upload else 0.0
        if link.radio is not None and link.radio.promotes:
            setup_ms += link.radio.wake_ms(now)
        size_bytes = self._draw_bytes()
        bits, least_ms, late_ms = 8.0 * size_bytes, 0.0, link.half_rtt_ms
        if link.losses is not None and size_bytes:
            bits, least_ms, lost_ms = link.losses.draw(size_bytes)
            late_ms += lost_ms
        if link.draw_jitter is not None:
            late_ms += link.draw_jitter()
        if type(self._pipe) is Pipe:
            self._send_own(attempt, now, now + setup_ms, bits, least_ms, late_ms)
        else:
            self._send_cell(attempt, setup_ms, bits, least_ms, late_ms)

    def _send_own(
        self,
        attempt: Attempt,
        now: float,
        ready_ms: float,
        bits: float,
        least_ms: float,
        late_ms: float,
    ) -> None:
        link, pipe = self._link, self._pipe
        assert isinstance(pipe, Pipe)
        begin_ms, end_ms = pipe.send(now, ready_ms, bits)
        if least_ms and end_ms - begin_ms < least_ms:
            end_ms = begin_ms + least_ms
            pipe.hold_until(end_ms)
        if link.radio is not None:
            attempt.request.energy_mj += link.radio.transfer(
                begin_ms, end_ms, bits, self._mw_per_mbps
            )
        steps = attempt.steps
        steps[QUEUE] += begin_ms - ready_ms
        steps[self._step] += (ready_ms - now) + (end_ms - begin_ms) + late_ms
        if self._upload and link.observed:
            link.observe_upload(bits, end_ms - begin_ms)
        if link.tracer is not None:
            number = attempt.request.number
            link.tracer.slice(link.track, self._lane, self._label, begin_ms, end_ms, number)
        link.env.timeout(end_ms + late_ms - now).callbacks.append(attempt.advance)

    def _send_cell(
        self, attempt: Attempt, setup_ms: float, bits: float, least_ms: float, late_ms: float
    ) -> None:
        link, cell = self._link, self._pipe
        assert not isinstance(cell, Pipe)
        started_ms = link.env.now

        def begin(_event: object = None) -> None:
            if link.radio is not None:
                attempt.request.energy_mj += link.radio.open(link.env.now)
            cell.send(bits, finished)

        def finished() -> None:
            now = link.env.now
            late = max(0.0, started_ms + setup_ms + least_ms - now) + late_ms
            if link.radio is not None:
                attempt.request.energy_mj += link.radio.close(now, bits, self._mw_per_mbps)
            attempt.steps[self._step] += now - started_ms + late
            if self._upload and link.observed:
                link.observe_upload(bits, now - started_ms - setup_ms)
            if link.tracer is not None:
                link.tracer.slice(
                    link.track, self._lane, self._label, started_ms, now, attempt.request.number
                )
            link.env.timeout(late).callbacks.append(attempt.advance)

        if setup_ms:
            link.env.timeout(setup_ms).callbacks.append(begin)
        else:
            begin()
