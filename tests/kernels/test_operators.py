"""Costs of operators against arithmetic done by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfmodel.errors import UncoveredOpError
from perfmodel.graph import Graph, GraphBuilder
from perfmodel.graph.ops import OPS
from perfmodel.kernels import (
    CLASSES,
    covered_part,
    macs,
    op_costs,
    params,
    uncovered_ops,
    weights_bytes,
)
from perfmodel.kernels.kernel_classes import CLASS_OF_OP
from perfmodel.kernels.operators import MACS, UNCOVERED


def one_op(build: object, shape: tuple[int, ...], dtype: str = "float32") -> Graph:
    builder = GraphBuilder("g", dtype)
    x = builder.input(shape)
    return builder.build(build(builder, x))  # type: ignore[operator]


def test_every_operator_of_the_vocabulary_has_a_cost_or_a_reason_why_not() -> None:
    assert set(OPS) == set(MACS) | set(UNCOVERED)
    assert not set(MACS) & set(UNCOVERED)


def test_every_covered_operator_has_a_kernel_class() -> None:
    assert set(CLASS_OF_OP) | {"conv2d", "conv3d"} >= set(MACS)
    assert set(CLASS_OF_OP.values()) <= set(CLASSES)


def test_convolution_counts_a_window_of_its_group_for_each_output() -> None:
    graph = one_op(lambda b, x: b.conv(x, 8, 3, 2, groups=2, name="c"), (1, 10, 10, 4))
    # 5 * 5 outputs * 8 channels * 3 * 3 window * 4 / 2 channels = 3600
    assert macs(graph) == 3600
    # 8 * 3 * 3 * 2 weights + 8 biases = 152
    assert params(graph) == 152
    (cost,) = op_costs(graph)
    assert cost.input_bytes == 4 * 10 * 10 * 4
    assert cost.weight_bytes == 4 * 152
    assert cost.output_bytes == 4 * 5 * 5 * 8


def test_depthwise_convolution_has_one_filter_a_channel() -> None:
    graph = one_op(lambda b, x: b.depthwise(x, 3, bias=False), (2, 6, 6, 16))
    assert macs(graph) == 2 * 6 * 6 * 16 * 9
    assert params(graph) == 16 * 9


def test_transposed_convolution_spreads_each_input() -> None:
    graph = one_op(lambda b, x: b.transpose_conv(x, 5, 4, 2), (1, 7, 7, 3))
    # 7 * 7 pixels * 3 channels * 4 * 4 window * 5 outputs = 11760
    assert macs(graph) == 11760


def test_fully_connected_counts_rows_times_inputs_times_outputs() -> None:
    graph = one_op(lambda b, x: b.fc(x, 5), (2, 3, 2, 4))
    # 2 rows * 24 inputs * 5 outputs = 240
    assert macs(graph) == 240
    assert params(graph) == 24 * 5 + 5


@pytest.mark.parametrize(
    ("transpose_a", "a", "b"), [(False, (4, 6, 2), (4, 2, 5)), (True, (4, 2, 6), (4, 2, 5))]
)
def test_matmul_multiplies_along_the_shared_axis(
    transpose_a: bool, a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    builder = GraphBuilder("g")
    x, y = builder.input(a), builder.input(b)
    graph = builder.build(builder.op("matmul", x, y, transpose_a=transpose_a))
    assert macs(graph) == 240  # 4 * 6 * 2 * 5 = 240
    assert params(graph) == 0


def test_lstm_has_four_gates_over_input_and_state() -> None:
    attrs = {"hidden": 3, "directions": 2, "return_sequences": True, "time_major": False}
    graph = one_op(lambda b, x: b.op("lstm", x, **attrs), (2, 7, 5))
    # 4 gates * (5 + 3) * 3 * 2 batch * 7 steps * 2 directions = 2688
    assert macs(graph) == 2688


def test_a_network_sums_its_operators_and_counts_shared_weights_once() -> None:
    builder = GraphBuilder("g")
    x = builder.input((1, 4, 4, 8))
    weights = builder.constant((8, 1, 1, 8))
    attrs = {"stride": (1, 1), "dilation": (1, 1), "pads": (0, 0, 0, 0), "groups": 1}
    y = builder.op("conv2d", x, weights, **attrs)
    graph = builder.build(builder.op("conv2d", y, weights, **attrs))
    assert macs(graph) == 2 * 4 * 4 * 8 * 8
    assert params(graph) == 64
    assert [c.params for c in op_costs(graph)] == [64, 0]
    assert weights_bytes(graph) == 256
    assert weights_bytes(graph, "fp16") == 128


def test_elementwise_work_has_bytes_but_no_macs() -> None:
    graph = one_op(lambda b, x: b.binary("add", x, x), (1, 2, 2, 3), "int8")
    (cost,) = op_costs(graph)
    # one tensor read though it is named twice
    assert (cost.macs, cost.input_bytes, cost.output_bytes) == (0, 12, 12)


def test_operands_that_are_not_learned_are_no_parameters() -> None:
    builder = GraphBuilder("g")
    x = builder.input((1, 4))
    indices = builder.constant((2,), dtype="int32")
    graph = builder.build(builder.op("gather", x, indices, axis=1))
    assert params(graph) == 0


def test_a_computed_constant_stands_for_the_parameters_it_was_computed_from() -> None:
    builder = GraphBuilder("g")
    x = builder.input((1, 4, 4))
    mask, table = builder.constant((4, 4), "mask"), builder.constant((4, 4), "table")
    graph = builder.build(builder.op("add", builder.op("add", x, mask, name="a"), table, name="b"))
    tensors = {
        **graph.tensors,
        "mask": replace(graph.tensors["mask"], learned=0),
        "table": replace(graph.tensors["table"], learned=7),
    }
    graph = replace(graph, tensors=tensors)
    # the mask follows from shapes, the 16 numbers of the table from 7 parameters
    assert params(graph) == 0 + 7
    assert [cost.params for cost in op_costs(graph)] == [0, 7]
    assert weights_bytes(graph) == 2 * 16 * 4


def test_a_custom_operator_is_listed_and_refused() -> None:
    builder = GraphBuilder("g")
    x = builder.input((1, 4))
    y = builder.op("custom", x, name="odd", output_shapes=((1, 4),), custom_name="MyOp")
    graph = builder.build(y)
    assert [op.name for op in uncovered_ops(graph)] == ["odd"]
    with pytest.raises(UncoveredOpError, match=r"odd.*MyOp"):
        macs(graph)


def test_the_covered_part_is_the_graph_without_what_has_no_cost() -> None:
    b = GraphBuilder("part")
    x = b.input((1, 4))
    attrs = {"custom_name": "Mystery", "output_shapes": ((1, 4),)}
    y = b.add_op("custom", [b.op("relu", x, name="relu")], attrs, "mystery")[0]
    graph = b.build(b.op("tanh", y, name="tanh"))
    assert [op.name for op in covered_part(graph).ops] == ["relu", "tanh"]
    assert [op.name for op in uncovered_ops(graph)] == ["mystery"]
    assert macs(covered_part(graph)) == 0
    with pytest.raises(UncoveredOpError, match=r"mystery.*Mystery"):
        macs(graph)
