"""Features of kernels: the one function that fitting and predicting share.

Every feature is an amount of work in MAC equivalents: multiply-accumulates as they are, elements,
bytes and kernel starts times about what one of them costs a mobile core in MACs (`work_amounts`).
Features of comparable size make "every unit costs the same" a sensible prior for work that was
rarely seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models import work_amounts as w
from perfmodel.cost_models.hierarchy import Limit
from perfmodel.cost_models.work_amounts import Columns
from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.operators import PRECISION_BYTES

_E, _L, _K = w.MACS_PER_ELEMENT, w.MACS_PER_LIGHT_ELEMENT, w.MACS_PER_KERNEL


@dataclass(frozen=True)
class Feature:
    """One amount of work: name, unit before scaling, the part of the time it stands for, group.

    Features of a group share a device's strengths: "product" (matrix arithmetic), "weights"
    (streaming constants), "start" (fixed costs), or "" for none. `units` names the units that do
    this kind of work where not all do.
    """

    name: str
    unit: str
    part: str
    group: str
    amount: Callable[[Columns], np.ndarray]
    units: tuple[str, ...] = ()


FEATURES: tuple[Feature, ...] = (
    Feature(
        "direct_macs",
        "MAC",
        "compute",
        "product",
        lambda c: (c.point + c.slid + c.square * c.uneven) * c.macs,
    ),
    Feature("point_padding", "MAC", "compute", "product", w.padded_products),
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
        lambda c: c.winograd * c.tile_points * (c.cin + c.cout) * _E * w.TRANSFORM_SHARE,
    ),
    Feature(
        "winograd_weights",
        "byte",
        "memory",
        "weights",
        lambda c: c.winograd * c.weight_bytes * w.WINOGRAD_WEIGHT_FACTOR,
    ),
    Feature(
        "uneven_3x3_extra",
        "MAC",
        "compute",
        "product",
        lambda c: c.square * c.uneven * c.macs * w.UNEVEN_EXTRA,
    ),
    Feature(
        "window_extra",
        "MAC",
        "compute",
        "product",
        lambda c: c.slid * c.macs * w.window_extra(c),
    ),
    Feature(
        "window_columns",
        "element",
        "memory",
        "",
        lambda c: c.slid * c.groups * c.m * c.k * _E * w.IM2COL_SHARE,
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
            c.of("depthwise") * c.macs * np.where(c.window > w.WRITTEN_WINDOW, w.GENERAL_LOOP, 1.0)
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
        lambda c: c.narrow * c.macs * w.VECTOR / np.maximum(c.n, 1),
    ),
    Feature("grouped_elements", "element", "memory", "", lambda c: c.narrow * c.moved * _E),
    Feature(
        "group_starts",
        "group",
        "overhead",
        "start",
        lambda c: c.of("grouped") * c.groups * _K * w.GROUP_START_SHARE,
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
            c.of("transpose_conv") * (c.groups > 1) * c.output * w.MACS_PER_SCATTERED_ELEMENT * _E
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
        lambda c: c.of("pool") * c.output * c.window * w.MACS_PER_WINDOW_ELEMENT,
    ),
    Feature(
        "pool_elements", "element", "memory", "", lambda c: c.of("pool", "reduce") * c.moved * _L
    ),
    Feature("elementwise", "element", "memory", "", lambda c: c.of(*w.CHEAP) * c.moved * _L),
    Feature(
        "functions",
        "element",
        "compute",
        "",
        lambda c: c.of("transcendental") * c.output * w.MACS_PER_FUNCTION,
    ),
    Feature(
        "softmax",
        "element",
        "compute",
        "",
        lambda c: c.of("softmax") * c.output * w.MACS_PER_NORMED_ELEMENT,
    ),
    Feature(
        "norm",
        "element",
        "compute",
        "",
        lambda c: c.of("norm") * c.output * w.MACS_PER_NORMED_ELEMENT,
    ),
    Feature("shuffles", "element", "memory", "", lambda c: w.heavy_shuffles(c) * c.moved * _L),
    Feature(
        "moves",
        "element",
        "memory",
        "",
        lambda c: (c.of(*w.MOVES) - w.heavy_shuffles(c)) * c.moved * _L,
    ),
    Feature("uneven_moves", "element", "memory", "", lambda c: w.uneven_moves(c) * c.moved * _L),
    Feature(
        "yolo_heads",
        "element",
        "compute",
        "",
        lambda c: c.ops("yolo_output") * c.input * w.MACS_PER_YOLO_INPUT,
    ),
    Feature(
        "detections",
        "element",
        "compute",
        "",
        lambda c: (
            (c.of("detection") - c.ops("yolo_output", "prior_box")) * c.input * w.MACS_PER_BOX_INPUT
        ),
    ),
    Feature(
        "off_device_elements",
        "element",
        "memory",
        "",
        lambda c: c.ops(*w.OFF_DEVICE_OPS) * c.moved * w.MACS_PER_OFF_DEVICE_ELEMENT,
    ),
    Feature(
        "conv_starts",
        "kernel",
        "overhead",
        "start",
        lambda c: c.of(*w.ANY_CONV) * (1 - c.vector) * _K,
    ),
    Feature(
        "dense_starts",
        "kernel",
        "overhead",
        "start",
        lambda c: (c.of(*w.DENSE) + c.vector * c.of("conv1x1")) * _K,
    ),
    Feature("light_starts", "kernel", "overhead", "start", lambda c: c.of(*w.CHEAP) * _K),
    Feature(
        "other_starts",
        "kernel",
        "overhead",
        "start",
        lambda c: c.of(*w.MOVES, "detection", "pool", "reduce") * _K,
    ),
    Feature(
        "off_device_starts",
        "kernel",
        "overhead",
        "start",
        lambda c: c.ops(*w.OFF_DEVICE_OPS) * w.MACS_PER_OFF_DEVICE_START,
    ),
)
"""The features of every unit, in the order of the columns of `feature_matrix`."""

FEATURE_NAMES: tuple[str, ...] = tuple(f.name for f in FEATURES)

FEATURE_PARTS: tuple[str, ...] = tuple(f.part for f in FEATURES)

UNIT_FEATURES: tuple[Feature, ...] = (
    Feature(
        "sum_lengths",
        "step",
        "compute",
        "",
        lambda c: c.of(*w.ANY_CONV, *w.DENSE) * c.k * w.MACS_PER_STEP,
        units=("gpu",),
    ),
)
"""Features that only some units pay for; their columns follow those of `FEATURES`.

