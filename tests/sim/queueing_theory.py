"""Formulas of queueing theory and recursions that follow single requests, as truth for tests."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence


def mm1_wait(rate: float, mean: float) -> float:
    """Mean wait in M/M/1: rho / (mu - lambda)."""
    load = rate * mean
    return load * mean / (1 - load)


def erlang_c(servers: int, offered: float) -> float:
    """Probability that an arrival at M/M/c has to wait."""
    terms = [offered**k / math.factorial(k) for k in range(servers)]
    last = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return last / (sum(terms) + last)


def mmc_wait(rate: float, mean: float, servers: int) -> float:
    """Mean wait in M/M/c."""
    offered = rate * mean
    return erlang_c(servers, offered) * mean / (servers - offered)


def mg1_wait(rate: float, mean: float, cv: float) -> float:
    """Pollaczek-Khinchine: lambda E[S^2] / (2 (1 - rho))."""
    return rate * mean**2 * (1 + cv**2) / (2 * (1 - rate * mean))


def kiefer_wolfowitz(
    arrivals: Sequence[float], services: Sequence[float], servers: int
) -> list[float]:
    """Wait of every request, first come first served; Lindley's recursion for one server."""
    free = [0.0] * servers
    waits = []
    for arrival, service in zip(arrivals, services, strict=True):
        start = max(arrival, heapq.heappop(free))
        heapq.heappush(free, start + service)
        waits.append(start - arrival)
    return waits
