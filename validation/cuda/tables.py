"""Tables of docs/cudnn-study.md: predicted, measured here, and published, side by side."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfmodel.errors import MeasurementError
from perfmodel.runners.cuda import tables
from perfmodel.runners.cuda.backends import MODES
from validation.cuda.data_sheet import spec_prediction
from validation.markdown import markdown


def relative_speed(latency_ms: Mapping[str, float]) -> dict[str, float]:
    """Speed relative to vanilla = 1, as in the study's figure."""
    return {mode: latency_ms["vanilla/fp32"] / ms for mode, ms in latency_ms.items()}


def study_predictions(
    devices: Iterable[str], networks: Iterable[str], batches: Iterable[int]
) -> list[dict[str, Any]]:
    """Data-sheet latencies and relative speeds of the study's three ways, as rows."""
    rows = []
    wanted = ("vanilla/fp32", "cudnn/fp32", "cudnn/fp16")
    for device in devices:
        for network in networks:
            for batch in batches:
                found = spec_prediction(device, (network,), (batch,))["predictions"]
                times = {r["target"]: r["latency_ms"] for r in found if r["target"] in wanted}
                speed = relative_speed(times)
                rows.append(
                    {"device": device, "model": network, "batch": batch}
                    | {f"{m} ms": f"{times[m]:.3g}" for m in wanted}
                    | {f"{m} x": f"{speed[m]:.1f}" for m in wanted[1:]}
                )
    return rows


PUBLISHED_NAMES = {
    "alexnet": "alexnet_owt",
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet_v1_50": "resnet50",
    "resnet_v1_101": "resnet101",
    "squeezenet1_0": "squeezenet_1_0",
    "squeezenet1_1": "squeezenet_1_1",
    "densenet121": "densenet121",
    "vgg16": "vgg16",
    "vgg_16": "vgg16",
    "inception_v3": "inception_v3",
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v1_1p0_224": "mobilenet_v1",
}
"""Names in the published Jetson tables, and the network of the zoo that is meant."""
PUBLISHED_DEVICES = {
    "Jetson TX2": "jetson-tx2",
    "Jetson Nano": "jetson-nano",
    "Jetson AGX Xavier": "jetson-agx-xavier",
}


def published_jetson_rows(data: Path) -> list[dict[str, Any]]:
    """Published TensorRT latencies on Jetson boards beside the data-sheet prediction."""
    with (data / "published_e2e.csv").open(newline="", encoding="utf-8") as file:
        published = list(csv.DictReader(file))
    rows = []
    for row in published:
        device, network = PUBLISHED_DEVICES.get(row["device"]), PUBLISHED_NAMES.get(row["model"])
        if device is None or network is None or not row["framework"].startswith("TensorRT"):
            continue
        target = f"cudnn/{row['precision']}"
        if target not in MODES:
            continue
        found = spec_prediction(device, (network,), (int(row["batch"]),))["predictions"]
        predicted = next(r["latency_ms"] for r in found if r["target"] == target)
        measured = float(row["latency_ms"])
        rows.append(
            {
                "device": device,
                "model": network,
                "precision": row["precision"],
                "published ms": f"{measured:.3g}",
                "data sheet ms": f"{predicted:.3g}",
                "ratio": f"{predicted / measured:.2f}",
            }
        )
    return rows


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of rows with the same keys."""
    heads = list(rows[0])
    return markdown(heads, [[str(row[head]) for head in heads] for row in rows])


STUDY_DEVICES = ("titan-v", "jetson-tx2", "h200")
STUDY_NETWORKS = ("alexnet", "vgg16", "resnet50")
SPEEDUPS_SHOWN = (
    ("seed 001", "AlexNet"),
    ("pjreddie.com/darknet", "AlexNet"),
    ("jcjohnson/cnn-benchmarks", "Inception-V1"),
    ("jcjohnson/cnn-benchmarks", "VGG-16"),
    ("jcjohnson/cnn-benchmarks", "ResNet-50"),
    ("soumith/convnet-benchmarks", "AlexNet (one weird trick)"),
    ("NVIDIA-AI-IOT/tf_to_trt", "vgg_16"),
    ("NVIDIA-AI-IOT/tf_to_trt", "resnet_v1_50"),
)
"""Rows of published_speedups.csv that the study sets beside ours: source and network."""


def published_speedups(data: Path) -> list[dict[str, Any]]:
    """Published steps between ways to run a network, largest first within a source."""
    with (data / "published_speedups.csv").open(newline="", encoding="utf-8") as file:
        published = list(csv.DictReader(file))
    rows = []
    for source, network in SPEEDUPS_SHOWN:
        for row in published:
            if row["source"].startswith(source) and row["model"] == network:
                rows.append(
                    {
                        "source": row["source"].replace("seed 001", "ETRI study").split(" (")[0],
                        "device": row["device"],
                        "network": network,
                        "from": row["from"],
                        "to": row["to"],
                        "times": f"{float(row['speedup']):.3g}",
                    }
                )
    return rows


def measured_rows(networks: Path) -> list[dict[str, Any]]:
    """Measured latencies and relative speeds of a campaign's table; empty if there is none yet."""
    if not networks.exists():
        return []
    times: dict[tuple[str, int], dict[str, float]] = {}
    for row in tables.read_table(networks):
        if tables.parse_variant(row["variant"]).get("launch") == "graph":
            found = times.setdefault((row["model"], int(row["batch"])), {})
            found[f"{row['framework']}/{row['precision']}"] = float(row["latency_ms"])
    rows = []
    for (model, batch), found in sorted(times.items()):
        if "vanilla/fp32" in found:
            speed = relative_speed(found)
            rows.append(
                {"model": model, "batch": batch}
                | {f"{m} ms": f"{found[m]:.3g}" if m in found else "" for m in MODES}
                | {f"{m} x": f"{speed[m]:.1f}" if m in speed else "" for m in list(MODES)[1:]}
            )
    return rows


def study_tables(data: Path | None, results: Path) -> dict[str, str]:
    """The generated tables of docs/cudnn-study.md by name; those that need `data` only with it."""
    made = {"predicted": study_predictions(STUDY_DEVICES, STUDY_NETWORKS, (1, 32))}
    made["measured"] = measured_rows(results / "h200_networks.csv")
    if data is not None:
        made |= {"boards": published_jetson_rows(data), "published": published_speedups(data)}
    return {name: table_of(rows) if rows else "Not measured yet." for name, rows in made.items()}


def fill_tables(text: str, made: Mapping[str, str]) -> str:
    """`text` with each block between `<!-- NAME -->` and `<!-- /NAME -->` replaced."""
    for name, table in made.items():
        opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, found, rest = text.partition(opening)
        if not found or closing not in rest:
            raise MeasurementError(f"no block {opening} ... {closing} to fill")
        text = f"{before}{opening}\n{table}\n{closing}{rest.partition(closing)[2]}"
    return text
