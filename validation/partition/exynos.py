"""The mobile-GPU study's table, predicted: `python -m validation.partition`.

VGG16 (fp32 .tflite, 553.4 MB) on the GPU of an Exynos 2200: whole, by layer type, layer by layer,
in equal layer counts and equal parameter counts (Kang and Ko, Yonsei University, 2024).

Layer times have the shape of a roofline of the data sheet times one scale; a segment pays one
dispatch and the transfers of what it exchanges with other segments (the median of the measured
phones); a segment that holds fc6, whose
411 MB of weights fit no texture, runs its other layers `slowdown` times as long. So three numbers
are fitted: scale, slowdown, dispatch.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import (
    RANGE_FEATURES,
    REFERENCE_BYTES_PER_US,
    REFERENCE_LAUNCH_US,
    REFERENCE_MACS_PER_US,
    Machine,
    work_of,
)
from perfmodel.experiments.scores import scores_of
from perfmodel.formats.load import load
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.plans.criteria import cuts
from perfmodel.plans.layers import LayerGraph, layer_graph
from perfmodel.plans.problem import times_by_layer
from perfmodel.plans.segments import prefix_states, segment_costs
from perfmodel.plans.units import SlowStorage, Transfer, Unit
from validation.partition.transfers import fit_transfers, typical_transfers

PEAK_GFLOPS = 998.4
"""2 FLOPs x 384 lanes x 1.3 GHz (nanoreview; technical.city's 640 x 0.81 GHz gives 1037). The
3110 GFLOP/s that both print is three times what their own clocks and lanes amount to."""

BANDWIDTH_GB_PER_S = 51.2
"""LPDDR5 (soc_specs.csv)."""

WEIGHT_LIMIT_BYTES = 128 * 2**20
"""Where the fast weight storage ends. The study fixes it only to between fc7 (67 MB) and fc6
(411 MB); 128 MiB is OpenCL's smallest CL_DEVICE_MAX_MEM_ALLOC_SIZE of the full profile."""

CRITERIA = {
    "none": None,
    "layer_type": "layer-type",
    "layer_by_layer": "each-layer",
    "layer_length": "layer-count",
    "parameter_count": "param-count",
}
"""The study's names of the criteria and ours."""

ONE_NETWORK_LOG = 0.4
"""Half width of an interval (natural log), by judgement: splits of one network cannot say how far
off another network is."""

FITTED_FIRST = ("none", "layer_type", "layer_by_layer")
"""Rows of Tables 1 and 2 and the layer-type row: the other rows are then predicted."""


@dataclass(frozen=True)
class StudyRow:
    """One measured row: the study's criterion, K (0: not stated), milliseconds."""

    criterion: str
    k: int
    latency_ms: float


@dataclass(frozen=True)
class Parameters:
    """What is fitted: time over roofline, slowdown of a delegate with fc6, cost of a segment.

    `move` scales transfers (1: those of the median phone).
    """

    scale: float
    slowdown: float
    dispatch_ms: float
    move: float = 1.0


def read_rows(data: Path) -> tuple[StudyRow, ...]:
    """The rows of the study that have a time."""
    with open(data / "partition_vgg16_exynos2200.csv", newline="", encoding="utf-8") as stream:
        return tuple(
            StudyRow(row["criterion"], int(row["K"] or 0), float(row["latency_ms"]))
            for row in csv.DictReader(stream)
            if row["latency_ms"]
        )


def roofline_predictor(scale: float) -> KernelPredictor:
    """`scale` times the roofline of the data sheet (4-norm of compute and memory time)."""
    compute = np.log(scale * REFERENCE_MACS_PER_US / (PEAK_GFLOPS * 1e3 / 2))
    memory = np.log(scale * REFERENCE_BYTES_PER_US / (BANDWIDTH_GB_PER_S * 1e3))
    # no transform (direct convolution); launches of single kernels are part of the scale
    nothing = np.log(1e-6 / REFERENCE_LAUNCH_US)
    costs = tuple(round(float(v), 6) for v in (compute, memory, memory, nothing, nothing))
    machine = Machine(precision="fp32", winograd="none", overlap="memory")
    seen = seen_ranges(KernelTable.from_kernels(fuse(load("vgg16"), "tflite-gpu")), machine)
    return KernelPredictor(
        machine=machine, cells={}, families={}, default=costs, forests={}, ranges=seen
    )


def seen_ranges(
    table: KernelTable, machine: Machine
) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Lowest and highest features of kernels by cell: what a fit to them has seen."""
    work = work_of(table, machine)
    values = work.features[:, RANGE_FEATURES]
    seen = {}
    for cell in sorted(set(work.cell.tolist())):
        rows = values[work.cell == cell]
        seen[cell] = _rounded(rows.min(axis=0)), _rounded(rows.max(axis=0))
    return seen


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(v), 4) for v in values)


def vgg16_layers() -> tuple[LayerGraph, np.ndarray]:
    """VGG16 as 22 layers (13 convolutions, 5 poolings, 3 dense, softmax) and their roofline ms."""
    graph = load("vgg16")
    kernels = fuse(graph, "tflite-gpu")
    layers = layer_graph(graph, kernels)
    times = roofline_predictor(1.0).parts_ms(KernelTable.from_kernels(kernels)).sum(axis=1)
    return layers, times_by_layer(layers, kernels, times)


def study_cuts(layers: LayerGraph, row: StudyRow, *, pools_alone: bool = True) -> tuple[int, ...]:
    """Where the study cut; without `pools_alone` a pooling stays with the convolution before it."""
    criterion = CRITERIA[row.criterion]
    if criterion is None:
        return ()
    if criterion == "each-layer":
        places = cuts(layers, criterion, None)
        heads = [layers.layers[i].name.startswith(("conv", "fully")) for i in places]
        return tuple(i for i, head in zip(places, heads, strict=True) if pools_alone or head)
    return cuts(layers, criterion, row.k)


def gpu_unit(
    layers: LayerGraph, roofline_ms: np.ndarray, p: Parameters, moves: Sequence[Transfer]
) -> Unit:
    """The Exynos's GPU under given parameters."""
    there, back = (
        replace(m, fixed_ms=m.fixed_ms * p.move, bytes_per_ms=m.bytes_per_ms / p.move)
        for m in moves
    )
    heavy = np.array(layers.largest_weight_bytes) > WEIGHT_LIMIT_BYTES
    layer_ms = roofline_ms * p.scale
    return Unit(
        name="gpu",
        target="exynos-2200/gpu/tflite/fp32",
        layer_ms=layer_ms,
        dispatch_ms=p.dispatch_ms,
        inward=there,
        outward=back,
        storage=SlowStorage(
            heavy=heavy, extra_ms=np.where(heavy, 0.0, layer_ms * (p.slowdown - 1.0))
        ),
    )


def plan_ms(layers: LayerGraph, unit: Unit, places: Sequence[Sequence[int]]) -> np.ndarray:
    """Latency of the plans with the given cuts."""
    costs = segment_costs(layers, prefix_states(layers), [unit]).latency_ms[0]
    return np.array([sum(costs[a, b] for a, b in pairwise((0, *c, len(layers)))) for c in places])


@dataclass(frozen=True, kw_only=True)
class CutStudy:
    """The fitted and the predicted table. Errors are relative means, `fitted` says on which rows
    the parameters were learned."""

    name: str
    parameters: Parameters
    predicted_ms: tuple[float, ...]
    fitted: tuple[bool, ...]
    error_of_fitted: float
    error_of_predicted: float | None
    error: float
    spearman: float | None
    best: str


def fit_study(
    data: Path, *, on_all: bool, pools_alone: bool = True, free: str = "dispatch_ms"
) -> CutStudy:
    """Fit the parameters and predict every row.

    `free` is the third parameter: `dispatch_ms`, or `move` (transfers scaled, no dispatch cost).
    """
    from scipy.optimize import least_squares

    rows = read_rows(data)
    layers, roofline_ms = vgg16_layers()
    moves = [Transfer(t.fixed_ms, t.bytes_per_ms) for t in typical_transfers(fit_transfers(data))]
    places = [study_cuts(layers, row, pools_alone=pools_alone) for row in rows]
    measured = np.array([row.latency_ms for row in rows])
    fitted = np.array([on_all or row.criterion in FITTED_FIRST for row in rows])

    def parameters(x: np.ndarray) -> Parameters:
        scale, excess, third = (float(v) for v in np.exp(x))
        by_name = {"dispatch_ms": 0.0, "move": 1.0} | {free: third}
        return Parameters(scale, 1.0 + excess, **by_name)

    def times(x: np.ndarray) -> np.ndarray:
        return plan_ms(layers, gpu_unit(layers, roofline_ms, parameters(x), moves), places)

    found = least_squares(lambda x: np.log(times(x) / measured)[fitted], [0.0, 0.7, 1.0])
    predicted = times(found.x)
    total = scores_of(predicted, measured)
    best = rows[int(predicted.argmin())]
    return CutStudy(
        name=f"{'22 layers' if pools_alone else '16 layers'}, {free} free",
        parameters=parameters(found.x),
        predicted_ms=tuple(float(v) for v in predicted),
        fitted=tuple(bool(f) for f in fitted),
        error_of_fitted=scores_of(predicted[fitted], measured[fitted]).mape,
        error_of_predicted=None
        if on_all
        else scores_of(predicted[~fitted], measured[~fitted]).mape,
        error=total.mape,
        spearman=total.spearman,
        best=f"{best.criterion} K={best.k}",
    )
