"""ATen's matrix products, attention and recurrent layers."""

from __future__ import annotations

from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.net import Value
from perfmodel.formats.onnx.products import product
from perfmodel.formats.pytorch.call import AtenCall, converts
from perfmodel.formats.pytorch.layers import custom


@converts("linear")
def _linear(call: AtenCall) -> list[Value]:
    """x times the transpose of the weights (out, in), plus a bias."""
    x, w, bias = call.value("input"), call.value("weight"), call.optional("bias")
    if w.constant and len(w.shape) == 2:
        flat = len(x.shape) == 1
        if flat:
            x = call.onnx("Unsqueeze", x, suffix="row", axes=(0,))[0]
        names = [call.net.plain(x), call.net.constant(w, w.shape)]
        if bias is not None and bias.constant:
            names.append(call.net.plain(bias))
        made = call.emit("fully_connected", names, activation="none", keep_dims=True)
        if flat:
            made = call.onnx("Squeeze", made[0], suffix="one", axes=(0,))
        return (
            made
            if bias is None or bias.constant
            else call.onnx("Add", made[0], bias, suffix="bias")
        )
    names = [call.net.plain(x), call.net.plain(w)]
    made = call.emit("matmul", names, transpose_b=True)
    return made if bias is None else call.onnx("Add", made[0], bias, suffix="bias")


@converts("matmul mm bmm mv dot")
def _matmul(call: AtenCall) -> list[Value]:
    other = next(n for n in ("other", "mat2", "vec", "tensor") if n in call.args)
    return product(call.call(), call.value("self"), call.value(other))


@converts("addmm baddbmm addbmm")
def _product_and_sum(call: AtenCall) -> list[Value]:
    first, second = ("mat1", "mat2") if call.op == "addmm" else ("batch1", "batch2")
    a, b, c = call.value(first), call.value(second), call.value("self")
    if call.op == "addmm" and b.constant and c.constant and c.shape == (b.shape[1],):
        weights = call.net.constant(b, (b.shape[1], b.shape[0]))
        names = [call.net.plain(a), weights, call.net.plain(c)]
        return call.emit("fully_connected", names, activation="none", keep_dims=True)
    made = product(call.call(suffix="product"), a, b)
    return call.onnx("Add", made[0], c)


@converts("einsum")
def _einsum(call: AtenCall) -> list[Value]:
    tensors = call.args["tensors"]
    if len(tensors) > 2:
        return custom(call, *tensors)
    return call.onnx("Einsum", *tensors, equation=call.args["equation"].encode())


@converts(
    "scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu "
    "_scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention"
)
def _attention(call: AtenCall) -> list[Value]:
    """softmax(q k^T * scale + mask) v, operator by operator."""
    q, k, v = call.value("query"), call.value("key"), call.value("value")
    if len(k.shape) == 4 and k.shape[1] != q.shape[1]:
        k, v = (_repeat_heads(call, t, q.shape[1], s) for t, s in ((k, "keys"), (v, "values")))
    mask = call.optional("attn_mask") or call.optional("attn_bias")
    net = call.net
    names = [net.plain(q), net.plain(k)]
    scores = call.emit("matmul", names, suffix="scores", transpose_b=True)[0]
    scale = Value(f"{call.name}/scale", (), scores.dtype, constant=True)
    scores = call.onnx("Mul", scores, scale, suffix="scaled")[0]
    if call.args.get("is_causal"):
        shape = scores.shape[-2:]
        mask = Value(f"{call.name}/causal_{shape[0]}", shape, scores.dtype, constant=True)
    if mask is not None:
        scores = call.onnx("Add", scores, mask, suffix="masked")[0]
    weights = call.onnx("Softmax", scores, suffix="weights", axis=-1)[0]
    made = call.emit("matmul", [net.plain(weights), net.plain(v)])
    return call.and_unused(made)


def _repeat_heads(call: AtenCall, x: Value, heads: int, suffix: str) -> Value:
    """Grouped queries: each head of the keys and values serves several of the queries."""
    if heads % x.shape[1]:
        raise GraphError(f"{heads} heads of queries for {x.shape[1]} of keys")
    shape = (x.shape[0], heads, *x.shape[2:])
    multiples = (1, heads // x.shape[1], 1, 1)
    name = call.net.plain(x)
    made = call.call().emit("tile", [name], {"multiples": multiples}, suffix=suffix)[0]
    if made.shape != shape:
        raise GraphError(f"heads of {x.shape} repeated to {made.shape}")
    return made


GATES_OF = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


@converts(" ".join(GATES_OF))
def _recurrent(call: AtenCall) -> list[Value]:
    """Stacked layers, each in one or both directions; the last states are slices of the result."""
    if "batch_sizes" in call.args:
        return custom(call)
    x, learned = call.value("input"), call.args["params"]
    layers, both = call.args["num_layers"], bool(call.args["bidirectional"])
    directions = 2 if both else 1
    per_layer = len(learned) // layers
    hidden = learned[1].shape[-1]
    if learned[1].shape[0] != GATES_OF[call.op] * hidden or len(x.shape) != 3:
        return custom(call)  # projected states (proj_size)
    attrs: dict[str, Any] = {
        "hidden": hidden,
        "directions": directions,
        "return_sequences": True,
        "time_major": not call.args["batch_first"],
    }
    kind = call.op.partition("_")[0]
    for layer in range(layers):
        mine = learned[layer * per_layer : (layer + 1) * per_layer]
        names = [call.net.plain(x), *[call.net.plain(v) for v in mine]]
        suffix = "" if layer == layers - 1 else f"layer{layer}"
        x = call.emit(kind, names, suffix=suffix, **attrs)[0]
    results = [x]
    for i, state in enumerate(call.made[1:]):
        # the states of all layers and directions; those of the last layer stand for them
        shape = {"output_shape": state.shape}
        results += call.call().emit(
            "strided_slice", [call.net.plain(x)], shape, suffix=f"state{i}", dtype=state.dtype
        )
    return results


@converts("cosine_similarity cdist _cdist_forward")
def _distances(call: AtenCall) -> list[Value]:
    return custom(call)
