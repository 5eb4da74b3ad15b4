"""What each framework runs as one kernel."""

from __future__ import annotations

from collections import Counter

import pytest

from perfmodel import zoo
from perfmodel.errors import TargetError
from perfmodel.graph import Graph, GraphBuilder
from perfmodel.kernels import FUSION, Kernel, KernelTable, fuse, macs
from perfmodel.kernels.fusion_rules import fusion_rules


def residual_block() -> Graph:
    """conv - bn - relu - conv - add - relu, then pool, reshape, fully connected."""
    b = GraphBuilder("block")
    x = b.input((1, 8, 8, 16), name="x")
    y = b.conv(x, 16, 3, name="conv_a", bias=False)
    y = b.op("batch_norm", y, b.constant((16,)), b.constant((16,)), name="bn")
    y = b.op("relu", y, name="relu_a")
    y = b.conv(y, 16, 3, name="conv_b")
    y = b.binary("add", y, x, name="add")
    y = b.op("relu", y, name="relu_b")
    y = b.global_avg_pool(y, name="mean")
    y = b.reshape(y, (1, 16), name="view")
    return b.build(b.fc(y, 10, name="fc"))


def groups(kernels: tuple[Kernel, ...]) -> list[tuple[str, ...]]:
    return [k.fused for k in kernels]


def test_vanilla_folds_nothing_but_skips_views() -> None:
    names = groups(fuse(residual_block(), "vanilla"))
    assert names == [
        ("conv_a",),
        ("bn",),
        ("relu_a",),
        ("conv_b",),
        ("add",),
        ("relu_b",),
        ("mean", "view"),
        ("fc",),
    ]


def test_tflite_folds_norm_and_activation_and_the_activation_of_an_add() -> None:
    assert groups(fuse(residual_block(), "tflite-cpu")) == [
        ("conv_a", "bn", "relu_a"),
        ("conv_b",),
        ("add", "relu_b"),
        ("mean", "view"),
        ("fc",),
    ]


@pytest.mark.parametrize("framework", ["tensorrt", "tflite-gpu", "cudnn"])
def test_some_frameworks_fold_the_residual_add_and_its_activation(framework: str) -> None:
    kernels = fuse(residual_block(), framework)
    assert groups(kernels)[:2] == [("conv_a", "bn", "relu_a"), ("conv_b", "add", "relu_b")]
    assert kernels[1].residual
    # 8 * 8 * 16 of the convolution and as many of the other summand
    assert kernels[1].input_elements == 2 * 1024


def test_ncnn_leaves_the_add_alone_and_reshape_is_a_layer() -> None:
    assert groups(fuse(residual_block(), "ncnn")) == [
        ("conv_a", "bn", "relu_a"),
        ("conv_b",),
        ("add",),
        ("relu_b",),
        ("mean",),
        ("view",),
        ("fc",),
    ]


@pytest.mark.parametrize("framework", sorted(FUSION))
def test_fusing_keeps_every_mac_and_names_every_operator_once(framework: str) -> None:
    graph = residual_block()
    kernels = fuse(graph, framework)
    assert sum(k.macs for k in kernels) == macs(graph)
    # a conversion is part of the operator that it is made for
    named = [name for k in kernels for name in k.fused if k.op != "cast"]
    assert sorted(named) == sorted(op.name for op in graph.ops)


def test_a_tensor_that_others_read_is_not_swallowed() -> None:
    b = GraphBuilder("fork")
    x = b.input((1, 4, 4, 8))
    y = b.conv(x, 8, 1, name="conv")
    z = b.op("relu", y, name="relu")
    graph = b.build(b.concat([y, z], name="cat"))
    assert groups(fuse(graph, "tensorrt"))[0] == ("conv",)


def test_a_graph_output_is_not_swallowed() -> None:
    b = GraphBuilder("out")
    y = b.conv(b.input((1, 4, 4, 8)), 8, 1, name="conv")
    graph = b.build(y, b.op("relu", y, name="relu"))
    assert groups(fuse(graph, "tflite-cpu")) == [("conv",), ("relu",)]


def test_pads_fold_into_the_convolution_after_them() -> None:
    b = GraphBuilder("pad")
    x = b.input((1, 4, 4, 8))
    y = b.op("pad", x, paddings=((0, 0), (1, 1), (1, 1), (0, 0)), name="pad")
    graph = b.build(b.conv(y, 8, 3, padding="valid", name="conv"))
    assert groups(fuse(graph, "tflite-cpu")) == [("pad", "conv")]
    assert groups(fuse(graph, "mnn")) == [("pad",), ("conv",)]
    assert fuse(graph, "tflite-cpu")[0].input_elements == 4 * 4 * 8


