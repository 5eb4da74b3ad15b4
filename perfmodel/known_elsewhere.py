"""Where a network is known that a target has no answer for: at other batches, on the same device.

`ask` is what predicts a network on a target, so that nothing here needs to know how.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from perfmodel.devices.registry import Resolved
from perfmodel.errors import PerfmodelError
from perfmodel.target import QUANTISED
from perfmodel.workload import Workload, fusion_rules, load_at_batch, workload

BATCHES = tuple(2**power for power in range(11))
"""Batch sizes that are tried where the one asked for has no answer."""


class Reply(Protocol):
    """An answer, as far as it is needed here."""

    @property
    def unknown(self) -> str:
        """Why it is none; empty where it is one."""


K = TypeVar("K", bound=Reply)
Ask = Callable[[Workload, Resolved], K]
"""From a network and a target to what is known of it; raises `PerfmodelError`."""


def known_batches(work: Workload, resolved: Resolved, ask: Ask[K]) -> tuple[int, ...]:
    """Those of `BATCHES` at which a network has an answer on a target."""
    known = []
    for size in BATCHES:
        try:
            graph = load_at_batch(work.graph, size)
            same = workload(graph, work.framework, allow_uncovered=bool(work.uncovered_ops))
            if not ask(same, resolved).unknown:
                known.append(size)
        except PerfmodelError:
            continue  # a network that was written for one batch only
    return tuple(known)


def known_on_device(work: Workload, resolved: Resolved, ask: Ask[K]) -> K | None:
    """The answer of the first other target of the device that has one; None where none has.

    Targets that compute in floats answer for one another, and those in integers.
    """
    asked = resolved.target
    for target in resolved.device.targets:
        alike = (target.target.precision in QUANTISED) == (asked.target.precision in QUANTISED)
        if target is asked or target.latency_kind != asked.latency_kind or not alike:
            continue
        other = replace(resolved, target=target, precision_reason="")
        try:
            fused = fusion_rules(other)
            same = workload(work.graph, fused, allow_uncovered=bool(work.uncovered_ops))
            answer = ask(same, other)
        except PerfmodelError:
            continue  # a unit that cannot run an operator of it
        if not answer.unknown:
            return answer
    return None


def in_ranges(sizes: Sequence[int]) -> str:
    """Some of `BATCHES` in words, neighbours joined: `1 to 4, 64`."""
    runs: list[list[int]] = []
    for size in sizes:
        if runs and size == 2 * runs[-1][-1]:
            runs[-1].append(size)
        else:
            runs.append([size])
    return ", ".join(f"{r[0]} to {r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)
