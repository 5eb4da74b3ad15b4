"""The points of a sweep: a grid over what is set, times a latin hypercube over what is sampled."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ScenarioError
from perfmodel.explore.varied import Law, Varied, refuse_twice

if TYPE_CHECKING:
    import numpy as np

MAX_POINTS = 10_000_000  # some GB of rows
DEFAULT_SAMPLES = 100  # a share of variance is then known to within about a tenth


@dataclass(frozen=True)
class SweepDesign:
    """Points as columns: `columns[path][i]` is the value of a path at point i; `sampled` names the
    paths whose values were drawn from a law."""

    columns: dict[str, np.ndarray]
    count: int
    sampled: tuple[str, ...] = ()

    def points(self, first: int, last: int) -> list[dict[str, Any]]:
        """Points `first` to `last` - 1 as overrides by path, in plain Python values."""
        names = list(self.columns)
        rows = zip(*(self.columns[n][first:last].tolist() for n in names), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows] if names else [{}]


def make_design(
    sets: Sequence[Varied], samples: Sequence[Law], count: int | None = None, seed: int = 0
) -> SweepDesign:
    """Every point of the grid `sets`, each with the same `count` points of a latin hypercube.

    The hypercube (McKay et al. 1979) is the same for the same seed. Raises `ScenarioError` for a
    path given twice and for too many points.
    """
    refuse_twice([*(v.path for v in sets), *(law.path for law in samples)])
    drawn = (count or DEFAULT_SAMPLES) if samples else 1
    size = math.prod(len(v.values) for v in sets) * drawn
    if not 0 < size <= MAX_POINTS:
        raise ScenarioError(f"{size} points are more than {MAX_POINTS}", "vary less at once")
    columns = _grid(sets, drawn)
    columns.update(_sampled(samples, drawn, size, seed))
    return SweepDesign(columns, size, tuple(law.path for law in samples))


def _grid(sets: Sequence[Varied], repeat: int) -> dict[str, np.ndarray]:
    import numpy as np

    indices = np.array(list(itertools.product(*(range(len(v.values)) for v in sets))), dtype=int)
    columns = {}
    for i, varied in enumerate(sets):
        values = np.empty(len(varied.values), dtype=object)
        values[:] = varied.values
        if all(isinstance(v, float) for v in varied.values):
            values = values.astype(float)
        columns[varied.path] = np.repeat(values[indices[:, i]], repeat)
    return columns


def _sampled(samples: Sequence[Law], drawn: int, size: int, seed: int) -> dict[str, np.ndarray]:
    if not samples:
        return {}
    import numpy as np
    from scipy.stats import qmc

    cube = qmc.LatinHypercube(len(samples), rng=np.random.default_rng(seed)).random(drawn)
    inside = np.clip(cube, 1e-12, 1 - 1e-12)
    return {
        law.path: np.tile(law.quantile(inside[:, i]), size // drawn)
        for i, law in enumerate(samples)
    }
