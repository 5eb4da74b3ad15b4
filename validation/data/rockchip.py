"""Times of NPUs that Rockchip publishes with its model zoo: which networks, which rows are taken.

A figure is of one core of the NPU at its highest clock (RK3588 has three cores, RK3576 two), int8,
and of the newest release of the zoo that states it (data notes: README-npu.md).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from perfmodel.measurements.table import MeasurementTable, make_frame
from validation.data.aihub import FOLDER

SOURCE = "airockchip/rknn_model_zoo README (v2.3.2 and earlier), Apache-2.0"
RELEASES = ("bad6c7334531", "7a6984bc0e55", "c2b7d00714b4", "333f9514dec4")
"""Commits of the zoo's README, the newest first; others hold a few rows of one day."""

NETWORKS = {
    "mobilenetv2-12": ("mobilenet_v2", "mobilenet_v2"),
    "resnet50-v2-7": ("resnet50_v2", "resnet"),
    "yolov5n": ("yolov5n", "yolov5"),
    "yolov5s": ("yolov5s", "yolov5"),
    "yolov5m": ("yolov5", "yolov5"),
    "yolov7-tiny": ("yolov7", "yolov7"),
    "yolov8n": ("yolov8_det", "yolov8"),
    "yolov8s": ("yolov8s", "yolov8"),
    "yolov8m": ("yolov8m", "yolov8"),
    "yolov8n-seg": ("yolov8_seg", "yolov8"),
    "yolo11n": ("yolo11n", "yolo11"),
    "yolo11s": ("yolo11s", "yolo11"),
    "yolo11m": ("yolo11m", "yolo11"),
    "yolox_s": ("yolox", "yolox"),
    "yolox_m": ("yolox_m", "yolox"),
}
"""Network (of the zoo, or a file of validation/aihub/structures) and family of each name."""


CHIPS = {
    "RK3588": "rk3588",
    "RK3576": "rk3576",
    "RK3566 RK3568": "rk3568",
    "RK3562": "rk3562",
    "RV1126": "rv1126",
    "RV1109": "rv1109",
    "RK1808": "rk1808",
}
"""Slug of each chip by its name in the table; the RK3566 and RK3568 have one NPU."""


def newest_rows(data: Path) -> list[Mapping[str, str]]:
    """The newest row of each known network on each chip, in int8."""
    with open(data / "rockchip_npu.csv", encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["model"] in NETWORKS]
    best: dict[tuple[str, str], tuple[int, Mapping[str, str]]] = {}
    for row in rows:
        release = next((i for i, c in enumerate(RELEASES) if c in row["source"]), None)
        key = (row["soc"], row["model"])
        if row["precision"] != "int8" or release is None:
            continue
        if key not in best or release < best[key][0]:
            best[key] = (release, row)
    return [row for _, row in best.values()]


def network_name(model: str) -> str:
    """What `load` takes for a name of the table."""
    name = NETWORKS[model][0]
    file = FOLDER / "structures" / f"{name}.json.gz"
    return str(file) if file.is_file() else name


def table_of(rows: Sequence[Mapping[str, str]]) -> MeasurementTable:
    """The rows as a measurement table."""
    columns: dict[str, object] = {
        "device": [CHIPS[r["soc"]] for r in rows],
        "unit": "npu",
        "framework": "rknn",
        "precision": "int8",
        "source": SOURCE,
        "model": [network_name(r["model"]) for r in rows],
        "batch": 1,
        "kind": "steady",
        "latency_ms": [float(r["latency_ms"]) for r in rows],
    }
    return MeasurementTable(make_frame(columns, "rockchip_npu.csv", range(2, len(rows) + 2)))


def families() -> dict[str, str]:
    """What each network is left out with, by the name that `load` takes."""
    return {network_name(model): family for model, (_, family) in NETWORKS.items()}
