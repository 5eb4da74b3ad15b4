"""`perfmodel report`: a result as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perfmodel.cli.options import Force, Json


def command(
    result: Annotated[Path, typer.Argument(help="What a command printed with --json.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The page; by default RESULT with .html."),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> int:
    """A result as one HTML page that opens anywhere.

    Example: perfmodel report result.json -o report.html
    """
    from perfmodel.cli.output import check_outputs, show
    from perfmodel.render.page import PAGE_MARK
    from perfmodel.render.report import page_of, report, report_result

    place = output or page_of(result)
    check_outputs(place, mark=PAGE_MARK, force=force)
    show(report_result(report(result, place)), as_json)
    return 0
