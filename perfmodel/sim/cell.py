"""A radio cell shared by all phones: every transfer in progress gets the same share of the rate."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import simpy

    from perfmodel.sim.rates import Bandwidth

Finished = Callable[[], None]


class RadioCell:
    """Processor sharing in virtual bits: a transfer ends when `served_bits` per transfer, counted
    from its start, reaches its size. One event per change, whatever the number of transfers."""

    def __init__(self, env: simpy.Environment, rate: Bandwidth) -> None:
        self._env = env
        self._rate = rate
        self._served_bits = 0.0
        self._since_ms = 0.0
        self._active: list[tuple[float, int, Finished]] = []
        self._order = count()
        self._version = 0
        self.busy_ms = 0.0

    def send(self, bits: float, finished: Finished) -> None:
        """Start a transfer now; `finished()` is called when its last bit has flowed."""
        self._catch_up()
        heappush(self._active, (self._served_bits + bits, next(self._order), finished))
        self._plan()

    def _catch_up(self) -> None:
        """Bring `served_bits` to now, by asking the rate how much flowed since the last change."""
        now = self._env.now
        if self._active and now > self._since_ms:
            flowed = self._rate.bits_between(self._since_ms, now)
            self._served_bits += flowed / len(self._active)
            self.busy_ms += now - self._since_ms
        self._since_ms = now
        self._rate.forget_before(now)

    def _plan(self) -> None:
        """Schedule the end of the transfer that ends first if nothing else happens."""
        self._version += 1
        if not self._active:
            return
        left_bits = max(0.0, self._active[0][0] - self._served_bits) * len(self._active)
        finish_ms = self._rate.finish_ms(self._env.now, left_bits)
        event = self._env.timeout(max(0.0, finish_ms - self._env.now), self._version)
        event.callbacks.append(self._first_ends)

    def _first_ends(self, event: simpy.Event) -> None:
        if event.value != self._version:
            return  # a transfer came or went meanwhile and a newer plan exists
        self._catch_up()
        end_bits, _, finished = heappop(self._active)
        self._served_bits = end_bits  # exact, whatever rounding the clock had
        self._plan()
        finished()
