"""Phones whose latency is known by construction: every network takes their overhead, no more."""

from __future__ import annotations

import math
from collections.abc import Callable

from perfmodel.cost_models.interval import FitError, Interval
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.target import Target

NOTHING = tuple(-60.0 for _ in FEATURE_NAMES)  # exp(-60) ms of any amount of work
MakePhone = Callable[..., None]


def constant_target(
    device: str, latency_ms: float, where: str = "cpu/ncnn/fp32/t1", factor: float = 1.2
) -> TargetProfile:
    """A target that takes `latency_ms` whatever it runs; p5 and p95 lie a `factor` either way."""
    unit, framework, precision, *threads = where.split("/")
    target = Target(device, unit, framework, precision, int(threads[0][1:]) if threads else 0)
    return TargetProfile(
        target,
        "steady",
        EfficiencyPredictor(log_cost=NOTHING, overhead_ms=latency_ms),
        Interval(0.9, math.log(factor), math.log(factor), 0.0),
        FitError("made by hand", 1, 0.1),
        Provenance("made by hand", 1),
    )
