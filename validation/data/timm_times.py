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
from functools import cache
from pathlib import Path

import numpy as np

from perfmodel.formats.load import load
from perfmodel.kernels import KernelTable, fuse
from perfmodel.target import Target
from perfmodel.zoo.pack import packed_networks

FILE = "timm_infer.csv.gz"

SAME_NETWORK = 0.03
"""Parameters that the benchmark prints and the pack counts agree within this, or another graph ran:
RepVGG, MobileOne and GhostNet V3 were folded before they were timed."""

_PARAMETERS = re.compile(r"params M ([\d.]+)")

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

OLDER = ("pytorch-1.13-amp", "pytorch-2.2-compiled")
"""Frameworks that only teach the newer ones."""


@dataclass(frozen=True, kw_only=True)
class TimmRow:
    """Latency of a whole batch of a network on a target."""

    target: Target
    model: str
    family: str
    batch: int
    latency_ms: float
    build: str


def read_rows(data: Path, runs: dict[str, Target]) -> list[TimmRow]:
    """The rows of these runs whose network the pack has, as it ran and at that resolution."""
    found = []
    with gzip.open(data / FILE, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            run = row["source"].rpartition("benchmark-infer-")[2].removesuffix(".csv")
            packed = packed_networks().get(f"timm:{row['model']}")
            if run not in runs or packed is None or str(packed.input_shape[0]) != row["input"]:
                continue
            if is_the_network(row["note"], packed.params):
                found.append(
                    TimmRow(
                        target=runs[run],
                        model=packed.name,
                        family=packed.family,
                        batch=int(row["batch"]),
                        latency_ms=float(row["latency_ms"]),
                        build=row["framework"],
                    )
                )
    return found


def is_the_network(note: str, parameters: int) -> bool:
    """Whether a row's note tells the parameters of the network as the pack has it."""
    told = _PARAMETERS.search(note)
    return told is not None and abs(float(told[1]) * 1e6 / parameters - 1) <= SAME_NETWORK


@cache
def kernels_of(model: str, batch: int) -> KernelTable:
    """The kernels of a network as PyTorch runs them, at a batch."""
    return at_batch(_kernels(model), batch)


@cache
def _kernels(model: str) -> KernelTable:
    return KernelTable.from_kernels(fuse(load(model), "pytorch"))


def at_batch(table: KernelTable, batch: float) -> KernelTable:
    """The kernels of a batch of one at another: what grows with the images grows by that factor."""
    kind = table["kernel_class"]
    number = dict(table.number)
    for column in ("macs", "input_elements", "output_elements"):
        number[column] = number[column] * batch
    # a product of two tensors is repeated, one with weights has more rows, a convolution both
    number["batch"] = np.where(kind == "fully_connected", number["batch"], number["batch"] * batch)
    number["m"] = np.where(kind == "matmul", number["m"], number["m"] * batch)
    return KernelTable(table.text, number)


def families(rows: Sequence[TimmRow], folds: int) -> np.ndarray:
    """The fold of each row: families of networks are left out together."""
    names = sorted({r.family for r in rows})
    return np.array([names.index(r.family) % folds for r in rows])
