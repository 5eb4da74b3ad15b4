"""Data sheets of GPUs as traits of targets: what peak, bandwidth and power say of a kernel."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources

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


@dataclass(frozen=True, kw_only=True)
class GpuSpec:
    """A data sheet: peaks in GFLOP/s, bandwidth in GB/s, multiprocessors, L2 in MB, watts, nm.

    Those of tf32, fp16 and int8 are of dense arithmetic on the units that a library
    uses (tensor cores where `tensor_cores` says so; 0: no better than fp32). `tdp_w` or
    `process_nm` 0: no power limit is modelled. `source` says where the numbers stand.
    """

    name: str
    vendor: str
    fp32_gflops: float
    bandwidth_gb_per_s: float
    multiprocessors: int
    l2_mb: float
    tdp_w: float = 0.0
    process_nm: int = 0
    tf32_gflops: float = 0.0
    fp16_gflops: float = 0.0
    int8_gops: float = 0.0
    tensor_cores: bool = False
    source: str = ""

    def peak_gflops(self, precision: str) -> float:
        """Peak of the arithmetic that `precision` uses."""
        better = {
            "tf32": self.tf32_gflops,
            "fp16": self.fp16_gflops,
            "fp16_tc": self.fp16_gflops,
            "int8": self.int8_gops,
        }
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


def _read_specs(file: str) -> dict[str, GpuSpec]:
    """The rows of a table of data sheets by name."""
    text = resources.files("perfmodel.devices").joinpath(file).read_text("utf-8")
    return {row["device"]: _spec(row) for row in csv.DictReader(text.splitlines())}


def _spec(row: Mapping[str, str]) -> GpuSpec:
    return GpuSpec(
        name=row["device"],
        vendor=row["vendor"],
        fp32_gflops=float(row["fp32_gflops"]),
        tf32_gflops=float(row["tf32_gflops"]),
        fp16_gflops=float(row["fp16_gflops"]),
        int8_gops=float(row["int8_gops"]),
        tensor_cores=row["tensor_cores"] == "1",
        bandwidth_gb_per_s=float(row["bandwidth_gb_per_s"]),
        multiprocessors=int(row["multiprocessors"]),
        l2_mb=float(row["l2_mb"]),
        tdp_w=float(row["tdp_w"]),
        process_nm=int(row["process_nm"]),
        source=row["source"],
    )


GPU_SPECS: Mapping[str, GpuSpec] = _read_specs("gpu_specs.csv")
"""Data sheets by the name that the measurement tables use."""

GPU_CARDS: Mapping[str, GpuSpec] = _read_specs("gpu_cards.csv")
"""Data sheets of further cards, which no table of kernels has, by the name that people use."""

SAME_CARD = {
    "Tesla P100": "Tesla P100-PCIE-16GB",
    "Tesla V100": "Tesla V100-PCIE-32GB",
}
"""Names in one table for a card of another."""


_OF_NVIDIA = ("jetson", "titan", "gtx", "rtx", "tesla")


def of_nvidia(device: str) -> bool:
    """Whether a published device's name is that of a card or board with NVIDIA's GPU."""
    return device.startswith(_OF_NVIDIA)


def gpu_family(device: str) -> str:
    """Cards with the same die: left out together."""
    device = SAME_CARD.get(device, device)
    if "A100" in device:
        return "A100"
    return "CDNA2" if device in ("AMD Instinct MI210", "AMD Instinct MI250") else device


def spec_of(device: str) -> GpuSpec:
    """The data sheet of a device as the tables name it; raises `KeyError` for an unknown one."""
    return GPU_SPECS[SAME_CARD.get(device, device)]
