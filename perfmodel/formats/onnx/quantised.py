"""ONNX operators on integers: QuantizeLinear and DequantizeLinear, QLinear..., packed weights.

Semantics: docs/Operators.md in github onnx/onnx, docs/ContribOperators.md in
github microsoft/onnxruntime. Scales and zero points are numbers beside the work and are left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.call import (
    Call,
    axis_in,
    common_layout,
    converts,
    normal_axis,
    same_layout,
)
from perfmodel.formats.onnx.net import Value
from perfmodel.formats.onnx.products import product, recurrent
from perfmodel.formats.onnx.reductions import reduced
from perfmodel.formats.onnx.tensors import DTYPES

QLINEAR_BINARY = {"QLinearAdd": "add", "QLinearMul": "mul"}
QLINEAR_UNARY = {
    "QLinearSigmoid": "sigmoid",
    "QLinearLeakyRelu": "leaky_relu",
    "QLinearSoftmax": "softmax",
}

PACKED_DTYPES = {2: "int2", 3: "int4", 4: "int4", 8: "int8"}
"""Element type by the bits of a packed weight; three bits are stored in four."""


@converts(" ".join(QLINEAR_BINARY))
def _quantised_binary(call: Call) -> list[Value]:
    """onnxruntime's: each operand is followed by its scale and zero point."""
    names, last = common_layout(call, [call.value(0), call.value(3)])
    kind = QLINEAR_BINARY[call.node.op_type]
    return call.emit(kind, names, {"activation": "none"}, last=last)


@converts(" ".join(QLINEAR_UNARY))
def _quantised_unary(call: Call) -> list[Value]:
    kind, x = QLINEAR_UNARY[call.node.op_type], call.value(0)
    attrs: dict[str, Any] = {}
    if kind == "softmax":
        attrs = {"axis": axis_in(x, call.integer("axis", -1))}
    return same_layout(call, kind, x, **attrs)


@converts("QLinearReduceMean")
def _quantised_mean(call: Call) -> list[Value]:
    return reduced(call, "reduce_mean", call.value(0), call.integers("axes"))


@converts("QLinearWhere")
def _quantised_where(call: Call) -> list[Value]:
    names, last = common_layout(call, [call.value(0), call.value(1), call.value(4)])
    return call.emit("select", names, last=last, dtype=call.value(1).dtype)


@converts("QuantizeLinear")
def _quantize(call: Call) -> list[Value]:
    zero = call.optional(2)
    asked = DTYPES.get(call.integer("output_dtype", 0), "uint8")
    return same_layout(call, "quantize", call.value(0), zero.dtype if zero else asked)


@converts("DequantizeLinear")
def _dequantize(call: Call) -> list[Value]:
    x = call.value(0)
    if x.constant:
        # stored weights count in their stored form: runtimes compute with it, or unpack it once
        return call.rename(replace(x, value=None))
    return same_layout(call, "dequantize", x, call.value(1).dtype)


@converts("DynamicQuantizeLinear")
def _dynamic_quantize(call: Call) -> list[Value]:
    """Finds the range of the input, then quantises; scale and zero point are numbers."""
    x = call.value(0)
    name = call.net.image(x) if x.last else call.net.plain(x)
    results = call.emit("quantize", [name], dtype="uint8", last=x.last)
    axes = {"axes": tuple(range(len(x.shape))), "keep_dims": False}
    for i, dtype in ((1, "float32"), (2, "uint8")):
        place = call.net.fresh(f"{call.op_name}/range{i}")
        kind = "reduce_max" if i == 1 else "reduce_min"
        made = call.net.builder.add_op(kind, [name], axes, place, [place], dtype)[0]
        results.append(Value(made, (), dtype, made))
    return results[: len(call.node.outputs)]


@converts("MatMulInteger")
def _integer_product(call: Call) -> list[Value]:
    return product(call, call.value(0), call.value(1), dtype="int32")


@converts("QLinearMatMul")
def _quantised_matmul(call: Call) -> list[Value]:
    return product(call, call.value(0), call.value(3), dtype=call.value(7).dtype)


