"""NAS-Bench-201: one device from 20 architectures of our choice, 10,917 others unseen.

All 15 cells of a network are the same, so its kernels are six edges times 15 and a fixed rest:
latency is linear in the counts of the five operators, exactly so where kernels run one by one.
Which edges count depends on how the network was exported; both readings are tried on the 20.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from validation.accuracy.common import Result, score

MEASURED = 20
AMBIGUOUS = 6
COVERAGE = 0.9
OPERATORS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Edges of a cell in the order of the architecture string; node 0 is the input, 3 the output."""

STAGES = ((16, 32), (32, 16), (64, 8))
"""Channels and image side of the three stages (README-gpu.md)."""

CELLS_A_STAGE = 5
REST_MACS = 7.78e6
"""Multiply-accumulates of the network without its cells: the least of the space (README-gpu.md)."""

REASONS = {
    "essential_ph_1": "whole milliseconds of noisy runs; a fit to all cells is no better",
    "pixel2": "whole milliseconds of noisy runs; a fit to all cells is no better",
    "samsung_s7": "whole milliseconds of noisy runs; a fit to all cells is no better",
    "pixel3": "cells whose unused branches were exported after all, or that are constant",
    "raspi4": "cells whose unused branches were exported after all, or that are constant",
}


@dataclass(frozen=True, eq=False)
class Cells:
    """Every architecture: its operators by edge (numbers of `OPERATORS`), shape (cells, 6)."""

    names: tuple[str, ...]
    operators: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """Edges whose result reaches the output: a mask of shape (cells, 6)."""
        runs = self.operators != 0
        reaches = np.zeros((len(runs), 4), dtype=bool)
        reaches[:, 3] = True
        for edge in reversed(range(len(EDGES))):
            start, end = EDGES[edge]
            reaches[:, start] |= reaches[:, end] & runs[:, edge]
        ends = [end for _, end in EDGES]
        mask: np.ndarray = runs & reaches[:, ends]
        return mask

    @property
    def connected(self) -> np.ndarray:
        """Cells whose output depends on their input."""
        fed = np.zeros((len(self.operators), 4), dtype=bool)
        fed[:, 0] = True
        for edge, (start, end) in enumerate(EDGES):
            fed[:, end] |= fed[:, start] & (self.operators[:, edge] != 0)
        mask: np.ndarray = fed[:, 3]
        return mask

    def counts(self, edges: np.ndarray) -> np.ndarray:
        """How often each operator stands on the chosen edges, shape (cells, 5)."""
        return np.stack(
            [((self.operators == o) & edges).sum(axis=1) for o in range(len(OPERATORS))], axis=1
        ).astype(float)

    @property
    def designs(self) -> Mapping[str, np.ndarray]:
        """The two readings of what runs, each with a constant: every edge, or the used ones."""
        one = np.ones((len(self.names), 1))
        every = np.ones(self.operators.shape, dtype=bool)
        return {
            "every edge": np.hstack([one, self.counts(every)]),
            "used edges": np.hstack([one, self.counts(self.used)[:, 1:]]),
        }

    @property
    def macs(self) -> np.ndarray:
        """Multiply-accumulates of each network, all edges counted."""
        convolutions = self.counts(np.ones(self.operators.shape, dtype=bool))[:, 2:4] @ [1.0, 9.0]
        stage = sum(CELLS_A_STAGE * c * c * side * side for c, side in STAGES)
        total: np.ndarray = REST_MACS + convolutions * stage
        return total


def read_cells(data: Path) -> tuple[Cells, dict[str, np.ndarray]]:
    """The cells and their latencies in ms by column of nasbench201_latency.csv.gz."""
    import pandas as pd

    frame = pd.read_csv(data / "nasbench201_latency.csv.gz")
    names = tuple(frame["arch_string"])
    operators = np.array([parse(name) for name in names])
    columns = [c for c in frame.columns if c not in ("arch_index", "arch_string")]
    return Cells(names, operators), {c: frame[c].to_numpy(float) for c in columns}


