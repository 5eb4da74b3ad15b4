"""Features of kernels: the one function that fitting and predicting share.

Every feature is an amount of work in MAC equivalents: multiply-accumulates as they are, elements,
bytes and kernel starts times about what one of them costs a mobile core in MACs. Features of
comparable size make "every unit costs the same" a sensible prior for work that was rarely seen.

The equivalents below are not fitted. They are orders of magnitude for a core of 10 GMAC/s and
4 GB/s, as in `kernel_terms` (an fp32 element moved is a nanosecond, or 10 MACs; 15 us start a
kernel), and only set where the costs of rarely seen work are shrunk to: every target's own cost of
each kind of work is fitted on top of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models.hierarchy import Limit
from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.operators import PRECISION_BYTES

MACS_PER_ELEMENT = 12.0
"""MAC equivalents of touching one element of a convolution's input or output."""

MACS_PER_LIGHT_ELEMENT = 6.0
"""MAC equivalents of touching one element in a kernel that only streams."""

MACS_PER_KERNEL = 1.5e5
"""MAC equivalents of starting one kernel."""

WIDE_GROUP = 16
"""From this many output channels on, a group of a grouped convolution fills vectors by itself."""

VECTOR = 8
"""Channels that one vector instruction or one packed block holds on most targets."""

WINOGRAD_TILE, WINOGRAD_POINTS = 4, 36
"""F(4x4, 3x3): a tile of 4 x 4 outputs takes 6 x 6 products a pair of channels (Lavin, 2016)."""

MACS_PER_WINDOW_ELEMENT = 4.0
"""MAC equivalents of comparing or adding one element of a pooling window."""

MACS_PER_FUNCTION = 12.0
"""MAC equivalents of one exponential, sigmoid or the like, beyond reading and writing it."""

MACS_PER_NORMED_ELEMENT = 36.0
"""MAC equivalents of normalising one element beyond that: a function, and two more passes."""

MACS_PER_BOX_INPUT, MACS_PER_YOLO_INPUT = 8.0, 16.0
"""MAC equivalents of reading one input of a detection layer; YOLO's takes a sigmoid of some."""

MACS_PER_SCATTERED_ELEMENT = 16.0
"""Elements that one output of a grouped transposed convolution is worth, as it is scattered."""

TRANSFORM_SHARE = 1 / 3
"""Of the cost of touching an element, what one point of a Winograd transform costs: the points of a
tile lie next to each other."""

IM2COL_SHARE = 1 / 2
"""Of the cost of touching an element, what copying it into a matrix costs."""

SQUARE_EXTRA, SLID_EXTRA, UNEVEN_EXTRA = 0.15, 0.5, 0.5
"""What products of 3x3 windows of stride 2, of other windows, and of 3x3 windows whose channels do
not fill vectors take beyond those of 1x1 windows, as a share. All are the same matrix product, and
3x3 of stride 2 runs at the rate of 1x1: 51 to 54 of its 41 to 55 MMAC/ms (ncnn on an x86 core,
128 to 512 channels). Every target's own extra is fitted on top of the common rate, so that no
window is ever faster than 1x1 and a rarely seen one is near it."""

WRITTEN_WINDOW = 25
"""Depthwise windows up to 5x5 have kernels of their own in ncnn; larger ones run a general loop."""

GENERAL_LOOP = 2.0
"""What a product of that loop costs, those of written kernels being 1."""

GROUP_START_SHARE = 1 / 5
"""Of the cost of starting a kernel, what starting each group of a grouped convolution costs."""

WINOGRAD_WEIGHT_FACTOR = 4.0
"""36 points stand for 9 weights of a 3x3 window: four times the bytes."""

MACS_PER_OFF_DEVICE_ELEMENT, MACS_PER_OFF_DEVICE_START = 48.0, 2e6
"""MAC equivalents of taking an element from the GPU to the CPU and back, and of going there: some
0.2 ms, more than a dozen kernel starts."""

OFF_DEVICE_OPS = ("reduce_layer", "layer_norm", "detection_output", "yolo_output")
"""Operators without a form for the GPU in ncnn's Vulkan back end: the CPU runs them."""

_CONV_NAMES = "conv1x1 conv3x3 convkxk conv_first depthwise grouped transpose_conv"
_ANY_CONV = tuple(_CONV_NAMES.split())
_DENSE = ("fully_connected", "matmul", "sparse_matmul", "recurrent")
_CHEAP = ("elementwise", "transcendental", "softmax", "norm")
_MOVES = ("data_movement", "resize")


