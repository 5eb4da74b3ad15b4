"""ncnn layers that normalise or scale what they read; constants.

Parameter numbers and defaults are those of `load_param` in Tencent/ncnn, src/layer/*.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.ncnn.net import (
    ABSENT,
    NcnnLayer,
    NcnnNet,
    emit,
    layer_types,
    mat_shape,
    one_input,
)


@layer_types("BatchNorm")
def _batch_norm(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    channels = layer.integer(0, 0)
    names = [net.weights(layer, w, (channels,)) for w in ("slope", "mean", "variance", "bias")]
    return emit(net, layer, "batch_norm", [one_input(net, layer), *names])


@layer_types("Scale")
def _scale(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    size = layer.integer(0, 0)
    if size == ABSENT:  # the factors are a second input
        factors = [net.tensor(b) for b in layer.bottoms]
        return emit(net, layer, "mul", factors, activation="none")
    names = [net.weights(layer, "scale", (size,))]
    if layer.integer(1, 0):
        names.append(net.weights(layer, "bias", (size,)))
    return emit(net, layer, "scale", [one_input(net, layer), *names])


@layer_types("Bias")
def _bias(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    bias = net.weights(layer, "bias", (layer.integer(0, 0),))
    return emit(net, layer, "add", [one_input(net, layer), bias], activation="none")


NORMS = {
    # type: (kind, key of the count, key of "affine", learned factors)
    "LayerNorm": ("layer_norm", 0, 2, ("gamma", "beta")),
    "RMSNorm": ("layer_norm", 0, 2, ("gamma",)),
    "InstanceNorm": ("instance_norm", 0, 2, ("gamma", "beta")),
    "GroupNorm": ("group_norm", 1, 3, ("gamma", "beta")),
}


@layer_types(" ".join(NORMS))
def _norm(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    kind, count_key, affine_key, learned = NORMS[layer.type]
    names = []
    if layer.integer(affine_key, 1):
        size = layer.integer(count_key, 0)
        names = [net.weights(layer, what, (size,)) for what in learned]
    attrs: dict[str, Any] = {"groups": layer.integer(0, 1)} if kind == "group_norm" else {}
    return emit(net, layer, kind, [one_input(net, layer), *names], **attrs)


@layer_types("MVN")
def _mvn(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    return emit(net, layer, "instance_norm", [one_input(net, layer)])


@layer_types("Normalize")
def _normalize(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    size = layer.integer(3, 0)
    scale = [net.weights(layer, "scale", (size,))] if size else []
    return emit(net, layer, "l2_norm", [one_input(net, layer), *scale])


@layer_types("LRN")
def _lrn(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    region = "within" if layer.integer(0, 0) else "across"
    return emit(net, layer, "lrn", [one_input(net, layer)], size=layer.integer(1, 5), region=region)


@layer_types("MemoryData")
def _memory_data(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    sizes = [
        s
        for s in (
            layer.integer(0, 0),
            layer.integer(1, 0),
            layer.integer(11, 0),
            layer.integer(2, 0),
        )
        if s
    ]
    if not sizes or min(sizes) < 1 or len(layer.tops) != 1:
        raise GraphError(f"MemoryData of sizes {sizes}")
    return [net.builder.constant(mat_shape(1, *sizes), layer.tops[0], "float32")]