def parse(name: str) -> list[int]:
    """Operator numbers by edge of `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
    groups = [g.strip("|").split("|") for g in name.split("+")]
    return [OPERATORS.index(text.split("~")[0]) for group in groups for text in group]


def choose(cells: Cells, count: int = MEASURED) -> np.ndarray:
    """Architectures to measure: greedy D-optimal for both readings at once, no latency seen.

    Cells without dead branches come first, because every export runs them alike; the last
    `AMBIGUOUS` may have some and tell which reading holds. A cell without a path is never asked.
    """
    design = np.hstack(list(cells.designs.values()))
    design = design / design.max(axis=0)
    clear = cells.connected & (cells.used == (cells.operators != 0)).all(axis=1)
    inverse = np.eye(design.shape[1]) * 100.0
    chosen: list[int] = []
    for place in range(count):
        able = clear if place < count - AMBIGUOUS else cells.connected
        gain = np.einsum("ij,jk,ik->i", design, inverse, design)
        gain[~able] = -1.0
        gain[chosen] = -1.0
        best = int(np.argmax(gain))
        chosen.append(best)
        step = inverse @ design[best]
        inverse -= np.outer(step, step) / (1.0 + gain[best])
    return np.array(chosen)


def fit_counts(design: np.ndarray, latency_ms: np.ndarray) -> np.ndarray:
    """Costs >= 0 of each count by robust least squares of relative errors."""
    from scipy.optimize import nnls

    weight = 1.0 / latency_ms
    for _ in range(5):
        cost, _ = nnls(design * weight[:, None], latency_ms * weight)
        error = np.abs(design @ cost / latency_ms - 1.0)
        limit = 3.0 * max(float(np.median(error)), 1e-3)
        weight = np.sqrt(np.minimum(1.0, limit / np.maximum(error, 1e-9))) / latency_ms
    return np.asarray(cost)


def left_out_ratio(design: np.ndarray, latency_ms: np.ndarray) -> np.ndarray:
    """log(measured / predicted) of each measured architecture by a fit to the others."""
    out = np.empty(len(latency_ms))
    for i in range(len(latency_ms)):
        rest = np.arange(len(latency_ms)) != i
        cost = fit_counts(design[rest], latency_ms[rest])
        out[i] = np.log(latency_ms[i] / max(float(design[i] @ cost), 1e-9))
    return out


def predict_device(
    cells: Cells, chosen: np.ndarray, latency_ms: np.ndarray
) -> tuple[np.ndarray, float]:
    """Latency of every cell from the chosen ones' latencies, and the 90 % half width in logs."""
    ratios = {
        name: left_out_ratio(design[chosen], latency_ms) for name, design in cells.designs.items()
    }
    best = min(ratios, key=lambda name: float(np.mean(np.abs(ratios[name]))))
    design = cells.designs[best]
    predicted = design @ fit_counts(design[chosen], latency_ms)
    ordered = np.sort(np.abs(ratios[best]))
    place = min(int(np.ceil((len(ordered) + 1) * COVERAGE)), len(ordered)) - 1
    return np.maximum(predicted, 1e-6), float(ordered[place])


def _baselines(
    cells: Cells, chosen: np.ndarray, column: str, latencies: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    mine, macs = latencies[column][chosen], cells.macs
    line = np.column_stack([np.ones(len(macs)), macs / 1e6])
    device = column.split("_")[0]
    others = {c: v for c, v in latencies.items() if c.split("_")[0] != device}

    def misfit(name: str) -> float:
        ratio = np.log(others[name][chosen] / mine)
        return float(np.mean(np.abs(ratio - np.median(ratio))))

    near = others[min(others, key=misfit)]
    return {
        "FLOPs": macs * np.median(mine / macs[chosen]),
        "linear": np.maximum(line @ fit_counts(line[chosen], mine), 1e-6),
        "nearest device": near * np.median(mine / near[chosen]),
    }


def one_device(data: Path, seed: int) -> list[Result]:
    """Every device and batch size on its own."""
    cells, latencies = read_cells(data)
    chosen = choose(cells)
    rest = np.setdiff1d(np.arange(len(cells.names)), chosen)
    results, found = [], []
    for column, latency in latencies.items():
        predicted, width = predict_device(cells, chosen, latency[chosen])
        spread = np.array([np.exp(-width), np.exp(width)])
        simple = _baselines(cells, chosen, column, latencies)
        names = [f"{column} {cells.names[i]}" for i in rest]
        device = _Device(
            column,
            names,
            predicted[rest],
            latency[rest],
            predicted[rest, None] * spread,
            {name: values[rest] for name, values in simple.items()},
        )
        found.append(device)
        results.append(_score([device], column, seed, 2))
    return [*results, _score(found, "all devices", seed, 0)]


@dataclass(frozen=True)
class _Device:
    """What was predicted and measured of one device, cell by cell."""

    column: str
    names: list[str]
    predicted: np.ndarray
    measured: np.ndarray
    intervals: np.ndarray
    baselines: dict[str, np.ndarray]


def _score(devices: list[_Device], kind: str, seed: int, worst: int) -> Result:
    return score(
        f"NAS-Bench-201, {MEASURED} cells measured",
        kind,
        np.concatenate([d.predicted for d in devices]),
        np.concatenate([d.measured for d in devices]),
        [name for d in devices for name in d.names],
        seed,
        groups=[d.column for d in devices for _ in d.names],
        intervals=np.concatenate([d.intervals for d in devices]),
        baselines={
            name: np.concatenate([d.baselines[name] for d in devices])
            for name in devices[0].baselines
        },
        reasons=REASONS,
        worst=worst,
    )


EXPERIMENTS = {"nasbench-one-device": one_device}
