"""Which input moves the answer most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MOST_LEVELS = 20


@dataclass(frozen=True)
class Effect:
    """How one input moves the answer.

    `share` is the part of the variance of the answer's ranks that the input explains alone (a
    first-order index; 0 to 1), `rank_correlation` its direction (Spearman; None for an input that
    is no number), `low` and `high` the least and the largest mean answer over its values.
    """

    path: str
    share: float
    rank_correlation: float | None
    low: float
    high: float
    low_at: Any
    high_at: Any


def sensitivity(inputs: Mapping[str, np.ndarray], answer: np.ndarray) -> tuple[Effect, ...]:
    """Effects of the inputs on the answer, the strongest first; points without an answer are left
    out.

    The share is that of the variance between the levels of an input (its values, or twenty
    quantiles of them), less what chance alone would give (omega squared, Hays 1963), on ranks so
    that one far value does not decide.
    """
    import numpy as np

    known = np.isfinite(answer)
    if known.sum() < 3:
        return ()
    values, effects = answer[known], []
    ranks = _ranks(values)
    for path, column in inputs.items():
        level, labels = levels(column[known])
        if len(labels) < 2:
            continue
        count = np.bincount(level)
        means = np.bincount(level, values) / count
        low, high = int(means.argmin()), int(means.argmax())
        effects.append(
            Effect(
                path,
                _explained(level, count, ranks),
                _spearman(column[known], ranks),
                float(means[low]),
                float(means[high]),
                labels[low],
                labels[high],
            )
        )
    return tuple(sorted(effects, key=lambda e: -e.share))


def levels(column: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """The level of each point (0, 1, ...) and a value that stands for each level."""
    import numpy as np

    text = [str(v) for v in column.tolist()]
    names = list(dict.fromkeys(text))
    if len(names) <= MOST_LEVELS or not _numeric(column):
        place = {name: i for i, name in enumerate(names)}
        first = [column[text.index(name)] for name in names]
        return np.array([place[t] for t in text]), [_plain(v) for v in first]
    numbers = column.astype(float)
    edges = np.quantile(numbers, np.linspace(0, 1, MOST_LEVELS + 1)[1:-1])
    level = np.unique(np.searchsorted(edges, numbers), return_inverse=True)[1]
    return level, [float(np.median(numbers[level == k])) for k in range(level.max() + 1)]


def _explained(level: np.ndarray, count: np.ndarray, ranks: np.ndarray) -> float:
    import numpy as np

    total = float(((ranks - ranks.mean()) ** 2).sum())
    if total == 0:
        return 0.0
    means = np.bincount(level, ranks) / count
    between = float((count * (means - ranks.mean()) ** 2).sum())
    spare = len(ranks) - len(count)
    if spare <= 0:
        return between / total
    within = (total - between) / spare
    return min(1.0, max(0.0, (between - (len(count) - 1) * within) / (total + within)))


def _spearman(column: np.ndarray, ranks: np.ndarray) -> float | None:
    import numpy as np

    if not _numeric(column):
        return None
    mine = _ranks(column.astype(float))
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
