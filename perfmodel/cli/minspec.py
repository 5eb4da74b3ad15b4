"""`perfmodel minspec`: the minimum phone for a network and a limit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perfmodel.cli.options import (
    AllowUncovered,
    Dims,
    InputShapes,
    Json,
    MaxEnergy,
    MaxLatency,
    MaxMemory,
    Model,
    Percentile,
    Profiles,
    input_shapes,
    sizes,
)


def command(
    model: Model,
    max_latency_ms: MaxLatency,
    percentile: Percentile = 95.0,
    max_memory_mb: MaxMemory = None,
    max_energy_mj: MaxEnergy = None,
    unit: Annotated[str, typer.Option(help="any, cpu, gpu, npu, dsp or nnapi.")] = "any",
    precision: Annotated[str, typer.Option(help="any, fp32, fp16, int8 or float.")] = "any",
    kind: Annotated[str, typer.Option(help="Kind of device, or any.")] = "phone",
    fleet: Annotated[
        Path | None, typer.Option(help="CSV of device,share; without it a made-up example.")
    ] = None,
    dim: Dims = None,
    input_shape: InputShapes = None,
    allow_uncovered: AllowUncovered = False,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """The minimum phone that runs a network within a limit; exit code 1 if none does.

    Example: perfmodel minspec mobilenet_v2 --max-latency-ms 50
    """
    from perfmodel.cli.output import show
    from perfmodel.explore.minspec import minspec
    from perfmodel.render.minspec import minspec_data, minspec_result

    answer = minspec(
        model,
        max_latency_ms,
        percentile=percentile,
        max_memory_mb=max_memory_mb,
        max_energy_mj=max_energy_mj,
        unit=unit,
        precision=precision,
        kind=kind,
        fleet=fleet,
        dims=sizes(dim),
        input_shape=input_shapes(input_shape),
        profiles=profile or [],
        allow_uncovered=allow_uncovered,
    )
    show(minspec_result(minspec_data(answer)), as_json)
    return 0 if answer.minimum is not None else 1
