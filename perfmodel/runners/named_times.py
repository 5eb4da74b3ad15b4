"""Times of operators that bear our names, put down to kernels.

Writers name what they write after the operator of the graph that it serves, `OP` or `OP/PART`;
runtimes keep such a name in their lists or add to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.graph.exported import repeats
from perfmodel.graph.ir import Graph
from perfmodel.kernels.kernel import Kernel
from perfmodel.runners.tflite_align import trimmed_mean


def listed() -> bool:
    """What tells of a runtime that always lists the times of operators."""
    return True


def owners(graph: Graph, kernels: Sequence[Kernel]) -> dict[str, int]:
    """Number of the kernel of each operator by its name; of an activation of its own too.

    Where one operator runs for several that compute the same, any of their names may be listed.
    """
    found = {name: i for i, kernel in enumerate(kernels) for name in kernel.fused}
    found |= {kernel.name: i for i, kernel in enumerate(kernels)}
    same = {name: found[op.name] for name, op in repeats(graph).items() if op.name in found}
    return same | found


def owner_of(name: str, at: Mapping[str, int]) -> int:
    """The kernel of a listed name, the longest of whose leading parts is an operator's; else -1."""
    while name not in at and "/" in name:
        name = name.rpartition("/")[0]
    return at.get(name, -1)


def kernel_times(
    graph: Graph, stored: str, kernels: Sequence[Kernel], per_op_us: Mapping[str, Sequence[float]]
) -> np.ndarray:
    """Mean time of each kernel in us, shape (kernels,), from times by "position name".

    What bears no name of ours (copies between layouts) counts to the kernel listed before it, or
    to the first; of a lone kernel everything is its own, whatever it is called (OpenVINO gives
    recurrent layers names of its own). Raises `RunnerError` where most kernels are not listed.
    """
    if len(kernels) == 1:
        return np.array([sum(trimmed_mean(values) for values in per_op_us.values())])
    at = owners(graph, kernels)
    times = np.zeros(len(kernels))
    pending, owner = 0.0, -1
    seen = set()
    for key, values in per_op_us.items():
        spent = trimmed_mean(values)
        named = owner_of(key.partition(" ")[2], at)
        if named >= 0:
            owner = named
            seen.add(named)
        pending += spent
        if owner >= 0:
            times[owner] += pending
            pending = 0.0
    if 2 * len(seen) < len(kernels):
        raise RunnerError(
            "the profile lists other operators than the file has",
            "this network's profile cannot be split into kernels",
        )
    return times


def file_times(
    path: Path, graph: Graph, kernels: Sequence[Kernel], per_op_us: Mapping[str, Sequence[float]]
) -> np.ndarray:
    """The same of a real file, whose operators have names of its own."""
    return kernel_times(graph, "", kernels, per_op_us)
