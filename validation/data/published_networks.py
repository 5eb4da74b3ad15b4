"""Published latencies of whole networks: which rows are of known networks, as one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import perfmodel
from perfmodel import zoo
from perfmodel.calibration.measured import NetworkTables
from perfmodel.devices.profile import DeviceProfile
from perfmodel.kernels import KernelTable
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import MeasurementTable, make_frame
from perfmodel.target import PRECISIONS, Target
from perfmodel.workload import workload
from validation.data.network_tables import gpu_engine, read_jetson_rows, target_columns
from validation.data.published_sources import (
    AT_MOST,
    FILES,
    network_family,
    network_spec,
    other_kind,
    steady_ms,
)
from validation.data.yolo11 import SIZES, yolo11

ANCHORS = (
    "snapdragon-855-plus",
    "snapdragon-845",
    "snapdragon-835",
    "snapdragon-821",
    "snapdragon-660",
    "snapdragon-636",
    "kirin-970",
    "raspberry-pi-3-model-b-plus",
    "iphone-5s",
)
"""ncnn devices whose many networks show what kinds of work cost beside the few published ones."""

ANCHOR_GPUS = (
    *("jetson-nano", "jetson-tx2-nx", "jetson-agx-xavier", "jetson-agx-orin"),
    *("iphone-5s", "kirin-970", "snapdragon-660", "snapdragon-810", "snapdragon-855-plus"),
    *("snapdragon-888", "snapdragon-8-gen-2", "snapdragon-x-elite", "macbook-pro-m1"),
    *("macbook-air-m3", "khadas-vim3", "radxa-orion-o6", "rk3288", "rk3399", "rk3588"),
    *("station-m2-rk3566", "station-m3-rk3588s", "t-head-th1520", "visionfive2-jh7110"),
    "muse-pi-pro-m1",
)
"""NVIDIA's boards and devices with phones' GPUs that ncnn ran many networks on: what kinds of work
cost there, and on the same GPU by other frameworks."""

_ARMV7 = ("armv7", "armeabi-v7a")
_FRAMEWORK_OF_BUILD = {
    ("torch7", "nn (no cuDNN)"): "torch7-nn",
    ("torch7", "(native)"): "torch7-native",
    ("torch7", "cuDNN 4.0.07"): "torch7-cudnn-4.0",
    ("torch7", "cuDNN 5.0.05"): "torch7-cudnn-5.0",
    ("torch7", "cuDNN 5.1.05"): "torch7-cudnn-5.1",
    ("torch7", "cuDNN 5.1.10"): "torch7-cudnn-5.1",
    ("torch7-cudnn", "[R2]"): "torch7-cudnn-2",
    ("torch7-cudnn", "[R4]-fp32 (Torch)"): "torch7-cudnn-4.0",
    ("torch7-cudnn", "[R4]-fp16 (Torch)"): "torch7-cudnn-4.0",
    ("caffe", "(native)"): "caffe-native",
}
"""Builds that are other kernels, told apart in the framework's name."""

DIFFERENT_NETWORKS = {
    "inception_resnet_v2": "the hosted file is another network than the published one",
}
"""Networks whose published latencies are of a graph that differs from the zoo's."""

_DESKTOP_FORMATS = ("openvino", "paddlepaddle", "tf-graphdef", "tf-savedmodel", "torchscript")
UNKNOWN_FRAMEWORKS = frozenset({*_DESKTOP_FORMATS, "ascend", "iree-vulkan", "pplnn", "tengine"})
"""Frameworks of a few rows on one board each, which nothing here predicts."""

NCNN_ZOO = {
    "mobilenet": "mobilenet_v1",
    "mobilenet_v3": "mobilenet_v3_large",
    "shufflenet": "shufflenet_v1",
    "squeezenet": "squeezenet_1_1",
    "proxylessnasnet": "proxylessnas",
    "mobilenet_ssd": "ssd_mobilenet_v1",
    "regnety_400m": "regnet_y_400mf",
    "vision_transformer": "vit_b32",
    "yolov4-tiny": "yolo_v4_tiny",
}
"""Networks of benchncnn that are networks of the zoo, for families; other names agree."""

