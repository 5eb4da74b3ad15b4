"""Columns of a measurement table as kernels: the same record that a graph's kernels have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perfmodel.errors import MeasurementError
from perfmodel.graph.kinds import BINARY, GATES
from perfmodel.kernels.arithmetic import Product, convolution, recurrent_macs, recurrent_weights
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
        raise MeasurementError(f"row {bad + 1}: {_no_kernel(raw[bad])}", "drop such rows first")
    number = {c: _column(columns, c, rows, 0.0) for c in _SIZES}
    number |= {c: _column(columns, c, rows, 1.0) for c in _ONES}
    _work(op, raw, number, _products(op, number))
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


def unusable_rows(columns: Mapping[str, np.ndarray]) -> dict[int, str]:
    """The rows of which no kernel can be made, by position, and why; columns as table_from_rows."""
    raw = np.asarray(columns["op"], dtype=object)
    rows = len(raw)
    op = np.array([KERNEL_OF_ROW.get(str(o), str(o)) for o in raw], dtype=object)
    number = {c: _column(columns, c, rows, 0.0) for c in _SIZES}
    number |= {c: _column(columns, c, rows, 1.0) for c in _ONES}
    _work(op, raw, number, _products(op, number))
    empty = _without_work(op, number)
    found: dict[int, str] = {}
    for i, name in enumerate(op):
        if name != "conv2d" and name not in CLASS_OF_OP:
            found[i] = _no_kernel(raw[i])
        elif empty[i]:
            found[i] = _no_sizes(raw[i])
    return found


def _no_kernel(op: str) -> str:
    return f"operator {op!r} is not a kernel"


def _no_sizes(op: str) -> str:
    return f"{op!r} lacks the sizes that give its work"


def _products(op: np.ndarray, number: dict[str, np.ndarray]) -> Product:
    """Matrix products of every row, whose sizes become its columns m, n and k.

    Rows of other operators have sizes that mean nothing, or those of a recurrent layer: m time
    steps, k hidden units.
    """
    conv, groups = op == "conv2d", np.maximum(number["groups"], 1)
    images = convolution(
        pixels=number["batch"] * number["hout"] * number["wout"],
        window=number["kh"] * number["kw"],
        cin_of_group=number["cin"] / groups,
        cout_of_group=number["cout"] / groups,
        groups=groups,
    )
    dense = (op == "fully_connected") & (number["m"] == 0)
    inputs = number["cin"] * np.maximum(number["hin"], 1) * np.maximum(number["win"], 1)
    for size, of_image, of_layer in (
        ("m", images.m, number["batch"]),
        ("n", images.n, number["cout"]),
        ("k", images.k, inputs),
    ):
        number[size] = np.where(conv, of_image, np.where(dense, of_layer, number[size]))
    number["batch"] = np.where(dense, 1.0, number["batch"])
    count = np.where(conv, groups, np.where(op == "bmm", number["batch"], 1.0))
    return Product(m=number["m"], n=number["n"], k=number["k"], count=count)


def _work(op: np.ndarray, raw: np.ndarray, number: dict[str, np.ndarray], product: Product) -> None:
    """MACs, elements read, weights read and elements written by every row."""
    image = number["batch"] * number["cin"] * number["hin"] * number["win"]
    result = number["batch"] * number["cout"] * number["hout"] * number["wout"]
    flat = number["elements"]
    inputs, outputs = np.where(flat > 0, flat, image), np.where(flat > 0, flat, result)
    two = np.isin(op, BINARY) & np.array(
        [not str(r).endswith("_scalar") and r != "bias_add" for r in raw], dtype=bool
    )
    inputs = np.where(two, 2 * inputs, inputs)
    dense, bare = op == "fully_connected", np.isin(op, (*_GEMMS, "bmm"))
    weighted = dense | (op == "conv2d")
    inputs = np.where(dense | bare, product.left_elements, inputs)
    inputs = np.where(bare, inputs + product.right_elements, inputs)
    outputs = np.where(dense | bare, product.result_elements, outputs)
    macs = np.where(weighted | bare, product.macs, 0.0)
    weights = np.where(weighted, product.right_elements, 0.0)
    for kind in GATES:
        mine, steps = op == kind, number["batch"] * number["m"]
        macs = np.where(mine, recurrent_macs(kind, 0, number["k"], steps), macs)
        weights = np.where(mine, recurrent_weights(kind, 0, number["k"]), weights)
        state = steps * number["k"]
        inputs, outputs = np.where(mine, state, inputs), np.where(mine, state, outputs)
    number["macs"] = macs
    number["input_elements"] = inputs
    number["output_elements"] = outputs
    number["weight_elements"] = weights
    number["elements"] = outputs


def _without_work(op: np.ndarray, number: dict[str, np.ndarray]) -> np.ndarray:
    empty = (number["input_elements"] <= 0) | (number["output_elements"] <= 0)
    return np.asarray(empty | ((op == "conv2d") & (number["macs"] <= 0)))


def _check(op: np.ndarray, raw: np.ndarray, number: dict[str, np.ndarray]) -> None:
    empty = _without_work(op, number)
    if empty.any():
        bad = int(np.argmax(empty))
        raise MeasurementError(f"row {bad + 1}: {_no_sizes(raw[bad])}")
