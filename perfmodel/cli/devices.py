"""`perfmodel devices`."""

from __future__ import annotations

from typing import Annotated

import typer

from perfmodel.cli.options import Force, Json, Output, Profiles
from perfmodel.errors import PerfmodelError


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
    from perfmodel.devices.market_search import find
    from perfmodel.devices.profile import KINDS
    from perfmodel.devices.registry import list_targets, of_market
    from perfmodel.render.devices import devices_result

    if kind and kind not in KINDS:
        raise PerfmodelError(f"--kind {kind!r} is none of {', '.join(KINDS)}")
    check_answer("devices", output, force=force)
    lines = [
        line
        for line in list_targets(profile or [])
        if (not kind or line.kind == kind) and match.lower() in line.target
    ]
    found = find(match) if match and kind in ("", "phone") else None
    if found:
        lines = of_market(found, profile or [], lines)
    answer(devices_result(lines, found), "devices", output, as_json)
    return 0
