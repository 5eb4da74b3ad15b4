"""CSV files of published measurements, each with its own columns, as they are.

One function a file, from its columns to those of the canonical table; the header tells which.
The files and what their columns mean are described in docs/formats.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfmodel.measurements import columns as schema
from perfmodel.measurements.device_names import device_slug, help_column
from perfmodel.measurements.readers.architectures_csv import (
    fbnet,
    nasbench201,
    once_for_all,
    read_architectures,
)
from perfmodel.measurements.readers.csv_cells import (
    CsvColumns,
    header_of,
    mapped,
    read_csv_columns,
)
from perfmodel.measurements.readers.frameworks import framework_and_build
from perfmodel.measurements.readers.results import Reader, ReadResult
from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.table import BadRow, make_frame
from perfmodel.zoo.published_names import model_name

if TYPE_CHECKING:
    import numpy as np

Columns = dict[str, Any]
LEFT_OUT = "left_out"
"""Pseudo-column of a conversion: the reason a row is no measurement of an inference, or ""."""

_POWERSAVE = {0: "all", 1: "little", 2: "big"}
_NCNN_FILES = {
    # Spelled otherwise in a few of the tables; the file is the same.
    "squeezenet-int8": "squeezenet_int8",
    "squeezenet-ssd": "squeezenet_ssd",
    "mobilenet-ssd": "mobilenet_ssd",
    "mobilenet-yolo": "mobilenet_yolo",
}
_NCNN_WITHOUT_FILE = ("mobilenet_yolov3",)
_NCNN_BROKEN_RUN = ("station-m3-rk3588s", "gpu")
"""From efficientnetv2_b0 on this run computed nothing: VGG-16 (15.5 G multiply-adds) in 0.54 ms
on a Mali-G610, where the networks before it are slow for that GPU. These came before:"""
_NCNN_BEFORE_BREAK = (
    *("squeezenet", "mobilenet", "mobilenet_v2", "mobilenet_v3"),
    *("shufflenet", "shufflenet_v2", "mnasnet", "proxylessnasnet"),
)


@dataclass(frozen=True)
class Study:
    """A known file: its columns (those beside the devices' own, for a table of architectures),
    its text columns, its conversion."""

    columns: frozenset[str]
    text: frozenset[str]
    convert: Callable[[CsvColumns], Columns]

    def reads(self, names: set[str]) -> bool:
        """Whether a file with these columns is of this study."""
        devices = {name for name in names - self.columns if help_column(name)}
        return names - devices == self.columns and (self.convert not in _WIDE or bool(devices))


def study_of(names: Iterable[str]) -> Study | None:
    """The study whose columns the header has, no more and no less; or None.

    A canonical table may well have all columns of a study, and others: it is not one.
    """
    have = set(names)
    return next((study for study in STUDIES if study.reads(have)), None)


def _is_study(source: SourceText) -> bool:
    return study_of(header_of(source)) is not None


def read(source: SourceText) -> ReadResult:
    """The rows of a study's file in the canonical table."""
    import numpy as np

    study = study_of(header_of(source))
    assert study is not None

    cells = read_csv_columns(source, study.text)
    if study.convert in _WIDE:
        return read_architectures(source, cells, study.convert(cells))
    columns = study.convert(cells)
    reasons = columns.pop(LEFT_OUT, None)
    frame = make_frame(columns, source.path, cells.lines)
    if reasons is None:
        return ReadResult(frame, bad=cells.bad, outliers="leave_out")
    out = np.asarray(reasons, dtype=object) != ""
    left_out = tuple(
        BadRow(source.path, int(cells.lines[i]), f"left out: {reasons[i]}")
        for i in np.flatnonzero(out)
    )
    kept = frame[~out].reset_index(drop=True)
    return ReadResult(kept, bad=cells.bad, left_out=left_out, outliers="leave_out")


def _copied(cells: CsvColumns, *names: str) -> Columns:
    return {name: cells.columns[name] for name in names}


def _frameworks(names: np.ndarray) -> Columns:
    parts = mapped(names, framework_and_build)
    return {"framework": [p[0] for p in parts], "build": [p[1] for p in parts]}


def ncnn_e2e(cells: CsvColumns) -> Columns:
    """ncnn_e2e.csv: min_ms is the figure; several runs of one target are numbered in `run`."""
    c = cells.columns

    def file_of(name: str) -> str:
        if name in _NCNN_WITHOUT_FILE:
            return name
        return f"ncnn_models/{_NCNN_FILES.get(name, name)}.param"

    return {
        **_copied(cells, "device", "run", "unit", "threads", "precision", "min_ms", "max_ms"),
        "soc": c["device_title"],
        "processor": c["gpu_name"],
        "affinity": mapped(c["powersave"], lambda value: _POWERSAVE.get(value, str(value))),
        "runs": c["loops"],
        "mean_ms": c["avg_ms"],
        "latency_ms": c["min_ms"],
        "statistic": "min",
        "framework": "ncnn",
        "source": "ncnn benchmark/README.md",
        "source_model": c["model"],
        "model": mapped(c["model"], file_of),
        "batch": 1.0,
        "kind": "steady",
        LEFT_OUT: _broken(c),
    }


def _broken(columns: Columns) -> np.ndarray:
    import numpy as np

    device, unit = _NCNN_BROKEN_RUN
    in_run = (columns["device"] == device) & (columns["unit"] == unit)
    broken = in_run & ~np.isin(columns["model"], _NCNN_BEFORE_BREAK)
    return np.where(broken, "the run broke off, its times are of nothing", "").astype(object)


def kernels(cells: CsvColumns) -> Columns:
    """layers_gpu.csv and layers_deepbench_mobile.csv: kernels without a network."""
    c = cells.columns
    shape = [name for name in schema.SHAPE if name in c]
    return {
        **_copied(cells, "source", "unit", "precision", "op", "batch", "latency_us", *shape),
        **_frameworks(c["framework"]),
        "device": mapped(c["device"], device_slug),
        "processor": c["device"],
        "statistic": "mean",
        "kind": "steady",
    }


def network_kernels(cells: CsvColumns) -> Columns:
    """layers_phones.csv.gz and layers_jetson.csv: the kernels of networks."""
    c = cells.columns
    shape = [name for name in schema.SHAPE if name in c]
    common = ("source", "soc", "unit", "framework", "precision", "op", "layer", "batch")
    return {
        **_copied(cells, *common, "latency_us", *shape),
        **_phone_target(cells),
        "source_model": c["model"],
        "model": mapped(c["model"], model_name),
        "statistic": "mean",
        "kind": "steady",
    }


def _phone_target(cells: CsvColumns) -> Columns:
    """Device, threads and cluster; threads are CPU threads, so a GPU has none."""
    import numpy as np

    c = cells.columns
    return {
        "device": mapped(c["device"], device_slug),
        "threads": np.where(c["unit"] == "cpu", c["threads"], np.nan),
        "affinity": c["core_cluster"],
    }


def phone_networks(cells: CsvColumns) -> Columns:
    """networks_phones.csv: the median network time; rows without one are left out."""
    import numpy as np

    c = cells.columns
    # The file has no precision; README-layers.md gives that of the same runs.
    half = (c["framework"] == "mnn") & (c["unit"] == "gpu")
    missing = np.isnan(c["network_us_median"])
    return {
        **_copied(cells, "source", "soc", "unit", "framework", "runs"),
        **_phone_target(cells),
        "precision": np.where(half, "fp16", "fp32").astype(object),
        "source_model": c["model"],
        "model": mapped(c["model"], model_name),
        "batch": 1.0,
        "kind": "steady",
        "statistic": "median",
        "latency_ms": c["network_us_median"] / 1e3,
        "min_ms": c["network_us_min"] / 1e3,
        "max_ms": c["network_us_max"] / 1e3,
        LEFT_OUT: np.where(missing, "no network time was published", "").astype(object),
    }


def gpu_networks(cells: CsvColumns) -> Columns:
    """e2e_gpu.csv: transformer inference; rows of training are left out."""
    import numpy as np

    c = cells.columns
    training = c["mode"] != "inference"
    variant = mapped(c["fused"], lambda fused: "fused=torch.compile" if fused == 1 else "")
    parallel = c["parallel"] != "none"
    sequence = mapped(c["seq_len"], lambda length: f"seq_len={length:g}")
    return {
        **_copied(cells, "source", "precision", "batch", "latency_ms"),
        **_frameworks(c["framework"]),
        "device": mapped(c["device"], device_slug),
        "processor": c["device"],
        "unit": "gpu",
        "variant": variant,
        "source_model": c["model"],
        "model": c["model"] + "@" + sequence,
        "kind": "steady",
        "statistic": "mean",
        LEFT_OUT: np.where(training | parallel, "training, not inference", "").astype(object),
    }


_PRECISIONS = {
    # published_e2e.csv -> the table; "fp32?" is float in the source's own words.
    "fp32?": "float",
    "w8a8": "int8",
    "w8a16_mixed_int16": "w8a16",
}
_RESOLUTION = re.compile(r"(\d{2,4})x\1")


def published(cells: CsvColumns) -> Columns:
    """published_e2e.csv: whole networks; rows whose device, unit or batch is not stated are left
    out, as is what stands for no single network."""
    import numpy as np

    c = cells.columns
    pairs = list(zip(c["device"], c["soc"], strict=True))
    device = [("" if d.startswith("unstated") else device_slug(d, s)) for d, s in pairs]
    reasons = [
        _published_reason(*row)
        for row in zip(device, c["unit"], c["batch"], c["note"], strict=True)
    ]
    mixed = c["precision"] == "w8a16_mixed_int16"
    return {
        **_copied(cells, "source", "soc", "unit", "threads", "batch", "latency_ms", "note"),
        **_frameworks(c["framework"]),
        "device": device,
        "precision": mapped(c["precision"], lambda p: _PRECISIONS.get(p, p)),
        "source_model": c["model"],
        "model": _published_models(c["source"], c["model"], c["input"]),
        "kind": "steady",
        "statistic": "",
        "variant": np.where(mixed, "mixed_int16", "").astype(object),
        LEFT_OUT: reasons,
    }


def _published_reason(device: str, unit: str, batch: float, note: str) -> str:
    for what, stated in (("device", device), ("unit", unit), ("batch", batch == batch)):
        if not stated:
            return f"the source does not state the {what}"
    split = "partition" in note and not note.startswith("no partitioning")
    return "a network cut into partitions" if split else ""


def _published_models(sources: np.ndarray, names: np.ndarray, inputs: np.ndarray) -> list[str]:
    sizes = [_RESOLUTION.fullmatch(size) for size in inputs]
    return [
        model_name(
            name,
            int(size.group(1)) if size else None,
            tool="torch2trt" if "torch2trt" in source else "",
        )
        for source, name, size in zip(sources, names, sizes, strict=True)
    ]


_WIDE = (nasbench201, fbnet, once_for_all)
_KERNEL_TEXT = {"source", "device", "soc", "unit", "framework", "precision", "op"}


def _study(columns: str, text: set[str], convert: Callable[[CsvColumns], Columns]) -> Study:
    return Study(frozenset(columns.split(",")), frozenset(text), convert)


_SHAPE = "cin,hin,win,cout,hout,wout,kh,kw,sh,sw,groups"
STUDIES = (
    _study(
        "device,device_title,kind,run,unit,gpu_name,threads,powersave,loops,precision,model"
        ",min_ms,avg_ms,max_ms",
        {"device", "device_title", "kind", "unit", "gpu_name", "precision", "model"},
        ncnn_e2e,
    ),
    _study(
        "source,device,soc,unit,framework,precision,threads,core_cluster,model,layer,op,batch"
        f",{_SHAPE},latency_us",
        {*_KERNEL_TEXT, "core_cluster", "model", "layer"},
        network_kernels,
    ),
    _study(
        "source,device,soc,unit,framework,threads,core_cluster,model,layers_in_summary"
        ",sum_of_layers_us,runs,network_us_median,network_us_min,network_us_max"
        ",share_matching_raw",
        {"source", "device", "soc", "unit", "framework", "core_cluster", "model"},
        phone_networks,
    ),
    _study(
        "source,device,framework,precision,model,mode,seq_len,batch,fused,parallel,num_gpus"
        ",layers,hidden,heads,ffn,vocab,latency_ms,forward_ms,backward_ms",
        {"source", "device", "framework", "precision", "model", "mode", "parallel"},
        gpu_networks,
    ),
    _study(
        "source,device,soc,unit,framework,precision,threads,model,input,batch,latency_ms,note",
        {*(_KERNEL_TEXT - {"op"}), "model", "input", "note"},
        published,
    ),
    _study("arch_index,arch_string", {"arch_string"}, nasbench201),
    _study("arch_index,ops", {"ops"}, fbnet),
    _study("arch_index,ks,e,d,resolution", {"ks", "e", "d"}, once_for_all),
    _study(
        f"source,device,unit,framework,precision,op,batch,{_SHAPE},m,n,k,elements,latency_us",
        _KERNEL_TEXT,
        kernels,
    ),
)


READER = Reader("a CSV of a known study", _is_study, read)
