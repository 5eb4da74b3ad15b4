"""`report`: a result file of any command as one HTML page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from perfmodel.errors import PerfmodelError
from perfmodel.files import check_output, write_atomically
from perfmodel.render import (
    comparison,
    minspec,
    plan,
    prediction,
    selection,
    simulation,
    sweep,
    validation,
)
from perfmodel.render.result import Data, Result, as_page, plain
from perfmodel.render.result_file import kind_of, read_result
from perfmodel.units import format_bytes

DESCRIBED_BY: dict[str, Callable[[Data], Result]] = {
    "predict": prediction.prediction_result,
    "partition": plan.plan_result,
    "compare": comparison.comparison_result,
    "suite": comparison.suite_result,
    "minspec": minspec.minspec_result,
    "select": selection.selection_result,
    "simulate": simulation.simulation_result,
    "whatif": sweep.sweep_result,
    "validate": validation.validation_result,
}


@dataclass(frozen=True)
class Report:
    """A written page: where it is, of which command, what it answers, its size."""

    output: str
    kind: str
    answer: str
    size_bytes: int


def rendered(data: Data) -> tuple[Result, str]:
    """A command's JSON as a result and its page; `PerfmodelError` for data that is none.

    Plots are drawn with the page, so that both meet what is damaged.
    """
    kind = kind_of(data)
    try:
        result = DESCRIBED_BY[kind](data)
        return result, as_page(result)
    except (
        *(KeyError, IndexError, TypeError, ValueError, AttributeError, StopIteration),
        *(ZeroDivisionError, OverflowError),
    ) as error:
        raise PerfmodelError(
            f"this {kind} result is damaged or of another version: {error!r:.200}",
            f"make it again with perfmodel {kind} ... --json",
        ) from None


def page_of(result: Path) -> Path:
    """Where the page of a result file goes by default."""
    return result.with_suffix(".html")


def report(result: Path | str, output: Path | str | None = None) -> Report:
    """Write the page of a result file (what a command printed with --json) as HTML.

    `output` is by default the result's name with .html. Raises `PerfmodelError` for a file that is
    no result.
    """
    source = Path(result)
    place = Path(output) if output is not None else page_of(source)
    check_output(place)
    data = read_result(source)
    made, text = rendered(data)
    write_atomically(place, text)
    return Report(str(place), kind_of(data), made.answer, len(text.encode()))


def report_result(written: Report) -> Result:
    """Describe a written page."""
    size = format_bytes(written.size_bytes)
    return Result(
        title="Report",
        answer=written.answer,
        data=plain(written),
        closing=(f"wrote {written.output} ({size})",),
    )
