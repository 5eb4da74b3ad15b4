"""Profiles from partitioning studies: the GPU of the Exynos 2200, and facts about transfers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from perfmodel.cost_models.interval import COVERAGE, Interval, fit_error
from perfmodel.devices.facts import StorageFact, Traits
from perfmodel.devices.profile import Fact, Provenance, TargetProfile
from perfmodel.target import Target
from validation.partition.exynos import (
    BANDWIDTH_GB_PER_S,
    ONE_NETWORK_LOG,
    PEAK_GFLOPS,
    WEIGHT_LIMIT_BYTES,
    fit_study,
    read_rows,
    roofline_predictor,
)
from validation.partition.transfers import fit_transfers, typical_transfers
from validation.profiles.common import BuiltTarget, DeviceInfo

STUDY = "M. J. Kang, J. Ko, model partitioning on mobile GPUs, Yonsei University, 2024"
EXPERIMENT = (
    "VGG16: equal-layer and equal-parameter splits predicted from the whole, by type, by layer"
)


def build_partition(data: Path) -> list[BuiltTarget]:
    """The Exynos 2200's GPU, fitted to every row of the study.

    The cost of a segment is the overhead of an inference, so that the whole network pays it too.
    """
    first, everything = fit_study(data, on_all=False), fit_study(data, on_all=True)
    measured = np.array([row.latency_ms for row in read_rows(data)])
    log_ratio = np.log(np.array(first.predicted_ms) / measured)[~np.array(first.fitted)]
    p = everything.parameters
    profile = TargetProfile(
        Target("exynos-2200", "gpu", "tflite", "fp32", 0),
        "steady",
        replace(roofline_predictor(p.scale), overhead_ms=round(p.dispatch_ms, 3)),
        Interval(COVERAGE, ONE_NETWORK_LOG, ONE_NETWORK_LOG),
        fit_error(EXPERIMENT, -log_ratio),
        Provenance(
            STUDY,
            len(measured),
            build="TensorFlow Lite GPU delegate, version not stated",
            date="2024",
            note=f"one network; {p.scale:.2f} x roofline; mean error on the rows fitted "
            f"{everything.error:.1%}; whether the delegate computed in fp16 is not stated",
        ),
    )
    return [BuiltTarget(_exynos_info(), profile)]


def _exynos_info() -> DeviceInfo:
    clock = "nanoreview.net exynos-2200: 384 lanes at 1.3 GHz, 2 FLOPs each; other pages differ"
    return DeviceInfo(
        "exynos-2200",
        "Exynos 2200 phone (Xclipse 920)",
        "phone",
        "Exynos 2200",
        2022,
        {
            "gpu_fp32_gflops": Fact(PEAK_GFLOPS, clock),
            "memory_bandwidth_gb_per_s": Fact(BANDWIDTH_GB_PER_S, "LPDDR5, nanoreview.net"),
        },
    )


def partition_traits(data: Path) -> Mapping[str, Traits]:
    """Facts of devices by name: transfers of the measured phones, and all of the Exynos 2200's."""
    fits = fit_transfers(data)
    found = {
        device: Traits(transfers=tuple(f.fact for f in fits if f.device == device))
        for device in sorted({f.device for f in fits})
    }
    p = fit_study(data, on_all=True).parameters
    mechanism = (
        "assumed: a delegate with a weight tensor too large for textures keeps all its weights in "
        "slow storage; the limit lies anywhere from 67 MB (fc7, fast) to 411 MB (fc6, slow)"
    )
    found["exynos-2200"] = Traits(
        typical_transfers(fits),
        storage=(
            StorageFact(
                *("gpu", float(WEIGHT_LIMIT_BYTES), round(p.slowdown, 3)),
                f"{mechanism}; slowdown fitted; {STUDY}",
            ),
        ),
    )
    return found
