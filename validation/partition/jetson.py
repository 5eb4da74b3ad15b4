"""GPU to DLA splits of GoogleNet on a Jetson AGX Xavier: `python -m validation.partition`.

Each measured split (profile_sum in splits_jetson.csv) is predicted from kernel rows that do not
hold it (layers_jetson.csv):

- the GPU part: the layers before the split, from the engine that ran wholly on the GPU;
- the DLA part: start cost + MACs + activation bytes + weight bytes over three rates, fitted to the
  other DLA blocks only (a block is one row: TensorRT reports no layer of the DLA);
- the conversion in front of the DLA: fixed + bytes over a rate, fitted to the other splits' rows;
- softmax always runs on the GPU: its rows from the engine that ran wholly on the GPU.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from validation.partition.transfers import fit_line

Row = Mapping[str, str]
FP16_BYTES = 2
_NO_WORK = ("reformat", "copy")
"""Layout changes of the GPU engine: the DLA has its own layout."""


@dataclass(frozen=True)
class Rows:
    """The rows of layers_jetson.csv by kind; `start[i]` is the GPU row where block i begins."""

    gpu_us: np.ndarray
    work: np.ndarray
    softmax: int
    start: tuple[int, ...]
    block_us: np.ndarray
    boundary_bytes: np.ndarray
    reformat_us: np.ndarray


@dataclass(frozen=True, kw_only=True)
class BlockSplit:
    """One split, predicted and measured, in ms; `split_layer` is the first on the DLA."""

    split_layer: str
    predicted_ms: float
    measured_ms: float
    gpu_ms: float
    dla_ms: float
    reformat_ms: float
    tail_ms: float

    @property
    def error(self) -> float:
        """Relative error, with sign."""
        return self.predicted_ms / self.measured_ms - 1


def _number(row: Row, name: str) -> float:
    return float(row[name] or 0)


def work_of_row(row: Row) -> np.ndarray:
    """(MACs, activation bytes, weight bytes) of a layer at fp16; reformats
    and copies count as nothing."""
    if row["op"] in _NO_WORK:
        return np.zeros(3)
    inputs = _number(row, "cin") * _number(row, "hin") * _number(row, "win")
    outputs = _number(row, "cout") * _number(row, "hout") * _number(row, "wout")
    weights = 0.0
    if row["op"] in ("conv2d", "fully_connected"):
        window = _number(row, "kh") * _number(row, "kw") if row["op"] == "conv2d" else 1.0
        weights = _number(row, "cin") * window * _number(row, "cout")
    pixels = _number(row, "hout") * _number(row, "wout")
    return np.array([weights * pixels, FP16_BYTES * (inputs + outputs), FP16_BYTES * weights])


def read_splits(data: Path) -> list[Row]:
    """The measured GPU to DLA splits, in order of the network."""
    with open(data / "splits_jetson.csv", newline="", encoding="utf-8") as stream:
        rows = [r for r in csv.DictReader(stream) if r["measurement"] == "profile_sum"]
    return [r for r in rows if (r["first_unit"], r["second_unit"]) == ("gpu", "dla")]


def read_rows(data: Path) -> Rows:
    """Kernel rows of the GPU-only engine, DLA blocks (the whole network last) and conversions."""
    with open(data / "layers_jetson.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    gpu = [r for r in rows if r["unit"] == "gpu" and r["op"] != "reformat_to_dla"]
    names = [r["layer"] for r in gpu]
    blocks = [r for r in rows if r["unit"] == "dla"]
    reformats = [r for r in rows if r["op"] == "reformat_to_dla"]
    starts = []
    for block in blocks:
        first = block["layer"].strip("{}").split("..")[0].split("/")[0]
        starts.append(next(i for i, n in enumerate(names) if n.startswith(f"{first}/")))
    return Rows(
        gpu_us=np.array([float(r["latency_us"]) for r in gpu]),
        work=np.array([work_of_row(r) for r in gpu]),
        softmax=names.index("prob"),
        start=tuple(starts),
        block_us=np.array([float(r["latency_us"]) for r in blocks]),
        boundary_bytes=np.array(
            [FP16_BYTES * float(r["cin"]) * float(r["hin"]) * float(r["win"]) for r in blocks]
        )[: len(reformats)],
        reformat_us=np.array([float(r["latency_us"]) for r in reformats]),
    )


def block_work(rows: Rows) -> np.ndarray:
    """(1, MACs, activation bytes, weight bytes) of each block, shape (blocks, 4)."""
    return np.array([[1.0, *rows.work[s : rows.softmax].sum(axis=0)] for s in rows.start])


def fit_dla(work: np.ndarray, block_us: np.ndarray) -> np.ndarray:
    """Microseconds per unit of work, none negative, least relative squares."""
    from scipy.optimize import nnls

    size = work.max(axis=0)
    costs, _ = nnls(work / size / block_us[:, None], np.ones(len(block_us)))
    return np.asarray(costs / size)


def predict_splits(
    data: Path, learn: Mapping[int, Sequence[int]] | None = None
) -> list[BlockSplit]:
    """Every measured split from rows that do not hold it.

    `learn[i]` names the blocks (and conversions) that split i is predicted from; by default all
    but its own.
    """
    rows, splits = read_rows(data), read_splits(data)
    work = block_work(rows)
    tail_us = float(rows.gpu_us[rows.softmax :].sum())
    found = []
    for i, split in enumerate(splits):
        others = list(learn[i]) if learn else [j for j in range(len(rows.block_us)) if j != i]
        assert i not in others
        dla_us = float(work[i] @ fit_dla(work[others], rows.block_us[others]))
        known = [j for j in others if j < len(rows.reformat_us)]
        fixed, rate = fit_line(rows.boundary_bytes[known], rows.reformat_us[known])
        reformat_us = float(fixed + rows.boundary_bytes[i] / rate)
        gpu_us = float(rows.gpu_us[: rows.start[i]].sum())
        parts = [v / 1e3 for v in (gpu_us, dla_us, reformat_us, tail_us)]
        measured = float(split["latency_ms"])
        found.append(_split(split["split_layer"], measured, parts))
    return found


def _split(layer: str, measured_ms: float, parts: Sequence[float]) -> BlockSplit:
    gpu_ms, dla_ms, reformat_ms, tail_ms = parts
    return BlockSplit(
        split_layer=layer,
        predicted_ms=sum(parts),
        measured_ms=measured_ms,
        gpu_ms=gpu_ms,
        dla_ms=dla_ms,
        reformat_ms=reformat_ms,
        tail_ms=tail_ms,
    )


def every_other(count: int) -> dict[int, list[int]]:
    """Learn odd splits from even blocks and even splits from odd ones; the whole network for both.

    Half the blocks, so that a split's neighbours on either side are unknown too.
    """
    return {i: [*range(1 - i % 2, count, 2), count] for i in range(count)}
