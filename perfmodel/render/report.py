"""`report`: a result file of any command as one HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perfmodel.answer import Answer, shortened
from perfmodel.errors import PerfmodelError
from perfmodel.files import check_output, write_atomically
from perfmodel.render.answers import DESCRIBED_BY, described
from perfmodel.render.result import Data, Result, as_page, plain
from perfmodel.render.result_file import kind_of, read_result
from perfmodel.units import format_bytes


@dataclass(frozen=True)
class Report:
    """A written page: where it is, of which command, what it answers, its size."""

    output: str
    kind: str
    answer: str
    size_bytes: int

    def __repr__(self) -> str:
        return shortened(f"<Report {self.output}: {self.size_bytes} bytes, {self.answer}>")


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


def report(result: Path | str | Answer, output: Path | str | None = None) -> Report:
    """Write the page of an answer, or of a file with what a command printed by --json, as HTML.

    `output` is by default the file's name with .html, and for an answer the name of its command.
    Raises `PerfmodelError` for a file that is no result.
    """
    if isinstance(result, Answer):
        place = Path(output) if output is not None else Path(f"{result.command}.html")
        check_output(place)
        made, kind = described(result), result.command
        text = as_page(made)
    else:
        source = Path(result)
        place = Path(output) if output is not None else page_of(source)
        check_output(place)
        data = read_result(source)
        kind = kind_of(data)
        made, text = rendered(data)
    write_atomically(place, text)
    return Report(str(place), kind, made.answer, len(text.encode()))


def report_result(written: Report) -> Result:
    """Describe a written page."""
    size = format_bytes(written.size_bytes)
    return Result(
        title="Report",
        answer=written.answer,
        data=plain(written),
        closing=(f"wrote {written.output} ({size})",),
    )
