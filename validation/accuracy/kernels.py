"""What the kernel-level studies share: sums by network, intervals, simple baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models.interval import bounds_by_kind
from validation.data.kernel_rows import KernelTimes


@dataclass(frozen=True)
class Cases:
    """Sums of kernels: name, left-out label, target, predicted and measured milliseconds."""

    names: tuple[str, ...]
    label: np.ndarray
    target: np.ndarray
    predicted: np.ndarray
    measured: np.ndarray


def network_cases(kernels: KernelTimes, predicted_us: np.ndarray, label: np.ndarray) -> Cases:
    """Sums over the kernels of each (target, network), of those that are predicted."""
    members: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(kernels.target, kernels.network, strict=True)):
        members.setdefault(key, []).append(row)
    kept = [(k, r) for k, r in sorted(members.items()) if np.isfinite(predicted_us[r]).all()]
    return Cases(
        tuple(f"{target} {network}" for (target, network), _ in kept),
        np.array([label[rows[0]] for _, rows in kept], dtype=object),
        np.array([target for (target, _), _ in kept], dtype=object),
        np.array([predicted_us[rows].sum() / 1e3 for _, rows in kept]),
        np.array([kernels.latency_us[rows].sum() / 1e3 for _, rows in kept]),
    )


def cross_conformal(
    predicted: np.ndarray,
    measured: np.ndarray,
    label: Sequence[object] | np.ndarray,
    kind: np.ndarray | None = None,
) -> np.ndarray:
    """90 % intervals from the errors of the other labels' left-out cases, shape (cases, 2).

    Cases of a label err together, so that they are worth fewer (`share_to_hold`). `kind` tells
    apart cases that err unlike one another, each of which has an interval of its own; a kind that
    one label alone has takes that of all.
    """
    labels = np.asarray(label, dtype=object)
    log_error = np.log(measured / predicted)
    one = np.full(len(labels), "", dtype=object)
    bounds = np.empty((len(predicted), 2))
    for value in sorted(set(labels.tolist())):
        mine, others = labels == value, labels != value
        known = others if others.any() else mine
        every = bounds_by_kind(log_error[known], one[known], labels[known])[""]
        found = {} if kind is None else bounds_by_kind(log_error[known], kind[known], labels[known])
        asked = one[mine] if kind is None else kind[mine]
        bounds[mine] = [found.get(str(k), every) for k in asked]
    return predicted[:, None] * np.exp(bounds)


def proportional(
    kernels: KernelTimes, label: np.ndarray, columns: Sequence[np.ndarray]
) -> np.ndarray:
    """Per target, non-negative least squares of relative error on `columns`, by left-out label.

    One column (MACs) is the FLOPs-proportional baseline; MACs, elements and a constant are a
    roofline of sums, the per-device linear baseline. NaN where a target has no other label.
    """
    from scipy.optimize import nnls

    design = np.column_stack(columns)
    predicted = np.full(len(kernels), np.nan)
    for value in sorted(set(label)):
        for target in sorted(set(kernels.target)):
            mine = kernels.target == target
            train, test = mine & (label != value), mine & (label == value)
            if not train.any() or not test.any():
                continue
            # whole networks are asked for, so rows count by their time
            weight = 1 / np.sqrt(kernels.latency_us[train])
            scale = np.maximum(design[train].max(axis=0), 1e-12)
            a = design[train] / scale * weight[:, None]
            x, _ = nnls(a, kernels.latency_us[train] * weight)
            predicted[test] = (design[test] / scale) @ x
    return predicted


def simple_columns(kernels: KernelTimes) -> Mapping[str, list[np.ndarray]]:
    """Columns of the two linear baselines."""
    ones = np.ones(len(kernels))
    return {"FLOPs": [kernels.macs], "roofline": [kernels.macs, kernels.elements, ones]}


def relative_costs(numbers: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """What each column of `numbers` (rows, columns) costs, >= 0, by least squares of the relative
    errors of `measured` (rows,)."""
    from scipy.optimize import nnls

    scaled = numbers / measured[:, None]
    size = np.maximum(scaled.max(axis=0), 1e-300)
    costs: np.ndarray = nnls(scaled / size, np.ones(len(scaled)))[0] / size
    return costs
