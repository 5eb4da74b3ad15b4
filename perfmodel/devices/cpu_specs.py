"""What a spec sheet tells of a CPU target: the cores that threads occupy, clocks and speeds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from perfmodel.errors import ProfileError


@dataclass(frozen=True, kw_only=True)
class Core:
    """A microarchitecture.

    `generation` is what designs of like speed share; `rate` its speed a cycle on float networks in
    fp32 beside a Cortex-A53's; `half` and `dot` whether it computes in fp16 and in dot products of
    int8; `wide` whether its vector units gained from later versions of a framework.
    """

    family: str
    generation: str
    rate: float
    half: bool = False
    dot: bool = False

    @property
    def small(self) -> bool:
        """Made to save energy beside larger cores."""
        return self.generation.endswith(("in order", "efficient"))

    @property
    def maker(self) -> str:
        """Whose designs it is like: Apple's are apart from other Arm cores."""
        return "apple" if self.generation.startswith("apple") else self.family

    @property
    def wide(self) -> bool:
        """fp16 arithmetic or AVX: what ncnn learned to use during the years of its table."""
        return self.half or self.family == "x86"


def _cores(
    family: str,
    generation: str,
    rate: float,
    names: str,
    *,
    half: bool = False,
    dot: bool = False,
) -> dict[str, Core]:
    core = Core(family=family, generation=generation, rate=rate, half=half, dot=dot)
    return dict.fromkeys(names.split(), core)


