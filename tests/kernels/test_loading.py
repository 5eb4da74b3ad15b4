"""What preparing a network takes, against sizes worked out by hand."""

from __future__ import annotations

from perfmodel.graph.builder import GraphBuilder
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.loading import LoadWork, load_work


def test_weights_and_pointers_by_hand() -> None:
    g = GraphBuilder("net")
    x = g.conv(g.input((1, 8, 8, 4)), 16, 3, 2)  # 4x4 pixels, 16 x 9 x 4 weights and 16 biases
    x = g.depthwise(x, 3)  # 4x4 pixels, 9 x 16 weights and 16 biases
    x = g.conv(x, 32, 1)  # 32 x 16 weights and 32 biases; no window, so no pointers
    x = g.fc(g.global_avg_pool(x), 10)  # 10 x 32 weights and 10 biases
    table = KernelTable.from_kernels(fuse(g.build(x, source="test", format="zoo"), "tflite-cpu"))
    window, depthwise, point, dense = 592, 160, 544, 330
    packed = window + depthwise + point + dense
    pointers = 2 * 16 * 9 * 8
    assert load_work(table, "fp32") == LoadWork(5, 4 * packed, 4 * window, pointers, 0)
    assert load_work(table, "int8") == LoadWork(5, packed, window, pointers, 0)


def test_recurrent_weights_are_left_where_they_are() -> None:
    g = GraphBuilder("net")
    x = g.input((1, 6, 8))
    weights = [g.constant((1, 4 * 16, n)) for n in (8, 16)]
    y = g.op(
        "lstm",
        x,
        *weights,
        g.constant((1, 4 * 16)),
        hidden=16,
        directions=1,
        return_sequences=True,
        time_major=False,
    )
    table = KernelTable.from_kernels(fuse(g.build(y, source="test", format="zoo"), "tflite-cpu"))
    assert load_work(table, "fp32") == LoadWork(1, 0, 0, 0, 4 * (64 * 24 + 64))
