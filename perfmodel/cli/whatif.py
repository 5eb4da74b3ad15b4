"""`perfmodel whatif`: a sweep, with progress on stderr and the answer in words first."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perfmodel.cli.output import plain, print_json
from perfmodel.explore.sensitivity import Effect
from perfmodel.explore.sweep import WhatIf, whatif
from perfmodel.render.text import bar, percent, table
from perfmodel.units import format_number

MOST_ROWS = 1000
SHOWN = 12
QUIET_S = 1.0


def whatif_command(
    scenario: Path | None,
    *,
    model: str,
    on: str,
    sets: Sequence[str],
    samples: Sequence[str],
    n: int | None,
    seed: int,
    metric: str,
    workers: int,
    dask: str,
    output: Path | None,
    restart: bool,
    profiles: Sequence[Path],
    as_json: bool,
) -> int:
    """Sweep and print; returns the exit code."""
    meter = Meter()
    try:
        answer = whatif(
            scenario,
            model=model,
            target=on,
            sets=sets,
            samples=samples,
            n=n,
            seed=seed,
            metric=metric,
            workers=workers,
            dask=dask,
            output=output,
            restart=restart,
            profiles=profiles,
            progress=meter,
        )
    except KeyboardInterrupt:
        if output is not None:
            print(f"\nrows so far are in {output}: the same command goes on", file=sys.stderr)
        raise
    finally:
        meter.close()
    if as_json:
        print_json(whatif_json(answer))
    else:
        print(whatif_text(answer))
    return 0


class Meter:
    """Points done and time left on stderr: one line on a terminal, else one every ten percent."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._told = 0.0
        self._shown = False

    def __call__(self, done: int, total: int, elapsed_s: float) -> None:
        """Show progress; nothing in the first second."""
        share = done / total
        if elapsed_s < QUIET_S or (not self._terminal and share < self._told + 0.1):
            return
        self._told, self._shown = share, True
        left = elapsed_s / share * (1 - share)
        line = f"{done} of {total} points, {percent(share)}, about {left:.0f} s left"
        print(f"\r{line:<70}" if self._terminal else line, end="", file=sys.stderr, flush=True)
        if not self._terminal:
            print(file=sys.stderr)

    def close(self) -> None:
        """End the line."""
        if self._shown and self._terminal:
            print(file=sys.stderr)


def whatif_json(answer: WhatIf) -> dict[str, Any]:
    """A sweep as plain data; all rows where they are few."""
    from perfmodel.explore.sweep_file import POINT

    fields = {k: v for k, v in vars(answer).items() if k != "frame"}
    data: dict[str, Any] = plain(fields)
    rows = answer.frame.to_dict("records") if len(answer.frame) <= MOST_ROWS else []
    data["rows"] = plain([{str(k): v for k, v in r.items() if k != POINT} for r in rows])
    return {"command": "whatif", "answer": whatif_sentence(answer)} | data


def whatif_sentence(answer: WhatIf) -> str:
    """The answer in words: the range, what moves it most, and where it is best."""
    name = answer.metric
    if answer.best is None:
        return f"none of the {answer.points} points has a {name}: {_problems(answer)}"
    low, middle, high = (format_number(answer.summary[k]) for k in ("min", "median", "max"))
    words = f"{name} goes from {low} to {high} (median {middle}) over {answer.points} points"
    if answer.effects:
        first = answer.effects[0]
        words += f"; {first.path} moves it most ({percent(first.share)} of its variance)"
    if answer.paths:
        words += f"; best at {_at(answer.best, answer.paths)}"
    return words


def _at(row: Mapping[str, Any], paths: Sequence[str]) -> str:
    return ", ".join(f"{p}={_short(row[p])}" for p in paths)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _problems(answer: WhatIf) -> str:
    texts = [str(p) for p in answer.frame["problem"].dropna().tolist() if p]
    return max(dict.fromkeys(texts), key=texts.count, default="no reason given")


def whatif_text(answer: WhatIf) -> str:
    """The sweep for people."""
    lines = [f"{answer.subject}: {whatif_sentence(answer)}"]
    if answer.failed:
        lines.append(f"  {answer.failed} points have no {answer.metric}: {_problems(answer)}")
    if answer.effects:
        lines += ["", "what moves it", _effects(answer.effects)]
    if answer.front:
        named = ", ".join(answer.objectives)
        lines += ["", f"{answer.front_size} points that no other beats in {named} at once"]
        lines.append("  (points that lack one of these figures are left out)")
        lines.append(_rows(answer.front[:SHOWN], (*answer.paths, *answer.objectives)))
    elif answer.best is not None:
        ordered = answer.frame.sort_values(answer.metric, kind="stable").head(SHOWN)
        lines += ["", "best points"]
        lines.append(_rows(ordered.to_dict("records"), (*answer.paths, *_figures(answer))))
    resumed = f", {answer.resumed_points} of them from before" if answer.resumed_points else ""
    lines += ["", f"{answer.points} points{resumed}, {answer.elapsed_s:.1f} s"]
    if answer.output:
        lines.append(f"rows: {answer.output}")
    return "\n".join(lines)


def _figures(answer: WhatIf) -> list[str]:
    known = [c for c in answer.frame.columns if c not in (*answer.paths, "point", "problem")]
    return [answer.metric, *(c for c in known if c != answer.metric)][:7]


def _effects(effects: Sequence[Effect]) -> str:
    rows = [
        (
            e.path,
            percent(e.share),
            bar(e.share, 20),
            "-" if e.rank_correlation is None else f"{e.rank_correlation:+.2f}",
            f"{format_number(e.low)} at {_short(e.low_at)}",
            f"{format_number(e.high)} at {_short(e.high_at)}",
        )
        for e in effects
    ]
    headers = ("input", "of variance", "", "rank corr.", "least mean", "largest mean")
    return table(headers, rows)


def _rows(rows: Sequence[Mapping[Any, Any]], columns: Sequence[str]) -> str:
    shown = [["-" if r[c] is None or r[c] != r[c] else _short(r[c]) for c in columns] for r in rows]
    return table(list(columns), shown)
