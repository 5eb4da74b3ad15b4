"""What `select` answers: the most accurate variant within a budget, and what was near."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.render.plots import Point, scatter
from perfmodel.render.result import Data, Result, ResultFigure, ResultTable, plain
from perfmodel.render.text import percent
from perfmodel.units import format_ms, format_short

if TYPE_CHECKING:
    from perfmodel.explore.select import Selection

SHOWN = 12
SHOWN_FAILING = 5
HEADERS = ("network", "precision", "accuracy", "ms", "MB", "mJ", "share", "target", "")


def selection_data(answer: Selection, emitted: str | None = None) -> dict[str, Any]:
    """The JSON contract of `select`; `emitted` is where the chosen network was written."""
    data: dict[str, Any] = plain(answer)
    head = {"command": "select", "answer": selection_sentence(data)}
    return head | data | {"emitted": emitted}


def selection_sentence(data: Data) -> str:
    """The answer in words."""
    budget, best = data["budget"], data["chosen"]
    where = f"on {data['place']}"
    if data["min_share"] < 1:
        where = f"for {percent(data['min_share'])} of the fleet {data['place']}"
    limit = f"within {budget['max_latency_ms']:g} ms at p{budget['percentile']:g} {where}"
    if best is None:
        return f"no variant stays {limit}"
    return (
        f"{best['model']} in {best['precision']} is the most accurate {limit}: "
        f"{best['accuracy']:g} {best['metric']}, {format_ms(best['latency_ms'])} on "
        f"{best['target']}"
    )


def selection_result(data: Data) -> Result:
    """Describe a selection."""
    candidates = data["candidates"]
    passing = [c for c in candidates if not c["reason"]]
    failing = [c for c in candidates if c["reason"]]
    front = data["front"]
    facts = [f"{len(passing)} of {len(candidates)} variants meet the budget"]
    if data["chosen"] is not None:
        facts.insert(0, f"accuracy from {data['chosen']['accuracy_source']}")
    return Result(
        title=f"The best network for {data['place']}",
        answer=selection_sentence(data),
        data=data,
        facts=facts,
        parts=(
            ResultFigure(
                title="Accuracy over latency (what none beats is joined)",
                draw=lambda: _plot(data),
            ),
            _table(passing, "most accurate within the budget", SHOWN),
            _table(failing, "out of the budget, most accurate first", SHOWN_FAILING),
            _table(front, "no other is both faster and more accurate", SHOWN),
        ),
        assumptions=tuple(data["assumptions"]),
        sources=tuple(dict.fromkeys(f"accuracy: {c['accuracy_source']}" for c in candidates)),
        closing=_next_steps(data.get("emitted")),
    )


def _next_steps(emitted: str | None) -> tuple[str, ...]:
    if not emitted:
        return ()
    return (
        f"wrote {emitted} (random weights): run it on the phone, then",
        "  perfmodel calibrate --from LOG --device NAME   learns from what you measured",
        "  perfmodel validate                             says how far the prediction was off",
    )


def _plot(data: Data) -> str:
    front = {(c["model"], c["precision"]) for c in data["front"]}
    points = [
        Point(
            c["latency_ms"],
            c["accuracy"],
            f"{c['model']} {c['precision']}",
            (c["model"], c["precision"]) in front,
        )
        for c in data["candidates"]
    ]
    return scatter(points, "ms", data["metric"], "accuracy over latency", joined=True)


def _table(candidates: Sequence[Data], title: str, text_rows: int) -> ResultTable:
    rows = [
        (
            c["model"],
            c["precision"],
            f"{c['accuracy']:g}",
            format_short(c["latency_ms"]),
            format_short(c["memory_mb"]),
            "-" if c["energy_mj"] is None else format_short(c["energy_mj"]),
            percent(c["share"]),
            c["target"],
            c["reason"] or ("extrapolated" if c["extrapolated"] else ""),
        )
        for c in candidates
    ]
    return ResultTable(
        title=title,
        headers=HEADERS,
        rows=rows,
        text_rows=text_rows,
        rest="more (--json has all)",
        optional=("share", "mJ", "MB", "target"),
    )
