"""Every blob of networks as ncnn runs them: the reader against ncnn itself (PyPI package ncnn)."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_ncnn_layers import LAYERS, SPECTRA, write

from perfmodel.formats.ncnn.net import in_mat_order
from perfmodel.formats.ncnn.reader import read_net

HERE = Path(__file__).resolve().parent
NETWORKS = HERE / "samples" / "ncnn_networks.json.gz"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ci,
    pytest.mark.skipif(find_spec("ncnn") is None, reason="needs the package ncnn"),
]

Blobs = dict[str, list[int]]

DEMOS_OWN = ("focus", "warp")
"""Layers that a demo program brings along: ncnn itself does not have them."""
ROWS_OF_LARGER = ("weights of every row", "weights of channels")
"""ncnn's own result is undefined where the weights do not fit the whole blob."""
NOT_BUILT = ("largest", "places of the largest")
"""Layers that the package is built without."""
BY_DATA = ("proposals",)
"""Layers whose result depends on what they find; we give the most there can be."""


def as_ncnn_runs(cases: list[tuple[Path, list[list[int]]]]) -> list[Blobs | str]:
    """Sizes of every blob of each file, by name; a text where ncnn fails."""
    asked = json.dumps([[str(path), inputs] for path, inputs in cases])
    done = subprocess.run(
        [sys.executable, str(HERE / "ncnn_oracle.py")],
        input=asked,
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return json.loads(done.stdout.splitlines()[-1])


def as_we_read(path: Path, inputs: list[list[int]]) -> Blobs:
    """The same by our reader."""
    names = [line.split()[1] for line in path.read_text().splitlines() if line[:6] == "Input "]
    given = {
        n: (1, *s) if len(s) < 3 else (1, *s[1:], s[0]) for n, s in zip(names, inputs, strict=True)
    }
    net = read_net(path, given)
    blobs = [top for layer in net.layers for top in layer.tops]
    return {blob: list(in_mat_order(net.shape(blob))) for blob in blobs}


def test_every_blob_of_exported_networks_has_the_size_it_has_in_ncnn(tmp_path: Path) -> None:
    cases = []
    for name, (inputs, text) in json.loads(gzip.decompress(NETWORKS.read_bytes())).items():
        path = tmp_path / f"{name}.param"
        path.write_text(text)
        cases.append((path, inputs))
    assert len(cases) >= 60
    for (path, inputs), truth in zip(cases, as_ncnn_runs(cases), strict=True):
        assert isinstance(truth, dict), f"{path.stem}: {truth}"
        assert as_we_read(path, inputs) == truth, path.stem


def test_every_layer_has_the_size_it_has_in_ncnn(tmp_path: Path) -> None:
    left_out = {*DEMOS_OWN, *ROWS_OF_LARGER, *NOT_BUILT, *BY_DATA}
    cases = []
    every = {**LAYERS, **SPECTRA}
    for number, (name, (blobs, layer, *_)) in enumerate(every.items()):
        if name in left_out:
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        cases.append((name, (write(folder, blobs, layer), [list(b) for b in blobs])))
    truths = as_ncnn_runs([case for _, case in cases])
    wrong = {}
    for (name, (path, inputs)), truth in zip(cases, truths, strict=True):
        ours = as_we_read(path, inputs)
        if ours != truth:
            wrong[name] = ours, truth
    assert not wrong