Vectors of costs are told apart by their length: those of `FEATURES`, or all of them."""

ALL_FEATURES = FEATURES + UNIT_FEATURES


def features_of(unit: str) -> tuple[Feature, ...]:
    """What a unit pays for, in the order of a vector of its costs."""
    return FEATURES + tuple(f for f in UNIT_FEATURES if unit in f.units)


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


def feature_matrix(
    table: KernelTable, precision: str = "fp32", features: Sequence[Feature] = FEATURES
) -> np.ndarray:
    """Amounts of work of each kernel in MAC equivalents, shape (kernels, len(features)), >= 0.

    `precision` sets the bytes of a weight. Used by fitting and by predicting alike.
    """
    columns = Columns(table, precision)
    return np.column_stack([f.amount(columns) for f in features])


def several_rows(table: KernelTable) -> np.ndarray:
    """Which kernels multiply several vectors by weights that a single one would stream."""
    one_pixel = (table["kernel_class"] == "conv1x1") & (table["hout"] * table["wout"] <= 1)
    streams = (table["kernel_class"] == "fully_connected") | one_pixel
    return np.asarray(streams & (table["m"] > 1), dtype=bool)


def one_row(
    table: KernelTable, precision: str = "fp32", features: int = len(FEATURES)
) -> np.ndarray:
    """`feature_matrix` of the kernels of `several_rows` for a single vector; zero for others."""
    rows = several_rows(table)
    amounts = np.zeros((len(table), features))
    weight_bytes = table["weight_elements"] * PRECISION_BYTES.get(precision, 4.0)
    amounts[:, FEATURE_NAMES.index("matrix_vector")] = np.where(rows, weight_bytes, 0.0)
    amounts[:, FEATURE_NAMES.index("dense_starts")] = np.where(rows, w.MACS_PER_KERNEL, 0.0)
    for place, feature in enumerate(ALL_FEATURES[len(FEATURES) : features], len(FEATURES)):
        amounts[:, place] = np.where(rows, feature.amount(Columns(table, precision)), 0.0)
    return amounts
