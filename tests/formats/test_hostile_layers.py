"""Damaged networks of layers: read or refused with `ModelFileError`, never anything else."""

from __future__ import annotations

import gzip
import json
import random
import re
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from test_ncnn_layers import LAYERS, write

from perfmodel.errors import ModelFileError
from perfmodel.formats.caffe.reader import read_caffe
from perfmodel.formats.ncnn.reader import read_ncnn

NUMBERS = (
    "0",
    "-1",
    "1",
    "2",
    "3",
    "-233",
    "-234",
    "7",
    "16",
    "65535",
    "2147483647",
    "-2147483648",
)
ODD = ("1e38", "-0.5", "nan", "99999999999999999999", '"0w,-1"', "2,1,2", '"*(0w,0h)"', '""')
NETWORKS = Path(__file__).resolve().parent / "samples" / "ncnn_networks.json.gz"
MOST_BYTES = 500 * 2**20

CAFFE = """input: "data" input_shape { dim: 1 dim: 6 dim: 10 dim: 12 }
input: "rois" input_shape { dim: 20 dim: 5 }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param {
  num_output: 8 kernel_size: 3 stride: 1 pad: 1 dilation: 1 group: 2 } }
layer { name: "t" type: "Tile" bottom: "c" top: "t" tile_param { axis: 1 tiles: 2 } }
layer { name: "i" type: "Interp" bottom: "t" top: "i" interp_param {
  zoom_factor: 2 shrink_factor: 1 pad_beg: 0 pad_end: 0 } }
layer { name: "p" type: "PriorBoxClustered" bottom: "i" top: "p" prior_box_param {
  width: 3 width: 5 height: 4 height: 6 } }
layer { name: "r" type: "ROIPooling" bottom: "i" bottom: "rois" top: "r" roi_pooling_param {
  pooled_w: 6 pooled_h: 6 } }
layer { name: "s" type: "PSROIPooling" bottom: "i" bottom: "rois" top: "s" psroi_pooling_param {
  output_dim: 4 group_size: 2 } }
layer { name: "q" type: "Proposal" bottom: "c" bottom: "c" top: "q" proposal_param {
  post_nms_topn: 100 } }
layer { name: "f" type: "InnerProduct" bottom: "r" top: "f" inner_product_param { num_output: 3 } }
layer { name: "e" type: "Reshape" bottom: "f" top: "e" reshape_param {
  shape { dim: 4 dim: -1 dim: 3 } } }
layer { name: "l" type: "LSTM" bottom: "e" top: "l" recurrent_param { num_output: 5 } }
layer { name: "d" type: "CTCGreedyDecoder" bottom: "l" top: "d" }
"""


def other(text: str, random_: random.Random, pattern: str, values: tuple[str, ...]) -> str:
    """The text with one place that matches replaced."""
    places = list(re.finditer(pattern, text))
    if not places:
        return text
    place = random_.choice(places)
    return text[: place.start()] + random_.choice(values) + text[place.end() :]


def damaged(text: str, random_: random.Random, *, words: tuple[str, ...], number: str) -> str:
    """One or two changes: numbers, layer types, blobs, lines left out or doubled."""
    for _ in range(random_.randint(1, 2)):
        kind = random_.randrange(6)
        if kind < 3:
            text = other(text, random_, number, (*NUMBERS, *ODD))
        elif kind == 3:
            text = other(text, random_, r"\b[A-Z][A-Za-z]+[123]?D?\b", words)
        else:
            lines = text.split("\n")
            place = random_.randrange(len(lines))
            lines[place : place + 1] = [lines[place]] * random_.choice((0, 2))
            text = "\n".join(lines)
    return text


def survive(read: Callable[[Path], object], path: Path, text: str) -> bool:
    """Whether the text is read; anything but a refusal as a bad file is an error of the test."""
    path.write_text(text)
    try:
        read(path)
    except ModelFileError:
        return False
    return True


def peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.slow
def test_damaged_layers_of_ncnn_are_read_or_refused(tmp_path: Path) -> None:
    random_, before = random.Random(5), peak_bytes()
    texts = [write(tmp_path, blobs, layer).read_text() for blobs, layer, _, _ in LAYERS.values()]
    exported = json.loads(gzip.decompress(NETWORKS.read_bytes())).values()
    texts += [text for _, text in exported if len(text) < 4_000]
    words = tuple(
        sorted({text.split()[0] for text in texts for text in text.split("\n")[2:] if text})
    )
    path = tmp_path / "net.param"
    read = sum(
        survive(
            read_ncnn,
            path,
            damaged(
                random_.choice(texts), random_, words=words, number=r"(?<==)[^ ,\n]+|(?<=,)[-0-9]+"
            ),
        )
        for _ in range(1_500)
    )
    assert 100 < read < 1_400
    assert peak_bytes() - before < MOST_BYTES


@pytest.mark.slow
def test_damaged_layers_of_caffe_are_read_or_refused(tmp_path: Path) -> None:
    random_, before = random.Random(6), peak_bytes()
    words = tuple(sorted(set(re.findall(r'type: "(\w+)"', CAFFE))))
    path = tmp_path / "net.prototxt"
    assert survive(read_caffe, path, CAFFE)
    read = sum(
        survive(read_caffe, path, damaged(CAFFE, random_, words=words, number=r"(?<=: )-?[0-9]+"))
        for _ in range(1_000)
    )
    assert 20 < read < 900
    assert peak_bytes() - before < MOST_BYTES
