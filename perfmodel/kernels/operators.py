"""Exact cost of operators: multiply-accumulates, parameters and bytes, by arithmetic on shapes.

One MAC is two FLOPs. Comparisons, additions without a product and activations count 0 MACs, as in
the published tables of networks; their cost is the bytes they move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from perfmodel.errors import UncoveredOpError
from perfmodel.graph.ir import DTYPE_BYTES, OPAQUE_DTYPES, Graph, Op, Tensor
from perfmodel.graph.kinds import BINARY, CONVOLUTIONS, DETECTION, POOLS, REDUCE, UNARY, WEIGHTED
from perfmodel.kernels.arithmetic import (
    Product,
    convolution,
    recurrent_macs,
    transposed_convolution,
)

PRECISION_BYTES: Mapping[str, float] = {
    "fp32": 4,
    "fp16": 2,
    "fp16_tc": 2,
    "int8": 1,
    "uint8": 1,
    "w8a8": 1,
    "w8a16": 1,
    "float": 4,
}
"""Bytes of a stored number by precision; `float` is taken as 4, its most common case."""

_FLOAT_DTYPES = frozenset({"float64", "float32", "float16", "bfloat16"})


@dataclass(frozen=True)
class OpCost:
    """What one operator does: MACs, parameters it owns, bytes read (inputs, weights), written."""

    name: str
    kind: str
    macs: int
    params: int
    input_bytes: int
    weight_bytes: int
    output_bytes: int


def _shape(graph: Graph, op: Op, index: int) -> tuple[int, ...]:
    return graph.tensors[op.inputs[index]].shape


def _output(graph: Graph, op: Op) -> tuple[int, ...]:
    return graph.tensors[op.outputs[0]].shape


def _no_macs(graph: Graph, op: Op) -> int:
    return 0


def product_of(graph: Graph, op: Op) -> Product:
    """The matrix products that a convolution, dense layer or product amounts to.

    Of a convolution: pixels of the result x (window x input channels of a group) x output channels
    of a group, once for each group; of a transposed one: pixels of the input x input channels x
    (output channels x window).
    """
    return _PRODUCTS[op.kind](graph, op)


def _convolution(graph: Graph, op: Op) -> Product:
    transposed = op.kind.startswith("transpose_conv")
    *pixels, _ = _shape(graph, op, 0) if transposed else _output(graph, op)
    cout, *window, cin_group = _shape(graph, op, 1)
    groups = op.attrs["groups"]
    make = transposed_convolution if transposed else convolution
    return make(
        pixels=math.prod(pixels),
        window=math.prod(window),
        cin_of_group=cin_group,
        cout_of_group=cout // groups,
        groups=groups,
    )


def _dense(graph: Graph, op: Op) -> Product:
    out, inner = _shape(graph, op, 1)
    return Product(m=math.prod(_output(graph, op)) // out, n=out, k=inner)


def _matmul(graph: Graph, op: Op) -> Product:
    a, result = _shape(graph, op, 0), _output(graph, op)
    inner = a[-2] if op.attrs.get("transpose_a") else a[-1]
    return Product(m=result[-2], n=result[-1], k=inner, count=math.prod(result[:-2]))


_PRODUCTS: Mapping[str, Callable[[Graph, Op], Product]] = {
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    "fully_connected": _dense,
    "matmul": _matmul,
}


def _product_macs(graph: Graph, op: Op) -> int:
    return int(product_of(graph, op).macs)


def _recurrent_macs(graph: Graph, op: Op) -> int:
    a, b, features = _shape(graph, op, 0)
    steps, hidden = a * b * op.attrs["directions"], op.attrs["hidden"]
    return int(recurrent_macs(op.kind, features, hidden, steps, op.attrs.get("cells")))


def _svdf_macs(graph: Graph, op: Op) -> int:
    """Input (batch, features), weights_feature (filters, features), weights_time (filters, T)."""
    batch = _shape(graph, op, 0)[0]
    filters, features = _shape(graph, op, 1)
    return batch * filters * (features + _shape(graph, op, 2)[1])


_NORMS = (
    "lrn batch_norm layer_norm instance_norm group_norm l2_norm scale local_norm fake_quant "
    "softmax log_softmax select arg_max arg_min"
)
_MOVEMENT = (
    "channel_shuffle reverse concat split slice strided_slice resize_to pad reshape view "
    "transpose gather gather_nd tile broadcast_to fill range one_hot shape pack unpack resize "
    "depth_to_space space_to_depth space_to_batch batch_to_space mirror_pad scatter variable"
)

MACS: Mapping[str, Callable[[Graph, Op], int]] = {
    **dict.fromkeys(_PRODUCTS, _product_macs),
    **dict.fromkeys(("lstm", "gru", "rnn"), _recurrent_macs),
    "svdf": _svdf_macs,
    **dict.fromkeys((*UNARY, *BINARY, *REDUCE, *POOLS), _no_macs),
    **dict.fromkeys((*_NORMS.split(), *_MOVEMENT.split(), *DETECTION), _no_macs),
}
"""MACs by operator kind; a kind that is not here is not covered (see `UNCOVERED`)."""

UNCOVERED: Mapping[str, str] = {
    "custom": "an operator outside the framework's own set",
    "control_flow": "its cost depends on values, not on shapes",
    "spectral": "Fourier transforms are not modelled",
}
"""Kinds of the graph vocabulary without a cost, and why."""

_COMPILED = "it was compiled for an NPU, whose program the file holds in place of its operators"
UNCOVERED_NAMES: Mapping[str, str] = {
    "DISPATCH_OP": _COMPILED,
    "edgetpu-custom-op": _COMPILED,
}
"""Custom operators by their name in the file, and why they have no cost: LiteRT's compiled
programs of Qualcomm, MediaTek and Google chips, and the Edge TPU compiler's."""