RESTRICTED_TWINS = {"ssd_mobilenet_v1": "mobilenet_v1", "ssd_mobilenet_v2": "mobilenet_v2"}
"""Families whose backbone is another family: left out with it."""


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One published latency; `anchor` where others only borrow from it, `at_most` where the network
    alone takes less."""

    target: Target
    model: str
    family: str
    batch: int
    latency_ms: float
    source: str
    build: str = ""
    anchor: bool = False
    at_most: bool = False


def _framework(framework: str, build: str) -> str:
    named = _FRAMEWORK_OF_BUILD.get((framework, build))
    if named:
        return named
    return f"{framework}-armv7" if any(part in build for part in _ARMV7) else framework


AI_HUB = "quic/ai-hub-models"
"""Source of rows that stand in a table of their own."""


def published_rows(data: Path) -> tuple[list[PublishedRow], Counter[str]]:
    """Steady rows of the published tables whose network is known, and why others are left out."""
    rows: list[PublishedRow] = []
    left: Counter[str] = Counter()
    for file in FILES:
        table, bad = read_measurements([data / file], skip_bad=True)
        left["refused or no measurement of an inference"] += len(bad)
        for row in _records(table.networks.frame):
            reason = _unusable(row, file)
            if reason:
                left[reason] += 1
            else:
                spec = network_spec(row["model"], row["source_model"], row["source"])
                rows.append(_row(row, str(spec), row["precision"] or "float", steady_ms(row)))
    return rows, left


def _unusable(row: Mapping[str, Any], file: str) -> str:
    """Why a row teaches nothing about a steady inference; "" if it does."""
    spec = network_spec(row["model"], row["source_model"], row["source"])
    name = (spec or "").partition("@")[0]
    if spec is None:
        return "network not in the zoo"
    if name in DIFFERENT_NETWORKS:
        return DIFFERENT_NETWORKS[name]
    if (row["precision"] or "float") not in PRECISIONS:
        return f"precision {row['precision']} has no target"
    if not row["framework"]:
        return "framework not stated"
    if row["framework"] in UNKNOWN_FRAMEWORKS:
        return "framework of a handful of rows"
    if row["unit"] == "npu" and str(row["source"]).startswith(AI_HUB):
        return "NPU of AI Hub: validation.data.aihub holds all of its rows"
    return other_kind(row, file)


def _records(frame: Any) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = frame.to_dict("records")
    return records


def _row(row: Mapping[str, object], spec: str, precision: str, latency_ms: float) -> PublishedRow:
    cpu, threads = row["unit"] == "cpu", float(str(row["threads"]))
    target = Target(
        str(row["device"]),
        str(row["unit"]),
        _framework(str(row["framework"]), str(row["build"])),
        precision,
        int(threads) if cpu and threads == threads else 0,
    )
    return PublishedRow(
        target=target,
        model=spec,
        family=family_of_spec(spec),
        batch=int(float(str(row["batch"]))),
        latency_ms=latency_ms,
        source=str(row["source"]),
        build=str(row["build"]),
        at_most=str(row["source"]).startswith(AT_MOST),
    )


def family_of_spec(spec: str) -> str:
    """What must be left out together with a network of the zoo: family and shared backbone."""
    family = network_family(spec)
    return RESTRICTED_TWINS.get(family, family)


def anchor_rows(data: Path) -> list[PublishedRow]:
    """Rows of other tables that published targets borrow from: ncnn, MNN and ACL devices, and one
    network whose layers TensorRT timed."""
    return _ncnn_anchors(data) + _phone_anchors(data) + [_of_layers(data)]


def _of_layers(data: Path) -> PublishedRow:
    """GoogLeNet by TensorRT on the AGX Xavier: the layers of its engine on the GPU, which sum to
    1.2 % less than trtexec says of the whole (data notes)."""
    engine = gpu_engine(read_jetson_rows(data))
    target = Target("jetson-agx-xavier", "gpu", "tensorrt", "fp16")
    spent = float(engine["latency_us"].sum()) / 1e3
    return PublishedRow(
        target=target,
        model="googlenet",
        family=family_of_spec("googlenet"),
        batch=1,
        latency_ms=spent,
        source="HaX-CoNN, commit 98593b6ec554",
        build="TensorRT 7.1.3, JetPack 4.5.1, MAXN",
        anchor=True,
    )


def _ncnn_anchors(data: Path) -> list[PublishedRow]:
    table, _ = read_measurements([data / "ncnn_e2e.csv"], skip_bad=True)
    frame = table.networks.frame
    on_gpu = frame["device"].isin(ANCHOR_GPUS) & (frame["unit"] == "gpu")
    frame = frame[frame["device"].isin(ANCHORS) | on_gpu]
    rows = []
    for row in _records(frame):
        stem = Path(row["model"]).stem
        network = (data / "ncnn_models" / f"{stem}.param").resolve()
        if network.is_file():
            precision = "int8" if "int8" in stem else "float"
            rows.append(_anchor(row, precision, str(network), _ncnn_family(stem)))
    return rows


def _phone_anchors(data: Path) -> list[PublishedRow]:
    table, _ = read_measurements([data / "networks_phones.csv"], skip_bad=True)
    rows = []
    frame = table.networks.frame
    # on CPUs ncnn's many networks say more than sums of six networks a phone; without them the
    # Pixel 3's CPU is predicted better and CPUs in general a little worse
    for row in _records(frame[frame["unit"] == "gpu"]):
        spec = row["model"]
        # ACL ran pnasnet-mobile on larger images than its name says (data notes)
        if (row["framework"], spec) != ("acl", "pnasnet_mobile"):
            rows.append(_anchor(row, row["precision"], spec, family_of_spec(spec)))
    return rows


def _anchor(row: Mapping[str, Any], precision: str, model: str, family: str) -> PublishedRow:
    cpu, threads = row["unit"] == "cpu", row["threads"]
    target = Target(
        row["device"],
        row["unit"],
        row["framework"],
        precision,
        int(threads) if cpu and threads == threads else 0,
        row["affinity"] if cpu else "",
    )
    return PublishedRow(
        target=target,
        model=model,
        family=family,
        batch=1,
        latency_ms=row["latency_ms"],
        source=row["source"],
        anchor=True,
    )


def _ncnn_family(stem: str) -> str:
    plain = stem.replace("_int8", "")
    name = NCNN_ZOO.get(plain, plain)
    return family_of_spec(name) if name in zoo.names() else plain


def table_of(rows: Sequence[PublishedRow]) -> MeasurementTable:
    """The rows as a measurement table; a network is the name or file that `load` takes."""
    targets = [row.target for row in rows]
    columns: dict[str, object] = {
        **target_columns(targets),
        "build": [row.build for row in rows],
        "threads": [t.threads or float("nan") for t in targets],
        "affinity": [t.cluster for t in targets],
        "source": [row.source for row in rows],
        "model": [row.model for row in rows],
        "batch": [row.batch for row in rows],
        "kind": "steady",
        "latency_ms": [row.latency_ms for row in rows],
    }
    return MeasurementTable(make_frame(columns, "published.csv", range(2, len(rows) + 2)))


class PublishedTables(NetworkTables):
    """Networks read and fused once; those that no file holds are built here."""

    def get(self, model: str, batch: int, rules: str) -> KernelTable:
        """Kernels of a network; raises `PerfmodelError`."""
        if model in SIZES and batch == 1 and (model, batch, rules) not in self.tables:
            self.tables[model, batch, rules] = workload(yolo11(model), rules).table
        return super().get(model, batch, rules)


def learned(
    rows: Sequence[PublishedRow], networks: NetworkTables, folds: int
) -> tuple[DeviceProfile, ...]:
    """The targets that are learned of rows, by the function that users call."""
    bounds = [r for r in rows if r.at_most]
    profiles: tuple[DeviceProfile, ...] = perfmodel.learn_networks(
        table_of([r for r in rows if not r.at_most]),
        at_most=table_of(bounds) if bounds else None,
        families={row.model: row.family for row in rows},
        networks=networks,
        folds=folds,
    ).profiles
    return profiles