class Columns:
    """The columns of a kernel table with the derived sizes that several features need."""

    def __init__(self, table: KernelTable, precision: str) -> None:
        get = table.number
        self.op = table["op"]
        self.kernel_class = table["kernel_class"]
        self._masks = {c: (self.kernel_class == c).astype(float) for c in set(self.kernel_class)}
        self._ops = {o: (self.op == o).astype(float) for o in set(self.op)}
        self.none = np.zeros(len(self.op))
        self.macs, self.input, self.output = (
            get["macs"],
            get["input_elements"],
            get["output_elements"],
        )
        self.moved = self.input + self.output
        self.weights = get["weight_elements"]
        self.weight_bytes = self.weights * PRECISION_BYTES.get(precision, 4.0)
        self.m, self.n, self.k = get["m"], get["n"], get["k"]
        self.window = get["kh"] * get["kw"]
        self.groups = np.maximum(get["groups"], 1)
        self.cin, self.cout = get["cin"], get["cout"]
        self.uneven = ((self.cin % 4 > 0) | (self.cout % 4 > 0)).astype(float)
        self.vector = self._matrix_vector(get["hout"] * get["wout"])
        # a group with enough channels runs as a convolution of its own
        wide = self.of("grouped") * (self.n >= WIDE_GROUP)
        square = (get["kh"] == 3) & (get["kw"] == 3) & (get["sh"] == 1) & (get["sw"] == 1)
        self.narrow = self.of("grouped") - wide
        self.point = self.of("conv1x1") * (1 - self.vector) + wide * (self.window == 1)
        self.square = self.of("conv3x3") + wide * square
        self.winograd = self.square * (1 - self.uneven)
        self.slid = self.of("convkxk") + wide * (self.window > 1) * (1 - square)
        self.dense = self.of(*_DENSE) * (1 - self.vector)
        rows, columns = (np.ceil(get[c] / WINOGRAD_TILE) for c in ("hout", "wout"))
        self.tile_points = get["batch"] * rows * columns * WINOGRAD_POINTS

    def of(self, *classes: str) -> np.ndarray:
        """1.0 for kernels of these classes, else 0.0."""
        return sum((self._masks[c] for c in classes if c in self._masks), self.none)

    def ops(self, *names: str) -> np.ndarray:
        """1.0 for kernels of these operators, else 0.0."""
        return sum((self._ops[o] for o in names if o in self._ops), self.none)

    def _matrix_vector(self, pixels: np.ndarray) -> np.ndarray:
        """1.0 where weights meet a single vector: fully connected, or 1x1 on one pixel."""
        point = self.of("conv1x1") * (pixels <= 1)
        return (self.of("fully_connected") + point) * (self.m <= 1)


@dataclass(frozen=True)
class Feature:
    """One amount of work: name, unit before scaling, the part of the time it stands for, group.

    Features of a group share a device's strengths: "product" (matrix arithmetic), "weights"
    (streaming constants), "start" (fixed costs), or "" for none.
    """

    name: str
    unit: str
    part: str
    group: str
    amount: Callable[[Columns], np.ndarray]


def _padded_products(c: Columns) -> np.ndarray:
    """Products of 1x1 convolutions that fill up vectors of channels."""
    full_n, full_k = (np.ceil(x / VECTOR) * VECTOR for x in (c.n, c.k))
    return c.point * c.groups * c.m * (full_n * full_k - c.n * c.k)


def _extra(c: Columns) -> np.ndarray:
    """What the products of windows that slide take beyond those of 1x1, as a share."""
    square = (c.window == 9) & (c.groups <= 1)
    return np.where(square, SQUARE_EXTRA, SLID_EXTRA)


def _heavy_shuffles(c: Columns) -> np.ndarray:
    return c.ops("transpose", "channel_shuffle")


def _uneven_moves(c: Columns) -> np.ndarray:
    """Joining or cutting channels that do not end where a packed block ends."""
    return c.ops("concat", "slice", "split", "channel_shuffle") * c.uneven


_E = MACS_PER_ELEMENT
_L = MACS_PER_LIGHT_ELEMENT
_K = MACS_PER_KERNEL

