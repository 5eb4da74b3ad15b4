"""Data sheets of GPUs as traits of targets: what peak, bandwidth and power say of a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.cost_models.kernel_population import TargetTraits
from perfmodel.cost_models.kernel_terms import (
    REFERENCE_BYTES_PER_US,
    REFERENCE_MACS_PER_US,
    Machine,
)

PICOJOULE_PER_FLOP: Mapping[int, float] = {28: 40.0, 16: 26.0, 12: 18.0, 7: 12.0, 5: 8.0}
"""Energy of one fp32 FLOP of a whole busy card by process node (nm): power / peak of the large
cards of that node, which hold their clocks (Titan X 250 W / 6.1 TFLOP/s, P100 250 / 9.5, V100
250 / 14, A100 250 / 19.5, and H100 700 / 67 less its memory and links)."""

_SHARPNESS = 16.0


@dataclass(frozen=True)
class GpuSpec:
    """A data sheet: peaks in GFLOP/s, bandwidth in GB/s, multiprocessors, L2 in MB, watts, nm.

    `fp16_gflops` and `int8_gops` are those of the units a library uses (tensor cores where there
    are any; 0: no better than fp32). `tdp_w` or `process_nm` 0: no power limit is modelled.
    """

    name: str
    vendor: str
    fp32_gflops: float
    bandwidth_gb_per_s: float
    multiprocessors: int
    l2_mb: float
    tdp_w: float = 0.0
    process_nm: int = 0
    fp16_gflops: float = 0.0
    int8_gops: float = 0.0

    def peak_gflops(self, precision: str) -> float:
        """Peak of the arithmetic that `precision` uses."""
        better = {"fp16": self.fp16_gflops, "fp16_tc": self.fp16_gflops, "int8": self.int8_gops}
        return better.get(precision, 0.0) or self.fp32_gflops

    def sustained_gflops(self, precision: str = "fp32") -> float:
        """Peak that the card's power allows: low-power cards cannot hold their clock.

        The 16-norm of both limits, nearly the lower; energy falls with the width of the numbers.
        """
        peak = self.peak_gflops(precision)
        if not self.tdp_w or not self.process_nm:
            return peak
        energy = PICOJOULE_PER_FLOP[_nearest_node(self.process_nm)]
        energy *= self.fp32_gflops / max(peak, self.fp32_gflops)
        limit = self.tdp_w / energy * 1e3
        return float((peak**-_SHARPNESS + limit**-_SHARPNESS) ** (-1 / _SHARPNESS))


def _nearest_node(process_nm: int) -> int:
    return min(PICOJOULE_PER_FLOP, key=lambda node: abs(np.log(node / process_nm)))


def traits_of(spec: GpuSpec, precision: str = "fp32", name: str = "") -> TargetTraits:
    """A data sheet as traits of a target for `KernelModel`."""
    compute = np.log(REFERENCE_MACS_PER_US / (spec.sustained_gflops(precision) * 1e3 / 2))
    memory = np.log(REFERENCE_BYTES_PER_US / (spec.bandwidth_gb_per_s * 1e3))
    machine = Machine(
        lanes=float(spec.multiprocessors),
        cache_bytes=spec.l2_mb * 1e6,
        precision=precision,
        overlap="memory",
    )
    known = (float(compute), float(memory), float(memory), float(memory), 0.0)
    return TargetTraits(name or spec.name, machine, known, (float(spec.vendor == "AMD"),))


def renamed(spec: GpuSpec, name: str) -> GpuSpec:
    """The same data sheet under another name."""
    return replace(spec, name=name)


_SHEETS = (
    # name, vendor, fp32 GFLOP/s, GB/s, multiprocessors, L2 MB, W, nm, fp16 GFLOP/s, int8 GOP/s.
    # NeuSight's own table (gpu_specs.csv) for its devices, vendor data sheets for the rest; watts
    # and process from the vendor's data sheets. fp32 of AMD is that of the matrix cores.
    ("Tesla P4", "NVIDIA", 5699, 192, 20, 2, 75, 16, 0, 22000),
    ("Tesla P100-PCIE-16GB", "NVIDIA", 9519, 732, 56, 4, 250, 16, 18700, 0),
    ("Tesla V100-PCIE-32GB", "NVIDIA", 14029, 900, 80, 6, 250, 12, 112000, 0),
    ("Tesla T4", "NVIDIA", 8141, 320, 40, 4, 70, 12, 65000, 130000),
    ("NVIDIA A100-PCIE-40GB", "NVIDIA", 19492, 1555, 108, 40, 250, 7, 312000, 624000),
    ("NVIDIA A100 80GB PCIe", "NVIDIA", 19492, 1935, 108, 40, 300, 7, 312000, 624000),
    ("NVIDIA A100-SXM4-40GB", "NVIDIA", 19492, 1555, 108, 40, 400, 7, 312000, 624000),
    ("NVIDIA H100 80GB HBM3", "NVIDIA", 66908, 3430, 132, 50, 700, 5, 989000, 1979000),
    ("NVIDIA H200", "NVIDIA", 66908, 4800, 132, 50, 700, 5, 989000, 1979000),
    ("NVIDIA L4", "NVIDIA", 31334, 300, 60, 48, 72, 5, 121000, 242000),
    ("AMD Instinct MI100", "AMD", 46100, 1230, 120, 8, 300, 7, 184600, 184600),
    ("AMD Instinct MI210", "AMD", 45300, 1640, 104, 16, 300, 7, 181000, 181000),
    ("AMD Instinct MI250", "AMD", 45300, 1640, 104, 16, 280, 7, 181000, 181000),
    ("AMD Radeon Instinct MI25", "AMD", 12290, 484, 64, 4, 300, 16, 24600, 0),
    ("AMD Radeon Vega Frontier Edition", "AMD", 13100, 483, 64, 4, 300, 16, 26200, 0),
    ("NVIDIA GeForce GTX TITAN X", "NVIDIA", 6144, 336, 24, 3, 250, 28, 0, 0),
    ("Tesla M40", "NVIDIA", 6844, 288, 24, 3, 250, 28, 0, 0),
    ("NVIDIA TITAN X Pascal", "NVIDIA", 10157, 480, 28, 3, 250, 16, 0, 40600),
    ("NVIDIA TITAN Xp", "NVIDIA", 12150, 548, 30, 3, 250, 16, 0, 48600),
    ("NVIDIA GeForce GTX 1080 Ti", "NVIDIA", 11340, 484, 28, 2.75, 250, 16, 0, 45400),
    ("NVIDIA TITAN V", "NVIDIA", 13800, 653, 80, 4.5, 250, 12, 110000, 0),
    ("NVIDIA TITAN RTX", "NVIDIA", 16310, 672, 72, 6, 280, 12, 130000, 261000),
    ("NVIDIA GeForce RTX 2080 Ti", "NVIDIA", 13450, 616, 68, 5.5, 250, 12, 107600, 215000),
    ("NVIDIA GeForce RTX 3090", "NVIDIA", 35580, 936, 82, 6, 350, 7, 71000, 284000),
    ("NVIDIA GeForce RTX 4090", "NVIDIA", 82580, 1008, 128, 72, 450, 5, 165200, 660600),
    ("Jetson Nano", "NVIDIA", 236, 25.6, 1, 0.25, 10, 20, 472, 0),
    ("Jetson TX2", "NVIDIA", 665, 59.7, 2, 0.5, 15, 16, 1330, 0),
    ("Jetson Xavier NX", "NVIDIA", 845, 59.7, 6, 0.5, 15, 12, 6800, 13600),
    ("Jetson AGX Xavier", "NVIDIA", 1410, 137, 8, 0.5, 30, 12, 11300, 22600),
    ("Jetson AGX Orin", "NVIDIA", 5325, 204.8, 16, 4, 60, 7, 42600, 85200),
)

GPU_SPECS: Mapping[str, GpuSpec] = {s[0]: GpuSpec(*s) for s in _SHEETS}
"""Data sheets by the name that the measurement tables use."""

SAME_CARD = {
    "Tesla P100": "Tesla P100-PCIE-16GB",
    "Tesla V100": "Tesla V100-PCIE-32GB",
}
"""Names in one table for a card of another."""


def gpu_family(device: str) -> str:
    """Cards with the same die: left out together."""
    device = SAME_CARD.get(device, device)
    if "A100" in device:
        return "A100"
    return "CDNA2" if device in ("AMD Instinct MI210", "AMD Instinct MI250") else device


def spec_of(device: str) -> GpuSpec:
    """The data sheet of a device as the tables name it; raises `KeyError` for an unknown one."""
    return GPU_SPECS[SAME_CARD.get(device, device)]
