"""Operators that a unit cannot run, by framework and unit, and what they take elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models.predictor import PARTS
from perfmodel.devices.facts import TransferFact
from perfmodel.devices.registry import Resolved
from perfmodel.graph.ir import Graph, Op
from perfmodel.kernels.kernel import Kernel, KernelTable

HOME_OF = {"dla": "gpu"}
"""Units whose cost models know only what the unit itself runs, and the unit that runs the rest.

TensorRT gives what a DLA refuses to the GPU. Models of other units are fitted to whole networks,
so the time of what falls back to the CPU is in them.
"""

_DLA_KINDS = """
    conv2d transpose_conv2d fully_connected max_pool2d avg_pool2d relu relu6 relu_n1_to_1 sigmoid
    tanh prelu leaky_relu clip add sub mul maximum minimum concat lrn batch_norm scale reshape
    dropout identity
"""
_DLA_RUNS = frozenset(_DLA_KINDS.split())
"""NVIDIA, TensorRT developer guide, "Working with DLA", supported layers; softmax is not there, and
in HaX-CoNN's profiles of GoogleNet it always ran on the GPU."""

_TFLITE_GPU_REFUSES = frozenset(
    {"detection_postprocess", "non_max_suppression", "top_k", "gather_nd", "gru", "rnn"}
)
"""Operators without a shader in the GPU delegate (LiteRT, "GPU delegates", supported ops)."""


def unsupported(graph: Graph, framework: str, unit: str) -> frozenset[str]:
    """Names of the operators that a framework's unit leaves to another unit."""
    return frozenset(op.name for op in graph.ops if not runs(op, framework, unit))


def runs(op: Op, framework: str, unit: str) -> bool:
    """Whether an operator runs on a framework's unit."""
    if unit == "dla":
        # a mean over height and width is a global pooling
        pooling = op.kind == "reduce_mean" and tuple(op.attrs["axes"]) == (1, 2)
        return pooling or op.kind in _DLA_RUNS
    if framework == "tflite" and unit == "gpu":
        return op.kind not in _TFLITE_GPU_REFUSES
    return True


@dataclass(frozen=True, kw_only=True)
class Fallback:
    """Kernels of a batch of networks that run elsewhere than the target's unit.

    `kernels` are their places among all kernels, `moving_ms` what it takes to bring their tensors
    to the other unit and back (same shape). `stand_in` is the target that runs them; it is None
    where the device has none or cannot tell what moving costs, and `problem` then says what.
    """

    kernels: np.ndarray
    names: tuple[str, ...]
    moving_ms: np.ndarray
    stand_in: Resolved | None
    problem: str = ""

    def parts_ms(self, tables: Sequence[KernelTable]) -> np.ndarray:
        """Milliseconds of all kernels on the other unit by part; moving counts as overhead.

        `tables` hold the kernels of one network each.
        """
        if self.stand_in is None:
            return np.full((sum(map(len, tables)), len(PARTS)), np.inf)
        parts = np.concatenate([self.stand_in.target.predictor.parts_ms(t) for t in tables])
        parts[self.kernels, PARTS.index("overhead")] += self.moving_ms
        return parts


def fallback_of(
    networks: Sequence[tuple[Graph, Sequence[Kernel]]], resolved: Resolved
) -> Fallback | None:
    """What of some networks a target leaves to another unit; None where it runs everything."""
    target = resolved.target.target
    home = HOME_OF.get(target.unit)
    if home is None:
        return None
    refused: list[tuple[int, Graph, Kernel]] = []
    place = 0
    for graph, kernels in networks:
        names = unsupported(graph, target.framework, target.unit)
        refused += [
            (place + i, graph, k) for i, k in enumerate(kernels) if not names.isdisjoint(k.fused)
        ]
        place += len(kernels)
    if not refused:
        return None
    there = resolved.device.traits.transfer(target.unit, home)
    back = resolved.device.traits.transfer(home, target.unit)
    stand_in = _stand_in(resolved, home)
    known = stand_in is not None and there is not None and back is not None
    moving = [_moving_ms(g, k, there, back) if there and back else np.inf for _, g, k in refused]
    names_of = tuple(dict.fromkeys(k.name for _, _, k in refused))
    shown = ", ".join(names_of[:4]) + (" ..." if len(names_of) > 4 else "")
    missing = "to fall back to" if stand_in is None else "whose transfers are known"
    return Fallback(
        kernels=np.array([i for i, _, _ in refused]),
        names=names_of,
        moving_ms=np.array(moving),
        stand_in=stand_in if known else None,
        problem="" if known else f"{shown}, and the profile has no {home} {missing}",
    )


def _stand_in(resolved: Resolved, unit: str) -> Resolved | None:
    """The device's target on another unit, of the same framework if it has one."""
    here = [t for t in resolved.device.targets if t.target.unit == unit]
    same = [t for t in here if t.target.framework == resolved.target.target.framework]
    found = (same or here)[:1]
    return Resolved(resolved.device, found[0]) if found else None


def _moving_ms(graph: Graph, kernel: Kernel, there: TransferFact, back: TransferFact) -> float:
    """Moving what a kernel reads to the other unit, and back what it makes for later kernels.

    The network's own input and output live on the other unit, which is the home unit.
    """
    inside = set(kernel.fused)
    ops = [op for op in graph.ops if op.name in inside]
    made = {n for op in ops for n in op.outputs}
    read = {t.name for op in ops for t in graph.activations_in(op)} - made - set(graph.inputs)
    later = {n for op in graph.ops if op.name not in inside for n in op.inputs}
    size = {n: graph.tensors[n].size_bytes for n in read | (made & later)}
    return sum(there.ms(size[n]) for n in read) + sum(back.ms(size[n]) for n in made & later)