def test_concat_costs_nothing_on_tensorrt() -> None:
    b = GraphBuilder("cat")
    x = b.input((1, 4, 4, 8))
    graph = b.build(b.concat([b.conv(x, 8, 1, name="a"), b.conv(x, 4, 1, name="b")], name="cat"))
    assert len(fuse(graph, "tensorrt")) == 2
    cat = fuse(graph, "tflite-cpu")[-1]
    assert (cat.kernel_class, cat.cin, cat.input_elements) == ("data_movement", 12, 16 * 12)


def test_an_activation_that_cannot_be_folded_is_a_kernel_of_its_own() -> None:
    b = GraphBuilder("swish")
    graph = b.build(b.conv(b.input((1, 4, 4, 8)), 8, 1, activation="swish", name="conv"))
    kernels = fuse(graph, "tflite-cpu")
    assert [k.name for k in kernels] == ["conv", "conv/swish"]
    assert [k.activation for k in kernels] == ["none", "swish"]
    assert kernels[1].kernel_class == "transcendental"
    assert [k.activation for k in fuse(graph, "tensorrt")] == ["swish"]


def test_a_finished_ncnn_graph_is_taken_layer_by_layer() -> None:
    b = GraphBuilder("done")
    y = b.conv(b.input((1, 4, 4, 8)), 8, 1, name="conv", activation="swish")
    y = b.op("relu", y, name="relu")
    graph = b.build(y, format="ncnn")
    assert groups(fuse(graph, "ncnn")) == [("conv",), ("relu",)]
    assert groups(fuse(graph, "acl")) == [("conv",), ("relu",)]


def test_product_sizes_of_kernels() -> None:
    b = GraphBuilder("sizes")
    x = b.input((2, 9, 9, 6))
    conv = b.conv(x, 8, 3, 2, groups=2, padding="valid", name="conv")
    graph = b.build(b.fc(conv, 5, name="fc"))
    kernel, dense = fuse(graph, "tflite-cpu")
    # 2 images of 4 x 4; 8 / 2 channels; 6 / 2 channels of a 3 x 3 window
    assert (kernel.m, kernel.n, kernel.k, kernel.groups) == (32, 4, 27, 2)
    assert kernel.macs == 32 * 4 * 27 * 2
    assert (dense.m, dense.n, dense.k) == (2, 5, 128)


def test_unknown_framework_names_the_known_ones() -> None:
    with pytest.raises(TargetError, match="ncnn"):
        fuse(residual_block(), "nosuch")


def test_kernel_table_keeps_the_order() -> None:
    kernels = fuse(residual_block(), "mnn")
    assert list(KernelTable.from_kernels(kernels)["name"]) == [k.name for k in kernels]


def test_pytorch_runs_views_for_free_and_copies_what_it_permutes() -> None:
    b = GraphBuilder("views")
    x = b.input((1, 6, 8))
    first, second = b.add_op("split", [x], {"axis": 2, "sizes": (4, 4)}, "halves")
    y = b.op("transpose", b.binary("add", first, second, name="add"), perm=(0, 2, 1), name="copy")
    y = b.op("slice", y, begin=(0, 0, 0), size=(1, 1, 6), name="part")
    graph = b.build(b.op("relu", b.reshape(y, (6,), name="flat"), name="relu"))
    assert [k.name for k in fuse(graph, "pytorch")] == ["add", "copy", "relu"]
    assert [k.name for k in fuse(graph, "vanilla")] == ["halves", "add", "copy", "part", "relu"]


def test_a_bert_layer_is_the_kernels_of_its_code() -> None:
    """BertLayer of `transformers`: six products with weights, two bare ones, their copies."""
    graph = zoo.build("bert_large@layers=2,sequence=16")
    one = zoo.build("bert_large@layers=1,sequence=16")
    layer = Counter(k.op for k in fuse(graph, "pytorch"))
    layer.subtract(Counter(k.op for k in fuse(one, "pytorch")))
    assert {op: n for op, n in layer.items() if n} == {
        "fully_connected": 6,
        "bmm": 2,
        "transpose": 4,
        "div": 1,
        "softmax": 1,
        "add": 3,
        "layer_norm": 2,
        "gelu": 1,
    }


