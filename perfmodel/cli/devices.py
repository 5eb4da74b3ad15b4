"""`perfmodel devices`."""

from __future__ import annotations

from typing import Annotated

import typer

from perfmodel.cli.options import Json, Profiles
from perfmodel.errors import PerfmodelError


def command(
    kind: Annotated[
        str, typer.Option(help="Only phone, jetson, board, laptop, desktop, server or host.")
    ] = "",
    match: Annotated[str, typer.Option(help="Only targets that contain this text.")] = "",
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """List targets with their out-of-sample error and source.

    Example: perfmodel devices --kind phone
    """
    from perfmodel.cli.output import show
    from perfmodel.devices.profile import KINDS
    from perfmodel.devices.registry import list_targets
    from perfmodel.render.devices import devices_result

    if kind and kind not in KINDS:
        raise PerfmodelError(f"--kind {kind!r} is none of {', '.join(KINDS)}")
    lines = [
        line
        for line in list_targets(profile or [])
        if (not kind or line.kind == kind) and match.lower() in line.target
    ]
    show(devices_result(lines), as_json)
    return 0
