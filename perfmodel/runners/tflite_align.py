"""Matching the operators that a runtime's profile lists to the kernels of our graph.

Both are in the order of execution. The delegate may add operators of its own (copies, reshapes):
their time belongs to the kernel they serve, the one before, or the first. It may also do away with
some: they take no time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.runners.tflite_operators import FileOperator, execution_order, outside_choices

_LOOKUP = "Invalid Unary Op"
"""What LiteRT 2.3 calls XNNPACK's 8-bit table look-up, into which it folds unary operators."""

_PATTERNS: Mapping[str, str] = {
    "CONV_2D": r"Convolution|Fully Connected",
    "DEPTHWISE_CONV_2D": r"Convolution|Fully Connected",
    "TRANSPOSE_CONV": r"Deconvolution",
    "FULLY_CONNECTED": r"Fully Connected",
    "BATCH_MATMUL": r"Batch Matrix|Fully Connected",
    "MAX_POOL_2D": r"Max Pooling",
    "AVERAGE_POOL_2D": r"Average Pooling|Mean",
    "MEAN": r"Mean|Average Pooling",
    "SUM": r"Sum",
    "REDUCE_MAX": r"Reduce",
    "CONCATENATION": r"Copy|Concat",
    "SPLIT": r"Copy|Split|Even",
    "SLICE": r"Slice",
    "STRIDED_SLICE": r"Slice",
    "PAD": r"Pad",
    "ADD": r"Add",
    "SUB": r"Sub",
    "MUL": r"Mul",
    "DIV": r"Div",
    "MAXIMUM": r"Max",
    "MINIMUM": r"Min",
    "SQUARED_DIFFERENCE": r"Squared",
    "SOFTMAX": r"Softmax",
    "LOGISTIC": r"Sigmoid",
    "TANH": r"TanH|Tanh",
    "HARD_SWISH": r"Hard ?Swish",
    "RELU": r"Clamp",
    "RELU6": r"Clamp",
    "RELU_N1_TO_1": r"Clamp",
    "LEAKY_RELU": r"Leaky",
    "PRELU": r"PReLU",
    "GELU": r"GELU|Gelu",
    "ELU": r"ELU|Elu",
    "ABS": r"Abs",
    "NEG": r"Negate",
    "SQUARE": r"Square",
    "RSQRT": r"RSqrt|Reciprocal",
    "SQRT": r"Square Root|SQRT|Sqrt",
    "EXP": r"Exp",
    "LOG": r"Log",
    "RESIZE_BILINEAR": r"Resize",
    "TRANSPOSE": r"Transpose",
    "DEPTH_TO_SPACE": r"Depth",
    "SPACE_TO_DEPTH": r"Space",
    "QUANTIZE": r"Convert",
    "DEQUANTIZE": r"Convert",
    "CAST": r"Convert",
    "RESHAPE": r"Reshape|Copy",
    "BROADCAST_TO": r"Broadcast",
}
"""TFLite's operator -> names under which LiteRT's XNNPACK delegate lists it."""

_LOOKED_UP = frozenset(
    [
        "LOGISTIC",
        "TANH",
        "HARD_SWISH",
        "LEAKY_RELU",
        "GELU",
        "ELU",
        "ABS",
        "NEG",
        "SQUARE",
        "RSQRT",
        "SQRT",
        "EXP",
        "LOG",
        "ADD",
        "MUL",
    ]
)
_NEVER_VANISHES = frozenset(
    [
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "TRANSPOSE_CONV",
        "FULLY_CONNECTED",
        "BATCH_MATMUL",
        "MAX_POOL_2D",
    ]
)
_SKIPPED, _LOST = 1.0, 1000.0
"""Cost of a step that is not listed, or of a listed operator of the delegate's own; and of a step
that must be listed."""


def align(
    steps: Sequence[FileOperator], kernels: int, per_op_us: Mapping[str, Sequence[float]]
) -> np.ndarray:
    """Mean time of each kernel in us, shape (kernels,), from a profile "position name" -> times.

    Raises `RunnerError` where the two lists cannot be matched.
    """
    names = [key.partition(" ")[2] for key in per_op_us]
    best: tuple[float, list[int]] = (_LOST, [])
    for outside in outside_choices(steps, names):
        order = execution_order(steps, outside)
        cost, at = _match([steps[i] for i in order], [i in outside for i in order], names)
        if cost < best[0]:
            best = cost, [order[i] if i >= 0 else -1 for i in at]
    if not best[1]:
        raise RunnerError(
            "the profile lists other operators than the file has",
            "this network's profile cannot be split into kernels",
        )
    times = np.zeros(kernels)
    pending, owner = 0.0, -1
    for values, step in zip(per_op_us.values(), best[1], strict=True):
        if step >= 0 and steps[step].kernel >= 0:
            owner = steps[step].kernel
        pending += trimmed_mean(values)
        if owner >= 0:
            times[owner] += pending
            pending = 0.0
    return times


def _match(
    steps: Sequence[FileOperator], outside: Sequence[bool], names: Sequence[str]
) -> tuple[float, list[int]]:
    """Cheapest matching that keeps both orders: (cost, step of each name or -1)."""
    lost = [
        _LOST if o or s.builtin in _NEVER_VANISHES else _SKIPPED
        for s, o in zip(steps, outside, strict=True)
    ]
    kinds = {
        s: i
        for i, s in enumerate(dict.fromkeys(zip([s.builtin for s in steps], outside, strict=True)))
    }
    fits = np.array([[_fits(builtin, out, name) for name in names] for builtin, out in kinds])
    extra = np.array([_LOST if _is_builtin(n) else _SKIPPED for n in names])
    start = np.concatenate([[0.0], np.cumsum(extra)])
    row = start
    kept: list[np.ndarray] = []
    for i, step in enumerate(steps):
        # best without this name being an extra one: skip the step, or match it
        matched = np.where(fits[kinds[step.builtin, outside[i]]], row[:-1], np.inf)
        skipped = row + lost[i]
        base = np.minimum(skipped, np.concatenate([[np.inf], matched]))
        # then runs of extra names: a running minimum of base - start
        new = start + np.minimum.accumulate(base - start)
        kept.append(np.where(new < base - 1e-9, 2, np.where(base < skipped, 1, 0)))
        row = new
    at = [-1] * len(names)
    i, j = len(steps), len(names)
    while i > 0:
        move = kept[i - 1][j]
        if move == 2:
            j -= 1
        elif move == 1:
            i, j = i - 1, j - 1
            at[j] = i
        else:
            i -= 1
    return float(row[-1]), at


def _is_builtin(name: str) -> bool:
    return re.fullmatch(r"[A-Z0-9_]+", name) is not None


def _fits(builtin: str, outside: bool, name: str) -> bool:
    if outside or _is_builtin(name):
        return outside and name == builtin
    if name == _LOOKUP:
        return builtin in _LOOKED_UP
    pattern = _PATTERNS.get(builtin)
    return pattern is not None and re.search(pattern, name) is not None


def trimmed_mean(values: Sequence[float], share: float = 0.1) -> float:
    """Mean without the lowest and highest `share` of the values (interrupts, first touches)."""
    ordered = np.sort(np.asarray(values, dtype=float))
    cut = int(len(ordered) * share)
    return float(ordered[cut : len(ordered) - cut].mean())
