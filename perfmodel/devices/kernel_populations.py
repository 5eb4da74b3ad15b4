"""Files of what the known targets of a framework share, kernel by kernel: names, reading, writing.

Those that ship lie in hw_profiles/populations; `calibration.learn_kernels` makes them.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from perfmodel.cost_models.kernel_population import KernelPopulation
from perfmodel.cost_models.plain_file import FileKind
from perfmodel.devices.profile_files import POPULATIONS, builtin_folder
from perfmodel.target import Target

KIND = FileKind(
    what="a population of kernels",
    format="perfmodel-kernel-population",
    version=1,
    most_bytes=16_000_000,
)

EAGER = "pytorch"
"""The framework whose kernels are eager calls in fp32; other GPU frameworks are library calls."""

LIBRARIES = ("cudnn", "miopen")


def population_name(target: Target) -> str:
    """The file of the population that a target belongs to, without suffix."""
    if target.unit == "gpu" and target.framework == EAGER:
        return "kernels-pytorch-gpu" if target.precision == "fp32" else "kernels-libraries-gpu"
    if target.unit == "gpu" and target.framework in LIBRARIES:
        return "kernels-libraries-gpu"
    return f"kernels-{target.framework}-{target.unit}"


def shipped_population(target: Target) -> KernelPopulation | None:
    """The population that ships for a target's framework and unit; None if there is none."""
    path = builtin_folder() / POPULATIONS / f"{population_name(target)}.json"
    return _read(str(path)) if path.is_file() else None


@lru_cache(maxsize=16)
def _read(path: str) -> KernelPopulation:
    return read_population(Path(path))


def read_population(path: Path) -> KernelPopulation:
    """Read and check a population file; raises `ProfileError`."""
    return KIND.read(path, KernelPopulation.from_dict)


def write_population(population: KernelPopulation, path: Path) -> None:
    """Write a population file atomically, the same bytes for the same population."""
    KIND.write(path, population.to_dict())
