"""A GPU from its data sheet alone: what a kernel should take, before anything is measured.

Roofline with wave quantisation (Williams et al. 2009; tiles as in cuBLAS): the larger of arithmetic
and memory time plus a fixed cost per kernel. Its few constants are typical of cuDNN on other GPUs
(published DeepBench and NeuSight rows, see `docs/cudnn-study.md`), none comes from the GPU
predicted. This is the baseline that a fitted profile must beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from perfmodel import zoo
from perfmodel.cost_models.roofline import RooflinePredictor
from perfmodel.errors import TargetError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.runners.cuda import tables
from perfmodel.runners.cuda.backends import MODES, Mode
from perfmodel.runners.cuda.campaign_state import STUDY, with_batch
from perfmodel.runners.cuda.plan import plan_graph
from perfmodel.runners.cuda.steps import Plan, Step

BATCHES = (1, 8, 32)


@dataclass(frozen=True)
class GpuSpec:
    """Data sheet: peaks in FLOP/s of dense arithmetic, bandwidth in bytes/s; `source` names it.

    A peak of 0 means that the GPU has no such unit: fp32 units then do the work.
    """

    name: str
    multiprocessors: int
    fp32_flops_per_s: float
    tf32_flops_per_s: float
    fp16_flops_per_s: float
    tensor_cores: bool
    bandwidth_bytes_per_s: float
    source: str


SPECS: Mapping[str, GpuSpec] = MappingProxyType(
    {
        s.name: s
        for s in (
            GpuSpec(
                "h200", 132, 66.9e12, 494.7e12, 989.4e12, True, 4.8e12,
                "NVIDIA H200 data sheet (SXM, dense); 132 SMs and 1980 MHz as the H100 SXM row "
                "of gpu_specs.csv",
            ),
            GpuSpec(
                "titan-v", 80, 14.9e12, 0.0, 119.2e12, True, 652.8e9,
                "NVIDIA TITAN V: 5120 cores, 640 tensor cores, 1455 MHz boost, 653 GB/s",
            ),
            GpuSpec(
                "jetson-tx2", 2, 0.665e12, 0.0, 1.33e12, False, 59.7e9,
                "NVIDIA Jetson TX2 module data sheet: 256 Pascal cores at 1.30 GHz, fp16 at twice "
                "the fp32 rate, 128-bit LPDDR4 59.7 GB/s",
            ),
            GpuSpec(
                "jetson-nano", 1, 0.236e12, 0.0, 0.472e12, False, 25.6e9,
                "NVIDIA Jetson Nano module data sheet: 128 Maxwell cores at 921.6 MHz, 25.6 GB/s",
            ),
            GpuSpec(
                "jetson-agx-xavier", 8, 1.41e12, 0.0, 11.3e12, True, 136.5e9,
                "NVIDIA Jetson AGX Xavier data sheet: 512 Volta cores and 64 tensor cores at "
                "1377 MHz, 136.5 GB/s",
            ),
            GpuSpec(
                "jetson-agx-orin", 16, 5.32e12, 21.3e12, 42.5e12, True, 204.8e9,
                "NVIDIA Jetson AGX Orin 64GB data sheet: 2048 Ampere cores at 1.3 GHz, 85 dense "
                "INT8 TOPS on its tensor cores (half of that in fp16, a quarter in tf32), "
                "204.8 GB/s",
            ),
            GpuSpec(
                "tesla-v100-pcie-32gb", 80, 14.03e12, 0.0, 112.0e12, True, 900e9,
                "gpu_specs.csv; tensor cores 112 TFLOP/s by the V100 PCIe data sheet",
            ),
        )
    }
)  # fmt: skip
"""GPUs of the study. Constants of another GPU: add a row with its source."""


@dataclass(frozen=True)
class Assumptions:
    """What share of its peaks a library reaches, and what a kernel costs before it works.

    `tensor_share` is of a tensor-core peak; `winograd` the factor by which 3x3 stride-1 fp32
    convolutions beat their direct count; `vanilla_share` the share of the fp32 peak that one
    multiply-add per two shared-memory loads leaves.
    """

    fp32_share: float = 0.7
    tensor_share: float = 0.5
    memory_share: float = 0.75
    winograd: float = 1.6
    vanilla_share: float = 0.045
    kernel_s: float = 3.0e-6
    most_split: int = 4


def peak_flops(spec: GpuSpec, mode: Mode) -> tuple[float, bool]:
    """(peak FLOP/s, whether tensor cores give it) of a mode's products."""
    if mode.precision == "fp16" and spec.fp16_flops_per_s:
        return spec.fp16_flops_per_s, spec.tensor_cores
    if mode.precision == "tf32" and spec.tf32_flops_per_s:
        return spec.tf32_flops_per_s, True
    return spec.fp32_flops_per_s, False


