"""Throughputs of timm's networks on GPUs (batches that fill them) and on one CPU (batch of one).

timm_infer.csv.gz holds the tables of pytorch-image-models' benchmarks; a table is one card, one
version of PyTorch and one way of running. Networks are those of the pack at their own resolution.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import perfmodel
from perfmodel.measurements.table import MeasurementTable, make_frame
from perfmodel.target import Target
from validation.data.network_tables import target_columns

FILE = "timm_infer.csv.gz"
SOURCE = "timm: huggingface/pytorch-image-models@aa4b5850c154 results/"

PRINTED = 0.006
"""Millions of parameters that the benchmark prints and the pack counts differ by at most where they
are alike, as two digits are printed. Newer runs fold what they can before they time it: MobileOne,
FastViT, RepGhost, RepVGG and GhostNet V3 have one convolution in place of several branches there
and take half the time, LeViT and SHViT have no normalisations."""

_PARAMETERS = re.compile(r"params M ([\d.]+)")
_ACTIVATIONS = re.compile(r"macts ([\d.]+)")

GPU_RUNS = {
    "amp-nchw-pt113-cu117-rtx3090": Target("rtx-3090", "gpu", "pytorch-1.13-amp", "fp16"),
    "amp-nchw-pt240-cu124-rtx3090": Target("rtx-3090", "gpu", "pytorch-amp", "fp16"),
    "amp-nhwc-pt240-cu124-rtx3090": Target("rtx-3090", "gpu", "pytorch-amp-nhwc", "fp16"),
    "amp-nhwc-pt240-cu124-rtx4090": Target("rtx-4090", "gpu", "pytorch-amp-nhwc", "fp16"),
    "amp-nchw-pt291-cu128-4090": Target("rtx-4090", "gpu", "pytorch-amp", "fp16"),
    "amp-nchw-pt291-cu128-4090-dynamo": Target("rtx-4090", "gpu", "pytorch-compiled-amp", "fp16"),
    "amp-nchw-pt291-cu130-5090": Target("rtx-5090", "gpu", "pytorch-amp", "fp16"),
    "amp-nchw-pt291-cu130-5090-dynamo": Target("rtx-5090", "gpu", "pytorch-compiled-amp", "fp16"),
}
"""The newest run of each card and way, and the oldest; those between tell no more."""

CPU_RUNS = {
    "fp32-nchw-pt221-cpu-i9_10940x-dynamo": Target(
        "core-i9-10940x", "cpu", "pytorch-2.2-compiled", "fp32"
    ),
    "fp32-nchw-pt240-cpu-i9_10940x-dynamo": Target(
        "core-i9-10940x", "cpu", "pytorch-compiled", "fp32"
    ),
}

SHEET_FRAMEWORK = "pytorch-amp"
"""The way of running that every card has."""

SHEET_RUNS = {run: t for run, t in GPU_RUNS.items() if t.framework == SHEET_FRAMEWORK}

OLDER = ("pytorch-1.13-amp", "pytorch-2.2-compiled")
"""Frameworks that only teach the newer ones."""


@dataclass(frozen=True, kw_only=True)
class TimmRow:
    """Latency of a whole batch of a network on a target, and the row's line in the file.

    `macs` and `activations` (outputs of convolutions and products, as the benchmark counts them)
    are of the whole batch.
    """

    target: Target
    model: str
    family: str
    batch: int
    latency_ms: float
    build: str
    line: int
    macs: float
    activations: float


def read_rows(data: Path, runs: dict[str, Target]) -> list[TimmRow]:
    """The rows of these runs whose network the pack has, as it ran and at that resolution."""
    known = {network.name: network for network in perfmodel.models("timm:").packed}
    found, folded = [], set()
    with gzip.open(data / FILE, "rt", encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            run = row["source"].rpartition("benchmark-infer-")[2].removesuffix(".csv")
            packed = known.get(f"timm:{row['model']}")
            if run not in runs or packed is None or str(packed.input_shape[0]) != row["input"]:
                continue
            if not is_the_network(row["note"], packed.params):
                folded.add((runs[run], kin_of(packed.name)))
            acts = _ACTIVATIONS.search(row["note"])
            if acts is None:
                continue
            batch = int(row["batch"])
            found.append(
                TimmRow(
                    target=runs[run],
                    model=packed.name,
                    family=packed.family,
                    batch=batch,
                    latency_ms=float(row["latency_ms"]),
                    build=row["framework"],
                    line=line,
                    macs=float(batch * packed.macs),
                    activations=batch * float(acts[1]) * 1e6,
                )
            )
    return [row for row in found if (row.target, kin_of(row.model)) not in folded]


def kin_of(name: str) -> str:
    """What networks of one code are called: a benchmark folds all of them or none."""
    return name.partition("_")[0]


def is_the_network(note: str, parameters: int) -> bool:
    """Whether a row's note tells the parameters of the network as the pack has it."""
    told = _PARAMETERS.search(note)
    return told is not None and abs(float(told[1]) - parameters / 1e6) <= PRINTED


def table_of(rows: Sequence[TimmRow]) -> MeasurementTable:
    """The rows as a measurement table; a network is the name that `load` takes."""
    targets = [row.target for row in rows]
    columns: dict[str, object] = {
        **target_columns(targets),
        "build": [row.build for row in rows],
        "source": SOURCE,
        "model": [row.model for row in rows],
        "batch": [row.batch for row in rows],
        "kind": "steady",
        "latency_ms": [row.latency_ms for row in rows],
    }
    return MeasurementTable(make_frame(columns, FILE, [row.line for row in rows]))


def families() -> dict[str, str]:
    """What each network is left out with, by the name that `load` takes."""
    return {network.name: network.family for network in perfmodel.models("timm:").packed}
