"""Families of phones' GPUs: which designs are of a kind, and which of them can compute at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, kw_only=True)
class GpuFamily:
    """Designs that are alike. `vulkan` and `opencl`: whether drivers offer what ncnn (Vulkan 1.0
    with 32 bit storage) and TFLite or MNN (OpenCL, OpenGL ES 3.1 or Metal) compute with."""

    name: str
    maker: str
    vulkan: bool = True
    opencl: bool = True


_FAMILIES: tuple[tuple[str, GpuFamily], ...] = (
    (r"adreno [23]\d\d", GpuFamily(name="adreno 3", maker="adreno", vulkan=False, opencl=False)),
    (r"adreno 4\d\d", GpuFamily(name="adreno 4", maker="adreno")),
    (r"adreno 5\d\d", GpuFamily(name="adreno 5", maker="adreno")),
    (r"adreno 6\d\d", GpuFamily(name="adreno 6", maker="adreno")),
    (r"adreno [78x]\d*", GpuFamily(name="adreno 7", maker="adreno")),
    (r"mali-4[0-9]0", GpuFamily(name="utgard", maker="mali", vulkan=False, opencl=False)),
    (r"mali-t", GpuFamily(name="midgard", maker="mali")),
    (r"mali-g(3[12]|5[12]|7[126])\b", GpuFamily(name="bifrost", maker="mali")),
    (r"(mali|immortalis)-g", GpuFamily(name="valhall", maker="mali")),
    (r"maleoon", GpuFamily(name="maleoon", maker="maleoon")),
    (r"xclipse", GpuFamily(name="xclipse", maker="xclipse")),
    (r"apple", GpuFamily(name="apple", maker="apple")),
    (r"sgx", GpuFamily(name="sgx", maker="powervr", vulkan=False, opencl=False)),
    (r"(powervr|g[tx]?6\d|gt7|ge8|gm9|bx[em]|dxt)", GpuFamily(name="powervr", maker="powervr")),
    (r"(tegra|nvidia)", GpuFamily(name="nvidia", maker="nvidia")),
    (r"videocore iv", GpuFamily(name="videocore 4", maker="videocore", vulkan=False, opencl=False)),
    (r"(v3d|videocore)", GpuFamily(name="videocore", maker="videocore")),
)
"""Names as socs.csv and drivers print them (small letters); the first that fits. What drivers offer
is general knowledge: Adreno 3xx and Mali-4xx have OpenGL ES 3.0 at most and no Vulkan."""


def gpu_family(name: str) -> GpuFamily | None:
    """The family of a GPU by its name; None for one that is not listed."""
    plain = re.sub(r"\((r|tm)\)\s*", "", name.lower()).strip()
    plain = re.sub(r"^(qualcomm|arm|imagination|samsung)\s+", "", plain)
    return next((family for pattern, family in _FAMILIES if re.match(pattern, plain)), None)


@lru_cache(maxsize=1)
def _order() -> Mapping[str, int]:
    return {family.name: place for place, (_, family) in enumerate(_FAMILIES)}


def age_of(family: GpuFamily) -> int:
    """A number that is larger for a maker's later families."""
    return _order()[family.name]
