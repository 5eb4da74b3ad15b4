"""`perfmodel select`: the most accurate variant of a network that meets a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perfmodel.cli.options import (
    AllowUncovered,
    Force,
    Json,
    MaxEnergy,
    MaxLatency,
    MaxMemory,
    Output,
    Percentile,
    Profiles,
    refuse_idle,
)


def command(
    context: typer.Context,
    models: Annotated[
        list[str] | None, typer.Argument(help="Networks or families of the zoo; none means all.")
    ] = None,
    max_latency_ms: MaxLatency = 33.3,
    on: Annotated[str, typer.Option("--on", help="A device, or any target of it.")] = "",
    fleet: Annotated[
        Path | None, typer.Option(help="Instead of a device: CSV of device,share.")
    ] = None,
    min_share: Annotated[float, typer.Option(help="Share of the fleet that must pass.")] = 0.9,
    percentile: Percentile = 95.0,
    max_memory_mb: MaxMemory = None,
    max_energy_mj: MaxEnergy = None,
    metric: Annotated[str, typer.Option(help="Published accuracy.")] = "imagenet_top1",
    emit: Annotated[
        Path | None, typer.Option(help="Write the chosen network as .tflite into this folder.")
    ] = None,
    output: Output = None,
    force: Force = False,
    allow_uncovered: AllowUncovered = False,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """The most accurate variant within a budget; exit code 1 if none is.

    Example: perfmodel select mobilenet_v2 --on snapdragon-888 --max-latency-ms 10
    """
    from perfmodel.cli.output import answer, check_answer, check_outputs
    from perfmodel.explore import select as selecting
    from perfmodel.files import check_folder
    from perfmodel.formats.tflite.file import TFLITE_MARK
    from perfmodel.render.selection import selection_data, selection_result

    if fleet is None:
        refuse_idle(context, "without --fleet", "min_share")
    if emit is not None:
        check_folder(emit)
    check_answer("select", output, force=force, others=[emit])
    found = selecting.select(
        models or [],
        on=on,
        fleet=fleet,
        min_share=min_share,
        max_latency_ms=max_latency_ms,
        percentile=percentile,
        max_memory_mb=max_memory_mb,
        max_energy_mj=max_energy_mj,
        metric=metric,
        profiles=profile or [],
        allow_uncovered=allow_uncovered,
    )
    written = None
    if emit is not None and found.chosen is not None:
        check_outputs(selecting.emitted_path(found, emit), mark=TFLITE_MARK, force=force)
        written = str(selecting.emit(found, emit))
    answer(selection_result(selection_data(found, written)), "select", output, as_json)
    return 0 if found.chosen is not None else 1
