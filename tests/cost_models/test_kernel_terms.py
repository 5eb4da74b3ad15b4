"""Amounts of work against hand arithmetic, in microseconds at the reference speeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.cost_models.kernel_terms import (
    COLD_BYTES,
    FLOAT_STEPS,
    GROUPS,
    LAUNCH,
    MEMORY,
    REFERENCE_BYTES_PER_US,
    REFERENCE_LAUNCH_US,
    REFERENCE_MACS_PER_US,
    TERMS,
    WARM_BYTES,
    Machine,
    coldness,
    work_of,
)
from perfmodel.graph.builder import GraphBuilder
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.recency import SINCE_COLUMN
from perfmodel.kernels.recurrent import GATE_MOVES, STEPS_TO_START

HOST = Machine(winograd="none", shares_cache=True)
COMPUTE, WEIGHTS, MOVED = (TERMS.index(n) for n in ("compute", "weights", "transform"))


def table_of(g: GraphBuilder, *outputs: str) -> KernelTable:
    graph = g.build(*outputs, source="test", format="zoo")
    return KernelTable.from_kernels(fuse(graph, "tflite-cpu"))


@pytest.mark.parametrize(("channels", "filled"), [(1, 32), (24, 32), (32, 32), (40, 64)])
def test_the_last_block_of_output_channels_is_filled_up(channels: int, filled: int) -> None:
    g = GraphBuilder("product")
    table = table_of(g, g.conv(g.input((1, 14, 14, 64)), channels, 1))
    work = work_of(table, Machine(winograd="none", columns=32, channels=16))
    assert work.terms[0, COMPUTE] * REFERENCE_MACS_PER_US == pytest.approx(14 * 14 * 64 * filled)


def test_depthwise_channels_are_filled_up_on_their_own() -> None:
    g = GraphBuilder("depthwise")
    table = table_of(g, g.depthwise(g.input((1, 14, 14, 24)), 3))
    work = work_of(table, Machine(winograd="none", columns=64, channels=16))
    assert work.terms[0, COMPUTE] * REFERENCE_MACS_PER_US == pytest.approx(14 * 14 * 9 * 32)


def lstm(directions: int) -> KernelTable:
    g = GraphBuilder("recurrent")
    x = g.input((1, 10, 20))
    weights = [g.constant((directions, 4 * 30, n)) for n in (20, 30)]
    y = g.op(
        "lstm",
        x,
        *weights,
        g.constant((directions, 4 * 30)),
        hidden=30,
        directions=directions,
        return_sequences=True,
        time_major=False,
    )
    return table_of(g, y)


def test_a_recurrent_layer_reads_its_weights_at_each_step_and_computes_four_gates() -> None:
    table = lstm(1)
    fp32 = work_of(table, HOST).terms[0]
    weights = 4 * 30 * (20 + 30 + 1)
    assert table["weight_elements"][0] == weights
    assert fp32[WEIGHTS] * REFERENCE_BYTES_PER_US == pytest.approx(10 * 4 * weights)
    assert fp32[MOVED] * REFERENCE_BYTES_PER_US == pytest.approx(GATE_MOVES * 10 * 4 * 30)
    assert fp32[LAUNCH] == pytest.approx((10 + STEPS_TO_START) * REFERENCE_LAUNCH_US)
    int8 = work_of(table, replace(HOST, precision="int8")).terms[0]
    assert int8[MOVED] * REFERENCE_BYTES_PER_US == pytest.approx(GATE_MOVES * 10 * 4 * 30)
    # layers in two directions have gates in float
    work = work_of(lstm(2), replace(HOST, precision="int8"))
    (both,) = work.terms
    assert work.cell.tolist() == [FLOAT_STEPS]
    assert both[WEIGHTS] * REFERENCE_BYTES_PER_US == pytest.approx(2 * 10 * 4 * weights)
    assert both[MOVED] * REFERENCE_BYTES_PER_US == pytest.approx(4 * 10 * 4 * 30 * 2)
    assert both[LAUNCH] == pytest.approx(2 * fp32[LAUNCH])


def test_weights_that_stay_near_the_core_cost_no_reading() -> None:
    weight_bytes = 4 * 4 * 30 * (20 + 30 + 1)
    near = weight_bytes - 1000.0
    for directions in (1, 2):
        machine = replace(HOST, near_bytes=near)
        (work,) = work_of(lstm(directions), machine).terms
        assert work[WEIGHTS] * REFERENCE_BYTES_PER_US == pytest.approx(10 * directions * 1000)
        (work,) = work_of(lstm(directions), replace(machine, near_bytes=2 * near)).terms
        assert work[WEIGHTS] == 0


def chain(between: int) -> KernelTable:
    """Two small operators of a kind, and one that moves so many bytes between them."""
    g = GraphBuilder("chain")
    x, y = g.input((1, 8)), g.input((1, between // 8))
    first = g.op("tanh", x)
    y = g.op("sigmoid", y)
    return table_of(g, g.op("tanh", first), y)


def test_a_kernel_whose_like_ran_long_ago_starts_later_and_moves_more_slowly() -> None:
    cold = replace(HOST, cold_start=3.0, cold_bytes=0.5)
    half_way = int((WARM_BYTES * COLD_BYTES) ** 0.5)
    for between, share in ((12_000, 0.0), (half_way, 0.5), (30 * int(COLD_BYTES), 1.0)):
        network = chain(between)
        assert coldness(network, 4.0)[-1] == pytest.approx(share, abs=0.01)
        now, before = (work_of(network, m).terms[-1] for m in (cold, HOST))
        assert now[LAUNCH] == pytest.approx((1 + 3 * share) * REFERENCE_LAUNCH_US, rel=0.01)
        assert now[MEMORY] == pytest.approx((1 + 0.5 * share) * before[MEMORY], rel=0.01)
        others = [i for i in range(len(TERMS)) if i not in (LAUNCH, MEMORY)]
        assert list(now[others]) == list(before[others])
    # elements of half the size fill the caches half as much
    assert coldness(chain(2 * half_way), 2.0)[-1] == pytest.approx(0.5, abs=0.01)


def test_what_ran_before_counts_on_calibrated_hosts_alone_and_for_no_recurrent_layer() -> None:
    cold = Machine(winograd="none", cold_start=3.0, cold_bytes=0.5)
    network = chain(30 * int(COLD_BYTES))
    assert (work_of(network, cold).terms == work_of(network, Machine(winograd="none")).terms).all()
    long_ago = {SINCE_COLUMN: np.array([1e12])}
    layer = lstm(1)
    assert list(coldness(KernelTable(layer.text, layer.number | long_ago), 4.0)) == [0.0]


def test_a_recurrent_layer_of_a_calibrated_host_is_left_to_physics() -> None:
    assert work_of(lstm(1), Machine(winograd="none")).group[0] in GROUPS
    assert work_of(lstm(1), HOST).group[0] not in GROUPS


def test_a_recurrent_layer_of_another_machine_is_a_product_like_others() -> None:
    # a GPU whose library has no Winograd either starts one kernel and reads the weights once
    table = lstm(1)
    (work,) = work_of(table, Machine(winograd="none", overlap="memory")).terms
    assert work[WEIGHTS] * REFERENCE_BYTES_PER_US == pytest.approx(4 * table["weight_elements"][0])
    assert work[MOVED] == 0
    assert work[LAUNCH] == REFERENCE_LAUNCH_US


def test_a_transposed_convolution_fills_up_the_channels_of_each_position() -> None:
    g = GraphBuilder("transposed")
    y = g.transpose_conv(g.input((1, 8, 8, 64)), 24, 2, 2)
    table = table_of(g, y)
    (work,) = work_of(table, Machine(winograd="none", columns=32)).terms
    assert table["macs"][0] == 8 * 8 * 64 * 24 * 4
    assert work[COMPUTE] * REFERENCE_MACS_PER_US == pytest.approx(8 * 8 * 64 * 32 * 4)


def test_of_a_table_only_the_rows_asked_for_are_read() -> None:
    g = GraphBuilder("embedding")
    rows = g.op("gather", g.constant((50_000, 64)), g.input((1, 7)), axis=0)
    table = table_of(g, rows)
    (work,) = work_of(table, Machine()).terms
    assert table["weight_elements"][0] == 50_000 * 64
    assert work[WEIGHTS] * REFERENCE_BYTES_PER_US <= 4 * (2 * 7 * 64 + 7)
    assert np.isfinite(work).all()


def test_a_resize_by_pixel_takes_as_long_as_one_that_fills_the_card() -> None:
    """14 x 14 threads on 10 multiprocessors of 512 threads: as long as 5,120 pixels."""

    def elements(side: int, framework: str) -> float:
        g = GraphBuilder("resize")
        x = g.op("resize", g.input((1, 7, 7, 8)), size=(side, side), method="bilinear")
        table = KernelTable.from_kernels(fuse(g.build(x), framework))
        work = work_of(table, Machine(precision="fp16", lanes=10))
        return float(work.terms[0, MEMORY] * REFERENCE_BYTES_PER_US / 2)

    # images come in single precision, each number as two halves
    few = 2 * 8 * (7 * 7 + 14 * 14)
    assert elements(14, "pytorch-amp") == pytest.approx(few * 5120 / (14 * 14))
    assert elements(14, "pytorch-compiled-amp") == pytest.approx(few)
    assert elements(128, "pytorch-amp") == pytest.approx(2 * 8 * (7 * 7 + 128 * 128))


@pytest.mark.parametrize(("tokens", "filled"), [(49, 64), (64, 64), (197, 256)])
def test_an_attention_fills_up_its_last_block_of_queries_and_of_keys(
    tokens: int, filled: int
) -> None:
    g = GraphBuilder("attend")
    q, k, v = (g.input((1, 3, tokens, 32), name=n) for n in "qkv")
    weights = g.op("softmax", g.op("matmul", q, k, name="call/scores", transpose_b=True), axis=-1)
    graph = g.build(g.op("matmul", weights, v, name="call"))
    table = KernelTable.from_kernels(fuse(graph, "pytorch-amp"))
    work = work_of(table, Machine(precision="fp16", winograd="none"))
    # two products of 3 heads, each of all queries with all keys
    ran = work.terms[0, COMPUTE] * REFERENCE_MACS_PER_US
    assert ran == pytest.approx(2 * 3 * filled * filled * 32)