FEATURES: tuple[Feature, ...] = (
    Feature(
        "direct_macs",
        "MAC",
        "compute",
        "product",
        lambda c: (c.point + c.slid + c.square * c.uneven) * c.macs,
    ),
    Feature("point_padding", "MAC", "compute", "product", _padded_products),
    Feature(
        "point_uneven_macs", "MAC", "compute", "product", lambda c: c.point * c.macs * c.uneven
    ),
    Feature("point_output", "element", "memory", "", lambda c: c.point * c.output * _E),
    Feature("point_input", "element", "memory", "", lambda c: c.point * c.input * _E),
    Feature(
        "winograd_products",
        "MAC",
        "compute",
        "product",
        lambda c: c.winograd * c.tile_points * c.cin * c.cout / c.groups,
    ),
    Feature(
        "winograd_transforms",
        "element",
        "memory",
        "",
        lambda c: c.winograd * c.tile_points * (c.cin + c.cout) * _E * TRANSFORM_SHARE,
    ),
    Feature(
        "winograd_weights",
        "byte",
        "memory",
        "weights",
        lambda c: c.winograd * c.weight_bytes * WINOGRAD_WEIGHT_FACTOR,
    ),
    Feature(
        "uneven_3x3_extra",
        "MAC",
        "compute",
        "product",
        lambda c: c.square * c.uneven * c.macs * UNEVEN_EXTRA,
    ),
    Feature("window_extra", "MAC", "compute", "product", lambda c: c.slid * c.macs * _extra(c)),
    Feature(
        "window_columns",
        "element",
        "memory",
        "",
        lambda c: c.slid * c.groups * c.m * c.k * _E * IM2COL_SHARE,
    ),
    Feature("window_output", "element", "memory", "", lambda c: c.slid * c.output * _E),
    Feature("first_macs", "MAC", "compute", "product", lambda c: c.of("conv_first") * c.macs),
    Feature("first_output", "element", "memory", "", lambda c: c.of("conv_first") * c.output * _E),
    Feature(
        "depthwise_macs",
        "MAC",
        "compute",
        "",
        lambda c: (
            c.of("depthwise") * c.macs * np.where(c.window > WRITTEN_WINDOW, GENERAL_LOOP, 1.0)
        ),
    ),
    Feature(
        "depthwise_output", "element", "memory", "", lambda c: c.of("depthwise") * c.output * _E
    ),
    Feature("depthwise_input", "element", "memory", "", lambda c: c.of("depthwise") * c.input * _E),
    Feature("grouped_macs", "MAC", "compute", "product", lambda c: c.narrow * c.macs),
    Feature(
        "grouped_narrow_macs",
        "MAC",
        "compute",
        "",
        lambda c: c.narrow * c.macs * VECTOR / np.maximum(c.n, 1),
    ),
    Feature("grouped_elements", "element", "memory", "", lambda c: c.narrow * c.moved * _E),
    Feature(
        "group_starts",
        "group",
        "overhead",
        "start",
        lambda c: c.of("grouped") * c.groups * _K * GROUP_START_SHARE,
    ),
    Feature(
        "transpose_conv_macs",
        "MAC",
        "compute",
        "product",
        lambda c: c.of("transpose_conv") * (c.groups == 1) * c.macs,
    ),
    Feature(
        "transpose_conv_output",
        "element",
        "memory",
        "",
        lambda c: c.of("transpose_conv") * (c.groups == 1) * c.output * _E,
    ),
    Feature(
        "grouped_transpose_conv",
        "element",
        "compute",
        "",
        lambda c: (
            c.of("transpose_conv") * (c.groups > 1) * c.output * MACS_PER_SCATTERED_ELEMENT * _E
        ),
    ),
    Feature("matrix_vector", "byte", "memory", "weights", lambda c: c.vector * c.weight_bytes),
    Feature(
        "conv_weights",
        "byte",
        "memory",
        "weights",
        lambda c: (c.point + c.slid + c.narrow + c.of("conv_first")) * c.weight_bytes,
    ),
    Feature("dense_macs", "MAC", "compute", "product", lambda c: c.dense * c.macs),
    Feature("dense_elements", "element", "memory", "", lambda c: c.dense * c.moved * _E),
    Feature("dense_weights", "byte", "memory", "weights", lambda c: c.dense * c.weight_bytes),
    Feature(
        "pool_windows",
        "element",
        "compute",
        "",
        lambda c: c.of("pool") * c.output * c.window * MACS_PER_WINDOW_ELEMENT,
    ),
    Feature(
        "pool_elements", "element", "memory", "", lambda c: c.of("pool", "reduce") * c.moved * _L
    ),
    Feature("elementwise", "element", "memory", "", lambda c: c.of(*_CHEAP) * c.moved * _L),
    Feature(
        "functions",
        "element",
        "compute",
        "",
        lambda c: c.of("transcendental") * c.output * MACS_PER_FUNCTION,
    ),
    Feature(
        "softmax",
        "element",
        "compute",
        "",
        lambda c: c.of("softmax") * c.output * MACS_PER_NORMED_ELEMENT,
    ),
    Feature(
        "norm",
        "element",
        "compute",
        "",
        lambda c: c.of("norm") * c.output * MACS_PER_NORMED_ELEMENT,
    ),
    Feature("shuffles", "element", "memory", "", lambda c: _heavy_shuffles(c) * c.moved * _L),
    Feature(
        "moves",
        "element",
        "memory",
        "",
        lambda c: (c.of(*_MOVES) - _heavy_shuffles(c)) * c.moved * _L,
    ),
    Feature("uneven_moves", "element", "memory", "", lambda c: _uneven_moves(c) * c.moved * _L),
    Feature(
        "yolo_heads",
        "element",
        "compute",
        "",
        lambda c: c.ops("yolo_output") * c.input * MACS_PER_YOLO_INPUT,
    ),
    Feature(
        "detections",
        "element",
        "compute",
        "",
        lambda c: (
            (c.of("detection") - c.ops("yolo_output", "prior_box")) * c.input * MACS_PER_BOX_INPUT
        ),
    ),
    Feature(
        "off_device_elements",
        "element",
        "memory",
        "",
        lambda c: c.ops(*OFF_DEVICE_OPS) * c.moved * MACS_PER_OFF_DEVICE_ELEMENT,
    ),
    Feature(
        "conv_starts",
        "kernel",
        "overhead",
        "start",
        lambda c: c.of(*_ANY_CONV) * (1 - c.vector) * _K,
    ),
    Feature(
        "dense_starts",
        "kernel",
        "overhead",
        "start",
        lambda c: (c.of(*_DENSE) + c.vector * c.of("conv1x1")) * _K,
    ),
    Feature("light_starts", "kernel", "overhead", "start", lambda c: c.of(*_CHEAP) * _K),
    Feature(
        "other_starts",
        "kernel",
        "overhead",
        "start",
        lambda c: c.of(*_MOVES, "detection", "pool", "reduce") * _K,
    ),
    Feature(
        "off_device_starts",
        "kernel",
        "overhead",
        "start",
        lambda c: c.ops(*OFF_DEVICE_OPS) * MACS_PER_OFF_DEVICE_START,
    ),
)
"""Every feature, in the order of the columns of `feature_matrix`."""

