"""What every accuracy experiment returns, how errors are counted, and how the table is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

import perfmodel
from perfmodel.devices.profile import DeviceProfile
from perfmodel.errors import MeasurementError, PerfmodelError
from perfmodel.experiments.scores import Case, case_text, median_error, scores_of, worst_first


@dataclass(frozen=True, kw_only=True)
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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """The result that `to_dict` turned into plain data; raises `MeasurementError` for other."""
        try:
            return cls(**{**data, "worst": tuple(data["worst"])})
        except (TypeError, KeyError) as error:
            raise MeasurementError(f"no result of an experiment: {error}") from error


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
    try:
        found = scores_of(predicted, measured, groups=groups, intervals=intervals)
    except MeasurementError as error:
        raise MeasurementError(f"{experiment}, {target_kind}: {error.message}") from error
    cases = [
        Case(model=name, target=target_kind, predicted_ms=float(said), measured_ms=float(seen))
        for name, said, seen in zip(names, predicted, measured, strict=True)
    ]
    return Result(
        experiment=experiment,
        target_kind=target_kind,
        cases=found.cases,
        seed=seed,
        median_error=found.median,
        mean_error=found.mape,
        within_5=found.within_5,
        within_10=found.within_10,
        within_20=found.within_20,
        spearman=found.spearman,
        coverage=found.coverage,
        baselines={
            name: value
            for name, values in (baselines or {}).items()
            if (value := median_error(values, measured)) is not None
        },
        worst=tuple(case_text(case, reasons) for case in worst_first(cases, worst)),
    )


def answered(
    queries: Sequence[tuple[str, str, int]], profiles: Sequence[DeviceProfile]
) -> list[Any]:
    """Predictions of (network, target, batch size); raises the first error."""
    answers = list(perfmodel.predict_many(queries, profiles=profiles))
    for answer, query in zip(answers, queries, strict=True):
        if isinstance(answer, Exception):
            raise PerfmodelError(f"{query[0]} on {query[1]}: {answer}") from answer
    return answers


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
