"""What preparing a network takes, against sizes worked out by hand."""

from __future__ import annotations

from perfmodel.graph.builder import GraphBuilder
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.loading import PIECES, LoadWork, load_work


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
    for precision, size in (("fp32", 4), ("int8", 1)):
        assert load_work(table, precision) == LoadWork(
            kernels=5,
            kinds=5,
            packed_bytes=size * packed,
            window_bytes=size * window,
            winograd_bytes=0,  # its stride is 2
            pointer_bytes=pointers,
            unpacked_bytes=0,
            touched_bytes=size * (4 * 4 * 16 + 4 * 4 * 32),  # the convolution of single points
            copied_bytes=size * 4 * 4 * 9 * 4,
            piece_bytes=(size * packed,) * 3,
        )


def test_equal_kernels_are_one_kind_and_3x3_windows_of_stride_1_are_transformed() -> None:
    g = GraphBuilder("net")
    x = g.input((1, 8, 8, 4))
    # 32 x 9 x 4 weights and 32 biases; 32 x 9 x 32 and 32; 8 x 9 x 32 and 8
    x = g.conv(g.conv(g.conv(x, 32, 3), 32, 3), 8, 3)
    x = g.conv(x, 6, 5)  # copied into rows of 25 x 8, one for each of 64 pixels
    x = g.conv(x, 4, 3, groups=2)  # 4 x 9 x 3 weights: a library has to copy two halves
    x = g.depthwise(x, 3)
    table = KernelTable.from_kernels(fuse(g.build(x, source="test", format="zoo"), "tflite-cpu"))
    work = load_work(table, "fp32")
    # the first layer of a network is a kind of its own
    assert (work.kernels, work.kinds) == (6, 5)
    assert work.winograd_bytes == 4 * (1184 + 9248 + 2312)
    assert work.copied_bytes == 4 * 64 * 25 * 8
    assert work.touched_bytes == 4 * 64 * (32 + 32)


def test_of_large_weights_only_a_piece_counts_as_small() -> None:
    g = GraphBuilder("net")
    x = g.fc(g.input((1, 999)), 1000, name="large")  # 999 x 1000 weights and 1000 biases
    x = g.fc(x, 20)  # 1000 x 20 weights and 20 biases, packed whole
    table = KernelTable.from_kernels(fuse(g.build(x, source="test", format="zoo"), "tflite-cpu"))
    assert PIECES == (64e3, 1e6, 16e6)
    assert load_work(table, "int8").piece_bytes == (64e3 + 20_020, 1_020_020, 1_020_020)
    assert load_work(table, "fp32").piece_bytes == (128e3, 1e6 + 80_080, 4_080_080)


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
    work = load_work(table, "fp32")
    assert (work.kernels, work.packed_bytes, work.piece_bytes) == (1, 0, (0, 0, 0))
    assert work.unpacked_bytes == 4 * (64 * 24 + 64)
