"""Published latencies of whole networks, pooled by the kind of processor, for the joint model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel import zoo
from perfmodel.cost_models.likeness import descriptions
from perfmodel.cost_models.work_predictor import work_matrix
from perfmodel.errors import PerfmodelError
from perfmodel.formats.ncnn.reader import read_ncnn
from perfmodel.graph.ir import Graph
from perfmodel.graph.rebatch import rebatch
from perfmodel.kernels import KernelTable, fuse
from perfmodel.measurements.read import read_measurements
from perfmodel.target import PRECISIONS, Target
from validation.data.published_sources import (
    AT_MOST,
    FILES,
    network_family,
    network_graph,
    network_spec,
    other_kind,
    steady_ms,
)

POOLS = ("cpu", "mobile-gpu", "npu", "cuda")
"""Pools of targets that borrow from one another (`pool_of`)."""

MOBILE_GPU_FRAMEWORKS = ("tflite", "tnn", "mace", "ncnn", "mnn", "acl")

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


@dataclass(frozen=True)
class PooledRow:
    """One published latency on a target of a pool; `at_most` where it only bounds the network's."""

    target: Target
    model: str
    family: str
    batch: int
    latency_ms: float
    anchor: bool
    source: str
    build: str
    at_most: bool = False


@dataclass(frozen=True, eq=False)
class Pool:
    """Rows of one pool with the work of each (network, batch, fusion, precision)."""

    name: str
    rows: tuple[PooledRow, ...]
    tables: tuple[KernelTable, ...]
    work: np.ndarray
    network: np.ndarray

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Targets in the order of their codes."""
        return tuple(sorted({r.target for r in self.rows}, key=str))

    @cached_property
    def target(self) -> np.ndarray:
        """Target code of each row."""
        place = {t: i for i, t in enumerate(self.targets)}
        return np.array([place[r.target] for r in self.rows])

    @cached_property
    def families(self) -> np.ndarray:
        """Family of each row's network."""
        return np.array([r.family for r in self.rows], dtype=object)

    @cached_property
    def latency_ms(self) -> np.ndarray:
        """Latency of each row."""
        return np.array([r.latency_ms for r in self.rows])

    @cached_property
    def anchors(self) -> np.ndarray:
        """Rows that are only borrowed from."""
        return np.array([r.anchor for r in self.rows])

    @cached_property
    def bounds(self) -> np.ndarray:
        """Rows whose latency is only known not to be exceeded."""
        return np.array([r.at_most for r in self.rows])

    def described(self, rows: np.ndarray) -> np.ndarray:
        """What the networks of some rows are like (`likeness.described`)."""
        return descriptions([self.tables[n] for n in self.network[rows].tolist()])

    def inputs(self) -> np.ndarray:
        """Input of the joint model: target, hardware with framework, framework with precision."""
        hardware: dict[object, int] = {}
        style: dict[object, int] = {}
        codes = [
            (
                hardware.setdefault(
                    (t.device, t.unit, t.framework, t.threads, t.cluster), len(hardware)
                ),
                style.setdefault((base_framework(t.framework), t.precision == "int8"), len(style)),
            )
            for t in self.targets
        ]
        pairs = np.array(codes)[self.target]
        return np.hstack([self.target[:, None], pairs, self.work[self.network]])


def base_framework(framework: str) -> str:
    """A framework without its version or build: torch7-cudnn-5.1 is torch7-cudnn."""
    name = framework.removesuffix("-armv7")
    stem, _, last = name.rpartition("-")
    return stem if stem and last.replace(".", "").isdigit() else name


def precision_of(target: Target) -> str:
    """Which bytes of a weight a target's features count."""
    return "int8" if target.precision == "int8" else "fp32"


def rules_of(target: Target) -> str:
    """Fusion rules of a target, as prediction takes them."""
    if target.framework == "tflite":
        return "tflite-cpu" if target.unit == "cpu" else "tflite-gpu"
    return target.framework


def _framework(framework: str, build: str) -> str:
    named = _FRAMEWORK_OF_BUILD.get((framework, build))
    if named:
        return named
    return f"{framework}-armv7" if any(part in build for part in _ARMV7) else framework


AI_HUB = "quic/ai-hub-models"
"""Source of rows that stand in a table of their own."""


def published_rows(data: Path) -> tuple[list[PooledRow], Counter[str]]:
    """Steady rows of the published tables whose network is known, and why others are left out."""
    rows: list[PooledRow] = []
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