def test_a_gpt2_layer_is_the_kernels_of_its_code() -> None:
    """GPT2Block of `transformers`: one product for q, k and v, `where`, GELU in eight kernels."""
    graph = zoo.build("gpt2_large@layers=2,sequence=16")
    one = zoo.build("gpt2_large@layers=1,sequence=16")
    layer = Counter(k.op for k in fuse(graph, "pytorch"))
    layer.subtract(Counter(k.op for k in fuse(one, "pytorch")))
    assert {op: n for op, n in layer.items() if n} == {
        "fully_connected": 4,
        "bmm": 2,
        "transpose": 4,
        "div": 1,
        "select": 1,
        "softmax": 1,
        "layer_norm": 2,
        "pow": 1,
        "mul": 4,
        "tanh": 1,
        "add": 4,
    }


@pytest.mark.parametrize("framework", ["tflite-gpu", "tensorrt"])
def test_some_frameworks_fold_any_element_wise_operator_into_any_kernel(framework: str) -> None:
    b = GraphBuilder("pointwise")
    x = b.input((1, 4, 4, 8))
    y = b.op("softmax", x, name="softmax")
    y = b.binary("mul", y, x, name="mul")
    graph = b.build(b.op("exp", y, name="exp"))
    (kernel,) = fuse(graph, framework)
    assert kernel.fused == ("softmax", "mul", "exp")
    assert kernel.residual
    assert kernel.activation == "exp"
    assert groups(fuse(graph, "tflite-cpu")) == [("softmax",), ("mul",), ("exp",)]


def test_an_addition_folds_into_the_later_of_two_convolutions() -> None:
    b = GraphBuilder("later")
    x = b.input((1, 4, 4, 8))
    early, late = b.conv(x, 8, 1, name="early"), b.conv(x, 8, 3, name="late")
    graph = b.build(b.binary("add", early, late, name="add"))
    assert groups(fuse(graph, "tensorrt")) == [("early",), ("late", "add")]


def test_an_addition_with_an_activation_leaves_it_to_its_kernel() -> None:
    b = GraphBuilder("activated")
    x = b.input((1, 4, 4, 8))
    y = b.conv(x, 8, 1, name="conv")
    graph = b.build(b.binary("add", y, x, activation="relu", name="add"))
    (kernel,) = fuse(graph, "tensorrt")
    assert (kernel.activation, kernel.residual) == ("relu", True)


def test_what_broadcasts_is_not_folded() -> None:
    b = GraphBuilder("broadcast")
    x = b.input((1, 4, 4, 8))
    y = b.conv(b.global_avg_pool(x, name="mean"), 8, 1, name="conv")
    graph = b.build(b.binary("mul", y, x, name="gate"))
    assert groups(fuse(graph, "tflite-gpu")) == [("mean",), ("conv",), ("gate",)]


def test_constants_fold_into_a_plain_convolution_only() -> None:
    b = GraphBuilder("plain")
    x = b.input((1, 4, 4, 8))
    y = b.conv(x, 8, 1, name="conv")
    y = b.binary("mul", y, b.constant((8,)), name="scale")
    y = b.op("relu", y, name="relu")
    graph = b.build(b.binary("add", y, b.constant((8,)), name="shift"))
    assert groups(fuse(graph, "mnn")) == [("conv", "scale", "relu"), ("shift",)]


def test_cudnn_takes_a_product_and_a_sum_with_constants_as_one_normalisation() -> None:
    b = GraphBuilder("affine")
    x = b.input((1, 4, 4, 8))
    y = b.binary("mul", b.op("tanh", x, name="tanh"), b.constant((8,)), name="mul")
    y = b.binary("add", y, b.constant((8,)), name="add")
    graph = b.build(b.binary("add", y, b.constant((8,)), name="another"))
    assert groups(fuse(graph, "cudnn")) == [("tanh",), ("mul", "add"), ("another",)]
    assert groups(fuse(graph, "mnn")) == [("tanh",), ("mul",), ("add",), ("another",)]


