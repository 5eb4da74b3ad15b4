"""What `whatif` answers: the range, what moves the answer, the best points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.render.plots import Point, scatter
from perfmodel.render.result import Data, Result, ResultFigure, ResultTable, plain
from perfmodel.render.svg import Bar, bars
from perfmodel.render.text import percent
from perfmodel.units import format_number

if TYPE_CHECKING:
    from perfmodel.explore.sweep import WhatIf

MOST_ROWS = 1000
"""A sweep of more points keeps its rows in --output; the JSON holds none of them."""
SHOWN = 12
SHOWN_FIGURES = 7


def sweep_data(answer: WhatIf) -> dict[str, Any]:
    """The JSON contract of `whatif`; all rows where they are few, the best ones always."""
    from perfmodel.explore.sweep_file import POINT

    def rows(frame: Any) -> list[dict[str, Any]]:
        records = frame.to_dict("records")
        found = [{str(k): v for k, v in r.items() if k != POINT} for r in records]
        return [plain({k: None if v != v else v for k, v in r.items()}) for r in found]

    data: dict[str, Any] = plain({k: v for k, v in vars(answer).items() if k != "frame"})
    frame = answer.frame
    data["rows"] = rows(frame) if len(frame) <= MOST_ROWS else []
    if answer.best is not None:
        data["best_rows"] = rows(frame.sort_values(answer.metric, kind="stable").head(SHOWN))
    if answer.failed:
        texts = [str(p) for p in frame["problem"].dropna().tolist() if p]
        data["problem"] = max(dict.fromkeys(texts), key=texts.count, default="no reason given")
    return {"command": "whatif", "answer": sweep_sentence(data)} | data


def sweep_sentence(data: Data) -> str:
    """The answer in words: the range, what moves it most, and where it is best."""
    name, count = data["metric"], data["points"]
    if data["best"] is None:
        return f"none of the {count} points has a {name}: {data.get('problem', 'no reason given')}"
    low, middle, high = (format_number(data["summary"][k]) for k in ("min", "median", "max"))
    words = f"{name} goes from {low} to {high} (median {middle}) over {count} points"
    if data["effects"]:
        first = data["effects"][0]
        words += f"; {first['path']} moves it most ({percent(first['share'])} of its variance)"
    if data["paths"]:
        words += f"; best at {_at(data['best'], data['paths'])}"
    return words


def _at(row: Mapping[str, Any], paths: Sequence[str]) -> str:
    return ", ".join(f"{p}={_short(row[p])}" for p in paths)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)


def sweep_result(data: Data) -> Result:
    """Describe a sweep."""
    name, failed, resumed = data["metric"], data["failed"], data.get("resumed_points", 0)
    facts = [str(data["subject"])]
    if failed:
        facts.append(f"{failed} points have no {name}: {data.get('problem', 'no reason given')}")
    before = f", {resumed} of them from before" if resumed else ""
    output = data.get("output")
    return Result(
        title=f"What if: {data['subject']}",
        answer=sweep_sentence(data),
        data=data,
        facts=facts,
        parts=(*_effects(data), *_over(data), *(_front(data) or _best(data))),
        closing=(
            f"{data['points']} points{before}, {data['elapsed_s']:.1f} s",
            *([f"rows: {output}"] if output else []),
        ),
    )


def _effects(data: Data) -> list[ResultTable | ResultFigure]:
    effects = data["effects"]
    if not effects:
        return []
    rows = [
        (
            e["path"],
            percent(e["share"], 1),
            "-" if e["rank_correlation"] is None else f"{e['rank_correlation']:+.2f}",
            f"{format_number(e['low'])} at {_short(e['low_at'])}",
            f"{format_number(e['high'])} at {_short(e['high_at'])}",
        )
        for e in effects
    ]
    headers = ("input", "of variance", "rank corr.", "least mean", "largest mean")
    together = data["together"]
    lengths = [e["share"] for e in effects]
    if together is not None and len(effects) > 1:
        rows.append(("together", percent(together, 1), "-", "-", "-"))
        lengths.append(together)
    shares = [
        Bar(e["path"], 100 * e["share"], note=f"{e['low']:.4g} to {e['high']:.4g}") for e in effects
    ]
    return [
        ResultFigure(
            title=f"Share of the variance of {data['metric']}",
            draw=lambda: bars(shares, "%", "sensitivity"),
        ),
        ResultTable(
            title=f"what moves it ({data['variance_method']})",
            headers=headers,
            rows=rows,
            bars=lengths,
        ),
    ]


def _over(data: Data) -> list[ResultFigure]:
    """The answer over the input that moves it most, where both are numbers."""
    effects, metric, rows = data["effects"], data["metric"], data.get("rows", [])
    if not effects or not _plottable(rows, effects[0]["path"], metric):
        return []
    path = effects[0]["path"]
    points = [
        Point(r[path], r[metric], ", ".join(f"{p}={r[p]}" for p in data["paths"]))
        for r in rows
        if r.get(metric) is not None
    ]
    return [
        ResultFigure(
            title=f"{metric} over {path}", draw=lambda: scatter(points, path, metric, "points")
        )
    ]


def _plottable(rows: Sequence[Data], path: str, metric: str) -> bool:
    def numeric(value: object) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    return len(rows) > 2 and all(numeric(r.get(path)) for r in rows) and metric in rows[0]


def _front(data: Data) -> list[ResultTable | ResultFigure]:
    front, names = data["front"], data["objectives"]
    if not front:
        return []
    table = _points(
        f"{data['front_size']} points that no other beats in {', '.join(names)} at once "
        "(points that lack one of these figures are left out)",
        front,
        [*data["paths"], *names],
    )
    if len(names) < 2:
        return [table]
    first, other = names[0], "accuracy" if "accuracy" in names else names[1]
    marked = [
        Point(r[first], r[other], ", ".join(f"{p}={r[p]}" for p in data["paths"]), True)
        for r in front
    ]
    plot = ResultFigure(
        title=f"{other} over {first} on that front",
        draw=lambda: scatter(marked, first, other, "Pareto front"),
    )
    return [plot, table]


def _best(data: Data) -> list[ResultTable | ResultFigure]:
    """The best points, where no front is known."""
    rows = data.get("best_rows", [])
    if not rows:
        return []
    known = [c for c in rows[0] if c not in (*data["paths"], data["metric"], "problem")]
    figures = [data["metric"], *known][:SHOWN_FIGURES]
    return [_points("best points", rows, [*data["paths"], *figures])]


def _points(title: str, rows: Sequence[Data], columns: Sequence[str]) -> ResultTable:
    shown = [[_short(r.get(c)) for c in columns] for r in rows]
    return ResultTable(
        title=title, headers=columns, rows=shown, text_rows=SHOWN, rest="more points"
    )