def _row(row: Mapping[str, object], spec: str, precision: str, latency_ms: float) -> PooledRow:
    cpu, threads = row["unit"] == "cpu", float(str(row["threads"]))
    target = Target(
        str(row["device"]),
        str(row["unit"]),
        _framework(str(row["framework"]), str(row["build"])),
        precision,
        int(threads) if cpu and threads == threads else 0,
    )
    return PooledRow(
        target,
        spec,
        family_of_spec(spec),
        int(float(str(row["batch"]))),
        latency_ms,
        False,
        str(row["source"]),
        str(row["build"]),
        str(row["source"]).startswith(AT_MOST),
    )


def family_of_spec(spec: str) -> str:
    """What must be left out together with a network of the zoo: family and shared backbone."""
    family = network_family(spec)
    return RESTRICTED_TWINS.get(family, family)


def anchor_rows(data: Path) -> list[PooledRow]:
    """Rows of other tables that published targets borrow from: ncnn, MNN and ACL devices."""
    return _ncnn_anchors(data) + _phone_anchors(data)


def _ncnn_anchors(data: Path) -> list[PooledRow]:
    table, _ = read_measurements([data / "ncnn_e2e.csv"], skip_bad=True)
    frame = table.networks.frame
    frame = frame[frame["device"].isin(ANCHORS)]
    rows = []
    for row in _records(frame):
        stem = Path(row["model"]).stem
        if (data / "ncnn_models" / f"{stem}.param").is_file():
            precision = "int8" if "int8" in stem else "float"
            rows.append(_anchor(row, precision, stem, _ncnn_family(stem)))
    return rows


def _phone_anchors(data: Path) -> list[PooledRow]:
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


def _anchor(row: Mapping[str, Any], precision: str, model: str, family: str) -> PooledRow:
    cpu, threads = row["unit"] == "cpu", row["threads"]
    target = Target(
        row["device"],
        row["unit"],
        row["framework"],
        precision,
        int(threads) if cpu and threads == threads else 0,
        row["affinity"] if cpu else "",
    )
    return PooledRow(target, model, family, 1, row["latency_ms"], True, row["source"], "")


def _ncnn_family(stem: str) -> str:
    plain = stem.replace("_int8", "")
    name = NCNN_ZOO.get(plain, plain)
    return family_of_spec(name) if name in zoo.names() else plain


class _Graphs:
    """Networks read or built once."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.graphs: dict[tuple[str, int, bool], Graph] = {}

    def get(self, row: PooledRow) -> Graph:
        key = (row.model, row.batch, row.target.framework == "ncnn")
        if key not in self.graphs:
            if row.target.framework == "ncnn":
                graph = read_ncnn(self.data / "ncnn_models" / f"{row.model}.param")
            else:
                graph = network_graph(row.model)
            if graph.batch_size != row.batch:
                graph = rebatch(graph, row.batch)
            self.graphs[key] = graph
        return self.graphs[key]


def pool_of(target: Target) -> str:
    """The pool that a target is fitted in."""
    if target.unit == "gpu":
        mobile = base_framework(target.framework) in MOBILE_GPU_FRAMEWORKS
        return "mobile-gpu" if mobile and target.device != "titan-xp" else "cuda"
    return "cpu" if target.unit == "cpu" else "npu"


def make_pool(name: str, rows: Sequence[PooledRow], data: Path) -> Pool:
    """The rows of one pool, their networks fused and turned into work."""
    graphs, places = _Graphs(data), {}
    tables: list[KernelTable] = []
    works: list[np.ndarray] = []
    kept: list[PooledRow] = []
    network: list[int] = []
    # bounds alone say nothing of how long anything takes
    timed = {r.target for r in rows if not r.at_most}
    for row in rows:
        if pool_of(row.target) != name or row.target not in timed:
            continue
        key = (row.model, row.batch, rules_of(row.target), precision_of(row.target))
        if key not in places:
            try:
                table = KernelTable.from_kernels(fuse(graphs.get(row), rules_of(row.target)))
            except PerfmodelError as error:
                raise PerfmodelError(f"{row.model} on {row.target}: {error}") from error
            places[key] = len(tables)
            tables.append(table)
            works.append(work_matrix(table, precision_of(row.target)).sum(axis=0))
        kept.append(row)
        network.append(places[key])
    return Pool(name, tuple(kept), tuple(tables), np.array(works), np.array(network))
