"""`perfmodel select`: the most accurate variant of a network that meets a budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfmodel.cli.output import plain, print_json
from perfmodel.explore.select import Candidate, Selection, emit, select
from perfmodel.render.text import percent, table
from perfmodel.units import format_ms

SHOWN = 12


def select_command(
    models: Sequence[str],
    *,
    on: str,
    fleet: Path | None,
    min_share: float,
    max_latency_ms: float,
    percentile: float,
    max_memory_mb: float | None,
    max_energy_mj: float | None,
    metric: str,
    folder: Path | None,
    profiles: Sequence[Path],
    as_json: bool,
) -> int:
    """Choose and print; 1 where no variant meets the budget."""
    answer = select(
        models,
        on=on,
        fleet=fleet,
        min_share=min_share,
        max_latency_ms=max_latency_ms,
        percentile=percentile,
        max_memory_mb=max_memory_mb,
        max_energy_mj=max_energy_mj,
        metric=metric,
        profiles=profiles,
    )
    written = emit(answer, folder) if folder is not None and answer.chosen else None
    if as_json:
        print_json(selection_json(answer) | {"emitted": str(written) if written else None})
    else:
        print(selection_text(answer, written))
    return 0 if answer.chosen is not None else 1


def selection_json(answer: Selection) -> dict[str, Any]:
    """A selection as plain data."""
    data: dict[str, Any] = plain(answer)
    return {"command": "select", "answer": selection_sentence(answer)} | data


def selection_sentence(answer: Selection) -> str:
    """The answer in words."""
    budget = answer.budget
    where = f"on {answer.place}"
    if answer.min_share < 1:
        where = f"for {percent(answer.min_share)} of the fleet {answer.place}"
    limit = f"within {budget.max_latency_ms:g} ms at p{budget.percentile:g} {where}"
    best = answer.chosen
    if best is None:
        return f"no variant stays {limit}"
    return (
        f"{best.model} in {best.precision} is the most accurate {limit}: {best.accuracy:g} "
        f"{best.metric}, {format_ms(best.latency_ms)} on {best.target}"
    )


def selection_text(answer: Selection, written: Path | None) -> str:
    """The choice for people: in words, then what else was near."""
    lines = [selection_sentence(answer)]
    if answer.chosen is not None:
        lines.append(f"  accuracy from {answer.chosen.accuracy_source}")
    passing = [c for c in answer.candidates if not c.reason]
    lines.append(f"  {len(passing)} of {len(answer.candidates)} variants meet the budget")
    if passing:
        lines += ["", "most accurate within the budget", _table(passing[:SHOWN])]
    failing = [c for c in answer.candidates if c.reason]
    if failing:
        lines += ["", "out of the budget, most accurate first", _table(failing[:5])]
    if answer.front:
        lines += ["", "no other is both faster and more accurate", _table(answer.front[:SHOWN])]
    if written is not None:
        lines += [
            "",
            f"wrote {written} (random weights): run it on the phone, then",
            "  perfmodel calibrate --from LOG --device NAME   learns from what you measured",
            "  perfmodel validate                             says how far the prediction was off",
        ]
    return "\n".join([*lines, "", *(f"  assumed: {text}" for text in answer.assumptions)])


def _table(rows: Sequence[Candidate]) -> str:
    shown = [
        (
            c.model,
            c.precision,
            f"{c.accuracy:g}",
            f"{c.latency_ms:.3g}",
            f"{c.memory_mb:.3g}",
            "-" if c.energy_mj is None else f"{c.energy_mj:.3g}",
            percent(c.share),
            c.target,
            c.reason or ("extrapolated" if c.extrapolated else ""),
        )
        for c in rows
    ]
    headers = ("network", "precision", "accuracy", "ms", "MB", "mJ", "share", "target", "")
    return table(headers, shown)
