"""ONNX matrix products, einsum and recurrent layers.

Semantics by operator and operator set version: docs/Operators.md in github onnx/onnx.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from string import ascii_letters
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.call import Call, converts
from perfmodel.formats.onnx.net import Value
from perfmodel.graph.ops import Shape


@converts("MatMul FusedMatMul TransposeMatMul FusedMatMulActivation")
def _matmul(call: Call) -> list[Value]:
    """onnxruntime's fusions may transpose, and follow the product with an activation."""
    a, b = call.value(0), call.value(1)
    if call.integer("transBatchA", 0) or call.integer("transBatchB", 0):
        a, b = (
            _batch_behind(call, v) if call.integer(f"transBatch{side}", 0) else v
            for v, side in ((a, "A"), (b, "B"))
        )
    flags = call.integer("transA", 0), call.integer("transB", 0)
    return activated(call, lambda inner: product(inner, a, b, flags=flags))


def _batch_behind(call: Call, value: Value) -> Value:
    """A stack of matrices whose rows lie before the stack's axes, in matmul's order."""
    rank = len(value.shape)
    if rank < 3:
        raise GraphError(f"a batch of matrices of shape {value.shape}")
    perm = (*range(1, rank - 1), 0, rank - 1)
    attrs = {"perm": perm}
    return call.emit("transpose", [call.net.plain(value)], attrs, suffix="batch")[0]


def activated(call: Call, make: Callable[[Call], list[Value]]) -> list[Value]:
    """What `make` emits, with the activation that onnxruntime fused behind it."""
    name = call.text("activation", "")
    if not name:
        return make(call)
    kind = FUSED_ACTIVATIONS.get(name)
    if kind is None:
        raise GraphError(f"unknown fused activation {name!r}")
    inner = replace(call.node, outputs=(call.net.fresh(f"{call.op_name}/product"),))
    made = make(replace(call, node=inner))[0]
    return call.emit(kind, [made.tensor], last=made.last)


FUSED_ACTIVATIONS = {
    "": "none",
    "Clip": "clip",
    "HardSigmoid": "hard_sigmoid",
    "LeakyRelu": "leaky_relu",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}
"""Activations that onnxruntime's optimiser writes as an attribute of the operator before."""


def product(
    call: Call,
    a: Value,
    b: Value,
    *,
    bias: Value | None = None,
    dtype: str = "",
    flags: tuple[int, int] = (0, 0),
) -> list[Value]:
    """numpy's matmul and a bias; with constant (in, out) weights it is a fully connected layer."""
    net = call.net
    if not a.shape or not b.shape:
        raise GraphError(f"a product of shapes {a.shape} and {b.shape}")
    if b.constant and len(b.shape) == 2 and len(a.shape) >= 2 and not flags[0]:
        shape = b.shape if flags[1] else (b.shape[1], b.shape[0])
        names = [net.plain(a), net.constant(b, shape)]
        names += [] if bias is None else [net.plain(bias)]
        attrs: dict[str, Any] = {"activation": "none", "keep_dims": True}
        return call.emit("fully_connected", names, attrs, dtype=dtype)
    if bias is not None:
        made = _stacked_product(call, a, b, dtype, flags, "product")[0]
        names = [made.tensor, net.plain(bias)]
        return call.emit("add", names, {"activation": "none"}, dtype=dtype)
    return _stacked_product(call, a, b, dtype, flags, "")


def _stacked_product(
    call: Call, a: Value, b: Value, dtype: str, flags: tuple[int, int], suffix: str
) -> list[Value]:
    net, names = call.net, [call.net.plain(a), call.net.plain(b)]
    if len(a.shape) == 1:
        names[0] = net.builder.reshape(names[0], (1, *a.shape))
    if len(b.shape) == 1:
        names[1] = net.builder.reshape(names[1], (*b.shape, 1))
    attrs = {"transpose_a": bool(flags[0]), "transpose_b": bool(flags[1])}
    if len(a.shape) > 1 and len(b.shape) > 1:
        return call.emit("matmul", names, attrs, dtype=dtype, suffix=suffix)
    inner = call.emit("matmul", names, attrs, dtype=dtype, suffix="vectors")[0]
    shape = inner.shape if len(b.shape) > 1 else inner.shape[:-1]
    if len(a.shape) == 1:
        shape = (*shape[:-2], *shape[-1:]) if len(b.shape) > 1 else shape[:-1]
    return call.emit("reshape", [inner.tensor], {"shape": shape}, suffix=suffix)


