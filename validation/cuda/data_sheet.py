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
from perfmodel.devices.gpu_specs import GPU_SPECS, GpuSpec
from perfmodel.errors import TargetError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.runners.cuda import tables
from perfmodel.runners.cuda.backends import MODES, Mode
from perfmodel.runners.cuda.campaign_state import STUDY, device_slug, with_batch
from perfmodel.runners.cuda.plan import plan_graph
from perfmodel.runners.cuda.steps import GpuPlan, GpuStep

BATCHES = (1, 8, 32)
GIGA = 1e9


STUDIED = (
    *("NVIDIA H200", "NVIDIA TITAN V", "Jetson TX2", "Jetson Nano", "Jetson AGX Xavier"),
    *("Jetson AGX Orin", "Tesla V100-PCIE-32GB"),
)
"""Cards of the study, as perfmodel/devices/gpu_specs.csv names them."""

SPECS: Mapping[str, GpuSpec] = MappingProxyType({device_slug(n): GPU_SPECS[n] for n in STUDIED})
"""Their data sheets by the device's name in targets."""


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
    peak = spec.peak_gflops(mode.precision)
    return peak * GIGA, spec.tensor_cores and peak > spec.fp32_gflops


def predictor(spec: GpuSpec, mode: Mode, assume: Assumptions | None = None) -> RooflinePredictor:
    """The data sheet as a predictor of one mode."""
    assume = assume or Assumptions()
    peak, tensor = peak_flops(spec, mode)
    library = mode.framework != "vanilla"
    return RooflinePredictor(
        multiprocessors=spec.multiprocessors,
        fp32_flops_per_s=spec.fp32_gflops * GIGA,
        matrix_flops_per_s=peak,
        bandwidth_bytes_per_s=spec.bandwidth_gb_per_s * GIGA,
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


def step_seconds(
    step: GpuStep, spec: GpuSpec, mode: Mode, assume: Assumptions | None = None
) -> float:
    """Time of one kernel."""
    return _seconds([step], spec, mode, assume)


def _seconds(
    steps: Sequence[GpuStep], spec: GpuSpec, mode: Mode, assume: Assumptions | None
) -> float:
    kernels = KernelTable.from_kernels(s.kernel for s in steps)
    return float(predictor(spec, mode, assume).parts_ms(kernels).sum()) / 1e3


def plan_seconds(
    plan: GpuPlan, spec: GpuSpec, mode: Mode, assume: Assumptions | None = None
) -> float:
    """Time of a whole network: the sum of its kernels."""
    return _seconds(plan.steps, spec, mode, assume)


def gpu_spec(name: str) -> GpuSpec:
    """A GPU of `SPECS`, or any other whose data sheet is known, by the device's name in targets;
    raises `TargetError` with the names of the study."""
    others = {device_slug(full): spec for full, spec in GPU_SPECS.items()}
    if name not in SPECS and name not in others:
        raise TargetError(f"no data sheet for {name!r}", f"known: {', '.join(SPECS)} and others")
    return SPECS[name] if name in SPECS else others[name]


def spec_as_written(device: str, spec: GpuSpec) -> dict[str, Any]:
    """The data sheet as the prediction files hold it, in FLOP/s and bytes/s."""
    return {
        "name": device,
        "multiprocessors": spec.multiprocessors,
        "fp32_flops_per_s": spec.fp32_gflops * GIGA,
        "tf32_flops_per_s": spec.tf32_gflops * GIGA,
        "fp16_flops_per_s": spec.fp16_gflops * GIGA,
        "tensor_cores": spec.tensor_cores,
        "bandwidth_bytes_per_s": spec.bandwidth_gb_per_s * GIGA,
        "source": spec.source,
    }


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
        "spec": spec_as_written(device, spec),
        "assumptions": asdict(assume),
        "predictions": rows,
    }
