"""Amounts of work and shape features of kernels, for the kernel-level cost models.

One function for fitting and predicting. Terms are amounts in physical units that a machine's
speeds turn into time; features describe the shape for a learned correction, mostly as logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from perfmodel.kernels.kernel import NETWORK_COLUMN, KernelTable
from perfmodel.kernels.kernel_classes import ATTENTION, MASKED_ATTENTION, RESIZE_BY_PIXEL
from perfmodel.kernels.operators import PRECISION_BYTES
from perfmodel.kernels.recency import SINCE_COLUMN, with_recency
from perfmodel.kernels.recurrent import Steps, steps_of
from perfmodel.kernels.winograd import winograd_work

TERMS = ("compute", "memory", "weights", "transform", "launch")
"""Terms of a kernel's time, in microseconds at the reference speeds below."""

MEMORY, LAUNCH = TERMS.index("memory"), TERMS.index("launch")

BY_BYTES = np.array([0.0, 1.0, 1.0, 1.0, 0.0])
"""Terms that count bytes."""

TERM_PARTS = ("compute", "memory", "memory", "memory", "overhead")
"""Part of the time (`predictor.PARTS`) that each term stands for."""

REFERENCE_MACS_PER_US = 1e4
REFERENCE_BYTES_PER_US = 4e3
REFERENCE_LAUNCH_US = 10.0
"""Units of the log costs, not measurements: about one big core of a phone of 2019 (10 GMAC/s,
4 GB/s) and the start of one kernel, so that log costs are small and share a prior around 0."""

WARM_BYTES, COLD_BYTES = 1e5, 1e7
"""Bytes moved since the last kernel like it up to which a kernel finds everything still near the
core, and from which on nothing: in round numbers a tenth of a core's own cache, and the share of a
last cache that one core of a server has."""

THREADS_PER_LANE = 512
"""Threads of a multiprocessor of a GPU that keep its memory busy where each reads four numbers of
two bytes and writes one: 936 GB/s times 0.45 us, in which a read is answered, are 420 kB under way,
10 bytes a thread on 82 multiprocessors (RTX 3090). A kernel of fewer threads takes as long."""

ATTENTION_TILE = 64
"""Queries and keys that an attention in one kernel takes at once, the last ones filled up: the
smaller of the sizes of blocks of FlashAttention's forward kernels."""

SMALL_BYTES, LARGE_BYTES = 2.0**19, 2.0**25
"""A network that holds less stays in any core's cache, one that holds more in no cache."""

PRODUCT_CLASSES = frozenset(
    [
        *("conv1x1", "conv3x3", "convkxk", "conv_first", "grouped", "transpose_conv"),
        *("fully_connected", "matmul", "sparse_matmul", "recurrent"),
    ]
)
"""Classes that amount to a matrix product and share its efficiency until measured otherwise."""

GROUPS = ("conv", "product", "other")
"""Each group of kernels has its own learned correction; a kernel in none of them has none."""

_CONVS = ("conv1x1", "conv3x3", "convkxk", "conv_first", "grouped", "transpose_conv", "depthwise")
_TILES = ((128, 128), (128, 64), (64, 64), (32, 32), (256, 128))
_CLASS_ORDER = [
    *("conv1x1", "fully_connected", "matmul", "sparse_matmul", "recurrent", "convkxk"),
    *("conv_first", "conv3x3", "grouped", "transpose_conv", "depthwise", "pool", "reduce"),
    *("elementwise", "transcendental", "softmax", "norm", "data_movement", "resize", "detection"),
]
"""Classes in the order of their code, a feature. Profiles hold it: append, never insert."""

