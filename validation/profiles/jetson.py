"""The DLA of the Jetson AGX Xavier as a target, and what it costs to reach it from the GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from perfmodel.cost_models.interval import COVERAGE, Interval, fit_error
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import (
    REFERENCE_BYTES_PER_US,
    REFERENCE_MACS_PER_US,
    Machine,
)
from perfmodel.devices.facts import Traits, TransferFact
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.formats.load import load
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.target import Target
from validation.partition.exynos import ONE_NETWORK_LOG, seen_ranges
from validation.partition.jetson import read_rows
from validation.partition.transfers import fit_line
from validation.profiles.common import BuiltTarget, DeviceInfo

DEVICE = "jetson-agx-xavier"
SOURCE = "HaX-CoNN, commit 98593b6ec554, TensorRT 7.1.3, GoogleNet (layers_jetson.csv)"
EXPERIMENT = "stretches of GoogleNet on the DLA, each left out"
PEAK_GFLOPS = 2500.0
"""Half of the 5 TFLOP/s in fp16 of both engines (NVIDIA, Jetson AGX Xavier data sheet)."""
_NOTHING = float(np.log(1e-9))


def build_jetson(data: Path) -> list[BuiltTarget]:
    """The DLA in fp16, fitted to its ten measured blocks."""
    rows = read_rows(data)
    profile = TargetProfile(
        Target(DEVICE, "dla", "tensorrt", "fp16", 0),
        "steady",
        fitted_predictor(rows.block_us, range(len(rows.block_us))),
        Interval(COVERAGE, ONE_NETWORK_LOG, ONE_NETWORK_LOG),
        fit_error(EXPERIMENT, -_left_out(rows.block_us)),
        Provenance(
            SOURCE,
            len(rows.block_us),
            build="TensorRT 7.1.3, JetPack 4.5.1, MAXN",
            note="blocks of one network: TensorRT reports no single layer of the DLA",
        ),
    )
    return [BuiltTarget(DeviceInfo(DEVICE, "NVIDIA Jetson AGX Xavier", "jetson"), profile)]


def block_starts(kernels: int) -> list[int]:
    """The kernel at which each measured block of GoogleNet begins, in the order of the rows.

    Seven kernels stand before the first Inception module, seven are in each, and a pooling before
    modules 4a and 5a; blocks begin at every module but 4a (its pooling instead), and at the front.
    """
    assert kernels == 75
    modules = [7 + 7 * number for number in range(9)]
    modules = [s + (s >= 21) + (s >= 56) for s in modules]
    return [*modules[:2], modules[2] - 1, *modules[3:], 0]


def _left_out(block_us: np.ndarray) -> np.ndarray:
    """log(predicted / measured) of each block from the others."""
    table = KernelTable.from_kernels(fuse(load("googlenet"), "tensorrt"))
    ratios = []
    for i, start in enumerate(block_starts(len(table))):
        others = [j for j in range(len(block_us)) if j != i]
        times = fitted_predictor(block_us, others).parts_ms(table).sum(axis=1)
        ratios.append(float(np.log(times[start:-1].sum() * 1e3 / block_us[i])))
    return np.array(ratios)


def fitted_predictor(block_us: np.ndarray, learn: Sequence[int]) -> KernelPredictor:
    """Rates of activations and weights fitted to some blocks, arithmetic at the data sheet's peak.

    A roofline: the blocks are bound by memory and say little of arithmetic, which must still hold
    a network of large convolutions back.
    """
    from scipy.optimize import least_squares

    table = KernelTable.from_kernels(fuse(load("googlenet"), "tensorrt"))
    starts = block_starts(len(table))

    def blocks_us(x: np.ndarray) -> np.ndarray:
        times = dla_predictor(float(np.exp(x[0])), float(np.exp(x[1]))).parts_ms(table).sum(axis=1)
        # softmax, the last kernel, runs on the GPU
        return np.array([times[s:-1].sum() for s in starts]) * 1e3

    chosen = list(learn)
    found = least_squares(lambda x: np.log(blocks_us(x) / block_us)[chosen], np.log([9e-5, 7e-5]))
    return dla_predictor(float(np.exp(found.x[0])), float(np.exp(found.x[1])), seen=table)


def dla_predictor(
    us_per_byte: float, us_per_weight_byte: float, seen: KernelTable | None = None
) -> KernelPredictor:
    """A roofline of the peak and two rates; joining branches costs nothing."""
    memory = round(float(np.log(us_per_byte * REFERENCE_BYTES_PER_US)), 6)
    weights = round(float(np.log(us_per_weight_byte * REFERENCE_BYTES_PER_US)), 6)
    compute = round(float(np.log(REFERENCE_MACS_PER_US / (PEAK_GFLOPS * 1e3 / 2))), 6)
    machine = Machine(precision="fp16", winograd="none", overlap="memory")
    return KernelPredictor(
        machine=machine,
        cells={"data_movement:concat": (_NOTHING,) * 5},
        families={},
        default=(compute, memory, weights, _NOTHING, _NOTHING),
        forests={},
        ranges={} if seen is None else seen_ranges(seen, machine),
    )


def jetson_traits(data: Path) -> Mapping[str, Traits]:
    """Conversions between the layouts of GPU and DLA."""
    rows = read_rows(data)
    size, time = rows.boundary_bytes, rows.reformat_us / 1e3
    fixed, rate = fit_line(size, time)
    median = float(np.median(np.abs((fixed + size / rate) / time - 1)))
    measured = (round(fixed, 5), round(rate, 1))
    there = TransferFact("gpu", "dla", *measured, SOURCE, len(time), round(median, 4))
    back = TransferFact("dla", "gpu", *measured, f"assumed equal to GPU to DLA; {SOURCE}")
    return {DEVICE: Traits(transfers=(there, back))}
