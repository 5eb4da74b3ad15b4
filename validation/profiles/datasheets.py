"""Profiles of GPUs of which nothing was measured here: plain CUDA and cuDNN from data sheets.

Their error is that of the same model, from data sheets alone, on published Jetson TensorRT rows:
wide, and said so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perfmodel.cost_models.interval import borrowed_interval, fit_error
from perfmodel.devices.gpu_specs import GpuSpec
from perfmodel.devices.profile import Fact, Provenance, TargetProfile
from perfmodel.measurements.device_names import device_called
from perfmodel.runners.cuda.backends import MODES
from perfmodel.target import Target
from validation.cuda.data_sheet import SPECS, predictor
from validation.cuda.tables import published_jetson_rows
from validation.profiles.common import BuiltTarget, DeviceInfo

EXPERIMENT = "data sheet alone, on published Jetson TensorRT rows"
_MODE_RANK = ("cudnn/fp32", "cudnn/tf32", "cudnn/fp16", "vanilla/fp32")

_TITLES = {
    "h200": ("NVIDIA H200", "server"),
    "titan-v": ("NVIDIA TITAN V", "desktop"),
    "jetson-tx2": ("NVIDIA Jetson TX2", "jetson"),
    "jetson-nano": ("NVIDIA Jetson Nano", "jetson"),
    "jetson-agx-xavier": ("NVIDIA Jetson AGX Xavier", "jetson"),
    "jetson-agx-orin": ("NVIDIA Jetson AGX Orin", "jetson"),
    "tesla-v100": ("NVIDIA Tesla V100 PCIe 32 GB", "server"),
}


def build_datasheets(data: Path) -> list[BuiltTarget]:
    """Targets vanilla/fp32, cudnn/fp32, cudnn/fp16 (and tf32) of every GPU with a data sheet."""
    # the table's ratio is predicted / measured
    log_ratio = -np.log([float(row["ratio"]) for row in published_jetson_rows(data)])
    error, interval = fit_error(EXPERIMENT, log_ratio), borrowed_interval(log_ratio, log_ratio)
    built = []
    for study_name, spec in SPECS.items():
        device = device_called(study_name)
        title, kind = _TITLES[device]
        info = DeviceInfo(device, title, kind, hardware=_facts(spec))
        for rank, name in enumerate(_MODE_RANK):
            mode = MODES[name]
            if mode.precision == "tf32" and not spec.tf32_gflops:
                continue
            target = Target(device, "gpu", mode.framework, mode.precision)
            provenance = Provenance(
                f"data sheet, nothing measured: {spec.source}",
                0,
                note="the whole CUDA study awaits a GPU: see docs/cudnn-study.md",
            )
            profile = TargetProfile(
                target, "steady", predictor(spec, mode), interval, error, provenance
            )
            built.append(BuiltTarget(info, profile, (rank,)))
    return built


def _facts(spec: GpuSpec) -> dict[str, Fact]:
    values = {
        "gpu_multiprocessors": spec.multiprocessors,
        "gpu_fp32_gflops": spec.fp32_gflops,
        "gpu_fp16_gflops": spec.fp16_gflops,
        "gpu_memory_gb_per_s": spec.bandwidth_gb_per_s,
    }
    return {k: Fact(round(float(v), 3), spec.source) for k, v in values.items()}
