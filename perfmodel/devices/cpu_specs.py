"""What a spec sheet tells of a CPU target: the cores that threads occupy, clocks and widths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from perfmodel.errors import ProfileError


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