FEATURE_NAMES: tuple[str, ...] = tuple(f.name for f in FEATURES)

FEATURE_PARTS: tuple[str, ...] = tuple(f.part for f in FEATURES)

FEATURE_GROUPS: tuple[str, ...] = tuple(f.group for f in FEATURES)


_RATES = {
    "point_padding": (1e-6, 8.0),
    "point_uneven_macs": (1e-6, 7.0),
    "winograd_products": (0.5, 4.0),
    "uneven_3x3_extra": (1e-6, 14.0),
    "window_extra": (1e-6, 6.0),
    "first_macs": (0.3, 8.0),
    "grouped_macs": (0.3, 8.0),
    "transpose_conv_macs": (0.3, 8.0),
    "dense_macs": (0.3, 8.0),
}
"""What a product of each kind costs at least and at most, those of 1x1 windows costing 1.

Channels that do not fill vectors are computed one by one at worst, which takes eight times as long
as eight at once: 7 more (14 halves). A 3x3 window by Winograd's algorithm does a quarter of the
products, and no library runs it slower than without, so one of them costs 4 at most; no product of
it is much faster than one of 1x1. The rest are the same arithmetic with other loops: 1 in 8 vector
lanes is in use at worst, and nothing is three times faster than 1x1. 98 % of the targets of
ncnn_e2e.csv stayed within 0.3 and 8 where they were fitted without bounds."""

LIMITS: tuple[Limit, ...] = tuple(
    Limit(
        term=FEATURE_NAMES.index(name),
        base=FEATURE_NAMES.index("direct_macs"),
        least=least,
        most=most,
    )
    for name, (least, most) in _RATES.items()
)
"""Bounds of the costs of features, which every fit of whole networks keeps."""


def feature_matrix(table: KernelTable, precision: str = "fp32") -> np.ndarray:
    """Amounts of work of each kernel in MAC equivalents, shape (kernels, len(FEATURES)), >= 0.

    `precision` sets the bytes of a weight. Used by fitting and by predicting alike.
    """
    columns = Columns(table, precision)
    return np.column_stack([f.amount(columns) for f in FEATURES])


def several_rows(table: KernelTable) -> np.ndarray:
    """Which kernels multiply several vectors by weights that a single one would stream."""
    one_pixel = (table["kernel_class"] == "conv1x1") & (table["hout"] * table["wout"] <= 1)
    streams = (table["kernel_class"] == "fully_connected") | one_pixel
    return np.asarray(streams & (table["m"] > 1), dtype=bool)


def one_row(table: KernelTable, precision: str = "fp32") -> np.ndarray:
    """`feature_matrix` of the kernels of `several_rows` for a single vector; zero for others."""
    rows = several_rows(table)
    amounts = np.zeros((len(table), len(FEATURES)))
    weight_bytes = table["weight_elements"] * PRECISION_BYTES.get(precision, 4.0)
    amounts[:, FEATURE_NAMES.index("matrix_vector")] = np.where(rows, weight_bytes, 0.0)
    amounts[:, FEATURE_NAMES.index("dense_starts")] = np.where(rows, MACS_PER_KERNEL, 0.0)
    return amounts
