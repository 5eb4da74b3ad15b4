"""Amounts of work of a kernel on the NPU of a phone or board, as terms of a time.

NPUs differ from the processors of `work_features` in what costs. Their matrix unit works on tiles
of 32 channels by 32 channels, so channels are filled up to 32; results are kept on the chip in the
same tiles, so a tensor of 3 channels takes the room and time of one of 32; weights stream from
memory while the matrix unit works; and what exceeds the memory on the chip is written out and read
back. The tiles are those of Qualcomm's Hexagon (HMX; its SDK's manual calls them croutons).

Every amount is in MAC equivalents of such a unit, so that "every unit costs the same" is a sensible
prior for work that was rarely seen. The equivalents are rounded fits to the float rows of Qualcomm
AI Hub (aihub.csv.gz, 66 networks on 8 chips), and only set where costs are shrunk to: each target's
own cost of each term is fitted on top of them (`npu_model`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.kernels.kernel import KernelTable

TILE = 32
"""Channels to which the matrix unit fills up."""

NARROW = 4
"""Up to so many channels a tensor is an image, which fills an eighth of a tile or less."""

ON_CHIP_BYTES = 8e6
"""Memory on the chip (VTCM): 8 MB on Snapdragon 8 Gen 2 and later, and less on smaller ones."""

MACS_PER_ELEMENT = 120.0
"""MAC equivalents of touching one element with the vector unit, at 12 TMAC/s of the matrix unit
and 100 G elements a second."""

MACS_PER_BYTE = 240.0
"""MAC equivalents of a byte from memory, at 50 GB/s."""

MACS_PER_KERNEL = 3.6e7
"""MAC equivalents of starting a kernel: 3 us."""

MACS_PER_INFERENCE = 1.8e9
"""MAC equivalents of calling the NPU: 0.15 ms."""

WIDE_WINDOW = 9
"""Depthwise windows of more elements are of another kind: 5x5 and 7x7."""

WEIGHT_BYTES = {"fp16": 2.0, "w8a8": 1.0, "w8a16": 1.0, "int8": 1.0}
ACTIVATION_BYTES = {"fp16": 2.0, "w8a8": 1.0, "w8a16": 2.0, "int8": 1.0}
"""Bytes of a stored number by precision of the target."""

_DENSE = ("conv1x1", "conv3x3", "convkxk", "conv_first", "fully_connected")
_PRODUCTS = (*_DENSE, "grouped", "depthwise", "matmul", "sparse_matmul", "transpose_conv")
_UNFUSED = ("swish", "sigmoid", "tanh", "mish")


class Words:
    """A column of few different words: each is looked at once, whatever the number of kernels."""

    def __init__(self, column: np.ndarray) -> None:
        place: dict[str, int] = {}
        self.place = np.array([place.setdefault(w, len(place)) for w in column.tolist()], dtype=int)
        self.words = tuple(place)

    def among(self, words: Sequence[str]) -> np.ndarray:
        """1.0 where the column holds one of the words, else 0.0."""
        return np.array([float(w in words) for w in self.words])[self.place]


class NpuColumns:
    """The columns of a kernel table with the derived sizes that several terms need."""

    def __init__(self, table: KernelTable, precision: str) -> None:
        get = table.number
        self.kernel_class, self.op, self.activation = (
            Words(table[c]) for c in ("kernel_class", "op", "activation")
        )
        self.weight_bytes = get["weight_elements"] * WEIGHT_BYTES[precision]
        self.macs, self.m, self.n, self.k = (get[c] for c in ("macs", "m", "n", "k"))
        self.window = np.maximum(get["kh"] * get["kw"], 1)
        self.cin = np.maximum(self.k / self.window, 1)
        self.groups = np.maximum(get["groups"], 1)
        self.pixels_in = get["batch"] * get["hin"] * get["win"]
        self.first = self.of("conv_first") * (get["hin"] * get["win"] > 1)
        self.channels = get["cout"]
        self.alone = alone = get["hout"] * get["wout"] <= 1
        self.raw_input, self.raw_output = get["input_elements"], get["output_elements"]
        filled_in = np.where(alone | (self.first > 0), 1.0, _fill(get["cin"]))
        self.input = self.raw_input * filled_in
        self.output = self.raw_output * np.where(alone, 1.0, _fill(get["cout"]))
        self.filled_channels = _fill(get["cout"])
        self.output_bytes = self.output * ACTIVATION_BYTES[precision]
        self.patches = (get["kh"] == get["sh"]) & (get["kw"] == get["sw"]) & (self.window > 1)

    def of(self, *classes: str) -> np.ndarray:
        """1.0 for kernels of these classes, else 0.0."""
        return self.kernel_class.among(classes)

    def ops(self, *names: str) -> np.ndarray:
        """1.0 for kernels of these operators, else 0.0."""
        return self.op.among(names)

    def with_activation(self, *names: str) -> np.ndarray:
        """1.0 for kernels that end with one of these activations, else 0.0."""
        return self.activation.among(names)


def _up(sizes: np.ndarray) -> np.ndarray:
    return np.ceil(sizes / TILE) * TILE


def _fill(channels: np.ndarray) -> np.ndarray:
    """How many times the room of its channels a tensor takes in tiles."""
    return np.where(channels > 0, _up(channels) / np.maximum(channels, 1), 1.0)


def _dense_macs(c: NpuColumns) -> np.ndarray:
    """Products with rows, input and output channels filled up to tiles.

    A window that does not overlap (patches) is one row of channels; else each of its elements is.
    """
    depth = np.where(c.patches, _up(c.k), c.window * _up(c.cin))
    return c.of(*_DENSE) * _up(c.m) * _up(c.n) * depth


def _grouped_macs(c: NpuColumns) -> np.ndarray:
    """Groups narrower than a tile share one; wider ones fill up their own."""
    wide = np.maximum(c.n, c.cin)
    shared = np.ceil(c.groups * wide / TILE) * TILE**2
    own = c.groups * _up(c.n) * _up(c.cin)
    return c.of("grouped") * _up(c.m) * c.window * np.where(wide <= TILE, shared, own)


def _attention_macs(c: NpuColumns) -> np.ndarray:
    products = c.macs / np.maximum(c.m * c.n * c.k, 1)
    return c.of("matmul", "sparse_matmul") * products * _up(c.m) * _up(c.n) * _up(c.k)


def _depthwise(c: NpuColumns, wide: bool) -> np.ndarray:
    chosen = (c.window > WIDE_WINDOW) == wide
    return c.of("depthwise") * chosen * c.raw_output * c.window / 9 * c.filled_channels * _E


def _moved(c: NpuColumns) -> np.ndarray:
    return c.input + c.output


def _on_image(c: NpuColumns) -> np.ndarray:
    """1.0 for elementwise kernels on images, as a network's normalisation of its input is."""
    image = (c.channels <= NARROW) & ~c.alone
    return c.of("elementwise") * image * (1 - c.ops("batch_norm"))


