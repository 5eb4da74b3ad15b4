"""Where to cut by simple rules: equal layer counts, layer types, equal parameter counts.

The rules are those of the mobile-GPU study that asked for them (layer length, layer type,
parameter count, and every layer alone).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from perfmodel.errors import PartitionError
from perfmodel.plans.layers import LayerGraph

CRITERIA = ("layer-count", "layer-type", "param-count", "each-layer", "optimal")


def cuts(layers: LayerGraph, criterion: str, k: int | None) -> tuple[int, ...]:
    """Layer indices before which to cut, ascending: k - 1 of them for k segments.

    Raises `PartitionError` where k does not fit the network or the criterion.
    """
    n = len(layers)
    if criterion == "each-layer":
        if k not in (None, n):
            raise PartitionError(f"each-layer makes {n} segments, not {k}", "leave -k out")
        return tuple(range(1, n))
    if criterion == "layer-type":
        return _type_cuts(layers, k)
    if k is None:
        raise PartitionError(f"{criterion} needs a number of segments", "add -k 2")
    if not 1 <= k <= n:
        raise too_many(layers, k)
    if criterion == "layer-count":
        return tuple(round(i * n / k) for i in range(1, k))
    if criterion == "param-count":
        return _even_cuts(layers.params, k)
    raise PartitionError(f"unknown criterion {criterion!r}", f"criteria: {', '.join(CRITERIA)}")


def counted(number: int, what: str) -> str:
    """A number with its noun: `1 layer`, `2 layers`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def too_many(layers: LayerGraph, k: int) -> PartitionError:
    """The error for a number of segments that a network cannot be cut into."""
    n = len(layers)
    return PartitionError(
        f"{layers.graph.name} has {counted(n, 'layer')} and cannot be cut into {k}",
        f"choose -k from 1 to {n}",
    )


def _type_cuts(layers: LayerGraph, k: int | None) -> tuple[int, ...]:
    groups = [layer.group for layer in layers.layers]
    found = tuple(i for i in range(1, len(groups)) if groups[i] != groups[i - 1])
    if k is not None and k != len(found) + 1:
        groups_found = counted(len(found) + 1, "group")
        raise PartitionError(
            f"{layers.graph.name} has {groups_found} of one layer type, not {k}",
            f"leave -k out or choose {len(found) + 1}",
        )
    return found


def _even_cuts(weights: Sequence[int], k: int) -> tuple[int, ...]:
    """Cuts nearest to equal shares of the total, each after the one before and none empty."""
    before = [0, *accumulate(weights)]
    n, total, found, last = len(weights), before[-1], [], 0
    for i in range(1, k):
        wanted = total * i / k
        allowed = range(last + 1, n - (k - i) + 1)
        last = min(allowed, key=lambda cut: (abs(before[cut] - wanted), -cut))
        found.append(last)
    return tuple(found)
