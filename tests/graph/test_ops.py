"""Shapes that operators give, worked out by hand or by numpy."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from perfmodel.errors import GraphError
from perfmodel.graph.ops import broadcast, infer_shapes, same_pads, window_output

Shape = tuple[int, ...]


def shape(kind: str, *inputs: Shape, **attrs: Any) -> Shape:
    (out,) = infer_shapes(kind, inputs, attrs)
    return out


CONV = {"stride": (2, 1), "dilation": (1, 2), "pads": (1, 0, 2, 2), "groups": 2}


def test_a_convolution_slides_its_window() -> None:
    # height: 10 + 1 - 3 = 8, so 8 / 2 + 1 = 5; width: 9 + 4 - 2 * 2 = 9 steps of one
    assert shape("conv2d", (2, 10, 9, 4), (6, 3, 3, 2), **CONV) == (2, 5, 9, 6)
    for weights in ((6, 3, 3, 4), (7, 3, 3, 2)):
        with pytest.raises(GraphError, match="conv2d"):
            infer_shapes("conv2d", [(2, 10, 9, 4), weights], CONV)


def test_a_transposed_convolution_spreads_its_input() -> None:
    attrs = {"stride": (2, 3), "pads": (1, 0, 0, 1), "groups": 1}
    # height: 4 * 2 + 3 - 1 = 10, width: 6 * 3 + 2 - 1 = 19
    assert shape("transpose_conv2d", (1, 5, 7, 4), (8, 3, 2, 4), **attrs) == (1, 10, 19, 8)
    more = {**attrs, "output_padding": (1, 2), "dilation": (2, 3)}
    assert shape("transpose_conv2d", (1, 5, 7, 4), (8, 3, 2, 4), **more) == (1, 13, 23, 8)
    with pytest.raises(GraphError, match="transpose_conv2d: 4 channels in"):
        shape("transpose_conv2d", (1, 5, 7, 4), (8, 3, 2, 5), **attrs)


def test_a_pool_slides_its_window() -> None:
    attrs = {"kernel": (3, 2), "stride": (2, 2), "pads": (0, 1, 0, 0)}
    assert shape("max_pool2d", (2, 8, 8, 5), **attrs) == (2, 4, 4, 5)
    assert shape("max_pool2d", (2, 8, 8, 5), **attrs, dilation=(3, 1)) == (2, 2, 4, 5)


def test_windows_by_counting_their_places() -> None:
    pick = random.Random(3).randint
    for _ in range(200):
        size, kernel, stride, dilation = pick(1, 20), pick(1, 5), pick(1, 4), pick(1, 3)
        before, after = pick(0, 3), pick(0, 3)
        reach = dilation * (kernel - 1)
        if size + before + after <= reach:
            continue
        places = len(range(0, size + before + after - reach, stride))
        assert window_output(size, kernel, stride, (before, after), dilation) == places
        pads = same_pads(size, kernel, stride, dilation)
        assert window_output(size, kernel, stride, pads, dilation) == -(-size // stride)
        assert 0 <= pads[1] - pads[0] <= 1


def test_a_dense_layer_flattens_unless_it_keeps_its_axes() -> None:
    assert shape("fully_connected", (2, 3, 4), (5, 12)) == (2, 5)
    assert shape("fully_connected", (2, 3, 4), (5, 4), keep_dims=True) == (2, 3, 5)
    for keep in (True, False):
        with pytest.raises(GraphError, match="against weights"):
            shape("fully_connected", (2, 3, 4), (5, 7), keep_dims=keep)


@pytest.mark.parametrize(("first", "second"), list(itertools.product([False, True], repeat=2)))
def test_a_product_is_that_of_numpy(first: bool, second: bool) -> None:
    a, b = np.ones((2, 1, 3, 4)), np.ones((5, 4, 6))
    truth = (a @ b).shape
    left = (2, 1, 4, 3) if first else (2, 1, 3, 4)
    right = (5, 6, 4) if second else (5, 4, 6)
    assert shape("matmul", left, right, transpose_a=first, transpose_b=second) == truth
    with pytest.raises(GraphError, match="inner sizes 4 and 3 differ"):
        shape("matmul", (2, 4), (3, 5))


def test_broadcasting_is_that_of_numpy() -> None:
    pick = random.Random(4).choice
    for _ in range(200):
        shapes = [tuple(pick((1, 1, 2, 3)) for _ in range(pick((0, 1, 2, 3)))) for _ in range(3)]
        try:
            truth = np.broadcast_shapes(*shapes)
        except ValueError:
            with pytest.raises(GraphError, match="do not broadcast"):
                broadcast(shapes)
        else:
            assert broadcast(shapes) == truth


def test_reductions_keep_their_axes_or_drop_them() -> None:
    for axes, keep in itertools.product([(0,), (1, 2), (0, 1, 2)], [False, True]):
        truth = np.ones((2, 3, 4)).sum(axis=axes, keepdims=keep).shape
        assert shape("reduce_sum", (2, 3, 4), axes=axes, keep_dims=keep) == truth
    assert shape("arg_max", (2, 3, 4), axis=-1) == (2, 3)
    assert shape("arg_max", (2, 3, 4), axis=1, keep_dims=True) == (2, 1, 4)


def test_joining_and_splitting() -> None:
    assert shape("concat", (2, 3, 4), (2, 5, 4), axis=1) == (2, 8, 4)
    assert shape("concat", (2, 3, 4), (2, 3, 1), axis=-1) == (2, 3, 5)
    with pytest.raises(GraphError, match="differ off axis 1"):
        shape("concat", (2, 3, 4), (2, 3, 5), axis=1)
    halves = infer_shapes("split", [(2, 7)], {"axis": -1, "sizes": (3, 4)})
    assert halves == ((2, 3), (2, 4))
    with pytest.raises(GraphError, match="do not add up to 7"):
        infer_shapes("split", [(2, 7)], {"axis": 1, "sizes": (3, 3)})
    assert shape("pack", (2, 3), (2, 3), axis=1) == (2, 2, 3)
    assert shape("pack", (2, 3), (2, 3), axis=-1) == (2, 3, 2)
    assert infer_shapes("unpack", [(2, 3)], {"axis": 0}) == ((3,), (3,))
    assert len(infer_shapes("unpack", [(10_000,)], {"axis": 0})) == 10_000
    with pytest.raises(GraphError, match="10001 outputs"):
        infer_shapes("unpack", [(10_001,)], {"axis": 0})


def test_looking_up() -> None:
    table, rows = np.zeros((7, 8)), np.zeros((2, 3), int)
    assert shape("gather", (7, 8), (2, 3), axis=0) == table[rows].shape == (2, 3, 8)
    assert shape("gather", (7, 8), (2, 3), axis=-1) == np.take(table, rows, axis=1).shape
    # each of two batches takes three of its seven rows
    assert shape("gather", (2, 7, 8), (2, 3), axis=1, batch_dims=1) == (2, 3, 8)
    assert shape("gather_nd", (4, 5, 6), (9, 2)) == (9, 6)
    assert shape("gather_nd", (4, 5), (9, 2)) == (9,)
    with pytest.raises(GraphError, match="index of 3 numbers"):
        shape("gather_nd", (4, 5), (9, 3))


@pytest.mark.parametrize(
    ("kind", "inputs", "attrs", "out"),
    [
        ("reshape", (2, 3, 4), {"shape": (4, -1)}, (4, 6)),
        ("reshape", (2, 3), {"shape": (6,)}, (6,)),
        ("transpose", (2, 3, 4), {"perm": (2, 0, 1)}, (4, 2, 3)),
        ("pad", (2, 3), {"paddings": ((1, 0), (2, 3))}, (3, 8)),
        ("tile", (2, 3), {"multiples": (3, 2)}, (6, 6)),
        ("slice", (4, 5), {"size": (2, 3)}, (2, 3)),
        ("shape", (4, 5, 6), {}, (3,)),
        ("resize", (2, 4, 4, 3), {"size": (8, 6), "method": "nearest"}, (2, 8, 6, 3)),
        ("depth_to_space", (1, 2, 3, 12), {"block": 2}, (1, 4, 6, 3)),
        ("space_to_depth", (1, 4, 6, 3), {"block": 2}, (1, 2, 3, 12)),
        ("fill", (2,), {"output_shape": (4, 5)}, (4, 5)),
    ],
)
def test_moving_numbers(kind: str, inputs: Shape, attrs: dict[str, Any], out: Shape) -> None:
    assert shape(kind, inputs, **attrs) == out


@pytest.mark.parametrize(
    ("kind", "inputs", "attrs"),
    [
        ("reshape", (2, 3), {"shape": (4,)}),
        ("reshape", (2, 3), {"shape": (-1, -1)}),
        ("reshape", (2, 3), {"shape": (4, -1)}),
        ("transpose", (2, 3), {"perm": (0, 0)}),
        ("slice", (4, 5), {"size": (2,)}),
        ("depth_to_space", (1, 2, 3, 10), {"block": 2}),
        ("space_to_depth", (1, 4, 5, 3), {"block": 2}),
        ("space_to_depth", (1, 5, 4, 3), {"block": 2}),
        ("pad", (2, 3), {"paddings": ((0, -3), (0, 0))}),
        ("tile", (2, 3), {"multiples": (2,)}),
    ],
)
def test_numbers_that_cannot_be_moved_so(kind: str, inputs: Shape, attrs: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match=kind):
        shape(kind, inputs, **attrs)


@pytest.mark.parametrize(
    ("attrs", "out"),
    [
        ({"return_sequences": True, "time_major": False}, ((2, 5, 14),)),
        ({"return_sequences": False, "time_major": False}, ((2, 14),)),
        ({"return_sequences": False, "time_major": True}, ((5, 14),)),
        (
            {"return_sequences": True, "time_major": False, "merge_outputs": False},
            ((2, 5, 7), (2, 5, 7)),
        ),
    ],
)
def test_recurrent_layers(attrs: dict[str, Any], out: Sequence[Shape]) -> None:
    assert infer_shapes("lstm", [(2, 5, 3)], {"hidden": 7, "directions": 2, **attrs}) == out


def test_an_operator_without_its_attributes_or_of_no_name_is_refused() -> None:
    with pytest.raises(GraphError, match="'conv2d' lacks attribute 'stride'"):
        infer_shapes("conv2d", [], {})
    with pytest.raises(GraphError, match="unknown operator 'magic'"):
        infer_shapes("magic", [], {})


def test_a_volume_is_an_image_with_one_more_axis() -> None:
    attrs = {"stride": (1, 2, 3), "dilation": (2, 1, 1), "pads": (1, 0, 2, 2, 0, 1), "groups": 2}
    # depth: 8 + 1 - 5 + 1 = 5; height: (9 + 4 - 3) / 2 + 1 = 6; width: (10 + 1 - 2) / 3 + 1 = 4
    assert shape("conv3d", (2, 8, 9, 10, 4), (6, 3, 3, 2, 2), **attrs) == (2, 5, 6, 4, 6)
    with pytest.raises(GraphError, match="conv3d"):
        shape("conv3d", (2, 8, 9, 10, 4), (6, 3, 3, 2, 4), **attrs)
    # depth: 4 + 3 - 1 = 6; height: 4 * 2 + 2 = 10; width: 6 * 3 + 2 - 1 = 19
    spread = {"stride": (1, 2, 3), "pads": (1, 0, 0, 0, 0, 1), "groups": 1}
    assert shape("transpose_conv3d", (1, 5, 5, 7, 4), (8, 3, 2, 2, 4), **spread) == (
        1,
        6,
        10,
        19,
        8,
    )
    pool = {"kernel": (2, 3, 2), "stride": (2, 2, 2), "pads": (0, 0, 0, 1, 0, 0)}
    assert shape("avg_pool3d", (2, 8, 8, 8, 5), **pool) == (2, 4, 4, 4, 5)
