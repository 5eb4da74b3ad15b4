"""Small made-up devices and networks whose times follow by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from perfmodel.cost_models.interval import FitError, Interval
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import REFERENCE_LAUNCH_US, REFERENCE_MACS_PER_US, Machine
from perfmodel.devices.facts import Traits
from perfmodel.devices.profile import (
    DeviceProfile,
    Provenance,
    TargetProfile,
    write_profile,
)
from perfmodel.graph import Graph
from perfmodel.graph.builder import GraphBuilder
from perfmodel.target import Target


def predictor(macs_per_us: float, launch_us: float, overhead_ms: float = 0.0) -> KernelPredictor:
    """MACs over a rate plus a launch, nothing else."""
    nothing = math.log(1e-12)
    costs = (
        math.log(REFERENCE_MACS_PER_US / macs_per_us),
        *(nothing, nothing, nothing),
        math.log(launch_us / REFERENCE_LAUNCH_US),
    )
    machine = Machine(winograd="none")
    return KernelPredictor(
        machine=machine,
        cells={},
        families={},
        default=costs,
        forests={},
        ranges={},
        overhead_ms=overhead_ms,
    )


def target(device: str, unit: str, framework: str, model: KernelPredictor) -> TargetProfile:
    """A target with this model and no history."""
    return TargetProfile(
        Target(device, unit, framework, "fp32", 1 if unit == "cpu" else 0),
        "steady",
        model,
        Interval(0.9, 0.1, 0.1),
        FitError("none", 1, 0.0),
        Provenance("made up", 1),
    )


@dataclass
class Devices:
    """Writes made-up profiles into a folder and hands out their paths."""

    folder: Path
    paths: list[Path] = field(default_factory=list)

    def add(self, name: str, *targets: TargetProfile, traits: Traits | None = None) -> Path:
        """Write a profile."""
        path = self.folder / f"{name}.json"
        write_profile(DeviceProfile(name, name, "phone", targets, traits=traits or Traits()), path)
        self.paths.append(path)
        return path


def chain(widths: tuple[int, ...], pixels: int = 10) -> Graph:
    """1x1 convolutions on pixels x pixels x widths[0]; widths[i] x widths[i + 1] MACs a pixel."""
    builder = GraphBuilder("chain")
    x = builder.input((1, pixels, pixels, widths[0]))
    for width in widths[1:]:
        x = builder.conv(x, width, 1)
    return builder.build(x)
