"""Where libraries pick Winograd's algorithm for a convolution, and what is left to do then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfmodel.kernels.kernel import KernelTable


@dataclass(frozen=True)
class _WinogradRule:
    """One algorithm of a library: kernel (kh, kw) by output tiles of `edge`, along each axis > 1.

    `size` is the smallest output along those axes for which the library takes it.
    """

    kh: int
    kw: int
    edge: int
    size: int = 0


_ARM_RULES = (
    _WinogradRule(3, 3, 4, 5),
    _WinogradRule(3, 3, 2, 0),
    _WinogradRule(1, 3, 6),
    _WinogradRule(3, 1, 6),
    _WinogradRule(1, 5, 4),
    _WinogradRule(5, 1, 4),
    _WinogradRule(1, 7, 2),
    _WinogradRule(7, 1, 2),
)
"""Arm Compute Library, src/cpu/operators/CpuWinogradConv2d.cpp; the first that fits is taken."""

_TILES_OF_BEST = (4, 6, 8)


def winograd_work(
    table: KernelTable, rules: str = "best"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(output tile edge, or 0 for the direct algorithm; products; transformed elements).

    `rules` "best" takes, for square kernels of stride 1, the tile with the best ratio of direct to
    Winograd cost, less a penalty for the numeric range, as MNN does
    (ConvolutionWinograd::bestWinogradUnit); "acl" the fixed choices of the Arm Compute Library;
    "none" never, as in XNNPACK. Where libraries differ in detail the learned correction sees it.
    """
    kind = table["kernel_class"]
    able = ((kind == "conv3x3") | (kind == "convkxk")) & (table["sh"] == 1) & (table["sw"] == 1)
    if rules == "none":
        able = np.zeros(len(able), dtype=bool)
    return _arm_winograd(table, able) if rules == "acl" else _best_winograd(table, able)


def _arm_winograd(
    table: KernelTable, able: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    unit = np.zeros(len(able))
    products, transformed = np.zeros(len(able)), np.zeros(len(able))
    cin, cout = table["cin"], table["cout"]
    for rule in _ARM_RULES:
        fits = able & (unit == 0) & (table["kh"] == rule.kh) & (table["kw"] == rule.kw)
        fits &= np.minimum(table["hout"], table["wout"]) >= rule.size
        high, wide = (rule.edge if k > 1 else 1 for k in (rule.kh, rule.kw))
        tiles = table["batch"] * np.ceil(table["hout"] / high) * np.ceil(table["wout"] / wide)
        size = (high + rule.kh - 1) * (wide + rule.kw - 1)
        unit = np.where(fits, rule.edge, unit)
        products = np.where(fits, size * cin * cout * tiles, products)
        transformed = np.where(fits, size * (cin + cout) * tiles, transformed)
    return unit, products, transformed


def _best_winograd(
    table: KernelTable, able: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    k, out_w, out_h = table["kh"], table["wout"], table["hout"]
    cin, cout, batch = table["cin"], table["cout"], table["batch"]
    able = able & (k == table["kw"]) & (k <= 7)
    direct = out_w * out_h * 2 * cin * cout * k * k
    largest = np.clip(np.floor(np.sqrt(np.ceil(out_w * out_h / 8))), 2, 8)
    unit, best = np.zeros(len(k)), np.ones(len(k))
    products, transformed = np.zeros(len(k)), np.zeros(len(k))
    for edge in range(2, 8):
        size = edge + k - 1
        tiles = np.ceil(out_w / edge) * np.ceil(out_h / edge)
        transforms = (2 * size**3 * cin + 2 * size * edge * edge * cout) * tiles
        multiplied = size * size * cin * cout * tiles
        gain = direct / np.maximum(transforms + multiplied, 1) - 0.12 * (size / k) ** 2
        better = able & np.isin(size, _TILES_OF_BEST) & (edge <= largest) & (gain > best)
        best, unit = np.where(better, gain, best), np.where(better, edge, unit)
        products = np.where(better, batch * multiplied, products)
        transformed = np.where(better, batch * size * size * (cin + cout) * tiles, transformed)
    return unit, products, transformed