@converts("DynamicQuantizeMatMul")
def _dynamic_product(call: Call) -> list[Value]:
    """A float, quantised on the way in, times integer weights; inputs end with a bias."""
    x = call.value(0)
    return product(call, _on_the_way(call), call.value(1), bias=call.optional(4), dtype=x.dtype)


def _on_the_way(call: Call) -> Value:
    """Input 0 as integers, which the operator makes of it before it computes."""
    return call.emit("quantize", [call.net.plain(call.value(0))], dtype="uint8", suffix="in")[0]


@converts("MatMulIntegerToFloat")
def _product_to_float(call: Call) -> list[Value]:
    bias, dtype = call.optional(6), call.value(2).dtype
    return product(call, call.value(0), call.value(1), bias=bias, dtype=dtype)


@converts("QGemm")
def _quantised_gemm(call: Call) -> list[Value]:
    flags, scale = (call.integer("transA", 0), call.integer("transB", 0)), call.optional(7)
    dtype = "float32" if scale is None else call.value(0).dtype
    bias = call.optional(6)
    return product(call, call.value(0), call.value(3), bias=bias, dtype=dtype, flags=flags)


@converts("MatMulNBits MatMulBnb4 MatMulFpQ4")
def _packed_product(call: Call) -> list[Value]:
    """Weights of few bits, packed in blocks with a scale each: N rows of K numbers."""
    x, packed = call.value(0), call.value(1)
    inner, columns = call.integer("K", 0), call.integer("N", 0)
    dtype = PACKED_DTYPES.get(call.integer("bits", 4))
    if inner < 1 or columns < 1 or dtype is None or not packed.constant:
        raise GraphError(f"packed weights of {columns} x {inner} in {call.integer('bits', 4)} bits")
    for name in packed.sources:
        call.net.stored[name] = inner * columns  # the bytes hold several numbers each
    weights = call.net.constant(packed, (columns, inner), dtype)
    names = [call.net.plain(x), weights]
    bias = call.optional(5) if call.node.op_type == "MatMulNBits" else None
    if bias is not None:
        names.append(call.net.plain(bias))
    attrs = {"activation": "none", "keep_dims": True}
    return call.emit("fully_connected", names, attrs, dtype=x.dtype)


@converts("GatherBlockQuantized")
def _packed_gather(call: Call) -> list[Value]:
    x, indices, scales = call.value(0), call.value(1), call.value(2)
    axis = normal_axis(call.integer("gather_axis", 0), len(x.shape))
    names = [call.net.plain(x), call.net.plain(indices)]
    made = call.emit("gather", names, {"axis": axis}, dtype=scales.dtype)
    per_byte = 8 // call.integer("bits", 4) if x.dtype == "uint8" else 1
    if per_byte == 1:
        return made
    # numbers that share a byte lie along the last axis; unpacking them is part of the gather
    *front, width = made[0].shape
    shape = (*front, width * per_byte)
    return call.emit("resize_to", [made[0].tensor], {"output_shape": shape}, suffix="unpacked")


@converts("DynamicQuantizeLSTM")
def _quantised_lstm(call: Call) -> list[Value]:
    """Weights lie as (directions, features, gates); four numbers of quantisation end the inputs."""
    x, hidden = call.value(0), call.value(2).shape[-2]
    inputs = (_on_the_way(call), *call.inputs[1:8])
    return recurrent(replace(call, inputs=inputs), "lstm", hidden, dtype=x.dtype)


@converts("QLinearConcat")
def _quantised_concat(call: Call) -> list[Value]:
    """Scale and zero point of the result, then each operand with its own."""
    values = call.given()[2::3]
    if not values or len({len(v.shape) for v in values}) > 1:
        raise GraphError(f"shapes {[v.shape for v in values][:8]} differ in rank")
    last = any(v.last for v in values)
    names = [call.net.image(v) if last else call.net.plain(v) for v in values]
    axis = normal_axis(call.integer("axis", 1), len(values[0].shape))
    held = next((v for v in values if v.last), values[0])
    attrs = {"axis": axis_in(held, axis), "activation": "none"}
    return call.emit("concat", names, attrs, last=last)
