"""A target from its spec sheet alone: the overall speed by regression, the shape from its kin.

What a sheet tells of a CPU target: the cores that its threads occupy, their clocks and how many
FLOPs a cycle the microarchitecture can do. The scale of known targets is regressed on the peak that
follows; what the regression leaves is shared between targets of the same and of similar cores, and
the costs' shape is borrowed from them as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perfmodel.calibration.adapt import Prior
from perfmodel.calibration.population import Population
from perfmodel.devices.cpu_specs import CORES, CpuSheet
from perfmodel.errors import ProfileError


def sheet_features(sheet: CpuSheet) -> np.ndarray:
    """Bias, log of peak GFLOP/s, threads, FLOPs a cycle and clock, and whether out of order."""
    core = CORES[sheet.names[0]]
    values = [1.0, np.log(sheet.peak_gflops), np.log(len(sheet.names)), float(core.out_of_order)]
    return np.array([*values, np.log(core.flops_per_cycle), np.log(sheet.clocks_ghz[0])])


RIDGE = 1.0
SAME_CORE, SAME_FAMILY = 1.0, 0.6
THREAD_SCALE = 1.0
NOISE_SHARE = 0.3


def kinship(a: CpuSheet, b: CpuSheet) -> float:
    """0 to 1: how much two targets have in common that the regression does not say."""
    if a.names[0] == b.names[0]:
        core = SAME_CORE
    else:
        same = CORES[a.names[0]].family == CORES[b.names[0]].family
        core = SAME_FAMILY if same else 0.0
    threads = np.log(len(a.names)) - np.log(len(b.names))
    return core * float(np.exp(-0.5 * (threads / THREAD_SCALE) ** 2))


def prior_from_sheet(
    sheet: CpuSheet, known: Population, sheets: Sequence[CpuSheet | None]
) -> Prior:
    """The prior of a target with this sheet; `sheets` are those of the population's targets.

    Targets without a sheet (None) teach nothing here. Raises `ProfileError` if none has one.
    """
    have = [i for i, s in enumerate(sheets) if s is not None]
    if not have:
        raise ProfileError("no known target has a spec sheet to compare with")
    theirs = [s for s in sheets if s is not None]
    features = np.array([sheet_features(s) for s in theirs])
    penalty = RIDGE * np.diag([0.0, *np.ones(features.shape[1] - 1)])
    scales = known.scales[have]
    solved = np.linalg.solve(features.T @ features + penalty, features.T @ scales)
    left = scales - features @ solved
    alike = np.array([[kinship(a, b) for b in theirs] for a in theirs])
    mine = np.array([kinship(sheet, b) for b in theirs])
    system = alike + NOISE_SHARE * np.eye(len(theirs))
    shared = np.linalg.solve(system, mine)
    scale = float(sheet_features(sheet) @ solved + shared @ left)
    spread = float(np.std(left)) * np.sqrt(max(1.0 + NOISE_SHARE - shared @ mine, NOISE_SHARE))
    weights = np.full(len(known.names), 1e-3)
    weights[have] += mine
    return known.prior(weights / weights.sum()).with_scale(scale, spread)
