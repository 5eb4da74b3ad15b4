"""Whose time is it: matching what a runtime's profile lists to the kernels of our graph.

Both are in the order of execution. The runtime may add operators of its own (conversions, clamps,
reshapes, transposes): their time belongs to the kernel they serve, the one before, or the first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from perfmodel.cost.kernel import Kernel
from perfmodel.errors import RunnerError
from perfmodel.graph.ir import Graph

_PATTERNS: Mapping[str, str] = {
    "conv2d": r"Convolution|Fully Connected|CONV_2D|Conv",
    "transpose_conv2d": r"Deconvolution|TRANSPOSE_CONV",
    "fully_connected": r"Fully Connected|FULLY_CONNECTED",
    "gemm": r"Batch Matrix|BATCH_MATMUL|Fully Connected|FULLY_CONNECTED",
    "bmm": r"Batch Matrix|BATCH_MATMUL",
    "max_pool2d": r"Max Pooling|MAX_POOL_2D",
    "avg_pool2d": r"Average Pooling|AVERAGE_POOL_2D|Mean|MEAN",
    "reduce_mean": r"Mean|MEAN|Average Pooling",
    "reduce_sum": r"Sum|SUM",
    "reduce_max": r"Reduce|REDUCE_MAX",
    "concat": r"Copy|Concat|CONCATENATION",
    "split": r"Copy|Split|SPLIT|Even",
    "slice": r"Slice|SLICE",
    "strided_slice": r"Slice|STRIDED_SLICE",
    "pad": r"Pad|PAD",
    "add": r"Add|ADD",
    "sub": r"Sub|SUB",
    "mul": r"Mul|MUL",
    "div": r"Div|DIV",
    "maximum": r"Max|MAXIMUM",
    "minimum": r"Min|MINIMUM",
    "squared_difference": r"Squared|SQUARED_DIFFERENCE",
    "softmax": r"Softmax|SOFTMAX",
    "sigmoid": r"Sigmoid|LOGISTIC",
    "tanh": r"Tanh|TANH",
    "hard_swish": r"Hard ?Swish|HARD_SWISH",
    "relu": r"Clamp|RELU",
    "relu6": r"Clamp|RELU6",
    "leaky_relu": r"Leaky|LEAKY_RELU",
    "prelu": r"PReLU|PRELU",
    "gelu": r"GELU|Gelu",
    "elu": r"ELU|Elu",
    "abs": r"Abs|ABS|Unary",
    "neg": r"Negate|NEG|Unary",
    "square": r"Square|SQUARE",
    "rsqrt": r"RSqrt|Reciprocal|RSQRT",
    "sqrt": r"Square Root|SQRT|Sqrt",
    "exp": r"Exp|EXP",
    "resize": r"Resize|RESIZE",
    "transpose": r"Transpose|TRANSPOSE",
    "depth_to_space": r"Depth|DEPTH_TO_SPACE",
    "space_to_depth": r"Space|SPACE_TO_DEPTH",
    "lrn": r"LOCAL_RESPONSE_NORMALIZATION",
    "gather": r"Gather|GATHER",
    "lstm": r"LSTM",
    "quantize": r"Convert|QUANTIZE",
    "dequantize": r"Convert|DEQUANTIZE",
    "cast": r"Convert|CAST",
    "l2_norm": r"L2|L2_NORMALIZATION",
    "select": r"Select|SELECT",
    "pow": r"Pow|POW",
    "log": r"Log|LOG",
    "erf": r"Erf|ERF",
    "cumsum": r"CUMSUM",
    "arg_max": r"ArgMax|ARG_MAX",
    "tile": r"Tile|TILE",
    "broadcast_to": r"Broadcast|BROADCAST_TO",
}
"""Kernel's operator -> names under which LiteRT, XNNPACK and TFLite list it."""


_SEQUENCES: Mapping[str, tuple[str, ...]] = {
    "swish": (r"Sigmoid|LOGISTIC", r"Mul|MUL"),
    "hard_sigmoid": (r"Add|ADD", r"Mul|MUL"),
    "mish": (r"Exp|EXP", r"Add|ADD", r"Log|LOG", r"Tanh|TANH", r"Mul|MUL"),
    "channel_shuffle": (r"Transpose|TRANSPOSE",),
    "layer_norm": (r"Mean|MEAN", r"Mean|MEAN"),
    "instance_norm": (r"Mean|MEAN", r"Mean|MEAN"),
}
"""Operators that a .tflite file writes as several: their names in order."""