def test_a_dense_kernel_has_no_image_and_no_batch() -> None:
    b = GraphBuilder("dense")
    (kernel,) = fuse(b.build(b.fc(b.input((3, 4, 4, 2)), 5)), "tflite-cpu")
    assert (kernel.batch, kernel.m, kernel.n, kernel.k) == (1, 3, 5, 32)
    assert (kernel.cin, kernel.hin, kernel.win) == (32, 1, 1)
    assert (kernel.cout, kernel.hout, kernel.wout) == (5, 1, 1)


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((2, 5, 6, 7), (2, 5, 6, 7)),
        ((2, 6, 7), (2, 1, 6, 7)),
        ((2, 3, 4, 5, 7), (2, 1, 60, 7)),
        ((9,), (1, 1, 1, 9)),
    ],
)
def test_any_tensor_has_the_sizes_of_an_image(
    shape: tuple[int, ...], image: tuple[int, ...]
) -> None:
    b = GraphBuilder("image")
    (kernel,) = fuse(b.build(b.op("relu", b.input(shape))), "vanilla")
    assert (kernel.batch, kernel.hin, kernel.win, kernel.cin) == image
    assert (kernel.hout, kernel.wout, kernel.cout) == image[1:]


def test_a_reduction_that_keeps_its_axes_is_another_layer_of_ncnn() -> None:
    b = GraphBuilder("reduce")
    x = b.input((1, 4, 4, 8))
    kept, dropped = b.global_avg_pool(x), b.global_avg_pool(x, keep_dims=False)
    graph = b.build(kept, dropped, format="ncnn")
    assert [k.op for k in fuse(graph, "ncnn")] == ["reduce_layer", "reduce_mean"]


def test_a_build_of_a_framework_follows_its_rules() -> None:
    rules = fusion_rules("torch7-cudnn-5.1")
    assert rules is fusion_rules("torch7") is FUSION["unfused"]
    assert fusion_rules("paddle-lite-armv7") is FUSION["acl"]
    with pytest.raises(TargetError, match="no fusion rules for framework 'torch-7'"):
        fusion_rules("torch-7")


def test_a_convolution_of_volumes_is_that_of_an_image_with_all_rows_of_the_volume() -> None:
    b = GraphBuilder("volume")
    x = b.input((2, 4, 8, 8, 16))
    w = b.constant((32, 3, 3, 2, 8))
    pads = {"pads": (1, 1, 1, 1, 0, 1), "dilation": (1, 1, 1)}
    y = b.op("conv3d", x, w, stride=(2, 1, 2), groups=2, activation="relu", **pads)
    y = b.op("max_pool3d", y, kernel=(2, 2, 3), stride=(2, 1, 1), pads=(0,) * 6)
    conv, pool = fuse(b.build(y), "onnxruntime")
    # planes (4 + 2 - 3) / 2 + 1 = 2, rows 8, columns (8 + 1 - 2) / 2 + 1 = 4
    assert (conv.op, conv.batch, conv.hin, conv.win) == ("conv2d", 2, 4 * 8, 8)
    assert (conv.hout, conv.wout, conv.cin, conv.cout) == (2 * 8, 4, 16, 32)
    assert (conv.kh, conv.kw, conv.sh, conv.sw, conv.groups) == (3 * 3, 2, 2 * 1, 2, 2)
    assert conv.macs == 2 * (2 * 8 * 4) * 32 * (3 * 3 * 2) * 8
    assert (conv.m, conv.n, conv.k) == (2 * 2 * 8 * 4, 16, 18 * 8)
    assert (pool.op, pool.kh, pool.kw, pool.sh, pool.sw) == ("max_pool2d", 4, 3, 2, 1)
    assert (pool.hin, pool.win, pool.hout, pool.wout) == (16, 4, 1 * 7, 2)


def test_a_number_made_of_a_convolution_is_scaled_by_a_kernel_of_its_own() -> None:
    b = GraphBuilder("number")
    y = b.conv(b.input((1, 1, 1, 4)), 1, 1)
    y = b.op("mul", b.reshape(y, ()), b.constant(()), name="scaled", activation="none")
    assert groups(fuse(b.build(y), "onnxruntime"))[-1] == ("scaled",)


def test_onnxruntime_on_a_cpu_folds_hard_swish_and_runs_equal_operators_once() -> None:
    g = GraphBuilder("cpu")
    x = g.conv(g.input((1, 8, 8, 4)), 8, 3, name="c")
    x = g.op("hard_swish", x, name="h")
    pools = [g.pool(x, "avg", 2, 2, name=name) for name in ("p", "q")]
    graph = g.build(g.binary("add", *pools, name="s"))
    assert [k.fused for k in fuse(graph, "onnxruntime-cpu")] == [("c", "h"), ("p",), ("s",)]
    assert [k.fused for k in fuse(graph, "onnxruntime")] == [("c",), ("h",), ("p",), ("q",), ("s",)]


