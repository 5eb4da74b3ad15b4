"""What the kernel-level studies share: sums by network, intervals, simple baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models.interval import COVERAGE, conformal_bounds
from validation.data.kernel_tables import KernelSet


@dataclass(frozen=True)
class Cases:
    """Sums of kernels: name, left-out label, target, predicted and measured milliseconds."""

    names: tuple[str, ...]
    label: np.ndarray
    target: np.ndarray
    predicted: np.ndarray
    measured: np.ndarray


def network_cases(kernels: KernelSet, predicted_us: np.ndarray, label: np.ndarray) -> Cases:
    """Sums over the kernels of each (target, network) that is predicted."""
    targets = kernels.target_names
    keys = sorted(set(zip(targets, kernels.network, strict=True)))
    rows = [np.flatnonzero((targets == t) & (kernels.network == n)) for t, n in keys]
    kept = [i for i, r in enumerate(rows) if np.isfinite(predicted_us[r]).all()]
    return Cases(
        tuple(f"{keys[i][0]} {keys[i][1]}" for i in kept),
        np.array([label[rows[i][0]] for i in kept], dtype=object),
        np.array([keys[i][0] for i in kept], dtype=object),
        np.array([predicted_us[rows[i]].sum() / 1e3 for i in kept]),
        np.array([kernels.kernel_us[rows[i]].sum() / 1e3 for i in kept]),
    )


def cross_conformal(
    predicted: np.ndarray, measured: np.ndarray, label: np.ndarray, coverage: float = COVERAGE
) -> np.ndarray:
    """Intervals from the errors of the other labels' left-out cases, shape (cases, 2)."""
    log_error = np.log(measured / predicted)
    out = np.empty((len(predicted), 2))
    for value in sorted(set(label)):
        others = log_error[label != value]
        out[label == value] = conformal_bounds(others if len(others) else log_error, coverage)
    return predicted[:, None] * np.exp(out)


def proportional(
    kernels: KernelSet, label: np.ndarray, columns: Sequence[np.ndarray]
) -> np.ndarray:
    """Per target, non-negative least squares of relative error on `columns`, by left-out label.

    One column (MACs) is the FLOPs-proportional baseline; MACs, bytes and a constant are a roofline
    of sums, the per-device linear baseline. NaN where a target has no other label.
    """
    from scipy.optimize import nnls

    design = np.column_stack(columns)
    predicted = np.full(len(kernels), np.nan)
    for value in sorted(set(label)):
        for target in np.unique(kernels.rows.target):
            mine = kernels.rows.target == target
            train, test = mine & (label != value), mine & (label == value)
            if not train.any() or not test.any():
                continue
            # whole networks are asked for, so rows count by their time
            weight = 1 / np.sqrt(kernels.kernel_us[train])
            scale = np.maximum(design[train].max(axis=0), 1e-12)
            a = design[train] / scale * weight[:, None]
            x, _ = nnls(a, kernels.kernel_us[train] * weight)
            predicted[test] = (design[test] / scale) @ x
    return predicted


def simple_columns(kernels: KernelSet) -> dict[str, list[np.ndarray]]:
    """Columns of the two linear baselines."""
    t = kernels.rows.table
    moved = t["input_elements"] + t["output_elements"] + t["weight_elements"]
    ones = np.ones(len(kernels))
    return {"FLOPs": [t["macs"]], "roofline": [t["macs"], moved, ones]}
