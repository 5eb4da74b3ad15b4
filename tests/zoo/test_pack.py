"""The pack of networks: each is what its library publishes, and answers without that library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import perfmodel
from perfmodel.cli.app import run
from perfmodel.errors import GraphError, UnknownModelError
from perfmodel.formats.load import load
from perfmodel.formats.structure import read_structure
from perfmodel.kernels import covered_part, macs, params
from perfmodel.kernels.operators import op_macs
from perfmodel.zoo import Published
from perfmodel.zoo.pack import LIBRARIES, library_of, packed_networks, structure_path

PACKED = packed_networks()
SAMPLE = sorted(PACKED)[:: max(1, len(PACKED) // 40)]
"""Every tenth network or so: enough to see a kind of fault, quick enough for every run."""

MOST_BYTES = 6 * 2**20
"""Size of all structure files together: the pack may not swell the package."""


def path_of(name: str) -> Path:
    library, _, short = name.partition(":")
    path = structure_path(library, short)
    assert path is not None
    return path


def test_every_network_of_the_index_has_a_structure_file_and_every_file_a_row() -> None:
    files = {p for n in PACKED for p in [path_of(n)]}
    folder = next(iter(files)).parents[1]
    assert files == set(folder.glob("*/*.json.gz"))
    assert len(files) >= 440
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


@pytest.mark.parametrize("name", SAMPLE)
def test_the_index_says_what_the_structure_holds(name: str) -> None:
    graph = read_structure(path_of(name))
    entry = PACKED[name]
    assert macs(covered_part(graph)) == entry.macs
    assert params(graph) == entry.params
    assert graph.tensors[graph.inputs[0]].shape == (1, *entry.input_shape)


PUBLISHED = [(n, row) for n in PACKED for row in PACKED[n].published if not row.note]


@pytest.mark.parametrize(("name", "row"), PUBLISHED, ids=[n for n, _ in PUBLISHED])
def test_macs_and_parameters_are_those_published(name: str, row: Published) -> None:
    entry = PACKED[name]
    assert row.params is not None
    assert row.macs is not None
    assert abs(entry.params - row.params) <= row.params_rounding, row.source
    near = [entry.macs] if name.startswith("torchvision:") else counted_by_fvcore(name)
    assert any(abs(macs - row.macs) <= row.macs_rounding for macs in near), (near, row)


OPERATIONS_OF_NORMS = {"batch_norm": 2, "layer_norm": 5, "group_norm": 5, "instance_norm": 5}
"""Operations that fvcore counts for each number of a normalisation with learned factors."""


def counted_by_fvcore(name: str) -> list[float]:
    """MACs as the program behind timm's tables counts them (github facebookresearch/fvcore).

    It adds normalisations, pools and resizes to the products, and leaves out the products of
    attention where PyTorch has one operator for it, which depends on the version.
    """
    graph = read_structure(path_of(name))
    added = attention = 0
    for op in graph.ops:
        read = graph.tensors[op.inputs[0]].elements
        if op.kind in OPERATIONS_OF_NORMS:
            added += read * OPERATIONS_OF_NORMS[op.kind]
        elif op.kind == "reduce_mean" and op.attrs["keep_dims"]:
            added += read
        elif op.kind == "resize":
            added += 4 * graph.tensors[op.outputs[0]].elements
        elif op.kind == "matmul" and len(graph.activations_in(op)) == 2:
            attention += op_macs(graph, op)
    whole = macs(graph)
    return [whole + a - b for a in (0, added) for b in (0, attention)]


def test_most_networks_have_a_published_figure() -> None:
    assert len(PUBLISHED) >= 300


def test_a_network_of_the_pack_answers_without_the_library_that_made_it() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'timm', 'torchvision']));"
        "import perfmodel; g = perfmodel.load('timm:mobilenetv4_conv_small');"
        "print(perfmodel.predict(g, 'snapdragon-888/cpu').latency_ms > 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_resolution_and_batch_stand_behind_the_name() -> None:
    graph = load("timm:mobilenetv4_conv_small@resolution=192,batch=4")
    assert graph.name == "timm:mobilenetv4_conv_small@resolution=192,batch=4"
    assert graph.tensors[graph.inputs[0]].shape == (4, 192, 192, 3)
    whole = load("timm:mobilenetv4_conv_small")
    # every convolution sees (192 / 224) ** 2 of the pixels; the classifier sees none
    classifier = 1280 * 1000 + 960 * 1280
    scaled = (macs(whole) - classifier) * (192 / 224) ** 2 + classifier
    assert macs(graph) == pytest.approx(4 * scaled, rel=1e-12)


def test_a_sweep_goes_over_the_sizes_of_a_packed_network() -> None:
    swept = perfmodel.whatif(
        model="timm:mobilenetv4_conv_small",
        target="snapdragon-888/cpu",
        sets=["resolution=192,224", "batch_size=1,2"],
    )
    told = {
        (r, b): perfmodel.predict(
            f"timm:mobilenetv4_conv_small@resolution={r},batch={b}", "snapdragon-888/cpu"
        ).latency_ms
        for r in (192, 224)
        for b in (1, 2)
    }
    rows = swept.frame[["resolution", "batch_size", "latency_ms"]].itertuples(index=False)
    assert {(int(r), int(b)): t for r, b, t in rows} == pytest.approx(told)


def test_a_network_with_learned_positions_has_one_size() -> None:
    with pytest.raises(GraphError, match="installed"):
        load("timm:vit_base_patch16_224@resolution=256")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("timm:mobilenetv4_conv_smal", "timm:mobilenetv4_conv_small"),
        ("torchvision:resnet_50", "torchvision:resnet50"),
    ],
)
def test_an_unknown_name_gives_the_nearest_of_the_library(spec: str, said: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        load(spec)
    assert said in str(caught.value)


def test_parameters_that_a_packed_network_does_not_take_are_refused() -> None:
    with pytest.raises(GraphError, match="unknown parameter 'width'"):
        load("timm:resnet18@width=0.5")
    with pytest.raises(GraphError, match="resolution=8 is not allowed"):
        load("timm:resnet18@resolution=8")


def test_only_known_libraries_are_looked_for_before_a_colon() -> None:
    assert [library_of(f"{word}:x") for word in (*LIBRARIES, "C", "")] == [*LIBRARIES, "", ""]
    assert library_of("timm") == ""


def test_language_models_go_by_the_names_of_transformers() -> None:
    graph = load("transformers:bert-base-uncased@sequence=128,batch=2")
    assert graph.batch_size == 2
    # 12 layers of 4 products of 768 x 768 and 2 of 768 x 3072, 2 x 128 tokens; scores and values;
    # the pooled token and two classes
    layer = 256 * (4 * 768 * 768 + 2 * 768 * 3072) + 2 * 2 * 128 * 128 * 768
    assert macs(graph) == 12 * layer + 2 * (768 * 768 + 2 * 768)


def test_models_lists_the_pack_by_family_and_one_by_one_on_request(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["models"]) == 0
    whole = capsys.readouterr().out
    assert "timm:mobilenetv1_100" in whole
    assert len(whole.splitlines()) < 350
    assert run(["models", "--match", "MobileNetV4_conv_s"]) == 0
    found = capsys.readouterr().out
    assert "timm:mobilenetv4_conv_small " in found
    assert "186 M" in found
    assert "resnet" not in found
    assert run(["models", "--json", "--match", "torchvision:resnet18"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {n["name"] for n in listed} >= {"torchvision:resnet18"}
    assert next(n for n in listed if n["name"] == "torchvision:resnet18")["params"] == 11_689_512