def test_rules_differ_by_unit_only_where_they_are_listed() -> None:
    from perfmodel.kernels.fusion_rules import rules_on

    named = [rules_on(f, u) for f in ("tflite", "onnxruntime", "ncnn") for u in ("cpu", "gpu")]
    assert named == ["tflite-cpu", "tflite-gpu", "onnxruntime-cpu", "onnxruntime", "ncnn", "ncnn"]


def attention(mask: bool, written_out: bool = False) -> Graph:
    """softmax(q k^T * scale + mask) v of 2 heads, 6 tokens and 4 channels, and a projection."""
    b = GraphBuilder("attend")
    q, k, v = (b.input((1, 2, 6, 4), name=n) for n in "qkv")
    call = "mine" if written_out else "call"
    x = b.op("matmul", q, k, name=f"{call}/scores", transpose_b=True)
    x = b.op("mul", x, b.constant((), "scale"), name="call/scaled")
    if mask:
        x = b.op("add", x, b.constant((6, 6), "mask"), name="call/masked")
    x = b.op("softmax", x, name="call/weights", axis=-1)
    x = b.op("matmul", x, v, name="call")
    return b.build(b.op("relu", x, name="relu"))


@pytest.mark.parametrize("mask", [False, True])
def test_attention_is_one_kernel_whose_scores_stay_on_the_chip(mask: bool) -> None:
    graph = attention(mask)
    whole, relu = fuse(graph, "pytorch-amp-nhwc")
    assert whole.fused == tuple(op.name for op in graph.ops[:-1])
    assert (whole.name, whole.kernel_class) == ("call", "matmul")
    # a mask takes another kernel
    assert whole.op == ("masked_attention" if mask else "attention")
    # two products of 2 heads x 6 x 6 x 4, three inputs and one output of 2 x 6 x 4
    assert whole.macs == 2 * 2 * 6 * 6 * 4
    assert (whole.input_elements, whole.output_elements) == (3 * 48, 48)
    assert relu.fused == ("relu",)
    assert len(fuse(graph, "pytorch")) == len(graph.ops)


def test_an_attention_that_a_networks_code_writes_out_is_run_so() -> None:
    graph = attention(mask=True, written_out=True)
    run = [k for k in fuse(graph, "pytorch-amp") if k.op != "cast"]
    assert len(run) == len(graph.ops)
    assert all("attention" not in k.op for k in run)


def test_compiled_code_joins_what_is_element_wise_but_takes_nothing_into_convolutions() -> None:
    graph = residual_block()
    assert groups(fuse(graph, "pytorch-compiled-amp")) == [
        ("conv_a",),
        ("bn", "relu_a"),
        ("conv_b",),
        ("add", "relu_b"),
        ("mean", "view"),
        ("fc",),
    ]


@pytest.mark.parametrize(
    ("framework", "kernels"),
    [
        ("pytorch-amp", ["resize_by_pixel", "resize", "resize_by_pixel"]),
        ("pytorch-1.13-amp", ["resize_by_pixel", "resize", "resize_by_pixel"]),
        # of images whose channels come last those that a reshape made still lie plane by plane
        ("pytorch-amp-nhwc", ["resize", "resize", "resize_by_pixel"]),
        ("pytorch-compiled-amp", ["resize", "resize", "resize"]),
        ("pytorch", ["resize", "resize", "resize"]),
    ],
)
def test_a_smooth_resize_of_planes_runs_a_thread_for_each_pixel(
    framework: str, kernels: list[str]
) -> None:
    b = GraphBuilder("resizes")
    x = b.op("relu", b.input((1, 4, 4, 8)), name="relu")
    x = b.op("resize", x, size=(8, 8), method="bilinear", name="smooth")
    x = b.op("resize", x, size=(16, 16), method="nearest", name="near")
    x = b.reshape(x, (1, 8, 32, 8), name="shaped")
    x = b.binary("add", x, b.constant((8,), "bias"), name="sum")
    graph = b.build(b.op("resize", x, size=(16, 64), method="bilinear", name="again"))
    made = [k for k in fuse(graph, framework) if k.kernel_class == "resize"]
    assert [k.op for k in made] == kernels
    assert [k.name for k in made] == ["smooth", "near", "again"]
    assert made[0].elements == 8 * 8 * 8
