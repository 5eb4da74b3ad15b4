"""The vocabulary of operators: kinds that behave alike, by family."""

from __future__ import annotations

UNARY = [
    "relu",
    "relu6",
    "relu_n1_to_1",
    "prelu",
    "leaky_relu",
    "elu",
    "selu",
    "sigmoid",
    "tanh",
    "hard_swish",
    "hard_sigmoid",
    "hard_tanh",
    "gelu",
    "swish",
    "softplus",
    "softsign",
    "mish",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "neg",
    "abs",
    "sign",
    "sin",
    "cos",
    "square",
    "floor",
    "ceil",
    "round",
    "erf",
    "clip",
    "identity",
    "cast",
    "quantize",
    "dequantize",
    "logical_not",
    "reciprocal",
    "dropout",
    "cumsum",
    "zeros_like",
    "is_nan",
    "threshold",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "log10",
    "trunc",
]
"""One tensor in (constants such as PReLU slopes may follow), one of the same shape out."""

BINARY = [
    "add",
    "sub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "pow",
    "squared_difference",
    "floor_div",
    "floor_mod",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "atan2",
]
"""Two tensors in, broadcast as numpy does; attribute `activation`."""

REDUCE = [
    "reduce_mean",
    "reduce_sum",
    "reduce_max",
    "reduce_min",
    "reduce_prod",
    "reduce_any",
    "reduce_all",
]
"""Attributes `axes` (tuple of non-negative ints) and `keep_dims`."""

CONVOLUTIONS = frozenset({"conv2d", "conv3d", "transpose_conv2d", "transpose_conv3d"})
"""A tensor (batch, ..., channels) and weights (cout, ..., cin / groups), bias may follow."""

POOLS = frozenset({"max_pool2d", "avg_pool2d", "max_pool3d", "avg_pool3d"})
"""Attributes `kernel`, `stride`, `pads` and `dilation`, a number for each spatial axis."""

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
"""Gates of one step of a recurrent layer, each a product with the input and one with the state.

Input, forget, cell and output gate of an LSTM; update, reset and new state of a GRU.
"""

DETECTION = frozenset(
    {"detection_output", "prior_box", "yolo_output", "detection_postprocess", "top_k"}
    | {"non_max_suppression"}
)
"""Kinds that sort and choose among boxes; how much they do depends on the data."""

NORMS = frozenset({"layer_norm", "instance_norm", "group_norm"})
"""Normalisations that are several operators in some frameworks, the last of them an addition."""
WEIGHTED = CONVOLUTIONS | frozenset(
    {
        "fully_connected",
        "matmul",
        *GATES,
        "svdf",
        "prelu",
        *NORMS,
        "batch_norm",
        "local_norm",
        "scale",
    },
)
"""Kinds whose constants are parameters whatever their dtype (quantised biases are int32)."""
