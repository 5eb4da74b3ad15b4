"""Nets of named layers: names that give way, blobs, and the axes of ncnn and Caffe."""

from __future__ import annotations

import pytest

from perfmodel.errors import GraphError
from perfmodel.formats.caffe.net import CaffeNet, blob_shape, stored
from perfmodel.formats.caffe.net import axis_of as caffe_axis
from perfmodel.formats.ncnn.net import (
    NcnnLayer,
    NcnnNet,
    axis_of,
    from_mat_order,
    in_mat_order,
    mat_axes,
    mat_shape,
)
from perfmodel.formats.net import BlobNet, NamedLayer
from perfmodel.graph import GraphBuilder

LAYER = NamedLayer(line=3, type="Convolution", name="conv", bottoms=("a",), tops=("b",))


def test_a_name_gives_way_where_it_is_taken() -> None:
    net = BlobNet(GraphBuilder("net"))
    assert net.fresh("x") == "x"
    for made in ("x", "x_1", "x_2"):
        assert net.builder.input((1, 2), net.fresh("x")) == made
    assert net.fresh("x_1") == "x_1_1"


def test_weights_are_named_after_their_layer_and_have_no_negative_axis() -> None:
    net = BlobNet(GraphBuilder("net"))
    assert net.weights(LAYER, "weights", (4, 2), "int8") == "conv/weights"
    assert net.weights(LAYER, "weights", (0,)) == "conv/weights_1"
    assert net.builder.tensors["conv/weights"].dtype == "int8"
    assert net.builder.tensors["conv/weights"].constant
    with pytest.raises(GraphError, match="bias of shape"):
        net.weights(LAYER, "bias", (-1,))


def test_a_blob_is_held_by_the_tensor_that_was_defined_last() -> None:
    net = BlobNet(GraphBuilder("net"))
    first, second = net.builder.input((1, 2), "first"), net.builder.input((1, 3), "second")
    with pytest.raises(GraphError, match="'a' is read before any layer makes it"):
        net.tensor("a")
    net.define("a", first)
    net.define("a", second)
    assert net.tensor("a") == "second"
    assert net.shape("a") == (1, 3)


def test_a_blob_of_ncnn_is_made_once() -> None:
    net = NcnnNet(GraphBuilder("net"), [])
    net.define("a", net.builder.input((1, 2)))
    with pytest.raises(GraphError, match="'a' is made twice"):
        net.define("a", "x")


def test_outputs_of_a_caffe_net_are_blobs_that_no_layer_reads() -> None:
    net = CaffeNet(GraphBuilder("net"))
    net.define("data", net.builder.input((1, 2), "data"))
    with pytest.raises(GraphError, match="without layers or outputs"):
        net.outputs()
    net.define("mid", net.builder.op("relu", net.tensor("data"), name="mid"))
    net.define("end", net.builder.op("tanh", net.tensor("mid"), name="end"))
    net.define("same", net.held("end"))
    assert net.outputs() == ["end"]


@pytest.mark.parametrize(
    ("whc", "ours"),
    [
        ((5,), (2, 5)),
        ((5, 4), (2, 4, 5)),
        ((5, 4, 3), (2, 4, 5, 3)),
        ((5, 4, 7, 3), (2, 7, 4, 5, 3)),
    ],
)
def test_sizes_of_ncnn_are_width_first_and_ours_batch_first(
    whc: tuple[int, ...], ours: tuple[int, ...]
) -> None:
    assert mat_shape(2, *whc) == ours


def test_ncnn_counts_channels_height_width() -> None:
    assert mat_axes((1, 4, 5, 3)) == (3, 1, 2)
    assert mat_axes((1, 4, 5)) == (1, 2)
    assert mat_axes((1, 9)) == (1,)
    assert in_mat_order((1, 4, 5, 3)) == (3, 4, 5)
    assert axis_of((1, 4, 5, 3), 0) == 3
    assert axis_of((1, 4, 5, 3), -1) == 2
    with pytest.raises(GraphError, match="axis 3"):
        axis_of((1, 4, 5, 3), 3)
    with pytest.raises(GraphError, match="axis -4"):
        axis_of((1, 4, 5, 3), -4)


@pytest.mark.parametrize(
    ("sizes", "ours"),
    [((), (2, 1)), ((7,), (2, 7)), ((4, 7), (2, 4, 7)), ((3, 4, 7), (2, 4, 7, 3))],
)
def test_sizes_in_ncnns_order_come_back(sizes: tuple[int, ...], ours: tuple[int, ...]) -> None:
    assert from_mat_order(2, sizes) == ours
    if sizes:
        assert in_mat_order(ours) == sizes


def test_a_caffe_blob_of_four_axes_is_channels_last_here() -> None:
    assert stored((1, 3, 4, 5)) == (1, 4, 5, 3)
    assert blob_shape((1, 4, 5, 3)) == (1, 3, 4, 5)
    assert stored((1, 7)) == blob_shape((1, 7)) == (1, 7)
    assert [caffe_axis((1, 4, 5, 3), axis) for axis in (0, 1, 2, 3, -1)] == [0, 3, 1, 2, 2]
    assert caffe_axis((1, 7), -1) == 1
    with pytest.raises(GraphError, match="axis 2"):
        caffe_axis((1, 7), 2)


def ncnn_layer(**params: object) -> NcnnLayer:
    numbered = {int(key[1:]): value for key, value in params.items()}
    return NcnnLayer(
        line=1,
        type="T",
        name="t",
        bottoms=(),
        tops=(),
        params=numbered,  # type: ignore[arg-type]
    )


def test_parameters_of_ncnn_are_numbers_of_32_bits() -> None:
    layer = ncnn_layer(p0=3, p1=2.0, p2=2.5, p3=(1, 2), p4=2**31, p5=-(2**31) + 1)
    assert [layer.integer(0, 9), layer.integer(1, 9), layer.integer(7, 9)] == [3, 2, 9]
    assert layer.integer(5, 0) == -(2**31) + 1
    assert [layer.real(2, 0), layer.real(0, 0), layer.real(7, 1.5)] == [2.5, 3.0, 1.5]
    assert [layer.integers(3), layer.integers(0), layer.integers(7)] == [(1, 2), (3,), ()]
    assert [layer.count(3), layer.count(0), layer.count(7)] == [2, 1, 0]
    for key in (2, 3, 4):
        with pytest.raises(GraphError, match=f"parameter {key} must be an integer"):
            layer.integer(key, 0)
