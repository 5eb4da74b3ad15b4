"""A target from its spec sheet alone: the overall speed by regression, the shape from its kin.

What a sheet tells of a CPU target: the cores that its threads occupy, their clocks and how many
FLOPs a cycle the microarchitecture can do. The scale of known targets is regressed on the peak that
follows; what the regression leaves is shared between targets of the same and of similar cores, and
the costs' shape is borrowed from them as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.errors import ProfileError
from perfmodel.profile.joint_adapt import Prior
from perfmodel.profile.joint_prior import Population


@dataclass(frozen=True)
class Core:
    """A microarchitecture: fp32 FLOPs a cycle (a fused multiply-add is 2), out of order or not."""

    family: str
    flops_per_cycle: float
    out_of_order: bool


def _cores(family: str, flops_per_cycle: float, out_of_order: bool, names: str) -> dict[str, Core]:
    core = Core(family, flops_per_cycle, out_of_order)
    return dict.fromkeys(names.split(), core)


CORES: Mapping[str, Core] = {
    **_cores("arm-v7", 2, False, "Cortex-A5 Cortex-A7"),
    **_cores("arm-v7", 4, True, "Cortex-A9"),
    **_cores("arm-v7", 8, True, "Cortex-A17"),
    **_cores("arm-v8", 8, False, "Cortex-A53 FTC310"),
    **_cores("arm-v8.2", 16, False, "Cortex-A55 Cortex-A510 Cortex-A520"),
    **_cores("arm-v8", 8, True, "Cortex-A57 Cortex-A72 Cortex-A73 Denver2 FTC66x Kryo Cyclone"),
    **_cores("arm-v8.2", 16, True, "TSV110"),
    **_cores("arm-v8.2", 32, True, "Cortex-A76 Cortex-A78 Cortex-A715 Cortex-A720 Carmel"),
    **_cores("arm-v8.2", 64, True, "Cortex-X1 Cortex-X3 Firestorm Oryon"),
    **_cores("arm-v8.2", 32, True, "Icestorm"),
    **_cores("x86-sse", 4, False, "Airmont Yonah"),
    **_cores("x86-sse", 8, True, "Tremont"),
    **_cores("x86-avx2", 16, True, "Zen Gracemont"),
    **_cores("x86-avx2", 32, True, "Zen2 Zen3 KabyLake CoffeeLake RaptorCove"),
    **_cores("x86-avx512", 64, True, "Skylake-SP GoldenCove-SP WillowCove Zen5"),
    **_cores("x86-none", 4, False, "KnightsCorner"),
    **_cores("loongson", 2, False, "GS264"),
    **_cores("loongson", 8, False, "LA264 LA364"),
    **_cores("loongson", 4, True, "GS464E"),
    **_cores("loongson", 16, True, "GS464V"),
    **_cores("loongson", 32, True, "LA464 LA664"),
    **_cores("risc-v", 2, False, "U74 C906"),
    **_cores("risc-v", 8, True, "C910V"),
    **_cores("risc-v", 16, False, "X60"),
    **_cores("sunway", 8, True, "SW64"),
}
"""Vector width x units x 2 of the arithmetic that ncnn uses, half precision where the core has it:
Arm software optimisation guides, Agner Fog's microarchitecture manual, vendors' announcements."""

_CLUSTER = re.compile(r"(\d+)x([A-Za-z0-9-]+)@(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class CpuSheet:
    """What a spec sheet says of the threads of a target: one clock (GHz) and core name each."""

    names: tuple[str, ...]
    clocks_ghz: tuple[float, ...]

    @property
    def peak_gflops(self) -> float:
        """Peak of all occupied cores."""
        pairs = zip(self.names, self.clocks_ghz, strict=True)
        return sum(CORES[n].flops_per_cycle * c for n, c in pairs)


def cpu_sheet(cores: str, threads: int, cluster: str) -> CpuSheet:
    """Cores that `threads` threads occupy of a chip written "4xCortex-A76@2.4+4xCortex-A55@1.8".

    Clusters stand from big to little; `cluster` big starts with the first, little with the last,
    all with the first. More threads than cores share them. Raises `ProfileError`.
    """
    found = [_CLUSTER.fullmatch(part) for part in cores.split("+")]
    if not all(found):
        raise ProfileError(f"cores {cores!r}: write them as 4xCortex-A76@2.4+4xCortex-A55@1.8")
    groups = [(int(m[1]), m[2], float(m[3])) for m in found if m]
    unknown = [name for _, name, _ in groups if name not in CORES]
    if unknown:
        raise ProfileError(f"core {unknown[0]!r} is not known", f"known: {', '.join(CORES)}")
    if cluster == "little":
        groups = groups[::-1]
    each = [(name, clock) for count, name, clock in groups for _ in range(count)]
    used = each[: max(1, threads)]
    return CpuSheet(tuple(n for n, _ in used), tuple(c for _, c in used))


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
