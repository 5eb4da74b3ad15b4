"""Types that PyTorch's automatic mixed precision gives, by its documentation, by hand."""

from __future__ import annotations

import pytest

from perfmodel.graph import Graph, GraphBuilder
from perfmodel.graph.ops import OPS
from perfmodel.kernels import fuse
from perfmodel.kernels.autocast import EVERYWHERE, FUSED, NARROW, WIDE, wide_tensors
from perfmodel.kernels.kernel import Kernel

PIXELS, CHANNELS = 8 * 8, 16
SIZE = PIXELS * CHANNELS


def network(scale: tuple[int, ...] | None) -> Graph:
    """Two convolutions, between them a scale: learned, stated (without sides), or none."""
    b = GraphBuilder("g")
    x = b.conv(b.input((1, 8, 8, CHANNELS), name="image"), CHANNELS, 1, bias=False, name="first")
    if scale is not None:
        x = b.binary("mul", x, b.constant(scale), name="scaled")
    x = b.op("relu", x, name="relu")
    return b.build(b.conv(x, CHANNELS, 1, bias=False, name="second"))


def moved(graph: Graph, framework: str) -> dict[str, tuple[int, int]]:
    """What each kernel reads and writes, in images of a half."""
    return {
        k.name: (k.input_elements // SIZE, k.output_elements // SIZE)
        for k in fuse(graph, framework)
    }


def test_a_learned_scale_makes_what_follows_twice_as_wide_up_to_the_next_convolution() -> None:
    assert moved(network((1,)), "pytorch-amp") == {
        "first/half": (2, 1),  # the image comes in single precision
        "first": (1, 1),
        "scaled": (1, 2),
        "relu": (2, 2),
        "second/half": (2, 1),
        "second": (1, 1),
    }
    halves = {"first/half": (2, 1), "first": (1, 1), "relu": (1, 1), "second": (1, 1)}
    assert moved(network(None), "pytorch-amp") == halves
    assert moved(network(()), "pytorch-amp") == halves | {"scaled": (1, 1)}


def test_compiled_code_stores_halves_where_only_convolutions_read_them() -> None:
    graph = network((1,))
    assert moved(graph, "pytorch-compiled-amp") == {
        "first": (1, 1),
        "scaled": (1, 1),
        "second": (1, 1),
    }
    assert moved(graph, "pytorch") == dict.fromkeys(("first", "scaled", "relu", "second"), (1, 1))


def test_one_graph_is_told_apart_by_frameworks() -> None:
    graph = network((1,))
    before = fuse(graph, "pytorch")
    # an operator that is a kernel of its own in both
    assert moved(graph, "pytorch-amp")["scaled"] == (1, 2)
    assert moved(graph, "pytorch-compiled-amp")["scaled"] == (1, 1)
    assert fuse(graph, "pytorch") == before
    assert fuse(graph, "pytorch-amp-nhwc") == fuse(graph, "pytorch-amp")


def block() -> Graph:
    """A residual of a transformer: normalisation, a layer, the sum; positions are parameters."""
    b = GraphBuilder("g")
    x = b.fc(b.input((4, 8), name="tokens"), 8, bias=False, name="embed")
    x = b.binary("add", x, b.constant((4, 8)), name="placed")
    y = b.fc(b.op("layer_norm", x, name="norm", axes=(-1,), epsilon=1e-5), 8, bias=False, name="fc")
    y = b.op("reshape", y, name="seen", shape=(4, 8))
    return b.build(b.binary("add", x, y, name="sum"))


@pytest.mark.parametrize("casts", [EVERYWHERE, FUSED])
def test_a_residual_with_positions_stays_in_single_precision(casts: str) -> None:
    graph = block()
    (placed, norm, total) = (out_of(graph, n) for n in ("placed", "norm", "sum"))
    wide = wide_tensors(graph, casts)
    assert {placed, total} <= wide
    # what a layer alone reads is made a half by the kernel that makes it, if conversions are fused
    assert (norm in wide) == (casts == EVERYWHERE)
    assert ("tokens" in wide) == (casts == EVERYWHERE)
    assert not {out_of(graph, n) for n in ("embed", "fc", "seen")} & wide


def test_views_are_as_wide_as_what_they_show() -> None:
    b = GraphBuilder("g")
    x = b.op("softmax", b.input((4, 8), name="x"), name="soft", axis=-1)
    y = b.op("reshape", x, name="view", shape=(8, 4))
    graph = b.build(b.fc(y, 8, bias=False, name="fc"))
    assert out_of(graph, "view") in wide_tensors(graph, EVERYWHERE)
    # a layer alone reads the view, so that neither is stored in single precision
    assert not {out_of(graph, "view"), out_of(graph, "soft")} & wide_tensors(graph, FUSED)


def test_conversions_are_kernels_of_what_reads_them() -> None:
    (cast,) = [k for k in fuse(block(), "pytorch-amp") if k.name == "fc/half"]
    assert isinstance(cast, Kernel)
    assert (cast.op, cast.kernel_class, cast.macs, cast.fused) == (
        "cast",
        "elementwise",
        0,
        ("fc",),
    )


def out_of(graph: Graph, name: str) -> str:
    (op,) = [op for op in graph.ops if op.name == name]
    return op.outputs[0]


def test_every_kind_that_is_named_exists() -> None:
    assert set(OPS) >= WIDE | NARROW
    assert not WIDE & NARROW
