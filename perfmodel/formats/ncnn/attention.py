"""ncnn's attention, as the products and the softmax that it consists of.

Parameter numbers and defaults are those of `load_param` in Tencent/ncnn, src/layer/*.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.errors import GraphError
from perfmodel.formats.ncnn.net import (
    NcnnLayer,
    NcnnNet,
    as_stored,
    emit,
    from_mat_order,
    layer_types,
    one_input,
    view,
)


@layer_types("MultiHeadAttention")
def _multi_head(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Projections of queries, keys and values, attention, and the output's projection.

    ncnn's projections write head by head, so splitting and joining heads are reshapes only.
    """
    b = net.builder
    masked = bool(layer.integer(5, 0))
    blobs = [net.tensor(x) for x in layer.bottoms]
    mask = blobs.pop() if masked and len(blobs) > 1 else ""
    if not 1 <= len(blobs) <= 3:
        raise GraphError(f"{len(blobs)} inputs of attention")
    q, k, v = (blobs[0], blobs[min(1, len(blobs) - 1)], blobs[-1])
    width, heads = layer.integer(0, 0), layer.integer(1, 1)
    if width < 1 or heads < 1 or width % heads:
        raise GraphError(f"{width} features do not divide into {heads} heads")
    if any(len(b.shape(x)) != 3 for x in (q, k, v)):
        raise GraphError("attention needs (length, features) blobs")
    parts = []
    for x, what in ((q, "query"), (k, "key"), (v, "value")):
        made = _project(net, layer, x, what, width, f"{layer.name}/{what}")
        batch, length, _ = b.shape(x)
        shape = (batch, heads, length, width // heads)
        parts.append(b.reshape(made, shape, net.fresh(f"{layer.name}/{what}_heads")))
    if mask:
        mask = as_stored(net, layer, mask, 3)
    query, key, value = parts
    mixed = _attend(net, layer, query, key, value, mask)
    joined = b.reshape(mixed, (*b.shape(q)[:2], width), net.fresh(f"{layer.name}/join_heads"))
    names = _factors(net, layer, "output", b.shape(q)[-1], width)
    attrs = {"activation": "none", "keep_dims": True}
    return b.add_op("fully_connected", [joined, *names], attrs, layer.name, layer.tops)


def _factors(net: NcnnNet, layer: NcnnLayer, what: str, out: int, inner: int) -> list[str]:
    weights = net.weights(layer, f"{what}/weights", (out, inner))
    return [weights, net.weights(layer, f"{what}/bias", (out,))]


def _project(net: NcnnNet, layer: NcnnLayer, x: str, what: str, out: int, name: str) -> str:
    names = _factors(net, layer, what, out, net.builder.shape(x)[-1])
    attrs = {"activation": "none", "keep_dims": True}
    return net.builder.add_op("fully_connected", [x, *names], attrs, net.fresh(name))[0]


def _attend(net: NcnnNet, layer: NcnnLayer, q: str, k: str, v: str, mask: str) -> str:
    """softmax(q k + mask) v of (batch, heads, length, features) tensors."""
    b = net.builder
    scores = b.op("matmul", q, k, name=net.fresh(f"{layer.name}/scores"), transpose_b=True)
    if mask:
        scores = b.binary("add", scores, mask, name=net.fresh(f"{layer.name}/mask"))
    shares = b.op("softmax", scores, name=net.fresh(f"{layer.name}/softmax"), axis=3)
    return b.op("matmul", shares, v, name=net.fresh(f"{layer.name}/mix"))


@layer_types("SDPA")
def _scaled_dot_product(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Attention of blobs (heads, length, features); keys and values may be shared by heads.

    With a cache the keys and values of earlier steps are joined to the new ones, which are the
    second and third output.
    """
    b = net.builder
    masked, cached = bool(layer.integer(5, 0)), bool(layer.integer(7, 0))
    blobs = [as_stored(net, layer, net.tensor(x)) for x in layer.bottoms]
    if len(blobs) != 3 + masked + 2 * cached or any(len(b.shape(x)) != 4 for x in blobs[:3]):
        raise GraphError("attention needs (heads, length, features) blobs, and a mask if it says")
    q, k, v = blobs[:3]
    mask = as_stored(net, layer, net.tensor(layer.bottoms[3]), 3) if masked else ""
    held = []
    if cached:
        k, v = (
            b.add_op(
                "concat", [old, new], {"axis": 2, "activation": "none"}, net.fresh(f"{top}/joined")
            )[0]
            for old, new, top in zip(blobs[-2:], (k, v), layer.tops[1:], strict=True)
        )
        held = [_as_blob(net, layer, x) for x in (k, v)]
    batch, heads, length, width = b.shape(q)
    shared = b.shape(k)[1]
    if heads % shared or b.shape(v)[1] != shared:
        raise GraphError(f"{heads} heads of queries, {shared} of keys, {b.shape(v)[1]} of values")
    if heads != shared:  # the queries of one group are further rows against the same keys
        q = view(net, layer, q, (batch, shared, heads // shared * length, width))
        if mask:
            raise GraphError("a mask over keys that heads share is not read")
    mixed = _attend(net, layer, q, k, v, mask)
    shape = from_mat_order(batch, (heads, length, b.shape(v)[3]))
    return [view(net, layer, mixed, shape), *held]


def _as_blob(net: NcnnNet, layer: NcnnLayer, x: str) -> str:
    batch, *sizes = net.builder.shape(x)
    return view(net, layer, x, from_mat_order(batch, sizes))


@layer_types("RotaryEmbed")
def _rotary(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """A rotation of pairs of features by tables of cosines and sines."""
    one_input(net, layer)
    return emit(net, layer, "scale", [net.tensor(b) for b in layer.bottoms])
