"""A target from its spec sheet: the overall speed by regression, the shape from its kin.

What a sheet tells of a CPU target: the cores that its threads occupy, their clocks and how many
FLOPs a cycle the microarchitecture can do. The scale of known targets is regressed on the peak that
follows; what the regression leaves is shared between targets of the same and of similar cores, and
the costs' shape is borrowed from them as well. Measurements may follow: the sheet is where they
start from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perfmodel.calibration.adapt import Start
from perfmodel.calibration.population import Population
from perfmodel.devices.cpu_specs import CORES, CpuSheet, cpu_sheet
from perfmodel.errors import ProfileError
from perfmodel.target import parse_target


def sheet_features(sheet: CpuSheet) -> np.ndarray:
    """Bias, log of peak GFLOP/s, threads, FLOPs a cycle and clock, and whether out of order."""
    core = CORES[sheet.names[0]]
    values = [1.0, np.log(sheet.peak_gflops), np.log(len(sheet.names)), float(core.out_of_order)]
    return np.array([*values, np.log(core.flops_per_cycle), np.log(sheet.clocks_ghz[0])])


RIDGE = 1.0
SAME_CORE, SAME_FAMILY = 1.0, 0.6
THREAD_SCALE = 1.0
NOISE_SHARE = 0.3
"""Ridge of the regression, kinship of targets of the same core and family, how fast it falls with
the number of threads, and noise against kinship: chosen on the CPU targets of ncnn_e2e.csv, a tenth
of the devices left out at a time."""


def kinship(a: CpuSheet, b: CpuSheet) -> float:
    """0 to 1: how much two targets have in common that the regression does not say."""
    if a.names[0] == b.names[0]:
        core = SAME_CORE
    else:
        same = CORES[a.names[0]].family == CORES[b.names[0]].family
        core = SAME_FAMILY if same else 0.0
    threads = np.log(len(a.names)) - np.log(len(b.names))
    return core * float(np.exp(-0.5 * (threads / THREAD_SCALE) ** 2))


def sheets_of(population: Population) -> list[CpuSheet | None]:
    """The spec sheet of every target of a population, None where its cores are not known."""
    found: list[CpuSheet | None] = []
    for name, cores in zip(population.names, population.cores, strict=True):
        query = parse_target(name.partition(" ")[0])
        sheet = cpu_sheet(cores, query.threads, query.cluster) if cores else None
        found.append(sheet)
    return found


def start_from_sheet(
    sheet: CpuSheet, known: Population, sheets: Sequence[CpuSheet | None]
) -> Start:
    """What a sheet tells before any measurement; `sheets` are those of the population's targets.

    Targets without a sheet (None) teach nothing here. Raises `ProfileError` if none has one.
    """
    have = [i for i, s in enumerate(sheets) if s is not None]
    if not have:
        raise ProfileError(
            "no known target has a spec sheet to compare with",
            "measure one network, or name a known device with --like",
        )
    theirs = [s for s in sheets if s is not None]
    features = np.array([sheet_features(s) for s in theirs])
    penalty = RIDGE * np.diag([0.0, *np.ones(features.shape[1] - 1)])
    scales = known.log_ms[have].mean(axis=1)
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
    return Start(weights=weights / weights.sum(), log_scale=scale, scale_sd=float(spread))
