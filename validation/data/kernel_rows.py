"""Published kernel times as measurement tables, with what is wrong in them put right.

The corrections are those of `validation.data.kernel_tables`, which says what shows them; here they
are made on tables as users have them, for studies that use the public functions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.measurements.plausibility import kernel_macs
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import MeasurementTable

FAMILIES = {
    "nasnet_large": "nasnet",
    "nasnet_mobile": "nasnet",
    "pnasnet_large": "pnasnet",
    "pnasnet_mobile": "pnasnet",
}
"""Networks that are variants of one; all others are their own family."""

TARGET_COLUMNS = ("device", "unit", "framework", "precision", "threads", "affinity")
SIZES = ("hin", "win", "hout", "wout")

PNASNET_331 = {224: 331, 111: 165, 112: 166, 56: 83, 28: 42, 14: 21, 7: 11}
"""Sizes of pnasnet-mobile's tensors in the Arm Compute Library's runs by those in the table, which
are of MNN's smaller input."""

WINOGRAD_GAIN = 2.25
"""Most by which Winograd's F(2x2, 3x3) cuts the multiplications of a convolution."""


@dataclass(frozen=True, eq=False)
class KernelTimes:
    """Rows of kernels; `latency_us` of the table is the kernel's own time."""

    table: MeasurementTable

    def __len__(self) -> int:
        return len(self.table)

    def take(self, index: np.ndarray) -> KernelTimes:
        """The rows at `index` (integers or a mask), in that order."""
        return KernelTimes(MeasurementTable(self.table.frame.loc[index].reset_index(drop=True)))

    def only(self, **wanted: str) -> KernelTimes:
        """The rows whose columns equal the given values."""
        return KernelTimes(self.table.where(**wanted))

    @cached_property
    def latency_us(self) -> np.ndarray:
        """Measured times."""
        return self.table.column("latency_us").astype(float)

    @cached_property
    def target(self) -> np.ndarray:
        """What each row ran on, as text: device, unit, framework, precision, cores."""
        columns = [self.table.column(name).tolist() for name in TARGET_COLUMNS]
        return np.array([_target(*row) for row in zip(*columns, strict=True)], dtype=object)

    @cached_property
    def device(self) -> np.ndarray:
        """The device of each row."""
        return self.table.column("device")

    @cached_property
    def network(self) -> np.ndarray:
        """The network that each row is a kernel of."""
        return self.table.column("model")

    @cached_property
    def family(self) -> np.ndarray:
        """The family of each row's network."""
        return np.array([FAMILIES.get(name, name) for name in self.network], dtype=object)

    @cached_property
    def macs(self) -> np.ndarray:
        """Multiply-accumulates of each row."""
        return kernel_macs(self.table.frame)

    @cached_property
    def elements(self) -> np.ndarray:
        """Elements that each row reads and writes, weights included; 0 for what it does not state.

        A convolution of B images: B x (Cin x Hin x Win + Cout x Hout x Wout) + Cin/groups x Cout x
        Kh x Kw; a product: B x (m x k + m x n) + n x k; else twice `elements`.
        """
        frame = self.table.frame

        def size(*names: str) -> Any:
            product: Any = 1.0
            for name in names:
                product = product * np.nan_to_num(frame[name].to_numpy(dtype=float))
            return product

        batch = np.nan_to_num(frame["batch"].to_numpy(dtype=float), nan=1.0)
        image = size("cin", "hin", "win") + size("cout", "hout", "wout")
        groups = np.maximum(size("groups"), 1.0)
        weights = np.where(self.macs > 0, size("cin", "cout", "kh", "kw") / groups, 0.0)
        product = size("m", "k") + size("m", "n")
        sized = size("n", "k") * np.where(frame["op"] == "bmm", batch, 1.0)
        total: np.ndarray = batch * (image + product + 2 * size("elements")) + weights + sized
        return total


def _target(
    device: str, unit: str, framework: str, precision: str, threads: float, affinity: str
) -> str:
    cores = f"/t{threads:.0f}@{affinity}" if threads == threads else ""
    return f"{device}/{unit}/{framework}/{precision}{cores}"


def read_phones(data: Path) -> KernelTimes:
    """layers_phones.csv.gz: MNN and the Arm Compute Library on seven phones."""
    table, _ = read_measurements([data / "layers_phones.csv.gz"])
    frame = table.kernels.frame.copy()
    # one thread takes 3.6 times as long as two: these runs were not pinned to cores
    broken = (frame["device"] == "huawei-mate-20") & (frame["model"] == "inception_v3")
    frame = frame[~(broken & (frame["unit"] == "cpu"))].reset_index(drop=True)
    wrong = (frame["framework"] == "acl") & (frame["model"] == "pnasnet_mobile")
    for column in SIZES:
        frame.loc[wrong, column] = frame.loc[wrong, column].replace(PNASNET_331)
    return KernelTimes(MeasurementTable(frame))


def read_eager_gpus(data: Path, peak: dict[str, tuple[float, float]]) -> KernelTimes:
    """layers_gpu.csv: eager PyTorch kernels in fp32, the host's growing time taken off.

    `peak` holds of each device FLOP/s in billions and bytes/s in billions, for the least that a
    convolution can take.
    """
    table, _ = read_measurements([data / "layers_gpu.csv"])
    rows = KernelTimes(table.where(framework="pytorch"))
    own = rows.latency_us.copy()
    for device in sorted(set(rows.device)):
        series = np.flatnonzero((rows.device == device) & (rows.table.column("op") == "conv2d"))
        if not len(series):
            continue
        gflops, gb_per_s = peak[device]
        least = np.maximum(
            2 * rows.macs[series] / WINOGRAD_GAIN / (gflops * 1e3),
            4 * rows.elements[series] / (gb_per_s * 1e3),
        )
        extra = lookup_drift_us(own[series], least)
        # at least a quarter of what was measured is the kernel's own
        own[series] = np.maximum(own[series] - extra, 0.25 * own[series])
    return KernelTimes(MeasurementTable(rows.table.frame.assign(latency_us=own)))


def lookup_drift_us(latency_us: np.ndarray, bound_us: np.ndarray, blocks: int = 20) -> np.ndarray:
    """Host time that grew over a series of measurements, by place in the series.

    In the NeuSight conv2d tables the shortest times grow steadily from row to row (A100: 59 us in
    the first tenth of the rows, 355 us in the last; P100: 108 to 758 us), on every GPU alike,
    whatever the shapes: with `cudnn.benchmark` each call looks its plan up among all plans found
    so far, inside the timed section. A quadratic through zero is fitted to the low quantiles of
    what is left over a lower bound of the kernel's own time, `bound_us`.
    """
    place = np.arange(len(latency_us)) / max(len(latency_us), 1)
    left = latency_us - bound_us
    block = np.minimum((place * blocks).astype(int), blocks - 1)
    low = np.array([np.quantile(left[block == b], 0.06) for b in range(blocks)])
    middle = (np.arange(blocks) + 0.5) / blocks
    design = np.column_stack([np.ones(blocks), middle, middle**2])
    coefficients, *_ = np.linalg.lstsq(design, low, rcond=None)
    drift = coefficients[1] * place + coefficients[2] * place**2
    return np.maximum(drift, 0.0)
