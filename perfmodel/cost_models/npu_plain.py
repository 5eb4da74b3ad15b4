"""Costs of an NPU target by four amounts alone: MACs, elements moved, bytes of weights and a call.

A few networks tell four numbers well and thirty badly. Where a compiler does with networks what no
kind of work explains, as with 8-bit integers, four numbers answer families that were not measured
about as well as costs by kind of work do (`npu_model`), and both together better than either.
"""

from __future__ import annotations

import numpy as np

from perfmodel.cost_models.npu_predictor import COST_NAMES, NO_COST

COLUMNS = [COST_NAMES.index(name) for name in ("macs", "moved", "weights", "call")]

FEWEST = 8
"""Networks of a target from which on its four numbers are fitted: two a number."""


def plain_costs(work: np.ndarray, latency_ms: np.ndarray) -> np.ndarray:
    """Log costs, shape (len(COST_NAMES),), by non-negative least squares of relative errors.

    `work` has shape (networks, len(COST_NAMES)); all costs but four are none (`NO_COST`).
    """
    from scipy.optimize import nnls

    share = work[:, COLUMNS] / latency_ms[:, None]
    size = np.maximum(share.max(axis=0), 1e-300)
    costs = nnls(share / size, np.ones(len(share)))[0] / size
    found = np.full(len(COST_NAMES), NO_COST)
    found[COLUMNS] = np.log(np.maximum(costs, np.exp(NO_COST)))
    return found


def blended(log_cost: np.ndarray, plain: np.ndarray, share: float) -> np.ndarray:
    """Log costs whose times are `share` of those by `plain` costs and the rest by the others."""
    if share == 0.0:
        return log_cost
    mixed = (1.0 - share) * np.exp(log_cost) + share * np.exp(plain)
    return np.log(np.maximum(mixed, np.exp(NO_COST)))
