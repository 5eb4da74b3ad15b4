"""Layers of Caffe's forks for detection and text, and training files with a given size."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import ModelFileError
from perfmodel.formats.caffe.reader import read_caffe
from perfmodel.graph.ir import Graph
from perfmodel.kernels import macs, params

INPUT = 'input: "data" input_shape { dim: 1 dim: 3 dim: 10 dim: 12 }\n'
ROIS = 'input: "rois" input_shape { dim: 20 dim: 5 }\n'


def layer(kind: str, bottoms: str, tops: str, rest: str = "") -> str:
    joined = "".join(f' bottom: "{b}"' for b in bottoms.split())
    joined += "".join(f' top: "{t}"' for t in tops.split())
    return f'layer {{ name: "{tops.split()[0]}" type: "{kind}"{joined} {rest} }}\n'


def read(folder: Path, *texts: str, head: str = INPUT, **options: object) -> Graph:
    path = folder / "net.prototxt"
    path.write_text(head + "".join(texts))
    return read_caffe(path, **options)  # type: ignore[arg-type]


def conv(bottom: str, top: str, channels: int, size: int = 1) -> str:
    rest = f"convolution_param {{ num_output: {channels} kernel_size: {size} pad: {size // 2} }}"
    return layer("Convolution", bottom, top, rest)


def test_clustered_prior_boxes_are_one_for_each_width(tmp_path: Path) -> None:
    rest = "prior_box_param { width: 9 width: 25 height: 15 height: 39 step: 16 }"
    graph = read(tmp_path, layer("PriorBoxClustered", "data data", "boxes", rest))
    assert graph.tensors["boxes"].shape == (1, 2, 4 * 10 * 12 * 2)
    with pytest.raises(ModelFileError, match="2 widths and 1 heights"):
        read(tmp_path, layer("PriorBoxClustered", "data", "b", rest.replace("height: 39", "")))


def test_regions_are_pooled_to_cells_of_every_channel(tmp_path: Path) -> None:
    pooled = "roi_pooling_param { pooled_w: 6 pooled_h: 7 spatial_scale: 0.0625 }"
    dense = layer("InnerProduct", "pool", "fc", "inner_product_param { num_output: 4 }")
    graph = read(
        tmp_path, layer("ROIPooling", "data rois", "pool", pooled), dense, head=INPUT + ROIS
    )
    assert graph.tensors["pool"].shape == (20, 7, 6, 3)
    # every region by itself: 20 rows of 7 x 6 x 3 by 4
    assert macs(graph) == 20 * 126 * 4
    aligned = pooled.replace("roi_pooling", "roi_align")
    same = read(tmp_path, layer("ROIAlign", "data rois", "pool", aligned), head=INPUT + ROIS)
    assert same.tensors["pool"].shape == (20, 7, 6, 3)


def test_regions_are_pooled_by_position(tmp_path: Path) -> None:
    rest = "psroi_pooling_param { spatial_scale: 0.0625 output_dim: 8 group_size: 7 }"
    graph = read(
        tmp_path,
        conv("data", "maps", 8 * 49),
        layer("PSROIPooling", "maps rois", "pool", rest),
        head=INPUT + ROIS,
    )
    assert graph.tensors["pool"].shape == (20, 7, 7, 8)
    with pytest.raises(ModelFileError, match="regions of"):
        read(
            tmp_path,
            layer("PSROIPooling", "data rois", "pool", "psroi_pooling_param { group_size: 7 }"),
            head=INPUT + ROIS,
        )


@pytest.mark.parametrize(
    ("kind", "rest", "count"),
    [
        ("Proposal", "proposal_param { post_nms_topn: 200 }", 200),
        ("Proposal", "", 300),
        ("Python", 'python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" }', 300),
    ],
)
def test_proposals_are_as_many_as_are_kept(
    tmp_path: Path, kind: str, rest: str, count: int
) -> None:
    graph = read(
        tmp_path,
        conv("data", "scores", 18),
        conv("data", "boxes", 36),
        layer(kind, "scores boxes", "rois", rest),
    )
    assert graph.tensors["rois"].shape == (count, 5)


def test_proposals_with_their_scores_are_two_results(tmp_path: Path) -> None:
    graph = read(tmp_path, layer("Proposal", "data data", "rois scores"))
    assert graph.tensors["rois"].shape == (300, 5)
    assert graph.tensors["scores"].shape == (300, 1)


def test_other_python_layers_are_named(tmp_path: Path) -> None:
    rest = 'python_param { module: "my.module" layer: "Own" }'
    with pytest.raises(ModelFileError, match=r"the Python layer my\.module\.Own"):
        read(tmp_path, layer("Python", "data", "x", rest))


def test_unknown_layers_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="unknown layer type 'Correlation'"):
        read(tmp_path, layer("Correlation", "data data", "x"))


def test_a_tile_repeats_along_its_axis(tmp_path: Path) -> None:
    graph = read(tmp_path, layer("Tile", "data", "t", "tile_param { axis: 3 tiles: 5 }"))
    assert graph.tensors["t"].shape == (1, 10, 60, 3)
    channels = read(tmp_path, layer("Tile", "data", "t", "tile_param { tiles: 2 }"))
    assert channels.tensors["t"].shape == (1, 10, 12, 6)


@pytest.mark.parametrize(
    ("rest", "size"),
    [
        # DeepLab: 10 + 9 x (z - 1) and 12 + 11 x (z - 1); (n - 1) / 3 + 1
        ("zoom_factor: 2", (19, 23)),
        ("zoom_factor: 8", (73, 89)),
        ("shrink_factor: 3", (4, 4)),
        ("shrink_factor: 3 zoom_factor: 2", (7, 7)),
        ("zoom_factor: 2 pad_beg: 0 pad_end: -1", (17, 21)),
        ("height: 33 width: 35", (33, 35)),
    ],
)
def test_interpolation_keeps_the_corners(tmp_path: Path, rest: str, size: tuple[int, int]) -> None:
    graph = read(tmp_path, layer("Interp", "data", "up", f"interp_param {{ {rest} }}"))
    assert graph.tensors["up"].shape == (1, *size, 3)


def test_a_zoom_that_must_be_a_plain_factor_is_one(tmp_path: Path) -> None:
    # the sum takes pictures of one size only: 20 x 24 is twice 10 x 12, 19 x 23 is not
    head = 'input: "big" input_shape { dim: [1, 3, 20, 24] }\n' + INPUT
    up = layer("Interp", "data", "up", "interp_param { zoom_factor: 2 }")
    graph = read(tmp_path, up, layer("Eltwise", "up big", "sum"), head=head)
    assert graph.tensors["up"].shape == (1, 20, 24, 3)
    with pytest.raises(ModelFileError, match=r"\(1, 19, 23, 3\).*do not broadcast"):
        read(tmp_path, up, layer("Eltwise", "up big", "sum"), head=head.replace("20", "21"))


@pytest.mark.parametrize(
    ("rest", "shape"),
    [("", (1, 360)), ("axis: 2", (1, 3, 120)), ("axis: 1 end_axis: 2", (1, 30, 12))],
)
def test_flattening_joins_axes_from_one_to_another(
    tmp_path: Path, rest: str, shape: tuple[int, ...]
) -> None:
    graph = read(tmp_path, layer("Flatten", "data", "flat", f"flatten_param {{ {rest} }}"))
    assert graph.tensors["flat"].shape == shape


def test_axpy_scales_channels_and_adds(tmp_path: Path) -> None:
    pool = layer("Pooling", "data", "mean", "pooling_param { pool: AVE global_pooling: true }")
    graph = read(tmp_path, pool, layer("Axpy", "mean data data", "out"))
    assert [op.kind for op in graph.ops] == ["reduce_mean", "mul", "add"]
    with pytest.raises(ModelFileError, match="three bottoms"):
        read(tmp_path, layer("Axpy", "data data", "out"))


def test_an_lstm_has_four_gates_of_every_step(tmp_path: Path) -> None:
    head = 'input: "x" input_shape { dim: 7 dim: 2 dim: 3 dim: 4 }\n'
    head += 'input: "begins" input_shape { dim: 7 dim: 2 }\n'
    body = layer("LSTM", "x begins", "y", "recurrent_param { num_output: 5 }")
    graph = read(tmp_path, body, head=head)
    assert graph.tensors["y"].shape == (7, 2, 5)
    # 14 steps, 4 gates of 5 units, 3 x 4 features and 5 states each
    assert macs(graph) == 14 * 4 * 5 * (12 + 5)
    assert params(graph) == 4 * 5 * (12 + 5 + 1)


def test_a_decoder_names_the_likeliest_symbols(tmp_path: Path) -> None:
    head = 'input: "x" input_shape { dim: 88 dim: 1 dim: 71 }\n'
    graph = read(tmp_path, layer("CTCGreedyDecoder", "x", "text"), head=head)
    assert graph.tensors["text"].shape == (1, 88, 1, 1)


TRAINING = (
    'layer { name: "d" type: "Data" top: "data" top: "label" transform_param { crop_size: 227 } }\n'
)


def test_a_training_file_takes_the_size_that_is_given(tmp_path: Path) -> None:
    body = conv("data", "c", 8, 3) + layer("SoftmaxWithLoss", "c label", "loss")
    with pytest.raises(ModelFileError, match="--input-shape 1x227x227x3"):
        read(tmp_path, body, head=TRAINING)
    graph = read(tmp_path, conv("data", "c", 8, 3), head=TRAINING, input_shape=(1, 227, 227, 3))
    assert macs(graph) == 227 * 227 * 8 * 27


def test_further_inputs_of_a_data_layer_may_be_sized_by_name(tmp_path: Path) -> None:
    head = 'layer { name: "d" type: "Python" top: "data" top: "rois" }\n'
    pooled = "roi_pooling_param { pooled_w: 6 pooled_h: 6 }"
    body = layer("ROIPooling", "data rois", "pool", pooled)
    sizes = {"data": (1, 64, 64, 3), "rois": (128, 5)}
    graph = read(tmp_path, body, head=head, input_shape=sizes)
    assert graph.tensors["pool"].shape == (128, 6, 6, 3)
