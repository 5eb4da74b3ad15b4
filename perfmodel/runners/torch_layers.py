"""How PyTorch calls layers with weights, windows or normalisation of an .onnx file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from perfmodel.errors import RunnerError
from perfmodel.runners.torch_calls import Node, calls, padding


@calls("Conv")
def _conv(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch.nn.functional as functional

    pads = node.attrs.get("pads", (0, 0, 0, 0))
    even = tuple(pads[:2]) == tuple(pads[2:])
    options = {
        "stride": tuple(node.attrs.get("strides", (1, 1))),
        "padding": tuple(pads[:2]) if even else 0,
        "dilation": tuple(node.attrs.get("dilations", (1, 1))),
        "groups": node.attrs.get("group", 1),
    }
    if even:
        return lambda x, w, b=None: functional.conv2d(x, w, b, **options)
    around = padding(pads, 2)
    return lambda x, w, b=None: functional.conv2d(functional.pad(x, around), w, b, **options)


@calls("ConvTranspose")
def _conv_transpose(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    """Uneven pads leave a rim that is cut off."""
    import torch.nn.functional as functional

    top, left, bottom, right = node.attrs.get("pads", (0, 0, 0, 0))
    stride = tuple(node.attrs.get("strides", (1, 1)))
    options = {
        "stride": stride,
        "padding": (min(top, bottom), min(left, right)),
        "output_padding": tuple(node.attrs.get("output_padding", (0, 0))),
        "groups": node.attrs.get("group", 1),
        "dilation": tuple(node.attrs.get("dilations", (1, 1))),
    }
    more = (bottom - top, right - left, top - bottom, left - right)
    cut = padding([min(0, m) for m in more], 2)
    if not any(cut):
        return lambda x, w, b=None: functional.conv_transpose2d(x, w, b, **options)
    return lambda x, w, b=None: functional.pad(functional.conv_transpose2d(x, w, b, **options), cut)


@calls("MaxPool AveragePool")
def _pool(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    """Pads at the end alone are what rounding the number of windows up makes."""
    import torch.nn.functional as functional

    kernel = tuple(node.attrs["kernel_shape"])
    stride = tuple(node.attrs.get("strides", (1, 1)))
    pads = tuple(node.attrs.get("pads", (0, 0, 0, 0)))
    even = pads[:2] == pads[2:]
    at_end = not any(pads[:2])
    largest = node.kind == "MaxPool"
    pool = functional.max_pool2d if largest else functional.avg_pool2d
    more = {} if largest else {"count_include_pad": bool(node.attrs.get("count_include_pad", 0))}
    if even or at_end:
        whole = not even
        return lambda x: pool(x, kernel, stride, pads[:2] if even else 0, ceil_mode=whole, **more)
    around = padding(pads, 2)
    fill = -math.inf if largest else 0.0
    return lambda x: pool(functional.pad(x, around, value=fill), kernel, stride)


@calls("Gemm")
def _gemm(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch.nn.functional as functional

    if node.attrs.get("transA", 0) or node.attrs.get("alpha", 1.0) != 1.0:
        raise RunnerError(f"node {node.name!r}: a Gemm that is no linear layer")
    if node.attrs.get("transB", 0):
        return functional.linear
    return lambda x, w, b=None: functional.linear(x, w.t(), b)


@calls("LayerNormalization InstanceNormalization BatchNormalization")
def _norm(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch.nn.functional as functional

    small = float(node.attrs.get("epsilon", 1e-5))
    if node.kind == "LayerNormalization":
        return lambda x, w, b=None: functional.layer_norm(x, x.shape[-1:], w, b, small)
    if node.kind == "InstanceNormalization":
        return lambda x, w, b: functional.instance_norm(x, weight=w, bias=b, eps=small)
    return lambda x, w, b, m, v: functional.batch_norm(x, m, v, w, b, eps=small)


@calls("LRN")
def _lrn(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch.nn.functional as functional

    alpha, beta = float(node.attrs.get("alpha", 1e-4)), float(node.attrs.get("beta", 0.75))
    size, bias = int(node.attrs["size"]), float(node.attrs.get("bias", 1.0))
    return lambda x: functional.local_response_norm(x, size, alpha, beta, bias)


@calls("Gather")
def _gather(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch
    import torch.nn.functional as functional

    axis = node.attrs.get("axis", 0)
    if axis == 0 and node.inputs[0] in constants and constants[node.inputs[0]].ndim == 2:
        return lambda table, places: functional.embedding(places, table)
    return lambda table, places: torch.index_select(table, axis, places.flatten()).reshape(
        (*table.shape[:axis], *places.shape, *table.shape[axis + 1 :])
    )


@calls("LSTM")
def _lstm(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    """torch's own layer; ONNX orders its gates input, output, forget, cell."""
    import torch

    weights, recurrent, biases = (constants[n] for n in node.inputs[1:4])
    hidden, directions = int(node.attrs["hidden_size"]), weights.shape[0]
    layer = torch.nn.LSTM(weights.shape[2], hidden, bidirectional=directions == 2)

    def ordered(w: Any) -> Any:
        i, o, f, c = w.split(hidden)
        return torch.cat([i, f, c, o])

    with torch.no_grad():
        for d, suffix in zip(range(directions), ("", "_reverse"), strict=False):
            getattr(layer, f"weight_ih_l0{suffix}").copy_(ordered(weights[d]))
            getattr(layer, f"weight_hh_l0{suffix}").copy_(ordered(recurrent[d]))
            first, second = biases[d].split(4 * hidden)
            getattr(layer, f"bias_ih_l0{suffix}").copy_(ordered(first))
            getattr(layer, f"bias_hh_l0{suffix}").copy_(ordered(second))
    last = not node.outputs[0]

    def run(x: Any, *_: Any) -> Any:
        whole, (state, _cell) = layer(x)
        steps, batch, _ = whole.shape
        if last:
            return None, state
        return whole.reshape(steps, batch, directions, hidden).permute(0, 2, 1, 3)

    return run
