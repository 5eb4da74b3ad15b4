"""Where the phones' energy goes: components in millijoule, and shares of requests in flight."""

from __future__ import annotations

COMPONENTS = ("cpu", "gpu", "npu", "ui", "radio", "radio_tail", "base")


class Meter:
    """Energy by component (mJ) of all phones of a run together."""

    def __init__(self) -> None:
        self.mj = dict.fromkeys(COMPONENTS, 0.0)

    def total_mj(self) -> float:
        """Return the sum over components."""
        return sum(self.mj.values())


class BaseShare:
    """The rest of the phone, powered while requests are in flight and shared evenly by them.

    `mj_per_flight` grows by base power / requests in flight; the difference between a request's
    end and its start is its share, so the shares add up to the energy spent.
    """

    def __init__(self, base_mw: float, meter: Meter) -> None:
        self._base_mw = base_mw
        self._meter = meter
        self._in_flight = 0
        self._since_ms = 0.0
        self._mj_per_flight = 0.0

    def _catch_up(self, now_ms: float) -> None:
        if self._in_flight:
            spent = self._base_mw * (now_ms - self._since_ms) / 1000.0
            self._meter.mj["base"] += spent
            self._mj_per_flight += spent / self._in_flight
        self._since_ms = now_ms

    def enter(self, now_ms: float) -> float:
        """Count a request in; return the mark to hand to `leave`."""
        self._catch_up(now_ms)
        self._in_flight += 1
        return self._mj_per_flight

    def leave(self, now_ms: float, mark_mj: float) -> float:
        """Count a request out; return its share in mJ."""
        self._catch_up(now_ms)
        self._in_flight -= 1
        return self._mj_per_flight - mark_mj
