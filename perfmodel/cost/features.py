"""Features of kernels: the one function that fitting and predicting share.

Every feature is an amount of work in MAC equivalents: multiply-accumulates as they are, elements
and bytes times about what one of them costs a mobile core in MACs. Features of comparable size make
a shrinkage towards "every unit costs the same" a sensible prior for kernels that were rarely seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perfmodel.cost.kernel import KernelTable
from perfmodel.cost.opcosts import PRECISION_BYTES

MACS_PER_ELEMENT = 12.0
"""MAC equivalents of touching one element (load or store, some arithmetic)."""

MACS_PER_WEIGHT_BYTE = 1.0
"""MAC equivalents of streaming one byte of weights."""

MACS_PER_KERNEL = 1.5e5
"""MAC equivalents of starting one kernel."""

SMALL_IMAGE_PIXELS = 16.0
"""Below about this many output pixels the inner loop of a convolution is short."""


class Columns:
    """The columns of a kernel table with the derived sizes that several features need."""

    def __init__(self, table: KernelTable, precision: str) -> None:
        self.table = table
        self.kernel_class = table["kernel_class"]
        self.bytes = PRECISION_BYTES.get(precision, 4.0)
        get = table.number
        self.macs = get["macs"]
        self.input = get["input_elements"]
        self.output = get["output_elements"]
        self.weights = get["weight_elements"]
        self.batch, self.m, self.n, self.k = (get[c] for c in ("batch", "m", "n", "k"))
        self.window = get["kh"] * get["kw"]
        self.groups = np.maximum(get["groups"], 1)
        self.pixels = np.maximum(get["hout"] * get["wout"], 1)
        self.tiles = get["batch"] * np.ceil(get["hout"] / 4) * np.ceil(get["wout"] / 4)
        self.cin, self.cout = get["cin"], get["cout"]
        self.vector = self._gemv()
        self.is_class = {c: self.kernel_class == c for c in np.unique(self.kernel_class)}

    def of(self, *classes: str) -> np.ndarray:
        """1.0 for kernels of these classes, else 0.0."""
        hits = np.zeros(len(self.kernel_class), dtype=bool)
        for name in classes:
            if name in self.is_class:
                hits |= self.is_class[name]
        return hits.astype(float)

    def _gemv(self) -> np.ndarray:
        """1.0 where a matrix meets a single vector: fully connected, or 1x1 on one pixel."""
        dense = self.kernel_class == "fully_connected"
        point = (self.kernel_class == "conv1x1") & (self.pixels == 1)
        return ((dense | point) & (self.m <= 1)).astype(float)


@dataclass(frozen=True)
class Feature:
    """One amount of work: its name, unit before scaling, the part of the time it stands for."""

    name: str
    unit: str
    part: str
    amount: Callable[[Columns], np.ndarray]


def _image_conv(c: Columns) -> np.ndarray:
    return c.of("conv1x1") * (1 - c.vector)


def _dense(c: Columns) -> np.ndarray:
    return c.of("fully_connected", "matmul", "sparse_matmul", "recurrent") * (1 - c.vector)


def _winograd_macs(c: Columns) -> np.ndarray:
    """F(4x4, 3x3): 36 products a tile of 16 outputs and pair of channels."""
    return c.tiles * 36 * c.cin * c.cout


def _small(c: Columns) -> np.ndarray:
    return SMALL_IMAGE_PIXELS / (c.pixels + SMALL_IMAGE_PIXELS)


_E = MACS_PER_ELEMENT
_W = MACS_PER_WEIGHT_BYTE

FEATURES: tuple[Feature, ...] = (
    Feature("conv1x1_macs", "MAC", "compute", lambda c: _image_conv(c) * c.macs),
    Feature("conv1x1_small", "MAC", "compute", lambda c: _image_conv(c) * c.macs * _small(c)),
    Feature("conv1x1_output", "element", "memory", lambda c: _image_conv(c) * c.output * _E),
    Feature("conv1x1_input", "element", "memory", lambda c: _image_conv(c) * c.input * _E),
    Feature("conv3x3_products", "MAC", "compute", lambda c: c.of("conv3x3") * _winograd_macs(c)),
    Feature(
        "conv3x3_small", "MAC", "compute", lambda c: c.of("conv3x3") * _winograd_macs(c) * _small(c)
    ),
    Feature(
        "conv3x3_input_transform",
        "element",
        "memory",
        lambda c: c.of("conv3x3") * c.tiles * 36 * c.cin * _E / 2,
    ),
    Feature(
        "conv3x3_output_transform",
        "element",
        "memory",
        lambda c: c.of("conv3x3") * c.tiles * 36 * c.cout * _E / 2,
    ),
    Feature(
        "conv3x3_weights",
        "byte",
        "memory",
        lambda c: c.of("conv3x3") * c.weights * 4 * c.bytes * _W,
    ),
    Feature("convkxk_macs", "MAC", "compute", lambda c: c.of("convkxk") * c.macs),
    Feature("convkxk_small", "MAC", "compute", lambda c: c.of("convkxk") * c.macs * _small(c)),
    Feature("convkxk_im2col", "element", "memory", lambda c: c.of("convkxk") * c.m * c.k * _E / 2),
    Feature("convkxk_output", "element", "memory", lambda c: c.of("convkxk") * c.output * _E),
    Feature("conv_first_macs", "MAC", "compute", lambda c: c.of("conv_first") * c.macs),
    Feature("conv_first_output", "element", "memory", lambda c: c.of("conv_first") * c.output * _E),
    Feature("depthwise_macs", "MAC", "compute", lambda c: c.of("depthwise") * c.macs),
    Feature("depthwise_output", "element", "memory", lambda c: c.of("depthwise") * c.output * _E),
    Feature("depthwise_input", "element", "memory", lambda c: c.of("depthwise") * c.input * _E),
    Feature("grouped_macs", "MAC", "compute", lambda c: c.of("grouped") * c.macs),
    Feature(
        "grouped_elements",
        "element",
        "memory",
        lambda c: c.of("grouped") * (c.input + c.output) * _E,
    ),
    Feature("transpose_macs", "MAC", "compute", lambda c: c.of("transpose_conv") * c.macs),
    Feature(
        "transpose_output", "element", "memory", lambda c: c.of("transpose_conv") * c.output * _E
    ),
    Feature("matrix_vector", "byte", "memory", lambda c: c.vector * c.weights * c.bytes * _W),
    Feature(
        "conv_weights",
        "byte",
        "memory",
        lambda c: (
            c.of("conv1x1", "convkxk", "conv_first", "grouped")
            * (1 - c.vector)
            * c.weights
            * c.bytes
            * _W
        ),
    ),
    Feature("dense_macs", "MAC", "compute", lambda c: _dense(c) * c.macs),
    Feature("dense_elements", "element", "memory", lambda c: _dense(c) * (c.input + c.output) * _E),
    Feature("dense_weights", "byte", "memory", lambda c: _dense(c) * c.weights * c.bytes * _W),
    Feature("pool_window", "element", "compute", lambda c: c.of("pool") * c.output * c.window * 4),
    Feature(
        "pool_elements",
        "element",
        "memory",
        lambda c: c.of("pool", "reduce") * (c.input + c.output) * _E / 2,
    ),
    Feature(
        "elementwise", "element", "memory", lambda c: c.of("elementwise") * (c.input + c.output) * 6
    ),
    Feature(
        "transcendental", "element", "compute", lambda c: c.of("transcendental") * c.output * 24
    ),
    Feature("softmax", "element", "compute", lambda c: c.of("softmax") * c.output * 48),
    Feature("norm", "element", "compute", lambda c: c.of("norm") * c.output * 48),
    Feature(
        "data_movement",
        "element",
        "memory",
        lambda c: c.of("data_movement", "resize") * (c.input + c.output) * 6,
    ),
    Feature("detection", "element", "compute", lambda c: c.of("detection") * c.input * 48),
    Feature(
        "conv_kernels",
        "kernel",
        "overhead",
        lambda c: (
            c.of(
                "conv1x1",
                "conv3x3",
                "convkxk",
                "conv_first",
                "depthwise",
                "grouped",
                "transpose_conv",
            )
            * MACS_PER_KERNEL
        ),
    ),
    Feature(
        "other_kernels",
        "kernel",
        "overhead",
        lambda c: (
            c.of(
                "fully_connected",
                "matmul",
                "sparse_matmul",
                "recurrent",
                "pool",
                "reduce",
                "elementwise",
                "transcendental",
                "softmax",
                "norm",
                "data_movement",
                "resize",
                "detection",
            )
            * MACS_PER_KERNEL
        ),
    ),
)
"""Every feature, in the order of the columns of `feature_matrix`."""

FEATURE_NAMES: tuple[str, ...] = tuple(f.name for f in FEATURES)

FEATURE_PARTS: tuple[str, ...] = tuple(f.part for f in FEATURES)


def feature_matrix(table: KernelTable, precision: str = "fp32") -> np.ndarray:
    """Amounts of work of each kernel in MAC equivalents, shape (kernels, len(FEATURES)), >= 0.

    `precision` sets the bytes of a weight. Used by fitting and by predicting alike.
    """
    columns = Columns(table, precision)
    return np.column_stack([f.amount(columns) for f in FEATURES])
