"""Which input moves the answer most: shares of the variance of the answer.

On a full grid (every combination of the inputs' values once) the variance falls exactly into the
main effect of each input and what they do together: the analysis of variance of a full factorial
(Fisher 1925). On sampled points the main effects are estimates of Sobol's first-order indices,
V(E(answer | input)) / V(answer) (Sobol 1993), from the given points (Plischke et al. 2013).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MOST_CLASSES = 20
POINTS_PER_CLASS = 20
"""A sampled number is cut into classes of equal size, in each of which a straight line follows the
answer: with twenty points to a class its two numbers leave chance a tenth of the variance. Twenty
classes of lines miss 1/20**4 of the variance of a parabola."""

FEWEST_POINTS = 2
FEWEST_SAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How one input moves the answer.

    `share` is the part of the variance of the answer that the input explains alone (0 to 1),
    `rank_correlation` its direction (Spearman; None for an input that is no number), `low` and
    `high` the least and the largest mean answer over its values.
    """

    path: str
    share: float
    rank_correlation: float | None
    low: float
    high: float
    low_at: Any
    high_at: Any


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """The effects of all inputs, the strongest first.

    `exact` says that the points were a full grid; then `together` is the share of the variance
    that no input explains alone, and the shares of the effects and `together` add up to 1. It is
    None where the shares are estimates, and both are zero where the answer does not vary.
    """

    effects: tuple[Effect, ...]
    exact: bool
    together: float | None

    @property
    def method(self) -> str:
        """How the shares were found, in words."""
        if self.exact:
            return "analysis of variance of the full grid, exact"
        return "first-order Sobol indices, estimated from the points"


def sensitivity(
    inputs: Mapping[str, np.ndarray], answer: np.ndarray, sampled: Collection[str] = ()
) -> Sensitivity:
    """The effects of the inputs on the answer; points without an answer are left out.

    `inputs` are columns of the points by path, `answer` one number a point, `sampled` the paths
    whose values were drawn from a law. Each point weighs the same, so the values of a grid count
    as equally likely.
    """
    import numpy as np

    known = np.isfinite(answer)
    if known.sum() < (FEWEST_SAMPLES if sampled else FEWEST_POINTS):
        return Sensitivity(effects=(), exact=False, together=None)
    values = answer[known]
    columns = {path: column[known] for path, column in inputs.items()}
    moving = {path: column for path, column in columns.items() if len(_names(column)) > 1}
    drawn = any(path in sampled for path in moving)
    exact = not drawn and _is_full_grid(list(moving.values()))
    effects = [_effect(path, column, values, path in sampled) for path, column in moving.items()]
    effects.sort(key=lambda effect: -effect.share)
    together = None
    if exact:
        alone = math.fsum(effect.share for effect in effects)
        together = max(0.0, 1.0 - alone) if _variance(values) > 0 else 0.0
    return Sensitivity(effects=tuple(effects), exact=exact, together=together)


def _effect(path: str, column: np.ndarray, values: np.ndarray, drawn: bool) -> Effect:
    import numpy as np

    level, labels = levels(column, _classes(column) if drawn else math.inf)
    count = np.bincount(level)
    means = np.bincount(level, values) / count
    low, high = int(means.argmin()), int(means.argmax())
    between = float(count @ (means - values.mean()) ** 2) / len(values)
    share = _estimate(column, level, values) if drawn else _share(between, values)
    return Effect(
        path=path,
        share=share,
        rank_correlation=_spearman(column, values),
        low=float(means[low]),
        high=float(means[high]),
        low_at=labels[low],
        high_at=labels[high],
    )


def _classes(column: np.ndarray) -> int:
    """Into how many classes a sampled number is cut; values that come again stay apart."""
    points, values = len(column), len(_names(column))
    if values <= min(MOST_CLASSES, points // 2):
        return values
    return max(1, min(MOST_CLASSES, points // POINTS_PER_CLASS))


def _variance(values: np.ndarray) -> float:
    """The variance of the points, zero where they differ by no more than rounding."""
    import numpy as np

    spread = float(values.std())
    return 0.0 if spread <= 1e-12 * float(np.abs(values).max()) else spread**2


def _share(between: float, values: np.ndarray) -> float:
    total = _variance(values)
    return between / total if total else 0.0


def _estimate(column: np.ndarray, level: np.ndarray, values: np.ndarray) -> float:
    """The share of the variance that means or lines of the classes explain, less that of chance.

    They follow chance as well; the correction (omega squared, Hays 1963) takes the expected share
    of that away, so an idle input has a share of about zero. Values of a grid need none: each of
    them meets the same values of the other inputs.
    """
    import numpy as np

    count = np.bincount(level)
    means = np.bincount(level, values) / count
    explained, parameters = float(count @ (means - values.mean()) ** 2), len(count)
    if _numeric(column):
        x = column.astype(float)
        apart = x - (np.bincount(level, x) / count)[level]
        spread = np.bincount(level, apart**2)
        slanted = np.bincount(level, apart * values)[spread > 0]
        explained += float((slanted**2 / spread[spread > 0]).sum())
        parameters += len(slanted)
    total, spare = _variance(values) * len(values), len(values) - parameters
    if not total or spare <= 0:
        return explained / total if total else 0.0
    within = max(0.0, total - explained) / spare
    return min(1.0, max(0.0, (explained - (parameters - 1) * within) / (total + within)))


def _names(column: np.ndarray) -> list[str]:
    """The different values of a column as text, in order of appearance."""
    return list(dict.fromkeys(str(value) for value in column.tolist()))


def _is_full_grid(columns: list[np.ndarray]) -> bool:
    """Whether the points are every combination of the columns' values, each once."""
    if not columns:
        return False
    points = len(columns[0])
    sizes = [len(_names(column)) for column in columns]
    if math.prod(sizes) != points:
        return False
    rows = zip(*([str(value) for value in column.tolist()] for column in columns), strict=True)
    return len(set(rows)) == points


def levels(column: np.ndarray, most: float) -> tuple[np.ndarray, list[Any]]:
    """The level of each point (0, 1, ...) and a value that stands for each level.

    A level is a value, or one of `most` classes of equal size where numbers take more values.
    """
    import numpy as np

    text = [str(v) for v in column.tolist()]
    names = list(dict.fromkeys(text))
    if len(names) <= most or not _numeric(column):
        place = {name: i for i, name in enumerate(names)}
        first = dict(zip(reversed(text), column[::-1], strict=True))
        return np.array([place[t] for t in text]), [_plain(first[name]) for name in names]
    numbers = column.astype(float)
    edges = np.quantile(numbers, np.linspace(0, 1, int(most) + 1)[1:-1])
    level = np.unique(np.searchsorted(edges, numbers), return_inverse=True)[1]
    return level, [float(np.median(numbers[level == k])) for k in range(level.max() + 1)]


def _spearman(column: np.ndarray, values: np.ndarray) -> float | None:
    import numpy as np

    if not _numeric(column):
        return None
    mine, ranks = _ranks(column.astype(float)), _ranks(values)
    if mine.std() == 0 or ranks.std() == 0:
        return 0.0
    return float(np.corrcoef(mine, ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, equal values sharing their mean rank."""
    import pandas as pd

    return pd.Series(values).rank().to_numpy()


def _numeric(column: np.ndarray) -> bool:
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in column.tolist())


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
