"""`perfmodel devices`."""

from __future__ import annotations

from typing import Annotated

import typer

from perfmodel.cli.options import Force, Json, Output, Profiles


def command(
    kind: Annotated[
        str, typer.Option(help="Only phone, jetson, board, laptop, desktop, server or host.")
    ] = "",
    match: Annotated[
        str,
        typer.Option(help="A phone or chip of the market, or only targets that hold this text."),
    ] = "",
    output: Output = None,
    force: Force = False,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """List targets with their out-of-sample error and source.

    With a phone's market name, model code or chip: its chip, memory, GPU and NPU, what was measured
    and what its spec sheet gives.

    Example: perfmodel devices --match "Galaxy S23"
    """
    from perfmodel.cli.output import answer, check_answer
    from perfmodel.devices.known_targets import targets
    from perfmodel.render.answers import described

    check_answer("devices", output, force=force)
    answer(described(targets(match, kind=kind, profiles=profile or [])), "devices", output, as_json)
    return 0
