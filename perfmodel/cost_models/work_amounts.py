"""Sizes of kernels that features are made of, and what amounts of work are worth in MACs.

The equivalents below are not fitted. They are orders of magnitude for a core of 10 GMAC/s and
4 GB/s, as in `kernel_terms` (an fp32 element moved is a nanosecond, or 10 MACs; 15 us start a
kernel), and only set where the costs of rarely seen work are shrunk to: every target's own cost of
each kind of work is fitted on top of them.
"""

from __future__ import annotations

import numpy as np

from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.operators import PRECISION_BYTES

MACS_PER_ELEMENT = 12.0
"""MAC equivalents of touching one element of a convolution's input or output."""

MACS_PER_LIGHT_ELEMENT = 6.0
"""MAC equivalents of touching one element in a kernel that only streams."""

MACS_PER_KERNEL = 1.5e5
"""MAC equivalents of starting one kernel."""

MACS_PER_STEP = 2e4
"""MAC equivalents of one step of a sum where a thread of its own sums each output: 2 us, as it
waits for its factors. 1e4 and 5e4 predict left-out networks of GPUs (ncnn_e2e.csv) as well."""

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
ANY_CONV = tuple(_CONV_NAMES.split())
DENSE = ("fully_connected", "matmul", "sparse_matmul", "recurrent")
CHEAP = ("elementwise", "transcendental", "softmax", "norm")
MOVES = ("data_movement", "resize")


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
        self.dense = self.of(*DENSE) * (1 - self.vector)
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


def padded_products(c: Columns) -> np.ndarray:
    """Products of 1x1 convolutions that fill up vectors of channels."""
    full_n, full_k = (np.ceil(x / VECTOR) * VECTOR for x in (c.n, c.k))
    return c.point * c.groups * c.m * (full_n * full_k - c.n * c.k)


def window_extra(c: Columns) -> np.ndarray:
    """What the products of windows that slide take beyond those of 1x1, as a share."""
    square = (c.window == 9) & (c.groups <= 1)
    return np.where(square, SQUARE_EXTRA, SLID_EXTRA)


def heavy_shuffles(c: Columns) -> np.ndarray:
    """1.0 for kernels that reorder elements within a tensor."""
    return c.ops("transpose", "channel_shuffle")


def uneven_moves(c: Columns) -> np.ndarray:
    """Joining or cutting channels that do not end where a packed block ends."""
    return c.ops("concat", "slice", "split", "channel_shuffle") * c.uneven
