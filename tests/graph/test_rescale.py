"""Networks for images of another size: as if they had been built for it, or refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfmodel import zoo
from perfmodel.errors import GraphError
from perfmodel.graph import Graph, GraphBuilder
from perfmodel.graph.rescale import at_length, image_size, rescale, sequence_length

FOLLOWED = (
    "mobilenet_v2 mobilenet_v3_small resnet18 shufflenet_v2 squeezenet_1_1 densenet121 "
    "efficientnet_b0 googlenet nasnet_mobile deeplab_v3plus regnet_y_400mf"
)


def shapes(graph: Graph) -> list[tuple[int, ...]]:
    return [graph.tensors[n].shape for op in graph.ops for n in op.outputs]


@pytest.mark.parametrize("name", FOLLOWED.split())
@pytest.mark.parametrize("factor", [2, 3])
def test_a_network_at_another_size_is_the_one_built_for_it(name: str, factor: int) -> None:
    small = zoo.build(name)
    height, width = image_size(small) or (0, 0)
    built = zoo.build(f"{name}@resolution={height * factor}")
    assert height == width
    assert shapes(rescale(small, height * factor, width * factor)) == shapes(built)


def test_the_image_is_the_first_input_of_few_channels() -> None:
    g = GraphBuilder("g")
    x, y = g.input((1, 20, 30, 64)), g.input((2, 32, 48, 3))
    graph = g.build(g.conv(x, 8), g.conv(y, 8))
    assert image_size(graph) == (32, 48)
    changed = rescale(graph, 64, 24)
    assert [changed.tensors[n].shape for n in changed.inputs] == [(1, 20, 30, 64), (2, 64, 24, 3)]
    assert image_size(zoo.build("lstm_text")) is None
    with pytest.raises(GraphError, match="no input is an image"):
        rescale(zoo.build("lstm_text"), 32, 32)


def one(build: object, size: int = 16, channels: int = 4) -> Graph:
    g = GraphBuilder("g")
    x = g.input((1, size, size, channels))
    return g.build(build(g, x))  # type: ignore[operator]


def result(graph: Graph, size: int) -> tuple[int, ...]:
    changed = rescale(graph, size, size)
    return changed.tensors[changed.outputs[0]].shape


def test_reshapes_follow_the_pixels_axis_by_axis() -> None:
    flat = one(lambda g, x: g.reshape(x, (1, 256, 2, 2)))
    assert result(flat, 24) == (1, 576, 2, 2)
    first = one(lambda g, x: g.reshape(g.op("transpose", x, perm=(0, 3, 1, 2)), (4, 1, 16, 16)))
    assert result(first, 24) == (4, 1, 24, 24)
    back = one(lambda g, x: g.reshape(g.reshape(g.conv(x, 3, 1, 2), (1, 64, 3)), (1, 8, 8, 3)))
    assert result(back, 32) == (1, 16, 16, 3)


def test_a_reshape_with_two_meanings_is_refused() -> None:
    # 16 x 16 as windows of 4 x 4: at 32, are there more windows or larger ones?
    windows = one(lambda g, x: g.reshape(x, (1, 4, 4, 4, 4, 4)))
    with pytest.raises(GraphError, match="cannot become 1x32x32x4 in place of 1x16x16x4"):
        rescale(windows, 32, 32)


def test_a_resize_to_the_size_of_another_tensor_follows_it() -> None:
    def build(g: GraphBuilder, x: str) -> str:
        half = g.conv(x, 4, 3, 2)
        mean = g.global_avg_pool(half)
        return g.op("resize", mean, size=(8, 8), method="bilinear")

    assert result(one(build), 32) == (1, 16, 16, 4)
    upwards = one(lambda g, x: g.op("resize", x, size=(40, 40), method="nearest"))
    assert result(upwards, 32) == (1, 80, 80, 4)
    with pytest.raises(GraphError, match="40 of 16, and now of 17"):
        rescale(upwards, 17, 17)


def test_a_pool_of_a_fixed_result_keeps_it() -> None:
    def build(g: GraphBuilder, x: str) -> str:
        attrs = {"kernel": (4, 4), "stride": (4, 4), "pads": (0, 0, 0, 0), "adaptive": (4, 4)}
        return g.add_op("avg_pool2d", [x], attrs)[0]

    assert result(one(build), 24) == (1, 4, 4, 4)
    # 18 pixels in 4 windows: a stride of 4, and 18 - 3 * 4 = 6 pixels each
    changed = rescale(one(build), 18, 18)
    assert changed.ops[0].attrs["kernel"] == (6, 6)
    assert changed.ops[0].attrs["stride"] == (4, 4)
    with pytest.raises(GraphError, match="a pool of"):
        rescale(one(build), 3, 3)


def test_padding_that_was_computed_for_a_size_is_not_used_for_others() -> None:
    same = one(lambda g, x: g.conv(x, 8, 3, 2))  # one pixel behind, none before
    assert result(same, 18) == (1, 9, 9, 8)
    with pytest.raises(GraphError, match="padding was computed for 16"):
        rescale(same, 17, 17)
    explicit = one(lambda g, x: g.conv(x, 8, 3, 2, (1, 1, 1, 1)))
    assert result(explicit, 17) == (1, 9, 9, 8)
    padded = one(
        lambda g, x: g.conv(
            g.op("pad", x, paddings=((0, 0), (0, 1), (0, 1), (0, 0))), 8, 3, 2, "valid"
        )
    )
    with pytest.raises(GraphError, match="padding was computed for 17"):
        rescale(padded, 17, 17)


def test_slices_take_the_same_share_of_the_image() -> None:
    whole = one(lambda g, x: g.op("slice", x, begin=(0, 0, 0, 0), size=(1, 16, 8, 2)))
    assert result(whole, 32) == (1, 32, 16, 2)
    with pytest.raises(GraphError, match="8 of 16, and now of 17"):
        rescale(whole, 17, 17)


@pytest.mark.parametrize("name", ["vit_b32", "vgg16", "alexnet"])
def test_networks_made_for_one_size_are_refused(name: str) -> None:
    with pytest.raises(GraphError, match="cannot become") as caught:
        rescale(zoo.build(name), 448, 448)
    assert "its own size" in caught.value.hint


def test_what_an_operator_without_a_shape_rule_makes_is_not_guessed() -> None:
    shapes = {"output_shapes": ((1, 5),), "custom_name": "Odd"}
    odd = one(lambda g, x: g.add_op("custom", [x], shapes)[0])
    with pytest.raises(GraphError, match="what Odd makes"):
        rescale(odd, 32, 32)
    kept = one(lambda g, x: g.add_op("scatter", [x], {"output_shapes": ((1, 16, 16, 4),)})[0])
    assert result(kept, 32) == (1, 32, 32, 4)


def test_an_image_too_small_for_the_network_is_refused() -> None:
    with pytest.raises(GraphError, match="cannot become"):
        rescale(one(lambda g, x: g.conv(x, 8, 7, 1, "valid")), 4, 4)


def text(tokens: int) -> Graph:
    """Attention over the embeddings of tokens, with positions and a mask that code computes."""
    g = GraphBuilder("text")
    ids = g.input((1, tokens), "ids", "int64")
    x = g.op("gather", g.constant((50, 8), "table"), ids, axis=0, name="embedded")
    x = g.binary("add", x, g.constant((1, tokens, 8), "positions"))
    heads = g.op("transpose", g.reshape(x, (1, tokens, 2, 4)), perm=(0, 2, 1, 3))
    scores = g.op("matmul", heads, heads, transpose_b=True)
    scores = g.binary("add", scores, g.constant((1, 1, tokens, tokens), "mask"))
    mixed = g.op("matmul", g.op("softmax", scores, axis=-1), heads)
    y = g.reshape(g.op("transpose", mixed, perm=(0, 2, 1, 3)), (1, tokens, 8))
    graph = g.build(g.fc(y, 50, keep_dims=True))
    learned = {"positions": 8 * 64, "mask": 0}
    held = {n: replace(graph.tensors[n], learned=count) for n, count in learned.items()}
    return replace(graph, tensors={**graph.tensors, **held})


def test_a_text_of_another_length_is_the_network_built_for_it() -> None:
    short, long = text(12), text(20)
    assert sequence_length(short) == 12
    changed = at_length(short, 20)
    assert shapes(changed) == shapes(long)
    assert changed.tensors["mask"].shape == (1, 1, 20, 20)
    assert changed.tensors["positions"] == long.tensors["positions"]


def test_positions_that_are_learned_one_by_one_have_one_length() -> None:
    graph = text(12)
    own = replace(graph.tensors["positions"], learned=None)
    with pytest.raises(GraphError, match="cannot become 1x20 in place of 1x12"):
        at_length(replace(graph, tensors={**graph.tensors, "positions": own}), 20)


def test_only_whole_numbers_in_two_axes_are_a_text() -> None:
    with pytest.raises(GraphError, match="no input is a sequence"):
        at_length(zoo.build("mobilenet_v2"), 8)
    assert sequence_length(zoo.build("mobilenet_v2")) is None
    features, cube = GraphBuilder("f"), GraphBuilder("c")
    two = features.build(features.op("relu", features.input((1, 8))))
    three = cube.build(cube.op("relu", cube.input((1, 8, 2), dtype="int64")))
    assert [sequence_length(g) for g in (two, three)] == [None, None]
    with pytest.raises(GraphError, match="at least 1"):
        at_length(zoo.build("bert_large@layers=1"), 0)