def uncovered_ops(graph: Graph) -> tuple[Op, ...]:
    """The operators of `graph` that have no cost here; a prediction without them is too low."""
    return tuple(op for op in graph.ops if op.kind not in MACS)


def covered_part(graph: Graph) -> Graph:
    """The graph without its uncovered operators, for costs that leave them out openly."""
    return replace(graph, ops=tuple(op for op in graph.ops if op.kind in MACS))


def op_macs(graph: Graph, op: Op) -> int:
    """Multiply-accumulates of one operator; raises `UncoveredOpError` for a kind without a cost."""
    count = MACS.get(op.kind)
    if count is None:
        name = str(op.attrs.get("custom_name", op.kind))
        reason = UNCOVERED_NAMES.get(name) or UNCOVERED.get(
            op.kind, "it is not in the table of costs"
        )
        raise UncoveredOpError(
            f"{graph.name}: op {op.name!r} ({name}) has no cost: {reason}",
            "list such operators with `perfmodel inspect`, or leave them out explicitly",
        )
    return count(graph, op)


def parameters_of(graph: Graph, op: Op) -> tuple[Tensor, ...]:
    """The constant inputs that a network learns; index and shape operands are none."""
    every = op.kind in WEIGHTED
    return tuple(
        t
        for t in graph.weights_of(op)
        if every or t.dtype in _FLOAT_DTYPES or t.dtype in ("int8", "uint8", "int4")
    )


def stored_bytes(tensor: Tensor, precision: str | None = None) -> int:
    """Bytes of a tensor; with `precision`, its floating point numbers take that many bytes."""
    if precision is None or tensor.dtype in OPAQUE_DTYPES:
        return tensor.size_bytes
    if tensor.dtype in _FLOAT_DTYPES:
        return math.ceil(tensor.elements * PRECISION_BYTES[precision])
    return math.ceil(tensor.elements * DTYPE_BYTES[tensor.dtype])


def op_costs(graph: Graph, precision: str | None = None) -> tuple[OpCost, ...]:
    """Cost of every operator, in order; raises `UncoveredOpError` if one has no cost.

    Bytes follow the dtypes of the tensors, or `precision` (a key of `PRECISION_BYTES`) where they
    are floating point. A parameter shared by several operators belongs to the first.
    """
    owned: set[str] = set()
    costs = []
    for op in graph.ops:
        mine = [t for t in parameters_of(graph, op) if t.name not in owned]
        owned.update(t.name for t in mine)
        read = {t.name: t for t in graph.activations_in(op)}.values()
        costs.append(
            OpCost(
                name=op.name,
                kind=op.kind,
                macs=op_macs(graph, op),
                params=sum(t.parameters for t in mine),
                input_bytes=sum(stored_bytes(t, precision) for t in read),
                weight_bytes=sum(stored_bytes(t, precision) for t in graph.weights_of(op)),
                output_bytes=sum(stored_bytes(t, precision) for t in graph.outputs_of(op)),
            )
        )
    return tuple(costs)


def macs(graph: Graph) -> int:
    """Multiply-accumulates of one inference; uncovered operators raise `UncoveredOpError`."""
    return sum(op_macs(graph, op) for op in graph.ops)


def _parameters(graph: Graph) -> dict[str, Tensor]:
    return {t.name: t for op in graph.ops for t in parameters_of(graph, op)}


def params(graph: Graph) -> int:
    """Learned numbers of the network, each counted once."""
    return sum(t.parameters for t in _parameters(graph).values())


def weights_bytes(graph: Graph, precision: str | None = None) -> int:
    """Bytes of the parameters as stored, or in `precision`, each counted once."""
    return sum(stored_bytes(t, precision) for t in _parameters(graph).values())
