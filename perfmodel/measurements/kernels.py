"""Columns of a measurement table as kernels: the same record that a graph's kernels have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perfmodel.errors import MeasurementError
from perfmodel.graph.kinds import BINARY
from perfmodel.kernels.kernel import NETWORK_COLUMN, KernelTable
from perfmodel.kernels.kernel_classes import CLASS_OF_OP, kernel_class

KERNEL_OF_ROW: Mapping[str, str] = {
    "depthwise_conv2d": "conv2d",
    "linear": "fully_connected",
    "max_pool": "max_pool2d",
    "avg_pool": "avg_pool2d",
    "bias_add": "add",
    "add_scalar": "add",
    "mul_scalar": "mul",
    "div_scalar": "div",
    "pow_scalar": "pow",
    "layernorm": "layer_norm",
    "reformat": "layout_convert",
    "reformat_to_dla": "layout_convert",
    "copy": "layout_convert",
}
"""Names of operators in published tables that differ from those of the graph vocabulary."""

_GEMMS = ("gemm", "gemm_tn", "gemm_nt", "sparse_gemm_0.90", "sparse_gemm_0.95")
_SIZES = ("cin", "hin", "win", "cout", "hout", "wout", "m", "n", "k", "elements")
_ONES = ("batch", "kh", "kw", "sh", "sw", "groups")


def _column(columns: Mapping[str, np.ndarray], name: str, rows: int, missing: float) -> np.ndarray:
    if name not in columns:
        return np.full(rows, missing)
    values = np.array(columns[name], dtype=float)
    values[np.isnan(values)] = missing
    return values


def _name_column(columns: Mapping[str, np.ndarray], name: str, rows: int, plain: str) -> np.ndarray:
    if name not in columns:
        return np.full(rows, plain, dtype=object)
    return np.array([v if isinstance(v, str) else plain for v in columns[name]], dtype=object)


def table_from_rows(columns: Mapping[str, np.ndarray]) -> KernelTable:
    """Kernels of measured rows, in order, with MACs, product sizes and elements derived.

    `columns` are the kernel columns of the canonical measurement table, arrays of one length; a
    size that does not apply is NaN. `op` is required. Raises `MeasurementError` naming the first
    row whose operator is unknown or whose sizes are missing.
    """
    if "op" not in columns:
        raise MeasurementError("kernel rows: column 'op' is missing")
    raw = np.asarray(columns["op"], dtype=object)
    rows = len(raw)
    op = np.array([KERNEL_OF_ROW.get(str(o), str(o)) for o in raw], dtype=object)
    known = np.array([o == "conv2d" or o in CLASS_OF_OP for o in op], dtype=bool)
    if not known.all():
        bad = int(np.argmin(known))
        raise MeasurementError(
            f"row {bad + 1}: operator {raw[bad]!r} is not a kernel", "drop such rows first"
        )
    number = {c: _column(columns, c, rows, 0.0) for c in _SIZES}
    number |= {c: _column(columns, c, rows, 1.0) for c in _ONES}
    _products(op, raw, number)
    _volumes(op, raw, number)
    _check(op, raw, number)
    number["residual"] = np.zeros(rows)
    number[NETWORK_COLUMN] = np.zeros(rows)
    shapes = (number[c] for c in ("cin", "cout", "groups", "kh", "kw", "sh", "sw"))
    kinds = [kernel_class(*row) for row in zip(op, *shapes, strict=True)]
    text = {
        "name": _name_column(columns, "layer", rows, ""),
        "op": op,
        "kernel_class": np.array(kinds, dtype=object),
        "activation": _name_column(columns, "activation", rows, "none"),
    }
    return KernelTable(text, number)


def _products(op: np.ndarray, raw: np.ndarray, number: dict[str, np.ndarray]) -> None:
    """Matrix product sizes and MACs of every row."""
    conv = op == "conv2d"
    pixels = number["batch"] * number["hout"] * number["wout"]
    groups = np.maximum(number["groups"], 1)
    window = number["kh"] * number["kw"] * number["cin"] / groups
    number["m"] = np.where(conv, pixels, number["m"])
    number["n"] = np.where(conv, number["cout"] / groups, number["n"])
    number["k"] = np.where(conv, window, number["k"])
    dense = (op == "fully_connected") & (number["m"] == 0)
    inputs = number["cin"] * np.maximum(number["hin"], 1) * np.maximum(number["win"], 1)
    number["m"] = np.where(dense, number["batch"], number["m"])
    number["n"] = np.where(dense, number["cout"], number["n"])
    number["k"] = np.where(dense, inputs, number["k"])
    number["batch"] = np.where(dense, 1.0, number["batch"])
    product = number["m"] * number["n"] * number["k"]
    macs = np.where(conv, product * groups, 0.0)
    macs = np.where(op == "fully_connected", product, macs)
    macs = np.where(np.isin(op, _GEMMS), product, macs)
    macs = np.where(op == "bmm", product * number["batch"], macs)
    steps = number["batch"] * number["m"] * number["k"] ** 2
    macs = np.where(op == "lstm", 4 * steps, macs)
    number["macs"] = np.where(op == "gru", 3 * steps, macs)


def _volumes(op: np.ndarray, raw: np.ndarray, number: dict[str, np.ndarray]) -> None:
    """Elements read, weights read and elements written by every row."""
    b, m, n, k = (number[c] for c in ("batch", "m", "n", "k"))
    image_in = b * number["cin"] * number["hin"] * number["win"]
    image_out = b * number["cout"] * number["hout"] * number["wout"]
    flat = number["elements"]
    inputs = np.where(flat > 0, flat, image_in)
    outputs = np.where(flat > 0, flat, image_out)
    two = np.isin(op, BINARY) & np.array(
        [not str(r).endswith("_scalar") and r != "bias_add" for r in raw], dtype=bool
    )
    inputs = np.where(two, 2 * inputs, inputs)
    dense, bare = op == "fully_connected", np.isin(op, (*_GEMMS, "bmm"))
    inputs = np.where(dense, m * k, np.where(bare, b * (m * k + k * n), inputs))
    outputs = np.where(dense | bare, b * m * n, outputs)
    recurrent = np.isin(op, ("lstm", "gru"))
    inputs = np.where(recurrent, b * m * k, inputs)
    outputs = np.where(recurrent, b * m * k, outputs)
    conv = op == "conv2d"
    weights = np.where(conv, n * k * np.maximum(number["groups"], 1), 0.0)
    weights = np.where(dense, n * k, weights)
    weights = np.where(op == "lstm", 4 * k * k, np.where(op == "gru", 3 * k * k, weights))
    number["input_elements"] = inputs
    number["output_elements"] = outputs
    number["weight_elements"] = weights
    number["elements"] = outputs


def _check(op: np.ndarray, raw: np.ndarray, number: dict[str, np.ndarray]) -> None:
    empty = (number["input_elements"] <= 0) | (number["output_elements"] <= 0)
    empty |= (op == "conv2d") & (number["macs"] <= 0)
    if empty.any():
        bad = int(np.argmax(empty))
        raise MeasurementError(f"row {bad + 1}: {raw[bad]!r} lacks the sizes that give its work")
