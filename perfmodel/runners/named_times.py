"""Times of operators that bear our names, put down to kernels.

Writers name what they write after the operator of the graph that it serves, `OP` or `OP/PART`;
runtimes keep such a name in their lists or add to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.graph.ir import Graph
from perfmodel.kernels.kernel import Kernel
from perfmodel.runners.tflite_align import trimmed_mean


def owners(kernels: Sequence[Kernel]) -> dict[str, int]:
    """Number of the kernel of each operator by its name; of an activation of its own too."""
    found = {name: i for i, kernel in enumerate(kernels) for name in kernel.fused}
    return found | {kernel.name: i for i, kernel in enumerate(kernels)}


def owner_of(name: str, at: Mapping[str, int]) -> int:
    """The kernel of a listed name, the longest of whose leading parts is an operator's; else -1."""
    while name not in at and "/" in name:
        name = name.rpartition("/")[0]
    return at.get(name, -1)


def kernel_times(
    graph: Graph,
    precision: str,
    kernels: Sequence[Kernel],
    per_op_us: Mapping[str, Sequence[float]],
) -> np.ndarray:
    """Mean time of each kernel in us, shape (kernels,), from times by "position name".

    What bears no name of ours (copies between layouts) counts to the kernel listed before it, or
    to the first. Raises `RunnerError` where most of the time bears no name of ours.
    """
    at = owners(kernels)
    times = np.zeros(len(kernels))
    pending = unnamed = 0.0
    owner = -1
    for key, values in per_op_us.items():
        spent = trimmed_mean(values)
        named = owner_of(key.partition(" ")[2], at)
        owner = named if named >= 0 else owner
        unnamed += spent if named < 0 else 0.0
        pending += spent
        if owner >= 0:
            times[owner] += pending
            pending = 0.0
    if owner < 0 or unnamed > times.sum() / 2:
        raise RunnerError(
            "the profile lists other operators than the file has",
            "this network's profile cannot be split into kernels",
        )
    return times
