"""Boards and precisions that nobody timed by TensorRT: by measured ones of the same kind.

A board of the same kind of chip takes as much longer for a kernel as the sheet's arithmetic (for
work that is arithmetic) or its memory (for the rest) is slower. A board that was timed in half
precision alone takes in integers what boards save that were timed in both. The measured target's
errors stand for it, widened as for one that nothing was left out of (`published.UNTESTED_FACTOR`);
networks that were measured there are as unsure as data sheets are (`BY_SHEETS_LOG`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perfmodel.cost_models.work_features import ALL_FEATURES
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.devices.gpu_sheets import sheets_by_device
from perfmodel.devices.gpu_specs import GpuSpec
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.target import Target
from validation.profiles.common import BuiltTarget, DeviceInfo

TWINS = {
    "jetson-xavier-nx": ("jetson-agx-xavier", "NVIDIA Jetson Xavier NX"),
    "jetson-orin-nano": ("jetson-orin-nano-super", "NVIDIA Jetson Orin Nano"),
    "jetson-orin-nx": ("jetson-orin-nano-super", "NVIDIA Jetson Orin NX"),
}
"""Board by board: the measured one with the same kind of chip, and the title."""

IN_INTEGERS = "jetson-agx-xavier"
"""The board whose tensor cores run integers too and that was timed in half precision alone."""

FRAMEWORK = "tensorrt"

BY_SHEETS_LOG = 0.28
"""Half width in log units of a network that was measured on the other board: between AGX Orin and
Orin Nano Super, either way in three precisions, 90 % of 30 networks lie within it (median 0.17),
and 14 times in int8 by what other boards save within 0.18."""


def sheet_twins(built: Sequence[BuiltTarget], widened: float) -> list[BuiltTarget]:
    """Integers on the board that lacks them, then a target of each board for each of its twin."""
    known = [t for t in built if t.profile.target.framework == FRAMEWORK]
    sheets, made = sheets_by_device(), in_integers(known, widened)
    known = [*known, *made]
    for device, (measured, title) in TWINS.items():
        for other, model in _by_costs(known):
            target = other.profile.target
            if target.device == measured:
                by_part = _slower(sheets[measured], sheets[device], target.precision)
                slower = np.array([by_part[f.part] for f in ALL_FEATURES[: len(model.log_cost)]])
                named = replace(target, device=device)
                words = f"data sheets of {device} and {measured}, which was measured"
                profile = _of_kin(other.profile, named, model, slower, widened, words)
                made.append(BuiltTarget(DeviceInfo(device, title, "jetson"), profile, other.rank))
    return made


def in_integers(built: Sequence[BuiltTarget], widened: float) -> list[BuiltTarget]:
    """int8 on `IN_INTEGERS` by what it saves on devices that were timed in int8 and fp16."""
    by_costs = _by_costs(built)
    costs = {
        (t.profile.target.device, t.profile.target.precision): np.array(model.log_cost)
        for t, model in by_costs
    }
    both = sorted(d for d, precision in costs if precision == "int8" and (d, "fp16") in costs)
    found = []
    for other, model in by_costs:
        target = other.profile.target
        if (target.device, target.precision) != (IN_INTEGERS, "fp16") or not both:
            continue
        saved = np.mean([costs[d, "int8"] - costs[d, "fp16"] for d in both], axis=0)
        words = (
            f"half precision there, which was measured, and what int8 saves on {', '.join(both)}"
        )
        named = replace(target, precision="int8")
        profile = _of_kin(
            other.profile, named, replace(model, precision="int8"), saved, widened, words
        )
        found.append(BuiltTarget(other.info, profile, other.rank))
    return found


def _by_costs(built: Sequence[BuiltTarget]) -> list[tuple[BuiltTarget, EfficiencyPredictor]]:
    """The targets that are predicted by costs for each kind of work, and their models."""
    models = ((t, t.profile.predictor) for t in built)
    return [(t, model) for t, model in models if isinstance(model, EfficiencyPredictor)]


def _slower(known: GpuSpec, asked: GpuSpec, precision: str) -> dict[str, float]:
    """How much longer each part of a time takes on the board that is asked for, in logs."""
    return {
        "compute": np.log(known.peak_gflops(precision) / asked.peak_gflops(precision)),
        "memory": np.log(known.bandwidth_gb_per_s / asked.bandwidth_gb_per_s),
        "overhead": 0.0,
    }


def _of_kin(
    known: TargetProfile,
    target: Target,
    model: EfficiencyPredictor,
    more_log: np.ndarray,
    widened: float,
    words: str,
) -> TargetProfile:
    """A target whose costs are those of a measured one and `more_log`, and whose networks miss
    them as there."""
    costs = tuple(float(c) for c in np.array(model.log_cost) + more_log)
    assert model.strange is not None
    # of what nothing was left out the widths are that wide already
    wide = widened if known.error.cases else 1.0
    width = round(known.interval.high_log + BY_SHEETS_LOG, 4)
    strange = replace(model.strange.times(wide), known_log=width)
    return replace(
        known,
        target=target,
        model=replace(model, log_cost=costs, strange=strange),
        interval=replace(known.interval, low_log=width, high_log=width),
        error=replace(known.error, cases=0),
        provenance=Provenance(
            f"{words}: {known.provenance.source}"[:1900],
            0,
            note="nobody publishes steady times of it",
        ),
    )
