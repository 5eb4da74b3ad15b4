"""The points that no other point beats in everything at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def pareto_front(costs: np.ndarray) -> np.ndarray:
    """Indices of the rows of `costs` (points, objectives; less is better) that none dominates.

    Sorted by the first objective. Of equal rows all stay; rows that hold a NaN never do.
    """
    import numpy as np

    usable = np.flatnonzero(~np.isnan(costs).any(axis=1))
    order = usable[np.lexsort(costs[usable].T[::-1])]
    front: list[int] = []
    kept = np.empty((0, costs.shape[1]))
    for i in order.tolist():
        row = costs[i]
        beaten = (kept <= row).all(axis=1) & (kept < row).any(axis=1)
        if not beaten.any():
            front.append(i)
            kept = np.vstack([kept, row])
    return np.array(front, dtype=int)