_LOOKED_UP = frozenset({"swish", "hard_sigmoid", "mish"})
_LOOKUP = "Invalid Unary Op"
"""What LiteRT 2.3 calls XNNPACK's 8-bit table look-up, into which it folds these operators."""


def align(
    graph: Graph, kernels: Sequence[Kernel], per_op_us: Mapping[str, Sequence[float]]
) -> np.ndarray:
    """Mean time of each kernel in us, shape (kernels,), from a profile "position name" -> times.

    Raises `RunnerError` where the two lists cannot be matched.
    """
    names = [key.partition(" ")[2] for key in per_op_us]
    outside = _outside(kernels, names)
    expected = [
        (i, pattern)
        for i in execution_order(graph, kernels, outside)
        for pattern in _listed(kernels[i], names)
    ]
    times = np.zeros(len(kernels))
    position, owner, pending = 0, -1, 0.0
    for name, values in zip(names, per_op_us.values(), strict=True):
        mean_us = trimmed_mean(values)
        if position < len(expected) and re.search(expected[position][1], name):
            owner = expected[position][0]
            times[owner] += mean_us + pending
            position, pending = position + 1, 0.0
        elif owner >= 0:
            times[owner] += mean_us
        else:
            pending += mean_us
    if position < len(expected):
        missing = kernels[expected[position][0]]
        raise RunnerError(
            f"the profile has no operator for kernel {missing.name!r} ({missing.op})",
            "this network's profile cannot be split into kernels",
        )
    return times


def _listed(kernel: Kernel, names: Sequence[str]) -> tuple[str, ...]:
    """Names in order; in 8 bits one table look-up stands for a whole sequence of a unary operator,
    in all of a network's kernels alike."""
    if kernel.op in _LOOKED_UP and _LOOKUP in names:
        return (re.escape(_LOOKUP),)
    return _names(kernel)


def _names(kernel: Kernel) -> tuple[str, ...]:
    if kernel.op in _SEQUENCES:
        return _SEQUENCES[kernel.op]
    if kernel.op not in _PATTERNS:
        raise RunnerError(f"no name is known under which a runtime lists {kernel.op!r}")
    return (_PATTERNS[kernel.op],)


def _outside(kernels: Sequence[Kernel], names: Sequence[str]) -> frozenset[int]:
    """Kernels that the delegate left to the runtime, which lists them in capitals.

    A kind of operator is either delegated or not; where only some are, nothing can be said.
    """
    left = [n for n in names if re.fullmatch(r"[A-Z0-9_]+", n)]
    found: set[int] = set()
    for name in dict.fromkeys(left):
        same = [i for i, k in enumerate(kernels) if any(re.search(p, name) for p in _names(k))]
        if len(same) != left.count(name):
            raise RunnerError(f"{left.count(name)} of {len(same)} kernels ran as {name}")
        found.update(same)
    return frozenset(found)


def execution_order(
    graph: Graph, kernels: Sequence[Kernel], outside: frozenset[int]
) -> tuple[int, ...]:
    """Order in which kernels run when those `outside` are not delegated.

    TFLite cuts its plan into alternating parts: all that is ready inside the delegate, then all
    that is ready outside, each in the order of the file (`PartitionGraphIntoIndependentNodeSubsets`
    of TensorFlow Lite's graph_info.cc).
    """
    kernel_of = {name: i for i, k in enumerate(kernels) for name in k.fused}
    have = set(graph.inputs) | {n for n, t in graph.tensors.items() if t.constant} | {""}
    todo = list(graph.ops)
    order: list[int] = []
    side: bool | None = None
    while todo:
        waiting, progress = [], False
        for op in todo:
            apart = kernel_of.get(op.name) in outside
            if side is None and have.issuperset(op.inputs):
                side = apart
            if apart == side and have.issuperset(op.inputs):
                have.update(op.outputs)
                progress = True
                if op.name in kernel_of and kernel_of[op.name] not in order:
                    order.append(kernel_of[op.name])
            else:
                waiting.append(op)
        todo = waiting
        if not progress:
            side = None if side is None else not side
    return tuple(order)


def trimmed_mean(values: Sequence[float], share: float = 0.1) -> float:
    """Mean without the lowest and highest `share` of the values (interrupts, first touches)."""
    ordered = np.sort(np.asarray(values, dtype=float))
    cut = int(len(ordered) * share)
    return float(ordered[cut : len(ordered) - cut].mean())
