"""What every accuracy experiment returns, how errors are counted, and how the table is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

import perfmodel
from perfmodel.devices.profile import DeviceProfile
from perfmodel.errors import MeasurementError, PerfmodelError
from perfmodel.experiments.scores import Case, case_text, median_error, scores, worst_first


@dataclass(frozen=True, kw_only=True)
class AccuracyRow:
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
    def from_dict(cls, data: Mapping[str, Any]) -> AccuracyRow:
        """The row that `to_dict` turned into plain data; raises `MeasurementError` for other."""
        try:
            return cls(**{**data, "worst": tuple(data["worst"])})
        except (TypeError, KeyError) as error:
            raise MeasurementError(f"no result of an experiment: {error}") from error


Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class UnseenCase(Case, Generic[Row]):
    """A case whose measured row the answer was made without; `simple` are simple models' times, ms.

    `model` is the name that the list of the worst bears; a simple model that does not know the
    case says NaN, and all cases that are scored together have the same simple models.
    """

    row: Row
    simple: Mapping[str, float] = field(default_factory=dict)


def unseen_case(
    row: Row,
    answer: Any,
    measured_ms: float,
    *,
    name: str,
    group: str = "",
    simple: Mapping[str, float] | None = None,
) -> UnseenCase[Row]:
    """A row that `answer`, a prediction of `perfmodel.predict`, was made without."""
    low, high = answer.interval_ms
    return UnseenCase(
        row=row,
        model=name,
        target=group,
        group=group,
        predicted_ms=float(answer.latency_ms),
        measured_ms=float(measured_ms),
        low_ms=float(low),
        high_ms=float(high),
        simple=simple or {},
    )


def columns_as_cases(
    names: Sequence[str],
    predicted_ms: ArrayLike,
    measured_ms: ArrayLike,
    *,
    groups: Sequence[Any] | None = None,
    intervals_ms: ArrayLike | None = None,
) -> list[Case]:
    """Cases from columns of one length; `intervals_ms` has shape (cases, 2)."""
    said, seen = np.asarray(predicted_ms, float), np.asarray(measured_ms, float)
    bounds: Sequence[tuple[float | None, float | None]] = [(None, None)] * len(names)
    if intervals_ms is not None:
        bounds = [(float(low), float(high)) for low, high in np.asarray(intervals_ms, float)]
    labels = [""] * len(names) if groups is None else [str(group) for group in groups]
    return [
        Case(
            model=name,
            target=label,
            group=label,
            predicted_ms=float(ms),
            measured_ms=float(true),
            low_ms=low,
            high_ms=high,
        )
        for name, label, ms, true, (low, high) in zip(
            names, labels, said, seen, bounds, strict=True
        )
    ]


def score(
    experiment: str,
    target_kind: str,
    cases: Sequence[Case],
    seed: int,
    *,
    baselines: Mapping[str, ArrayLike] | None = None,
    reasons: Mapping[str, str] | None = None,
    worst: int = 5,
) -> AccuracyRow:
    """Errors of all cases as a row; cases are ranked among those of their group.

    `baselines` maps a simple model's name to its predictions, NaN where it has none; without it
    they are what the cases hold. Raises `MeasurementError` if a prediction is missing: no case is
    dropped silently.
    """
    try:
        found = scores(cases)
    except MeasurementError as error:
        raise MeasurementError(f"{experiment}, {target_kind}: {error.message}") from error
    measured = [case.measured_ms for case in cases]
    simple = _simple_models(cases) if baselines is None else baselines
    return AccuracyRow(
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
            for name, values in simple.items()
            if (value := median_error(values, measured)) is not None
        },
        worst=tuple(case_text(case, reasons) for case in worst_first(cases, worst)),
    )


def _simple_models(cases: Sequence[Case]) -> dict[str, list[float]]:
    told = [case.simple for case in cases if isinstance(case, UnseenCase)]
    return {name: [simple[name] for simple in told] for name in (told[0] if told else ())}


Pair = tuple[UnseenCase[Row], UnseenCase[Row]]


def ratio_cases(
    pairs: Sequence[Pair[Row]],
    name: Callable[[UnseenCase[Row], UnseenCase[Row]], str],
    intervals: ArrayLike | None = None,
) -> tuple[list[Case], float]:
    """Cases whose times are ratios of two, the first of a pair to the second; the share of pairs
    of which the faster one was told.
    """
    said = np.array([a.predicted_ms / b.predicted_ms for a, b in pairs])
    seen = np.array([a.measured_ms / b.measured_ms for a, b in pairs])
    right = float(np.mean((said > 1) == (seen > 1))) if pairs else float("nan")
    names = [name(a, b) for a, b in pairs]
    return columns_as_cases(names, said, seen, intervals_ms=intervals), right


def apart(a: Case, b: Case, factor: float) -> bool:
    """Whether two measured times differ by more than a factor."""
    return bool(abs(np.log(a.measured_ms / b.measured_ms)) > np.log(factor))


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


def table(results: Sequence[AccuracyRow]) -> str:
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


def worst_cases(results: Sequence[AccuracyRow]) -> str:
    """The worst cases of every experiment, one a line."""
    return "\n".join(
        f"{r.experiment}, {r.target_kind}: {case}" for r in results for case in r.worst
    )
