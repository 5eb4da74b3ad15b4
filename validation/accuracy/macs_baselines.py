"""Models of whole networks that look at MACs and parameters alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from validation.data.network_tables import family_of

FEWEST_LEFT = 3
"""A target is asked only if this many of its networks are left."""


def simple_models(
    cases: Sequence[tuple[int, str]],
    times: Mapping[tuple[int, str], float],
    size: Mapping[str, tuple[int, int]],
) -> dict[str, np.ndarray]:
    """Time proportional to MACs, and linear in MACs and parameters; the network's family unseen."""
    flops, linear = np.full(len(cases), np.nan), np.full(len(cases), np.nan)
    for place, (t, model) in enumerate(cases):
        seen = [m for target, m in times if target == t and family_of(m) != family_of(model)]
        seen = [m for m in seen if m in size]
        if len(seen) < FEWEST_LEFT:
            continue
        ms = np.array([times[t, m] for m in seen])
        known = np.array([[*size[m], 1.0] for m in seen])
        asked = np.array([*size[model], 1.0])
        flops[place] = np.exp(np.median(np.log(ms / known[:, 0]))) * asked[0]
        linear[place] = max(float(_linear(known, ms) @ asked), 1e-3)
    return {"FLOPs": flops, "linear": linear}


def _linear(design: np.ndarray, ms: np.ndarray) -> np.ndarray:
    """Non-negative least squares on relative error."""
    from scipy.optimize import nnls

    size = np.maximum(design.max(axis=0), 1e-9)
    solution: np.ndarray = nnls(design / size / ms[:, None], np.ones(len(ms)))[0] / size
    return solution
