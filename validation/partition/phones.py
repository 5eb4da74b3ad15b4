"""Which operators should leave a phone's GPU: `python -m validation.partition`.

MNN on CPU (big cores, the best number of threads) and GPU, layer times as measured
(layers_phones.csv.gz), the tensors that cross priced by each phone's own transfer model. Segments
run one after another: no two at once. Input and output of the network are on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import MeasurementError
from perfmodel.formats.load import load
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import Kernel
from perfmodel.measurements.device_names import device_slug
from perfmodel.plans.layers import LayerGraph, layer_graph
from perfmodel.plans.plan import PartitionResult, solve
from perfmodel.plans.problem import Problem, times_by_layer
from perfmodel.plans.units import Transfer, Unit
from validation.partition.transfers import TransferFit, fit_transfers

MODELS = {"inception-v3": "inception_v3", "inception-resnet-v2": "inception_resnet_v2"}
"""Networks of the table that are like Inception, and their names in the zoo."""

MOST_SEGMENTS = 8
_FAMILIES = {
    "reduce_mean": "pool",
    "avg_pool2d": "pool",
    "max_pool2d": "pool",
    "avg_pool": "pool",
    "max_pool": "pool",
    "fully_connected": "conv2d",
}
"""MNN runs the classifier as a 1x1 convolution and the mean as a pooling."""


@dataclass(frozen=True, kw_only=True)
class CoExecution:
    """The best plan of a network on a phone beside either unit alone (None: cannot be compared)."""

    model: str
    device: str
    cpu_ms: float
    threads: int
    gpu_ms: float
    plan: PartitionResult
    off_gpu: tuple[str, ...]
    free_ms: float


Signature = tuple[str, int, int, int]


def signature(op: str, read: int, made: int, kh: int) -> Signature:
    """What tells one layer from another whatever its name: kind, elements in and out, window."""
    family = _FAMILIES.get(op, op)
    # the table counts one of the two inputs of an addition
    return family, 0 if family in ("add", "mul") else read, made, kh if family == "conv2d" else 0


def kernel_signature(kernel: Kernel) -> Signature:
    """The signature of a kernel of ours."""
    height = 1 if kernel.op == "fully_connected" else kernel.kh
    return signature(kernel.op, kernel.input_elements, kernel.output_elements, height)


def measured_times(rows: Any) -> Mapping[Signature, float]:
    """Mean ms of the layers with one signature."""
    found: dict[Signature, list[float]] = {}
    for row in rows.itertuples():
        read, made = row.cin * row.hin * row.win, row.cout * row.hout * row.wout
        window = 0 if np.isnan(row.kh) else int(row.kh)
        key = signature(row.op, int(read), int(made), window)
        found.setdefault(key, []).append(row.latency_us / 1e3)
    return {key: float(np.mean(values)) for key, values in found.items()}


def layer_ms(layers: LayerGraph, kernels: Sequence[Kernel], rows: Any) -> np.ndarray:
    """Measured ms of each layer; raises `MeasurementError` for a layer that was not measured."""
    known = measured_times(rows)
    missing = sorted({str(k.name) for k in kernels if kernel_signature(k) not in known})
    if missing:
        raise MeasurementError(f"{layers.graph.name}: not measured: {', '.join(missing[:5])}")
    return times_by_layer(layers, kernels, np.array([known[kernel_signature(k)] for k in kernels]))


def co_execution(data: Path) -> list[CoExecution]:
    """The study for every phone with both units measured on a network."""
    import pandas as pd

    table = pd.read_csv(data / "layers_phones.csv.gz")
    table = table[(table["framework"] == "mnn") & (table["core_cluster"].fillna("big") == "big")]
    transfers = fit_transfers(data)
    found = []
    for model, name in MODELS.items():
        graph = load(name)
        kernels = fuse(graph, "mnn")
        layers = layer_graph(graph, kernels)
        for device, rows in table[table["model"] == model].groupby("device"):
            fits = [t for t in transfers if t.device == device_slug(str(device))]
            if not fits:
                continue
            gpu = layer_ms(layers, kernels, rows[rows["unit"] == "gpu"])
            by_threads = {}
            for threads, some in rows[rows["unit"] == "cpu"].groupby("threads"):
                try:
                    by_threads[int(threads)] = layer_ms(layers, kernels, some)
                except MeasurementError:
                    # a layer is left out of the table; another number of threads has it
                    continue
            threads = min(by_threads, key=lambda t: float(by_threads[t].sum()))
            found.append(
                _study(
                    model=model,
                    device=str(device),
                    layers=layers,
                    cpu_ms=by_threads[threads],
                    threads=threads,
                    gpu_ms=gpu,
                    fits=fits,
                )
            )
    return found


def _study(
    model: str,
    device: str,
    layers: LayerGraph,
    cpu_ms: np.ndarray,
    threads: int,
    gpu_ms: np.ndarray,
    fits: Sequence[TransferFit],
) -> CoExecution:
    moves = [Transfer(t.fact.fixed_ms, t.fact.bytes_per_ms) for t in fits]
    # operators' times hold no part of bringing the network's input and taking its output
    gpu = Unit(
        name="gpu",
        target=f"{device}/gpu/mnn",
        layer_ms=gpu_ms,
        inward=moves[0],
        outward=moves[1],
        moves_ends=True,
    )
    cpu = Unit(name="cpu", target=f"{device}/cpu/mnn/t{threads}", layer_ms=cpu_ms)
    plan = solve(Problem(layers, (gpu, cpu)), k=MOST_SEGMENTS)
    off = tuple(
        name
        for segment in plan.segments
        if "/cpu/" in segment.target
        for name in plan.op_order[segment.first_op : segment.last_op + 1]
    )
    whole = plan.unpartitioned_ms
    free = float(np.minimum(cpu_ms, gpu_ms).sum())
    return CoExecution(
        model=model,
        device=device,
        cpu_ms=float(cpu_ms.sum()),
        threads=threads,
        gpu_ms=whole,
        plan=plan,
        off_gpu=off,
        free_ms=free,
    )