_LOG_FLOOR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What of a target's hardware shapes a kernel's efficiency.

    `lanes` is the number of cores or multiprocessors that a kernel spreads over, `cache_bytes`
    the last-level cache (0 = unknown), `precision` sets the bytes of an element, `winograd` names
    the rules by which the library picks Winograd's algorithm, `overlap` says what runs at the same
    time (see `combine`). Where `shares_cache`, a kernel's time depends on how much its network
    holds, which decides on the cache that its weights come from, and recurrent layers run by step
    (see `steps_of`). A product computes `columns` output channels at once, a depthwise convolution
    `channels`: a block that is only partly used takes as long as a full one. `near_bytes` of a
    recurrent layer's weights stay near the core from one step to the next. A kernel whose like ran
    long ago (see `kernels.recency`) takes `cold_start` times longer to start, and `cold_bytes`
    times longer to move its tensors, than one whose like has just run: 0 for as long.
    """

    lanes: float = 1.0
    cache_bytes: float = 0.0
    precision: str = "fp32"
    winograd: str = "best"
    overlap: str = "none"
    shares_cache: bool = False
    columns: int = 1
    channels: int = 1
    near_bytes: float = 0.0
    cold_start: float = 0.0
    cold_bytes: float = 0.0

    @property
    def element_bytes(self) -> float:
        """Bytes of one stored element."""
        return PRECISION_BYTES.get(self.precision, 4.0)


OVERLAPS = ("none", "launch", "memory")
_SHARPNESS = 4.0
"""Power of the norm that stands for "the longer of two". At 4, two equal times take a fifth more
than one of them (2^(1/4) = 1.19), as where a kernel is bound by neither alone."""


def combine(spent: np.ndarray, overlap: str) -> tuple[np.ndarray, np.ndarray]:
    """(time, its derivative by each term) of kernels from the time of their terms.

    `spent` has shape (kernels, len(TERMS)). "none": the sum. "launch": the longer of the launch
    and the sum of the rest, as where the host polls for the end of a kernel. "memory": the launch
    plus the longer of arithmetic and memory (roofline). "Longer" is the 4-norm, which is smooth.
    """
    if overlap == "none":
        return spent.sum(axis=1), np.ones_like(spent)
    launch = spent[:, LAUNCH]
    compute, memory = spent[:, 0] + spent[:, 3], spent[:, 1] + spent[:, 2]
    first = compute + memory if overlap == "launch" else compute
    second = launch if overlap == "launch" else memory
    longest = np.maximum(np.maximum(first, second), 1e-12)
    powers = (first / longest) ** _SHARPNESS + (second / longest) ** _SHARPNESS
    both = longest * powers ** (1 / _SHARPNESS)
    by_first = (first / both) ** (_SHARPNESS - 1)
    by_second = (second / both) ** (_SHARPNESS - 1)
    if overlap == "launch":
        return both, np.column_stack([by_first] * 4 + [by_second])
    slopes = [by_first, by_second, by_second, by_first, np.ones(len(spent))]
    return both + launch, np.column_stack(slopes)


@dataclass(frozen=True)
class Work:
    """Kernels as numbers: `cell` names the efficiency that applies, `group` the correction.

    `terms` has shape (kernels, len(TERMS)), microseconds at the reference speeds; `features` has
    shape (kernels, len(FEATURES)).
    """

    cell: np.ndarray
    group: np.ndarray
    terms: np.ndarray
    features: np.ndarray


_SIBLINGS = frozenset(["conv1x1", "conv3x3", "convkxk", "transpose_conv", "matmul"])


@lru_cache(maxsize=4096)
def cell_of(kernel_class: str, op: str) -> str:
    """Cell of a kernel: kernels of one cell share efficiencies."""
    if op in (ATTENTION, MASKED_ATTENTION):
        return f"{kernel_class}:{op}"
    if kernel_class in PRODUCT_CLASSES or kernel_class == "depthwise":
        return kernel_class
    return f"{kernel_class}:{op}"


def cells_of(table: KernelTable) -> np.ndarray:
    """Cells of a table's kernels by class and operator, shape (kernels,)."""
    pairs = zip(table["kernel_class"], table["op"], strict=True)
    return np.array([cell_of(c, o) for c, o in pairs], dtype=object)