@converts("Gemm FusedGemm")
def _gemm(call: Call) -> list[Value]:
    return activated(call, _plain_gemm)


def _plain_gemm(call: Call) -> list[Value]:
    a, b, c = call.value(0), call.value(1), call.optional(2)
    if len(b.shape) != 2 or len(a.shape) < 2:
        raise GraphError(f"matrices expected, got {a.shape} and {b.shape}")
    net, name = call.net, call.net.plain(a)
    if len(a.shape) > 2:  # before operator set 7 Gemm flattened its input
        name = net.builder.reshape(name, (a.shape[0], math.prod(a.shape[1:])))
    trans_a, trans_b = bool(call.integer("transA", 0)), bool(call.integer("transB", 0))
    if not b.constant:
        return _gemm_computed(call, name, net.plain(b), c, (trans_a, trans_b))
    if trans_a:
        name = net.builder.op("transpose", name, perm=(1, 0))
    shape = b.shape if trans_b else (b.shape[1], b.shape[0])
    names, attrs = [name, net.constant(b, shape)], {"activation": "none", "keep_dims": True}
    if c is not None and c.constant and math.prod(c.shape) == shape[0]:
        return call.emit("fully_connected", [*names, net.constant(c, (shape[0],))], attrs)
    if c is None:
        return call.emit("fully_connected", names, attrs)
    inner = call.emit("fully_connected", names, attrs, suffix="product")[0]
    return call.emit("add", [inner.tensor, net.plain(c)], {"activation": "none"})


def _gemm_computed(
    call: Call, a: str, b: str, c: Value | None, flags: tuple[bool, bool]
) -> list[Value]:
    attrs = {"transpose_a": flags[0], "transpose_b": flags[1]}
    if c is None:
        return call.emit("matmul", [a, b], attrs)
    inner = call.emit("matmul", [a, b], attrs, suffix="product")[0]
    return call.emit("add", [inner.tensor, call.net.plain(c)], {"activation": "none"})


