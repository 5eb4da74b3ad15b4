"""The sizes that a kernel has of its main operator: image, channels, window or product."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perfmodel.graph.ir import Graph, Op, Tensor
from perfmodel.graph.kinds import CONVOLUTIONS, POOLS, REDUCE
from perfmodel.kernels.arithmetic import Product
from perfmodel.kernels.operators import product_of


def sizes_of(graph: Graph, op: Op) -> dict[str, int | str]:
    """Sizes by the names of a `Kernel`'s fields; `op` is there where the kernel is called otherwise
    than its operator."""
    return _SIZES.get(op.kind, _plain)(graph, op)


def _image(tensor: Tensor) -> tuple[int, int, int, int]:
    """(batch, height, width, channels) of a tensor of any rank."""
    shape = tensor.shape
    if len(shape) == 4:
        return shape[0], shape[1], shape[2], shape[3]
    if len(shape) < 2:
        return 1, 1, 1, math.prod(shape)
    return shape[0], 1, math.prod(shape[1:-1]), shape[-1]


def _plain(graph: Graph, op: Op) -> dict[str, int | str]:
    """Sizes of input and output; concat counts the channels of all inputs."""
    inputs, outputs = graph.activations_in(op), graph.outputs_of(op)
    first = inputs[0] if inputs else (outputs[0] if outputs else Tensor("", ()))
    batch, hin, win, cin = _image(first)
    _, hout, wout, cout = _image(outputs[0] if outputs else first)
    if op.kind == "concat":
        cin = sum(_image(t)[3] for t in inputs)
    sizes: dict[str, int | str] = {"batch": batch, "cin": cin, "hin": hin, "win": win}
    sizes |= {"cout": cout, "hout": hout, "wout": wout}
    if op.kind in REDUCE and graph.format == "ncnn" and op.attrs["keep_dims"]:
        # ncnn's Reduction, which has no GPU form; its global pooling drops the dimensions
        sizes["op"] = "reduce_layer"
    return sizes


def _window(graph: Graph, op: Op) -> dict[str, int | str]:
    return _sliding(graph, op, op.attrs["kernel"])


def _conv(graph: Graph, op: Op) -> dict[str, int | str]:
    sizes = _sliding(graph, op, graph.tensors[op.inputs[1]].shape[1:-1])
    return sizes | {"groups": op.attrs["groups"]} | _mnk(product_of(graph, op))


def _sliding(graph: Graph, op: Op, window: Sequence[int]) -> dict[str, int | str]:
    """Sizes of a window that slides over an image.

    A volume counts as an image whose rows are those of all its planes, its window likewise: the
    same work, read in the same order, and measurements of volumes are few.
    """
    sizes = _plain(graph, op) | {"kh": math.prod(window[:-1]), "kw": window[-1]}
    sizes |= {"sh": math.prod(op.attrs["stride"][:-1]), "sw": op.attrs["stride"][-1]}
    if op.kind.endswith("3d"):
        _, deep_in, hin, win, _ = graph.tensors[op.inputs[0]].shape
        _, deep_out, hout, wout, _ = graph.tensors[op.outputs[0]].shape
        sizes |= {"op": op.kind.replace("3d", "2d"), "hin": deep_in * hin, "win": win}
        sizes |= {"hout": deep_out * hout, "wout": wout}
    return sizes


def _dense(graph: Graph, op: Op) -> dict[str, int | str]:
    product = product_of(graph, op)
    sizes: dict[str, int | str] = {"batch": 1, "cin": product.k, "hin": 1, "win": 1}
    return sizes | {"cout": product.n, "hout": 1, "wout": 1} | _mnk(product)


def _product(graph: Graph, op: Op) -> dict[str, int | str]:
    product = product_of(graph, op)
    kind = "gemm" if product.count == 1 else "bmm"
    return {"op": kind, "batch": product.count} | _mnk(product)


def _mnk(product: Product) -> dict[str, int | str]:
    return {"m": product.m, "n": product.n, "k": product.k}


def _recurrent(graph: Graph, op: Op) -> dict[str, int | str]:
    """`k` hidden units, `m` time steps, as in the measurement table."""
    a, b, features = graph.tensors[op.inputs[0]].shape
    steps, batch = (a, b) if op.attrs["time_major"] else (b, a)
    width = op.attrs["hidden"]
    return {"batch": batch, "cin": features, "cout": width, "m": steps, "k": width}


_SIZES = {
    **dict.fromkeys(CONVOLUTIONS, _conv),
    "fully_connected": _dense,
    "matmul": _product,
    **dict.fromkeys(POOLS, _window),
    **dict.fromkeys(("lstm", "gru", "rnn"), _recurrent),
}
