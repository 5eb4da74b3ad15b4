"""Yardsticks: random networks of the calibration that a validation times once more.

The reference network tells how fast the cores are; it says little of caches and memory, which on a
shared machine differ from hour to hour as well. A few networks that were measured then and are
measured again between the others tell by how much everything has changed since.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.devices.profile import DeviceProfile
from perfmodel.graph.ir import Graph
from perfmodel.runners.campaign import result_from_entry
from perfmodel.runners.host_bench import RunConfig
from perfmodel.runners.random_nets import DRAWING, is_random, random_named
from perfmodel.runners.samples import Sample, whole_ms

COUNT = 12
"""Yardsticks of a setup: a median of twelve networks that each repeat within about 2 % (the second
runs of validation/results/host/validation.json) is good to about 1 %."""
LEAST = 3
"""A median of fewer is a single network's luck."""
RANGE_MS = (1.0, 30.0)
"""Long enough to be timed well, short enough to be timed often."""
DRAWING_FACT = "random_networks"
"""Key among a profile's hardware facts of the drawing that its yardsticks' names belong to."""
_PREFIX = "yardstick_"
_FACT = re.compile(_PREFIX + r"([a-z0-9]+)_(t[0-9]+)_(\w+)_ms")


@dataclass(frozen=True)
class Yardstick:
    """A random network by its name, and its time in the calibration in ms."""

    setup: RunConfig
    name: str
    then_ms: float

    @property
    def key(self) -> str:
        """Its key in a validation's journal."""
        return f"{self.setup}/yardstick/{self.name}"

    @property
    def graph(self) -> Graph:
        """The network."""
        return random_named(self.name)


def chosen(samples: Sequence[Sample]) -> dict[str, float]:
    """Facts of a profile: some networks of each setup, evenly over their times, and the drawing
    that their names belong to."""
    facts: dict[str, float] = {DRAWING_FACT: float(DRAWING)}
    low, high = RANGE_MS
    for setup in dict.fromkeys(s.setup for s in samples):
        fit = [s for s in samples if s.setup == setup and s.operators and low <= s.whole_ms <= high]
        fit.sort(key=lambda s: s.whole_ms)
        for place in range(min(COUNT, len(fit))):
            one = fit[(2 * place + 1) * len(fit) // (2 * min(COUNT, len(fit)))]
            name = one.key.rpartition("/")[2]
            facts[f"{_PREFIX}{setup.precision}_t{setup.threads}_{name}_ms"] = one.whole_ms
    return facts


def yardsticks_of(profile: DeviceProfile) -> tuple[Yardstick, ...]:
    """The yardsticks that a profile names, the setups by turns.

    None of a profile whose names belonged to other networks: made when random networks were drawn
    otherwise.
    """
    drawn = profile.hardware.get(DRAWING_FACT)
    if drawn is None or drawn.value != DRAWING:
        return ()
    found: list[Yardstick] = []
    for fact_name, fact in profile.hardware.items():
        match = _FACT.fullmatch(fact_name)
        if match and not isinstance(fact.value, str) and fact.value > 0:
            precision, threads, name = match.groups()
            if is_random(name):
                found.append(Yardstick(RunConfig.parse(f"{precision}/{threads}"), name, fact.value))
    turn = {y: sum(z.setup == y.setup for z in found[:i]) for i, y in enumerate(found)}
    return tuple(sorted(found, key=lambda y: turn[y]))


def drifts(
    yardsticks: Sequence[Yardstick], entries: Mapping[str, Any], usual: Mapping[RunConfig, float]
) -> dict[RunConfig, float]:
    """Median over a setup's yardsticks of their time now over then, both in units of the reference.

    1 where too few were measured.
    """
    found = {}
    for setup, usual_ms in usual.items():
        ratios = [
            whole_ms(result_from_entry(y.key, entries[y.key]), usual_ms) / y.then_ms
            for y in yardsticks
            if y.setup == setup and "sets" in entries.get(y.key, {})
        ]
        found[setup] = statistics.median(ratios) if len(ratios) >= LEAST else 1.0
    return found
