"""Write the pack's index: `python -m validation.pack.index [--published]`.

perfmodel/zoo/pack/index.csv has a row for each structure file, counted from the file alone. With
`--published` the figures that the libraries print are written too, to pack/published.csv:
torchvision's from its weights' descriptions (the package is needed), timm's from its published
results, taken from a table of them (--results timm_infer.csv.gz).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from perfmodel.files import write_atomically
from perfmodel.formats.structure import read_structure
from perfmodel.graph.ir import Graph
from perfmodel.kernels import covered_part, macs, params
from validation.pack.build import NETWORKS, PACK, networks

COLUMNS = ("name", "family", "task", "input", "macs", "params")
PUBLISHED = ("network", "parameters", "macs", "params", "source", "note")
TASKS = {
    "deeplab": "segmentation",
    "fcn": "segmentation",
    "lraspp": "segmentation",
    "ssd": "detection",
    "retinanet": "detection",
    "fcos": "detection",
    "raft": "optical flow",
    "yolos": "detection",
    "detr": "detection",
    "conditional-detr": "detection",
    "rt-detr": "detection",
    "segformer": "segmentation",
    "mobilevit-x-small-deeplab": "segmentation",
    "sam": "segmentation",
    "depth-anything": "depth",
    "dpt": "depth",
    "whisper": "speech",
    "wav2vec2": "speech",
    "hubert": "speech",
    "wavlm": "speech",
    "videomae": "video classification",
    "clip": "text and image",
    "trocr": "text in images",
}
VIDEO = ["r3d", "mc3", "r2plus1d", "s3d", "mvit_v1", "mvit_v2", "swin3d"]

WEIGHTS_NORMALISED = "MACs with the normalisation of weights, which exporters compute once"
NOTES = {
    "torchvision:inception_v3": "parameters with the auxiliary classifier of training",
    "torchvision:deeplabv3_": "with the auxiliary classifier of training",
    "torchvision:fcn_": "with the auxiliary classifier of training",
    "torchvision:retinanet_resnet50_fpn": "parameters with frozen normalisations",
    "torchvision:fcos_": "parameters with frozen normalisations",
    "torchvision:swin_v2_": "MACs with the layers that make the table of positions, which "
    "exporters compute once",
    "timm:ghostnetv3_": "of the network whose branches are merged after training",
    "torchvision:raft_": "of another size of image",
    "timm:resnetv2_50x1_bit": WEIGHTS_NORMALISED,
    "timm:nf_": WEIGHTS_NORMALISED,
    "timm:nfnet_": WEIGHTS_NORMALISED,
    "timm:sequencer2d_": "MACs without recurrent layers",
    "timm:shvit_": "parameters with normalisations merged into convolutions",
    "timm:swinv2_": "MACs with the layers that make the table of positions, which exporters "
    "compute once",
    "timm:edgenext_base": "MACs with a convolution of positions, which exporters compute once",
    "timm:samvit_base_patch16": "MACs with half of the products of attention",
}
"""Why what is published differs from the structure; a name that ends in _ stands for a family."""


def note_on(name: str) -> str:
    """Why the published figures of a network differ from its structure, "" if they do not."""
    starts = (n for k, n in NOTES.items() if name == k or (k[-1] == "_" and name.startswith(k)))
    return next(starts, "")


def rows() -> Iterator[dict[str, Any]]:
    """A row of the index for each network that has a structure file, in the list's order."""
    for library, name in networks(NETWORKS.read_text(encoding="utf-8")):
        path = PACK / library / f"{name}.json.gz"
        if path.exists():
            yield row(library, name, read_structure(path))


def row(library: str, name: str, graph: Graph) -> dict[str, Any]:
    """What the structure of a network demands."""
    family = re.match(r"(tf_)?([a-z]+[a-z0-9]*?)(?=$|_|\d)", name)
    task = next((t for start, t in TASKS.items() if name.startswith(start)), "")
    if library == "torchvision" and any(name.startswith(v) for v in VIDEO):
        task = "video classification"
    return {
        "name": f"{library}:{name}",
        "family": family.group(2) if family else name,
        "task": task or _default_task(graph),
        "input": "x".join(str(size) for size in graph.tensors[graph.inputs[0]].shape[1:]),
        "macs": macs(covered_part(graph)),
        "params": params(graph),
    }


def _default_task(graph: Graph) -> str:
    return "text" if graph.tensors[graph.inputs[0]].dtype == "int64" else "classification"


def torchvision_published(name: str) -> dict[str, Any] | None:
    """What torchvision prints for a network's default weights: GFLOPS, which are MACs, and size."""
    from torchvision import models  # of the extra

    weights = models.get_model_weights(name).DEFAULT
    return {
        "macs": f"{weights.meta['_ops']}G",
        "params": weights.meta["num_params"],
        "source": "https://docs.pytorch.org/vision/stable/models.html",
    }


def timm_published(results: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """timm's results (github huggingface/pytorch-image-models, results/) by network and side."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    figures = re.compile(r"gmacs ([\d.]+);.*params M ([\d.]+)")
    with gzip.open(results, "rt", encoding="utf-8") as stream:
        for entry in csv.DictReader(stream):
            match = figures.search(entry["note"])
            if match:
                key = (entry["model"].partition(".")[0], entry["input"])
                figure = {"macs": f"{match[1]}G", "params": f"{match[2]}M"}
                found.setdefault(key, {**figure, "source": entry["source"]})
    return found


def published(index: Sequence[dict[str, Any]], results: Path) -> Iterator[dict[str, Any]]:
    """The published figures of the networks of the index, where there are any."""
    of_timm = timm_published(results)
    for entry in index:
        library, _, name = entry["name"].partition(":")
        found = None
        if library == "torchvision":
            found = torchvision_published(name)
        elif library == "timm":
            found = of_timm.get((name, entry["input"].partition("x")[0]))
        if found is not None:
            yield {
                "network": entry["name"],
                "parameters": "",
                "note": note_on(entry["name"]),
                **found,
            }


def write(path: Path, columns: Sequence[str], entries: Sequence[dict[str, Any]]) -> None:
    """Write a table."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(entries)
    write_atomically(path, text.getvalue())


def main(argv: Sequence[str] | None = None) -> int:
    """Write the index, and the published figures where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--results", type=Path, help="table of timm's results")
    options = parser.parse_args(argv)
    index = list(rows())
    write(PACK / "index.csv", COLUMNS, index)
    print(f"{len(index)} networks")
    if options.published:
        figures = list(published(index, options.results))
        write(PACK / "published.csv", PUBLISHED, figures)
        print(f"{len(figures)} published figures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
