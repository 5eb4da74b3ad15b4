"""How long a server works on a batch: a distribution for single requests, or a measured table."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

from perfmodel.errors import ScenarioError
from perfmodel.sim.distributions import Draw


class Service(Protocol):
    """What one kind of request costs the server."""

    def service_ms(self, batch_size: int) -> float:
        """Return the time (ms) for a batch of this size."""


class SingleService:
    """Requests served one at a time, each with its own draw."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def service_ms(self, batch_size: int) -> float:
        assert batch_size == 1
        return self._draw()


class BatchService:
    """A latency table over batch sizes, linear between its entries; never beyond them."""

    def __init__(self, sizes: Sequence[float], times_ms: Sequence[float]) -> None:
        self._table = [interpolate(size, sizes, times_ms) for size in range(1, int(max(sizes)) + 1)]

    @property
    def largest(self) -> int:
        """The largest batch the table covers."""
        return len(self._table)

    def service_ms(self, batch_size: int) -> float:
        return self._table[batch_size - 1]


def interpolate(size: float, sizes: Sequence[float], times_ms: Sequence[float]) -> float:
    """Return the time (ms) of a batch of `size`, linear between neighbours in the table."""
    if not sizes[0] <= size <= sizes[-1]:
        raise ScenarioError(
            f"no batch time for size {size:g}: the table covers {sizes[0]:g} to {sizes[-1]:g}",
            "add the size to batch_sizes and batch_ms",
        )
    right = bisect_left(sizes, size)
    if sizes[right] == size:
        return times_ms[right]
    share = (size - sizes[right - 1]) / (sizes[right] - sizes[right - 1])
    return times_ms[right - 1] + share * (times_ms[right] - times_ms[right - 1])
