"""`perfmodel report`: a result as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perfmodel.cli.options import Json


def command(
    result: Annotated[Path, typer.Argument(help="What a command printed with --json.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The page; by default RESULT with .html."),
    ] = None,
    as_json: Json = False,
) -> int:
    """A result as one HTML page that opens anywhere.

    Example: perfmodel report result.json -o report.html
    """
    from perfmodel.cli.output import show
    from perfmodel.render.report import report, report_result

    show(report_result(report(result, output)), as_json)
    return 0
