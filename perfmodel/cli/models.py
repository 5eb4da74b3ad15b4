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
    from perfmodel import zoo
    from perfmodel.cli.output import answer, check_answer
    from perfmodel.render.network import models_result
    from perfmodel.zoo.pack import packed_networks

    check_answer("models", output, force=force)
    found = models_result(zoo.entries(), tuple(packed_networks().values()), match)
    answer(found, "models", output, as_json)
    return 0