FLOAT_STEPS = "recurrent:float"
"""Cell of the recurrent layers that a library runs in float in an integer network."""


def family_of(cell: str) -> str:
    """Family of a cell: the cells of one family share a prior.

    Convolutions that run as a plain matrix product are one family; image layers, grouped ones and
    those on a single vector are not, because they leave the arithmetic units half empty.
    """
    return "product" if cell in _SIBLINGS else cell.partition(":")[0]


@lru_cache(maxsize=256)
def _group_of(kernel_class: str) -> str:
    if kernel_class in _CONVS:
        return "conv"
    return "product" if kernel_class in PRODUCT_CLASSES else "other"


@dataclass
class _Shape:
    """Columns of a table with the derived sizes that several terms and features need."""

    table: KernelTable
    rules: str = "best"
    winograd: np.ndarray = field(init=False)
    unit: np.ndarray = field(init=False)
    products: np.ndarray = field(init=False)
    transformed: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        t = self.table
        self.kind = t["kernel_class"]
        self.is_conv = np.isin(self.kind, _CONVS)
        self.is_product = np.isin(self.kind, list(PRODUCT_CLASSES))
        self.pixels = np.maximum(t["hout"] * t["wout"], 1)
        self.window = t["kh"] * t["kw"]
        self.io = t["input_elements"] + t["output_elements"]
        self.unit, self.products, self.transformed = winograd_work(t, self.rules)
        self.winograd = self.unit > 0

    def gemm(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(products in the batch, rows, columns, depth) of the matrix product that runs."""
        t, use = self.table, self.winograd
        high = np.where(t["kh"] > 1, np.maximum(self.unit, 1), 1)
        wide = np.where(t["kw"] > 1, np.maximum(self.unit, 1), 1)
        tiles = t["batch"] * np.ceil(t["hout"] / high) * np.ceil(t["wout"] / wide)
        points = (high + t["kh"] - 1) * (wide + t["kw"] - 1)
        count = np.where(use, points, np.where(t["kernel_class"] == "matmul", t["batch"], 1))
        count = np.where(self.is_conv, count * np.maximum(t["groups"], 1), count)
        m, k = np.where(use, tiles, t["m"]), np.where(use, t["cin"], t["k"])
        one = [np.maximum(v, 1.0) for v in (count, m, t["n"], k)]
        return one[0], one[1], one[2], one[3]


def _terms(shape: _Shape, machine: Machine, steps: Steps | None) -> np.ndarray:
    t, size = shape.table, machine.element_bytes
    work = np.where(shape.winograd, shape.products, t["macs"]) * _filled(shape, machine)
    pool = shape.kind == "pool"
    work = np.where(pool, t["output_elements"] * shape.window, work)
    im2col = (shape.kind == "convkxk") | (shape.kind == "conv_first")
    copied = np.where(im2col, t["m"] * t["k"], 0.0)
    # of a table only the rows that are asked for are read
    weights = np.where(
        t["op"] == "gather", np.minimum(t["weight_elements"], shape.io), t["weight_elements"]
    )
    starts, read = np.ones(len(t)), weights * size
    moved = np.where(shape.winograd, shape.transformed, copied) * size
    if steps is not None:
        recurrent = shape.kind == "recurrent"
        starts = np.where(recurrent, steps.starts, starts)
        moved = np.where(recurrent, steps.gate_bytes, moved)
        read = np.where(recurrent, steps.weight_bytes, read)
    return np.column_stack(
        [
            work / REFERENCE_MACS_PER_US,
            shape.io * _alone(t, machine) * size / REFERENCE_BYTES_PER_US,
            read / REFERENCE_BYTES_PER_US,
            moved / REFERENCE_BYTES_PER_US,
            starts * REFERENCE_LAUNCH_US,
        ]
    )


def _alone(table: KernelTable, machine: Machine) -> np.ndarray:
    """How many times longer a kernel takes as it has too few threads (`RESIZE_BY_PIXEL`)."""
    threads = np.maximum(table["hout"] * table["wout"], 1)
    few = np.maximum(THREADS_PER_LANE * machine.lanes / threads, 1.0)
    return np.where(table["op"] == RESIZE_BY_PIXEL, few, 1.0)


def coldness(network: KernelTable, element_bytes: float) -> np.ndarray:
    """How much of a kernel's code and buffers has left the caches since its like ran, from 0 to 1.

    By the logarithm of what was moved since then, from `WARM_BYTES` to `COLD_BYTES`: caches grow
    in steps of a factor. A recurrent layer is like itself from step to step.
    """
    moved = np.maximum(with_recency(network)[SINCE_COLUMN] * element_bytes, WARM_BYTES)
    share = np.minimum(np.log(moved / WARM_BYTES) / np.log(COLD_BYTES / WARM_BYTES), 1.0)
    return np.where(network["kernel_class"] == "recurrent", 0.0, share)


def cooled(terms: np.ndarray, cold: np.ndarray, machine: Machine) -> np.ndarray:
    """Terms of kernels, shape (kernels, len(TERMS)), of that coldness on a machine."""
    longer = np.zeros(len(TERMS))
    longer[[MEMORY, LAUNCH]] = machine.cold_bytes, machine.cold_start
    slower: np.ndarray = terms * (1 + cold[:, None] * longer)
    return slower


def _filled(shape: _Shape, machine: Machine) -> np.ndarray:
    """Products that run for one that counts, as the last block of channels or of an attention's
    queries and keys is filled up."""
    t = shape.table
    # the positions of a transposed convolution's window are products of their own
    parts = np.where(shape.kind == "transpose_conv", np.maximum(shape.window, 1), 1)
    columns = np.exp(waste(t["n"] / parts, machine.columns))
    channels = np.exp(waste(t["groups"], machine.channels))
    filled = np.where(shape.kind == "depthwise", channels, np.where(shape.is_product, columns, 1.0))
    tiles = np.exp(waste(t["m"], ATTENTION_TILE) + waste(t["k"], ATTENTION_TILE))
    return filled * np.where(np.isin(t["op"], (ATTENTION, MASKED_ATTENTION)), tiles, 1.0)


def _held_class(held_bytes: np.ndarray) -> np.ndarray:
    """Bytes that a network holds, in steps of a factor of 4 between the sizes of caches.

    Coarse, so that no tree can tell one network from another by it.
    """
    low, high = np.log2(SMALL_BYTES), np.log2(LARGE_BYTES)
    steps = np.floor((np.log2(np.maximum(held_bytes, 1.0)) - low) / 2)
    return np.clip(steps, 0, np.ceil((high - low) / 2))


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(values, _LOG_FLOOR))


def waste(size: np.ndarray, step: float) -> np.ndarray:
    """How much of the last block of `step` is empty, as a log ratio."""
    safe = np.maximum(size, 1.0)
    return np.log(np.ceil(safe / step) * step / safe)


def _features(shape: _Shape, machine: Machine) -> dict[str, np.ndarray]:
    t, size = shape.table, machine.element_bytes
    count, m, n, k = shape.gemm()
    moved = (shape.io + t["weight_elements"]) * size
    order = {name: float(i) for i, name in enumerate(_CLASS_ORDER)}
    columns = {
        "class": np.array([order[c] for c in shape.kind]),
        "op": np.array([_OP_CODES.get(o, -1.0) for o in t["op"]]),
        "count": _log(count),
        "m": _log(m),
        "n": _log(n),
        "k": _log(k),
        "macs": _log(t["macs"]),
        "products": _log(np.where(shape.winograd, shape.products, t["macs"])),
        "input": _log(t["input_elements"]),
        "output": _log(t["output_elements"]),
        "weights": _log(t["weight_elements"]),
        "bytes": _log(moved),
        "intensity": _log((t["macs"] + 1) / np.maximum(moved, 1)),
        "batch": _log(t["batch"]),
        "cin": _log(t["cin"]),
        "cout": _log(t["cout"]),
        "pixels": _log(shape.pixels),
        "width": t["wout"],
        "kh": t["kh"],
        "kw": t["kw"],
        "stride": t["sh"],
        "unit": shape.unit,
        "narrow": _log(np.minimum(m, n)),
        "aspect": _log(m / n),
        "cin_mod4": np.mod(t["cin"], 4),
        "cout_mod4": np.mod(t["cout"], 4),
        "cin_mod32": np.mod(t["cin"], 32),
        "cout_mod32": np.mod(t["cout"], 32),
        "waste_n32": waste(n, 32),
        "waste_m32": waste(m, 32),
        "waste_w4": waste(t["wout"], 4),
        "waste_w2": waste(t["wout"], 2),
        "waste_w6": waste(t["wout"], 6),
        "cached": _log(moved / machine.cache_bytes) if machine.cache_bytes else np.zeros(len(t)),
        "work_per_lane": _log(m * n * count / machine.lanes),
    }
    for rows, cols in _TILES:
        blocks = count * np.ceil(m / rows) * np.ceil(n / cols) / machine.lanes
        columns[f"waves_{rows}x{cols}"] = _log(blocks)
        columns[f"tail_{rows}x{cols}"] = np.ceil(blocks) / blocks
        columns[f"waste_{rows}x{cols}"] = waste(m, rows) + waste(n, cols)
    held = t.number.get(NETWORK_COLUMN) if machine.shares_cache else None
    columns["network"] = np.zeros(len(t)) if held is None else _held_class(held * size)
    return columns


_OP_ORDER = [
    *("conv2d", "fully_connected", "gemm", "gemm_tn", "gemm_nt", "bmm", "matmul", "lstm", "gru"),
    *("max_pool2d", "avg_pool2d", "reduce_mean", "add", "sub", "mul", "div", "relu", "relu6"),
    *("batch_norm", "scale", "clip", "maximum", "pow", "sigmoid", "tanh", "gelu", "exp"),
    *("hard_swish", "swish", "softmax", "layer_norm", "lrn", "concat", "split", "slice", "pad"),
    *("reshape", "transpose", "layout_convert", "channel_shuffle", "gather", "tile", "resize"),
]
"""Operators in the order of their code, a feature. Profiles hold it: append, never insert."""

_OP_CODES = {name: float(i) for i, name in enumerate(_OP_ORDER)}


def work_of(table: KernelTable, machine: Machine) -> Work:
    """Terms and features of every kernel, for fitting and predicting alike."""
    shape = _Shape(table, machine.winograd)
    cell = cells_of(table)
    group = np.array([_group_of(c) for c in shape.kind], dtype=object)
    steps = None
    if machine.shares_cache:
        steps = steps_of(table, machine.element_bytes, machine.near_bytes)
        recurrent = shape.kind == "recurrent"
        cell[recurrent & steps.in_float] = FLOAT_STEPS
        # tens of layers are too few to learn more from than the speeds
        group[recurrent] = "recurrent"
    features = np.column_stack(list(_features(shape, machine).values()))
    terms = _terms(shape, machine, steps)
    if machine.shares_cache and (machine.cold_start or machine.cold_bytes):
        terms = cooled(terms, coldness(table, machine.element_bytes), machine)
    return Work(cell, group, terms, features)


def _feature_names() -> tuple[str, ...]:
    from perfmodel.kernels.kernel import Kernel

    table = KernelTable.from_kernels([Kernel("", "add", "elementwise")])
    return tuple(_features(_Shape(table), Machine()))


FEATURES: tuple[str, ...] = _feature_names()
"""Names of the columns of `Work.features`."""

_RANGES = ("m", "n", "k", "input", "output")
RANGE_FEATURES = tuple(FEATURES.index(n) for n in _RANGES)
"""Features whose fitted range decides whether a kernel is new."""

SIDES = tuple(_RANGES.index(n) for n in ("m", "n", "k"))
"""Those that are sides of a product."""
