"""What every accuracy experiment returns, how errors are counted, and how the table is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from perfmodel.errors import MeasurementError


@dataclass(frozen=True)
class Result:
    """Out-of-sample accuracy of one experiment on one kind of target.

    Errors are |predicted - measured| / measured; `within_X` the share of cases at most X % off;
    `spearman` the rank correlation (mean over the groups that are ranked together); `coverage` the
    share of cases inside their 90 % prediction interval (None where no interval was made).
    `baselines` holds the median error of simple models on the same cases, `worst` a few of the
    worst cases with name, error and, where it is known, the reason.
    """

    experiment: str
    target_kind: str
    cases: int
    seed: int
    median_error: float
    mean_error: float
    within_5: float
    within_10: float
    within_20: float
    spearman: float | None = None
    coverage: float | None = None
    baselines: Mapping[str, float] = field(default_factory=dict)
    worst: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"baselines": dict(self.baselines), "worst": list(self.worst)}


def relative_errors(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """|predicted - measured| / measured, elementwise."""
    return np.abs(np.asarray(predicted, float) - measured) / measured


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, ties by mean rank; NaN for fewer than three values."""
    if len(a) < 3:
        return float("nan")
    from scipy.stats import rankdata

    ra, rb = rankdata(a), rankdata(b)
    if ra.std() == 0 or rb.std() == 0:
        return float("nan")
    return float(np.corrcoef(ra, rb)[0, 1])


def grouped_rank_correlation(
    predicted: np.ndarray, measured: np.ndarray, groups: Sequence[Any]
) -> float:
    """Mean of Spearman's correlation over groups of cases that are ranked together."""
    labels = np.asarray(groups)
    values = [
        rank_correlation(predicted[labels == g], measured[labels == g]) for g in np.unique(labels)
    ]
    finite = [v for v in values if np.isfinite(v)]
    return float(np.mean(finite)) if finite else float("nan")


def score(
    experiment: str,
    target_kind: str,
    predicted: np.ndarray,
    measured: np.ndarray,
    names: Sequence[str],
    seed: int,
    *,
    groups: Sequence[Any] | None = None,
    intervals: np.ndarray | None = None,
    baselines: Mapping[str, np.ndarray] | None = None,
    reasons: Mapping[str, str] | None = None,
    worst: int = 5,
) -> Result:
    """Errors of all cases as a `Result`; `names` say what each case is.

    `intervals` has shape (cases, 2); `baselines` maps a model's name to its predictions, NaN where
    it has none; `groups` labels cases that are ranked together (default: all). Raises
    `MeasurementError` if a prediction is missing: no case is dropped silently.
    """
    predicted, measured = np.asarray(predicted, float), np.asarray(measured, float)
    if not len(measured):
        raise MeasurementError(f"{experiment}: no cases")
    if not np.isfinite(predicted).all():
        lost = names[int(np.argmin(np.isfinite(predicted)))]
        raise MeasurementError(f"{experiment}: no prediction for {lost}")
    error = relative_errors(predicted, measured)
    ranking = grouped_rank_correlation(
        predicted, measured, list(groups) if groups is not None else [0] * len(measured)
    )
    coverage = None
    if intervals is not None:
        inside = (intervals[:, 0] <= measured) & (measured <= intervals[:, 1])
        coverage = float(inside.mean())
    order = np.argsort(-error)[:worst]
    return Result(
        experiment=experiment,
        target_kind=target_kind,
        cases=len(measured),
        seed=seed,
        median_error=float(np.median(error)),
        mean_error=float(error.mean()),
        within_5=float((error <= 0.05).mean()),
        within_10=float((error <= 0.10).mean()),
        within_20=float((error <= 0.20).mean()),
        spearman=ranking if np.isfinite(ranking) else None,
        coverage=coverage,
        baselines={
            name: float(np.nanmedian(relative_errors(values, measured)))
            for name, values in (baselines or {}).items()
        },
        worst=tuple(_worst_case(names[i], predicted[i], measured[i], reasons or {}) for i in order),
    )


def _worst_case(name: str, predicted: float, measured: float, reasons: Mapping[str, str]) -> str:
    change = 100 * (predicted / measured - 1)
    why = next((text for key, text in reasons.items() if key in name), "")
    text = f"{name}: {predicted:.3g} ms predicted, {measured:.3g} ms measured ({change:+.0f} %)"
    return f"{text}; {why}" if why else text


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def table(results: Sequence[Result]) -> str:
    """The results as a Markdown table, one line an experiment and kind of target."""
    head = (
        "| experiment | targets | cases | median error % | mean % | within 5 % | within 10 % "
        "| within 20 % | Spearman | coverage of 90 % interval | baselines: median error % |"
    )
    lines = [head, "|" + " --- |" * 11]
    for r in results:
        ranking = "-" if r.spearman is None else f"{r.spearman:.3f}"
        simple = ", ".join(f"{n} {_percent(v)}" for n, v in r.baselines.items()) or "-"
        cells = [r.experiment, r.target_kind, str(r.cases), _percent(r.median_error)]
        cells += [_percent(v) for v in (r.mean_error, r.within_5, r.within_10, r.within_20)]
        cells += [ranking, _percent(r.coverage), simple]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def worst_cases(results: Sequence[Result]) -> str:
    """The worst cases of every experiment, one a line."""
    return "\n".join(
        f"{r.experiment}, {r.target_kind}: {case}" for r in results for case in r.worst
    )
