"""How far the costs of one target may depart from those of the targets that are like it."""

from __future__ import annotations

import numpy as np

from perfmodel.cost_models.work_features import ALL_FEATURES, FEATURES


def loadings(
    own_sd: float, shared_sd: float, features: int = len(FEATURES), starts: float = 1.0
) -> np.ndarray:
    """Prior spread of departures, shape (features, size): own of each feature, shared by a group.

    A device with twice the arithmetic units is faster in all matrix products at once: the groups
    of `Feature.group` move together by `shared_sd`. Fixed costs depart `starts` times as far
    as other work does.
    """
    groups = [f.group for f in ALL_FEATURES[:features]]
    own = [own_sd * (starts if g == "start" else 1.0) for g in groups]
    columns = [np.diag(own)]
    if shared_sd > 0:
        for group in sorted(set(groups) - {""}):
            member = np.array([g == group for g in groups], dtype=float)
            columns.append(member[:, None] * shared_sd)
    return np.hstack(columns)