def predictor(spec: GpuSpec, mode: Mode, assume: Assumptions | None = None) -> RooflinePredictor:
    """The data sheet as a predictor of one mode."""
    assume = assume or Assumptions()
    peak, tensor = peak_flops(spec, mode)
    library = mode.framework != "vanilla"
    return RooflinePredictor(
        multiprocessors=spec.multiprocessors,
        fp32_flops_per_s=spec.fp32_flops_per_s,
        matrix_flops_per_s=peak,
        bandwidth_bytes_per_s=spec.bandwidth_bytes_per_s,
        element_bytes=mode.variant.dtype.itemsize,
        dense_share=assume.tensor_share if tensor else assume.fp32_share,
        # depthwise and element-wise work: no matrix product, ordinary cores
        plain_share=assume.fp32_share * 0.5 if library else assume.vanilla_share,
        memory_share=assume.memory_share,
        winograd=1.0 if tensor else assume.winograd,
        kernel_s=assume.kernel_s,
        most_split=assume.most_split,
        tensor=tensor,
        library=library,
    )


def step_seconds(step: Step, spec: GpuSpec, mode: Mode, assume: Assumptions | None = None) -> float:
    """Time of one kernel."""
    return _seconds([step], spec, mode, assume)


def _seconds(steps: Sequence[Step], spec: GpuSpec, mode: Mode, assume: Assumptions | None) -> float:
    kernels = KernelTable.from_kernels(s.kernel for s in steps)
    return float(predictor(spec, mode, assume).parts_ms(kernels).sum()) / 1e3


def plan_seconds(plan: Plan, spec: GpuSpec, mode: Mode, assume: Assumptions | None = None) -> float:
    """Time of a whole network: the sum of its kernels."""
    return _seconds(plan.steps, spec, mode, assume)


def gpu_spec(name: str) -> GpuSpec:
    """A GPU of `SPECS`; raises `TargetError` with the known names."""
    if name not in SPECS:
        raise TargetError(f"no data sheet for {name!r}", f"known: {', '.join(SPECS)}")
    return SPECS[name]


def spec_prediction(
    device: str, networks: Sequence[str] = STUDY, batches: Sequence[int] = BATCHES
) -> dict[str, Any]:
    """Latency in ms of every network, batch and mode from the data sheet alone, as plain data."""
    spec, assume = gpu_spec(device), Assumptions()
    rows = []
    for name in networks:
        for batch in batches:
            graph = zoo.build(with_batch(name, batch))
            for mode in MODES.values():
                plan = plan_graph(graph, mode.framework)
                latency_ms = plan_seconds(plan, spec, mode, assume) * 1e3
                rows.append(
                    {
                        "model": name,
                        "batch": batch,
                        "target": mode.name,
                        "latency_ms": tables.significant(latency_ms),
                    }
                )
    return {
        "format": 1,
        "method": "data sheet only: roofline with wave quantisation, validation/cuda/data_sheet.py",
        "spec": asdict(spec),
        "assumptions": asdict(assume),
        "predictions": rows,
    }
