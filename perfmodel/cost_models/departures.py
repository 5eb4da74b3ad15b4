"""How far the costs of one target may depart from those of the targets that are like it."""

from __future__ import annotations

import numpy as np

from perfmodel.cost_models.work_features import FEATURE_GROUPS, FEATURE_NAMES


def loadings(own_sd: float, shared_sd: float) -> np.ndarray:
    """Prior spread of departures, shape (features, size): own of each feature, shared by a group.

    A device with twice the arithmetic units is faster in all matrix products at once: the groups
    of `FEATURE_GROUPS` move together by `shared_sd`.
    """
    columns = [np.eye(len(FEATURE_NAMES)) * own_sd]
    if shared_sd > 0:
        for group in sorted(set(FEATURE_GROUPS) - {""}):
            member = np.array([g == group for g in FEATURE_GROUPS], dtype=float)
            columns.append(member[:, None] * shared_sd)
    return np.hstack(columns)
