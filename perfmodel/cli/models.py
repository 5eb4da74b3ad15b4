"""`perfmodel models`."""

from __future__ import annotations

from typing import Annotated

import typer

from perfmodel.cli.options import Force, Json, Output


def command(
    match: Annotated[
        str, typer.Option(help="Only networks whose names hold this text, one a line.")
    ] = "",
    output: Output = None,
    force: Force = False,
    as_json: Json = False,
) -> int:
    """List the networks of the zoo and of the pack (torchvision, timm, transformers).

    Example: perfmodel models --match mobilenetv4
    """
    from perfmodel.cli.output import answer, check_answer
    from perfmodel.render.answers import described
    from perfmodel.zoo.known_networks import models

    check_answer("models", output, force=force)
    answer(described(models(match)), "models", output, as_json)
    return 0
