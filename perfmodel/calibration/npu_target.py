"""An NPU target of a measurement table: what it borrows from the measured NPUs that ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from perfmodel.calibration.measured import TargetRows, rules_of
from perfmodel.calibration.npu import NpuPopulation, npu_precision
from perfmodel.calibration.npu_adapt import adapt_npu
from perfmodel.calibration.npu_new_chip import width_from
from perfmodel.calibration.npu_population import shipped_npus
from perfmodel.calibration.npu_predictors import predictor_of
from perfmodel.cost_models.interval import (
    NOVELTY_SLOPE,
    expected_error,
    expected_interval,
    fit_error,
)
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.kernels.fusion_rules import fusion_rules

FEWEST_LEFT_OUT = 3
"""Measured networks from which on what each leaves when it is left out is a target's own error."""


@dataclass(frozen=True)
class CalibratedTarget:
    """One target of a new profile, what it borrowed and why."""

    profile: TargetProfile
    borrowed_from: str
    reason: str
    networks: int
    kernels: int
    evidence: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def is_npu(group: TargetRows, like: str = "") -> bool:
    """Whether a target's networks are to be compared with measured NPUs.

    It runs as their compiler does, no single kernel was timed, and no other device was named.
    """
    npu = group.target.unit == "npu" and group.kernels is None and not like
    return npu and fusion_rules(rules_of(group.target)) == fusion_rules("qnn")


def npu_target(group: TargetRows, population: NpuPopulation | None = None) -> CalibratedTarget:
    """The fitted target; `population` is what ships if left out."""
    known = population or shipped_npus()
    precision = npu_precision(group.target.precision)
    made = adapt_npu(known, group.measured, precision, group.target.framework)
    expected = width_from(known.new_widths, len(group.measured))
    tested = len(group.measured) >= FEWEST_LEFT_OUT
    left = made.left_out if tested else np.zeros(0)
    best = int(np.argmax(made.weights))
    source = known.names[best]
    share = f"{100 * made.weights[best]:.0f} %"
    profile = TargetProfile(
        group.target,
        group.latency_kind,
        predictor_of(known, precision, made.log_cost, made.log_ms, group.measured),
        expected_interval(left, expected, NOVELTY_SLOPE),
        fit_error("each network left out in turn", left)
        if tested
        else expected_error("too few networks to leave any out", expected),
        origin(group, len(group.measured), f"borrowed from {source}"),
    )
    reason = f"of measured NPUs it is the most alike, with {share} of the weight"
    return CalibratedTarget(profile, source, reason, len(group.measured), 0, group.evidence)


def origin(group: TargetRows, count: int, note: str) -> Provenance:
    """Where a target's measurements come from."""
    cores = f"{group.target.cluster} cores" if group.target.cluster else ""
    step = group.resolution_ms
    coarse = f"times in steps of {step:g} ms" if step >= 0.1 else ""
    words = "; ".join(w for w in (note, coarse) if w)
    return Provenance(group.source, count, group.build, cores, note=words)
