"""How much a network has read and written since it last ran a kernel of the same kind.

A kernel that ran a moment ago finds its code, its buffers and what its library looked up about it
still in the caches. The kernels of a chain of equal blocks therefore take less time than the same
kernels in a network of many kinds: of float networks on one core of an EPYC, additions and
rectifiers of a few thousand elements take two to five times as long after 10 MB of other work as
after 0.1 MB (validation/results/host/pytorch_calibration_raw.jsonl.gz and ncnn's).
"""

from __future__ import annotations

import numpy as np

from perfmodel.kernels.kernel import KernelTable

SINCE_COLUMN = "since_elements"
"""Elements read and written since the end of the last kernel of the same operator, window and
stride."""

_KIND = ("kernel_class", "op", "kh", "kw", "sh")


def kinds_of(network: KernelTable) -> list[tuple[object, ...]]:
    """The kind of each kernel: those of one kind run the same code."""
    return list(zip(*(network[c] for c in _KIND), strict=True))


def with_recency(network: KernelTable) -> KernelTable:
    """The kernels of one network, in their order, with `SINCE_COLUMN`; as it is if it has it.

    Inferences follow each other: before the first kernel of a kind lies the end of the last
    inference.
    """
    if SINCE_COLUMN in network.number:
        return network
    return network.once("recency", lambda: _with_recency(network))


def _with_recency(network: KernelTable) -> KernelTable:
    moved = network["input_elements"] + network["weight_elements"] + network["output_elements"]
    ends = np.cumsum(moved)
    kinds = kinds_of(network)
    # the last one of each kind in the inference before this one
    last = {kind: end - ends[-1] for kind, end in zip(kinds, ends, strict=True)}
    since = np.zeros(len(kinds))
    for place, kind in enumerate(kinds):
        since[place] = ends[place] - moved[place] - last[kind]
        last[kind] = ends[place]
    return KernelTable(network.text, network.number | {SINCE_COLUMN: since})