CORES: Mapping[str, Core] = {
    **_cores("arm", "armv7 in order", 0.45, "Cortex-A5 Cortex-A7 ARM11"),
    **_cores("arm", "armv7 out of order", 0.8, "Cortex-A9 Scorpion Krait-200 Krait-300"),
    **_cores("arm", "armv7 out of order", 0.8, "Cortex-A15 Cortex-A17 Krait-400 Krait-450"),
    **_cores("arm", "armv8.0 in order", 1.0, "Cortex-A53 Cortex-A35 FTC310"),
    **_cores(
        "arm", "armv8.2 in order", 1.1, "Cortex-A55 Cortex-A510 Cortex-A520", half=True, dot=True
    ),
    **_cores("arm", "armv8.2 in order", 1.1, "C1-Pro TaiShan-Little", half=True, dot=True),
    **_cores("arm", "armv8.0 out of order", 1.4, "Cortex-A72 Cortex-A73 Denver2 FTC66x Kryo"),
    **_cores("arm", "armv8.0 out of order", 1.4, "Exynos-M1 Exynos-M2"),
    **_cores("arm", "armv8.0 out of order", 1.05, "Cortex-A57"),
    **_cores("arm", "armv8.2 out of order", 2.25, "Cortex-A75 Carmel", half=True),
    **_cores("arm", "armv8.2 out of order", 2.25, "Exynos-M3 Exynos-M4", half=True, dot=True),
    **_cores("arm", "armv8.2 out of order", 3.0, "TSV110", half=True, dot=True),
    **_cores(
        "arm", "armv8.2 out of order", 3.0, "Cortex-A76 Cortex-A77 Cortex-A78", half=True, dot=True
    ),
    **_cores(
        "arm",
        "armv8.2 out of order",
        3.0,
        "Cortex-A710 Cortex-A715 Cortex-A720",
        half=True,
        dot=True,
    ),
    **_cores(
        "arm", "armv8.2 out of order", 3.0, "Cortex-A725 Neoverse-N2 Exynos-M5", half=True, dot=True
    ),
    **_cores(
        "arm",
        "armv8.2 out of order",
        3.0,
        "C1-Premium TaiShan-Large TaiShan-Prime",
        half=True,
        dot=True,
    ),
    **_cores(
        "arm",
        "armv8.2 out of order",
        3.0,
        "TaiShan-V120 Oryon-Gen2-Perf Oryon-Gen3-Perf",
        half=True,
        dot=True,
    ),
    **_cores(
        "arm", "armv8.2 widest", 4.0, "Cortex-X1 Cortex-X2 Cortex-X3 Cortex-X4", half=True, dot=True
    ),
    **_cores("arm", "armv8.2 widest", 4.0, "Cortex-X925 C1-Ultra Oryon", half=True, dot=True),
    **_cores(
        "arm", "armv8.2 widest", 4.0, "Oryon-Gen2-Prime Oryon-Gen3-Prime", half=True, dot=True
    ),
    **_cores("arm", "apple, early", 1.4, "Cyclone Typhoon"),
    **_cores("arm", "apple, early", 2.5, "Twister Hurricane"),
    **_cores("arm", "apple, efficient", 1.1, "Zephyr"),
    **_cores("arm", "apple", 4.0, "Monsoon", half=True),
    **_cores("arm", "apple", 5.0, "Vortex Lightning Firestorm Avalanche", half=True, dot=True),
    **_cores("arm", "apple", 5.0, "Everest A17-P A18-P A19-P", half=True, dot=True),
    **_cores("arm", "apple, efficient", 2.2, "Mistral", half=True),
    **_cores(
        "arm", "apple, efficient", 2.2, "Tempest Thunder Icestorm Blizzard", half=True, dot=True
    ),
    **_cores("arm", "apple, efficient", 2.2, "Sawtooth A17-E A18-E A19-E", half=True, dot=True),
    **_cores("x86", "sse in order", 0.3, "Yonah Intel-Saltwell"),
    **_cores("x86", "sse", 0.6, "Airmont Intel-Airmont Intel-Silvermont Tremont"),
    **_cores("x86", "avx", 1.2, "Zen Gracemont"),
    **_cores("x86", "avx2", 2.4, "Zen2 Zen3 KabyLake CoffeeLake RaptorCove"),
    **_cores("x86", "avx512", 4.8, "Skylake-SP GoldenCove-SP WillowCove Zen5"),
    **_cores("other", "x86 without sse", 0.3, "KnightsCorner"),
    **_cores("other", "loongson, scalar", 0.2, "GS264 GS464E"),
    **_cores("other", "loongson, 128 bit", 0.8, "LA264 LA364 GS464V"),
    **_cores("other", "loongson, 256 bit", 2.4, "LA464 LA664"),
    **_cores("other", "risc-v, scalar", 0.15, "U74 C906"),
    **_cores("other", "risc-v, vectors", 0.8, "C910V X60"),
    **_cores("other", "sunway", 0.6, "SW64"),
}
"""Cores of phones and boards by the names that spec sheets give.

Families and instructions: Arm's and the makers' manuals. Rates: of Arm cores as ncnn_e2e.csv and
networks_phones.csv show them on one thread, a digit each and those never measured like their
nearest kin; of others in proportion to vector width and units. They are where the regression
starts; what it finds of a core is an effect on top (`perfmodel.devices.spec_sheet`)."""

GENERATIONS = (
    *("armv7 in order", "armv8.0 in order", "armv8.2 in order", "apple, efficient"),
    *("armv7 out of order", "apple, early", "armv8.0 out of order", "armv8.2 out of order"),
    *("armv8.2 widest", "apple"),
)
"""Generations of phones' cores, each beside those that it resembles most."""

_CLUSTER = re.compile(r"(\d+)x([A-Za-z0-9-]+)@(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class CpuSheet:
    """What a spec sheet says of the threads of a target: one clock (GHz) and core name each.

    More threads than cores may have been `asked` for; `names` are then all cores.
    """

    names: tuple[str, ...]
    clocks_ghz: tuple[float, ...]
    asked: int

    @property
    def lead(self) -> Core:
        """The core of the first thread."""
        return CORES[self.names[0]]

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """Expected speed of every thread: a cycle's work times GHz."""
        pairs = zip(self.names, self.clocks_ghz, strict=True)
        return tuple(CORES[name].rate * clock for name, clock in pairs)


@lru_cache(maxsize=4096)
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
    names, clocks = (tuple(column) for column in zip(*used, strict=True))
    return CpuSheet(names, clocks, max(1, threads))
