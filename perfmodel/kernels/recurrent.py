"""Amounts of work of LSTM layers on a CPU, which computes them step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfmodel.kernels.kernel import KernelTable

GATE_MOVES = 200
"""Bytes that are moved in about the time of the sigmoid or tanh of one gate."""

STEPS_TO_START = 4
"""Starting a layer takes about as long as the fixed cost of this many of its steps."""

FLOAT_BYTES = 4.0


@dataclass(frozen=True)
class Steps:
    """Work of layers over all their steps, each of shape (kernels,).

    `starts` counts steps and what starting takes in steps; `gate_bytes` are moved bytes in the time
    of the gates; `weight_bytes` are read at the steps beyond those that stay near the core;
    `in_float` marks the layers of integer networks that run in float.
    """

    starts: np.ndarray
    gate_bytes: np.ndarray
    weight_bytes: np.ndarray
    in_float: np.ndarray


def steps_of(t: KernelTable, element_bytes: float, near_bytes: float) -> Steps:
    """Work of LSTM layers; rows of other kernels mean nothing.

    TFLite computes the four gates of a layer one by one, element by element; but the layers in two
    directions of integer networks it runs in float, all gates at once.
    """
    units = t["batch"] * t["m"] * t["k"]
    both = t["macs"] >= 1.5 * 4 * units * (t["cin"] + t["k"])
    directions = np.where(both, 2.0, 1.0)
    in_float = both & (element_bytes == 1)
    weight_bytes = t["weight_elements"] * np.where(in_float, FLOAT_BYTES, element_bytes)
    # one direction runs over all steps before the other begins
    far = np.maximum(weight_bytes - near_bytes * directions, 0.0)
    steps = t["m"] * directions
    gate_bytes = np.where(in_float, FLOAT_BYTES, GATE_MOVES) * 4 * units * directions
    return Steps(steps + STEPS_TO_START * directions, gate_bytes, far * t["m"], in_float)
