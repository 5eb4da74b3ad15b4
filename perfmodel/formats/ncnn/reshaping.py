"""ncnn layers that give the elements of a blob other axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perfmodel.errors import GraphError
from perfmodel.formats.limits import shorten
from perfmodel.formats.ncnn.expression import evaluate
from perfmodel.formats.ncnn.net import (
    ABSENT,
    NcnnLayer,
    NcnnNet,
    emit,
    from_mat_order,
    in_mat_order,
    input_sizes,
    layer_types,
    mat_axes,
    mat_shape,
    named_sizes,
    one_input,
)

NO_BATCH_AXIS = 233
"""ncnn's mark for a reshape whose sizes leave the batch out."""

RESHAPE_KEYS = {"w": 0, "h": 1, "d": 11, "c": 2}


@layer_types("Reshape")
def _reshape(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    old = net.builder.shape(x)
    own = named_sizes(old)
    wanted = {name: layer.integer(key, ABSENT) for name, key in RESHAPE_KEYS.items()}
    if expression := layer.text(6):
        wanted = _by_letter(evaluate(expression, input_sizes(net, layer)))
    batch_axis = layer.integer(13, NO_BATCH_AXIS)
    if batch_axis != NO_BATCH_AXIS:  # one of the sizes is the batch, which stands apart here
        given = [size for size in wanted.values() if size != ABSENT]
        given.pop(-1 - batch_axis if batch_axis >= 0 else -1 - (batch_axis + len(given)))
        wanted = _by_letter(given)
    # a size of 0 keeps the blob's own
    sizes = [own.get(n, 1) if size == 0 else size for n, size in wanted.items() if size != ABSENT]
    if not sizes or sizes.count(-1) > 1 or min(sizes) < -1:
        raise GraphError(f"a reshape of {old} to {wanted}")
    return emit(net, layer, "reshape", [x], shape=mat_shape(old[0], *sizes))


def _by_letter(sizes: Sequence[int]) -> dict[str, int]:
    """Sizes, innermost first, by the letter of the axis."""
    letters = {1: "w", 2: "wh", 3: "whc", 4: "whdc"}.get(len(sizes))
    if letters is None:
        raise GraphError(f"a reshape to {len(sizes)} axes: {shorten(list(sizes))}")
    return dict(zip(letters, sizes, strict=True))


@layer_types("Flatten")
def _flatten(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    if len(shape) == 2:
        return [x]
    return emit(net, layer, "reshape", [x], shape=(shape[0], math.prod(shape[1:])))


@layer_types("Squeeze ExpandDims")
def _unit_axes(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    sizes = list(in_mat_order(shape))
    axes = layer.integers(3)
    if layer.type == "ExpandDims":
        if not axes:
            outermost = (0,) if layer.integer(2, 0) else ()
            axes = (*(-1 - k for k in (0, 1) if layer.integer(k, 0)), *outermost)
        total = len(sizes) + len(axes)
        for axis in sorted(a % total for a in axes):
            sizes.insert(axis, 1)
    else:
        marked = {a % len(sizes) for a in axes}
        if not axes:
            keys = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}[len(sizes)]
            marked = {i for i, key in enumerate(keys) if layer.integer(key, 0)}
        sizes = [s for i, s in enumerate(sizes) if i not in marked or s != 1]
    return emit(net, layer, "reshape", [x], shape=from_mat_order(shape[0], sizes))


ORDERS = {
    1: ["w"],
    2: ["wh", "hw"],
    3: ["whc", "hwc", "wch", "cwh", "hcw", "chw"],
    4: [
        *("whdc", "hwdc", "wdhc", "dwhc", "hdwc", "dhwc", "whcd", "hwcd", "wchd", "cwhd", "hcwd"),
        *("chwd", "wdch", "dwch", "wcdh", "cwdh", "dcwh", "cdwh", "hdcw", "dhcw", "hcdw", "chdw"),
        *("dchw", "cdhw"),
    ],
}
"""Permute's order_type: the old axes that become the new ones, innermost first, by dimensions."""


@layer_types("Permute")
def _permute(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    kind, known = layer.integer(0, 0), ORDERS.get(len(shape) - 1, [])
    if not 0 <= kind < len(known):
        raise GraphError(f"order_type {kind} of a blob {shape}")
    # our axis of each of ncnn's, innermost first
    place = dict(zip(known[0], reversed(mat_axes(shape)), strict=True))
    perm = list(range(len(shape)))
    for new, old in zip(known[0], known[kind], strict=True):
        perm[place[new]] = place[old]
    if perm == list(range(len(shape))):
        return [x]
    return emit(net, layer, "transpose", [x], perm=tuple(perm))
