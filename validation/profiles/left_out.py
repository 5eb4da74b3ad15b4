"""Out-of-sample predictions of kernels and of their sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from perfmodel.cost_models.kernel_model import KernelModel
from validation.data.kernel_tables import KernelSet


def left_out(
    kernels: KernelSet,
    label: np.ndarray,
    make: Callable[[], KernelModel],
    session_known: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """(microseconds of each row from a model that never saw its label, whether there is one).

    Rows whose target has nothing but the left-out label are not predicted: the question is about
    a known device. Unless `session_known`, the session's wait is the typical one of the target.
    """
    predicted = np.full(len(kernels), np.nan)
    for value in sorted(set(label)):
        train, test = np.flatnonzero(label != value), np.flatnonzero(label == value)
        known = np.isin(kernels.rows.target[test], np.unique(kernels.rows.target[train]))
        test = test[known]
        if len(test):
            model = make().fit(kernels.rows.take(train), kernels.kernel_us[train])
            asked = kernels.rows.take(test)
            if not session_known:
                asked = replace(asked, wait_us=None)
            predicted[test] = model.predict(asked)
    return predicted, np.isfinite(predicted)


def sum_errors(
    predicted_us: np.ndarray, measured_us: np.ndarray, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(groups in order, log of measured over predicted) of the sums over each group."""
    names, place = np.unique(group, return_inverse=True)
    predicted = np.bincount(place, predicted_us)
    measured = np.bincount(place, measured_us)
    return names, np.log(measured / predicted)


def random_groups(count: int, size: int, seed: int) -> np.ndarray:
    """A group for each of `count` rows, about `size` rows a group: stand-ins for networks."""
    groups = max(count // size, 1)
    labels: np.ndarray = np.random.default_rng(seed).permutation(count) % groups
    return labels