def _elementwise(c: NpuColumns) -> np.ndarray:
    return c.of("elementwise") * (1 - c.ops("batch_norm")) - _on_image(c)


def _functions(c: NpuColumns) -> np.ndarray:
    own = c.of("transcendental") * (1 - c.ops("gelu"))
    return (own + c.with_activation(*_UNFUSED)) * c.output * 2 * _E


def _leaky(c: NpuColumns) -> np.ndarray:
    return np.maximum(c.with_activation("leaky_relu"), c.ops("leaky_relu", "prelu"))


_E, _K = MACS_PER_ELEMENT, MACS_PER_KERNEL


@dataclass(frozen=True)
class NpuTerm:
    """One amount of work: its name, the part of the time it stands for, its group and amount.

    Terms of a group share a chip's strengths: "product" (the matrix unit), "vector", "memory" or
    "start" (fixed costs).
    """

    name: str
    part: str
    group: str
    amount: Callable[[NpuColumns], np.ndarray]


def _term(name: str, group: str, amount: Callable[[NpuColumns], np.ndarray]) -> NpuTerm:
    part = {"product": "compute", "vector": "compute", "memory": "memory"}.get(group, "overhead")
    return NpuTerm(name, part, group, amount)


NPU_TERMS: tuple[NpuTerm, ...] = (
    _term("point", "product", lambda c: _dense_macs(c) * (c.window == 1)),
    _term("window", "product", lambda c: _dense_macs(c) * (c.window > 1) * (1 - c.first)),
    _term("first", "product", lambda c: _dense_macs(c) * c.first),
    _term("grouped", "product", _grouped_macs),
    _term("attention", "product", _attention_macs),
    _term("transpose_conv", "product", lambda c: c.of("transpose_conv") * c.macs * 4),
    _term("dense_io", "vector", lambda c: c.of(*_DENSE, "grouped") * _moved(c) * _E),
    _term("image", "vector", lambda c: c.first * c.pixels_in * TILE * 12 * _E),
    _term("depthwise", "vector", lambda c: _depthwise(c, False)),
    _term("depthwise_wide", "vector", lambda c: _depthwise(c, True) * 3),
    _term("depthwise_io", "vector", lambda c: c.of("depthwise") * _moved(c) * 3 * _E),
    _term("attention_io", "vector", lambda c: c.of("matmul", "sparse_matmul") * _moved(c) * 6 * _E),
    _term("elementwise", "vector", lambda c: _elementwise(c) * _moved(c) * _E),
    _term("functions", "vector", _functions),
    _term("gelu", "vector", lambda c: c.ops("gelu") * c.output * 3 * _E),
    _term("leaky", "vector", lambda c: _leaky(c) * c.output * _E),
    _term("softmax", "vector", lambda c: c.of("softmax") * c.output * 8 * _E),
    _term("norm", "vector", lambda c: c.of("norm") * c.output * 5 * _E),
    _term("transpose", "vector", lambda c: c.ops("transpose") * c.output * 2 * _E),
    _term(
        "moves",
        "vector",
        lambda c: c.of("data_movement", "detection") * (1 - c.ops("transpose")) * c.output * _E,
    ),
    _term("resize", "vector", lambda c: c.of("resize") * c.output * 4 * _E),
    _term("pool", "vector", lambda c: c.of("pool") * c.output * c.window * _E),
    _term("reduce", "vector", lambda c: c.of("reduce", "recurrent") * c.input * _E),
    _term("weights", "memory", lambda c: c.weight_bytes * MACS_PER_BYTE),
    _term(
        "spilled",
        "memory",
        lambda c: np.maximum(c.output_bytes - ON_CHIP_BYTES / 2, 0) * MACS_PER_BYTE,
    ),
    _term("product_starts", "start", lambda c: c.of(*_PRODUCTS) * _K / 3),
    _term("move_starts", "start", lambda c: c.of("data_movement", "resize") * _K),
    _term(
        "other_starts", "start", lambda c: (1 - c.of(*_PRODUCTS, "data_movement", "resize")) * _K
    ),
    NpuTerm("macs", "compute", "product", lambda c: c.macs),
    NpuTerm("moved", "memory", "vector", lambda c: (c.raw_input + c.raw_output) * 3 * _E),
    _term("image_elementwise", "vector", lambda c: _on_image(c) * _moved(c) * 3 * _E),
    _term("batch_norm", "vector", lambda c: c.ops("batch_norm") * _moved(c) * _E),
)
"""Every term of a kernel, in the order of the columns of `npu_work`. "macs" and "moved" count all
kernels alike; they have a cost where few numbers say more than many (`npu_plain`)."""

LATER = {"image_elementwise": ("elementwise", 3.0), "batch_norm": ("elementwise", 1.0)}
"""The last terms, which files of before lack: the term whose cost they had and in how many of its
units an amount of theirs counts."""

NPU_TERM_NAMES: tuple[str, ...] = tuple(t.name for t in NPU_TERMS)

NPU_PARTS: tuple[str, ...] = tuple(t.part for t in NPU_TERMS)

NPU_GROUPS: tuple[str, ...] = tuple(t.group for t in NPU_TERMS)

NPU_WORK_UNIT = 1.2e10
"""MAC equivalents that a fast NPU does in a millisecond: the logarithms of costs are near zero."""


def npu_work(table: KernelTable, precision: str) -> np.ndarray:
    """Work of each kernel in `NPU_WORK_UNIT`s, shape (kernels, len(NPU_TERMS)), all >= 0.

    `precision` is that of the target ("fp16", "w8a8", "w8a16"). Fitting and predicting share it.
    """

    def made() -> np.ndarray:
        columns = NpuColumns(table, precision)
        return np.column_stack([t.amount(columns) for t in NPU_TERMS]) / NPU_WORK_UNIT

    return table.once(("npu_work", precision), made)
