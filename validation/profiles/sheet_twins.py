"""Boards of which only camera demos were timed: a measured board of the same chip, by data sheets.

A kernel takes as much longer as the sheet's arithmetic (for work that is arithmetic) or its memory
(for the rest) is slower. The measured board's errors stand for it, widened as for a target that
nothing was left out of (`published.UNTESTED_FACTOR`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perfmodel.calibration.learn_kernels import sheets_by_device
from perfmodel.cost_models.work_features import FEATURE_PARTS
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.devices.gpu_specs import GpuSpec
from perfmodel.devices.profile import Provenance, TargetProfile
from validation.profiles.common import BuiltTarget, DeviceInfo

TWINS = {"jetson-xavier-nx": ("jetson-agx-xavier", "NVIDIA Jetson Xavier NX", "jetson")}
"""Board by board: the measured one with the same kind of chip, title and kind."""

FRAMEWORK = "tensorrt"


def sheet_twins(built: Sequence[BuiltTarget], widened: float) -> list[BuiltTarget]:
    """A target of each board for each whole-network target of its measured twin."""
    sheets, made = sheets_by_device(), []
    for device, (measured, title, kind) in TWINS.items():
        for other in built:
            target, model = other.profile.target, other.profile.predictor
            alike = (target.device, target.framework) == (measured, FRAMEWORK)
            if alike and isinstance(model, EfficiencyPredictor):
                slower = _slower(sheets[measured], sheets[device], target.precision)
                costs = tuple(float(c) for c in np.array(model.log_cost) + slower)
                profile = _of_sheet(other.profile, device, replace(model, log_cost=costs), widened)
                made.append(BuiltTarget(DeviceInfo(device, title, kind), profile, other.rank))
    return made


def _slower(known: GpuSpec, asked: GpuSpec, precision: str) -> np.ndarray:
    """How much longer each kind of work takes on the board that is asked for, in logs."""
    by_part = {
        "compute": np.log(known.peak_gflops(precision) / asked.peak_gflops(precision)),
        "memory": np.log(known.bandwidth_gb_per_s / asked.bandwidth_gb_per_s),
        "overhead": 0.0,
    }
    return np.array([by_part[part] for part in FEATURE_PARTS])


def _of_sheet(
    known: TargetProfile, device: str, model: EfficiencyPredictor, widened: float
) -> TargetProfile:
    interval = known.interval
    return replace(
        known,
        target=replace(known.target, device=device),
        model=model,
        interval=replace(
            interval, low_log=widened * interval.low_log, high_log=widened * interval.high_log
        ),
        error=replace(known.error, cases=0),
        provenance=Provenance(
            f"data sheets of {device} and {known.target.device}, which was measured: "
            f"{known.provenance.source}"[:1900],
            0,
            note="only frame rates of camera demos are published of this board",
        ),
    )