@converts("Einsum")
def _einsum(call: Call) -> list[Value]:
    """A sum of products of two tensors as transposes, one matrix product and a transpose."""
    terms, result = _equation(call)
    values = call.given()
    if len(terms) != len(values) or len(terms) > 2:
        raise GraphError(f"einsum of {len(values)} inputs")
    sizes: dict[str, int] = {}
    for term, value in zip(terms, values, strict=True):
        if len(term) != len(value.shape) or len(set(term)) != len(term):
            raise GraphError(f"einsum term {term!r} for a tensor {value.shape}")
        for letter, size in zip(term, value.shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    if len(terms) == 1:
        return _einsum_one(call, values[0], terms[0], result)
    a, b = terms
    batch = [x for x in a if x in b and x in result]
    inner = [x for x in a if x in b and x not in result]
    rows = [x for x in a if x not in b]
    columns = [x for x in b if x not in a]
    if set(rows + columns) - set(result) or set(result) - set(a + b):
        raise GraphError(f"einsum {','.join(terms)}->{result} is no matrix product")
    left = _folded(call, values[0], a, [batch, rows, inner], sizes, "left")
    right = _folded(call, values[1], b, [batch, inner, columns], sizes, "right")
    made = call.emit("matmul", [left, right], suffix="product")[0].tensor
    order = [*batch, *rows, *columns]
    builder, shape = call.net.builder, tuple(sizes[x] for x in order)
    if "".join(order) == result:
        return call.emit("reshape", [made], {"shape": shape})
    name = builder.reshape(made, shape, call.net.fresh(f"{call.op_name}/unfolded"))
    return call.emit("transpose", [name], {"perm": tuple(order.index(x) for x in result)})


def _equation(call: Call) -> tuple[list[str], str]:
    """The terms of the inputs and of the result, a letter for each axis."""
    text = call.text("equation", "").replace(" ", "")
    if len(text) > 100:
        raise GraphError(f"einsum of {len(text)} letters")
    spare = [c for c in ascii_letters if c not in text]
    for term, value in zip(text.partition("->")[0].split(","), call.given(), strict=True):
        if "..." in term:
            missing = len(value.shape) - len(term) + 3
            if not 0 <= missing <= len(spare):
                raise GraphError(f"einsum term {term!r} for a tensor {value.shape}")
            text = text.replace("...", "".join(spare[len(spare) - missing :]))
    left, arrow, result = text.partition("->")
    if not arrow:
        letters = left.replace(",", "")
        result = "".join(sorted(x for x in set(letters) if letters.count(x) == 1))
    return left.split(","), result


def _einsum_one(call: Call, value: Value, term: str, result: str) -> list[Value]:
    name = call.net.plain(value)
    gone = tuple(i for i, letter in enumerate(term) if letter not in result)
    rest = [letter for letter in term if letter in result]
    if sorted(rest) != sorted(result):
        raise GraphError(f"einsum {term}->{result}")
    if gone:
        attrs = {"axes": gone, "keep_dims": False}
        made = call.emit("reduce_sum", [name], attrs, suffix="sum")[0]
        name = made.tensor
    return call.emit("transpose", [name], {"perm": tuple(rest.index(x) for x in result)})


def _folded(
    call: Call,
    value: Value,
    term: str,
    groups: list[list[str]],
    sizes: dict[str, int],
    suffix: str,
) -> str:
    """An operand as (batch, rows, columns)."""
    net, name = call.net, call.net.plain(value)
    order = [letter for group in groups for letter in group]
    if order != list(term):
        perm = tuple(term.index(letter) for letter in order)
        name = net.builder.op(
            "transpose", name, name=net.fresh(f"{call.op_name}/{suffix}"), perm=perm
        )
    shape = tuple(math.prod(sizes[x] for x in group) for group in groups)
    return net.builder.reshape(name, shape, net.fresh(f"{call.op_name}/{suffix}_folded"))


STATES = {"lstm": (5, 6), "gru": (5,), "rnn": (5,)}
"""Inputs that are a state to start from."""

PEEPHOLES = 7
"""Input of an LSTM with the weights from its cells to its gates."""


@converts("LSTM GRU RNN")
def _recurrent(call: Call) -> list[Value]:
    kind = call.node.op_type.lower()
    return recurrent(call, kind, call.integer("hidden_size", call.value(2).shape[-1]))


def recurrent(call: Call, kind: str, hidden: int, *, dtype: str = "") -> list[Value]:
    """Input (time, batch, features), or (batch, time, features) where layout is 1."""
    net, (x, w, r) = call.net, (call.value(0), call.value(1), call.value(2))
    batch_first = call.integer("layout", 0)
    if len(x.shape) != 3 or len(w.shape) != 3 or hidden < 1:
        raise GraphError(f"input {x.shape}, weights {w.shape}, hidden size {hidden}")
    directions = 2 if call.text("direction", "forward") == "bidirectional" else 1
    batch, time = (x.shape[0], x.shape[1]) if batch_first else (x.shape[1], x.shape[0])
    learned = [w, r, call.optional(3), call.optional(PEEPHOLES) if kind == "lstm" else None]
    states = [call.optional(i) for i in STATES[kind]]
    carried = [v for v in states if v is not None and not v.constant]
    names = [net.plain(v) for v in (x, *learned, *carried) if v is not None]
    attrs = {
        "hidden": hidden,
        "directions": directions,
        "return_sequences": bool(call.node.outputs and call.node.outputs[0]),
        "time_major": not batch_first,
    }
    made = call.emit(kind, names, attrs, suffix="cells", dtype=dtype or x.dtype)[0]
    results = []
    if batch_first:
        full: Shape = (batch, time, directions, hidden)
        state: Shape = (batch, directions, hidden)
    else:
        full, state = (time, directions, batch, hidden), (directions, batch, hidden)
    for i, name in enumerate(call.node.outputs):
        if not name:
            results.append(Value("", (), "float32", constant=True))
            continue
        shape = full if i == 0 else state
        whole = math.prod(shape) == math.prod(net.builder.shape(made.tensor))
        kind, key = ("reshape", "shape") if whole else ("strided_slice", "output_shape")
        place = net.fresh(name)
        net.builder.add_op(
            kind, [made.tensor], {key: shape}, net.fresh_op(place), [place], made.dtype
        )
        results.append(Value(place, shape, made.dtype, place))
    return results
