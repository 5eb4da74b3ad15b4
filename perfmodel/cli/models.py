"""`perfmodel models`."""

from __future__ import annotations

from perfmodel.cli.options import Json


def command(as_json: Json = False) -> int:
    """List the networks of the zoo.

    Example: perfmodel models
    """
    from perfmodel import zoo
    from perfmodel.cli.output import show
    from perfmodel.render.network import models_result

    show(models_result(zoo.entries()), as_json)
    return 0
