"""`perfmodel minspec`: the minimum phone for a network and a limit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from perfmodel.cli.options import (
    AllowUncovered,
    Dims,
    Force,
    InputShapes,
    Json,
    MaxEnergy,
    MaxLatency,
    MaxMemory,
    Model,
    Output,
    Percentile,
    Profiles,
    input_shapes,
    refuse_idle,
    sizes,
)
from perfmodel.errors import PerfmodelError


def command(
    context: typer.Context,
    model: Model,
    max_latency_ms: MaxLatency,
    percentile: Percentile = 95.0,
    max_memory_mb: MaxMemory = None,
    max_energy_mj: MaxEnergy = None,
    unit: Annotated[str, typer.Option(help="any, cpu, gpu, npu, dsp or nnapi.")] = "any",
    precision: Annotated[str, typer.Option(help="any, fp32, fp16, int8 or float.")] = "any",
    kind: Annotated[str, typer.Option(help="Kind of device, or any.")] = "phone",
    market: Annotated[
        str, typer.Option(help="play (every phone on the market) or known (with measurements).")
    ] = "play",
    since: Annotated[
        int | None, typer.Option(help="Only phones that came out in this year or later.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="CSV of device,price: the cheapest phone comes first.")
    ] = None,
    fleet: Annotated[
        Path | None, typer.Option(help="CSV of device,share: your users' phones.")
    ] = None,
    output: Output = None,
    force: Force = False,
    dim: Dims = None,
    input_shape: InputShapes = None,
    allow_uncovered: AllowUncovered = False,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """The minimum phone that runs a network within a limit; exit code 1 if none does.

    Example: perfmodel minspec mobilenet_v2 --max-latency-ms 50
    """
    from perfmodel.cli.output import answer, check_answer
    from perfmodel.explore.market_minspec import MARKETS, market_minspec
    from perfmodel.explore.minspec import MinSpec, minspec
    from perfmodel.render.minspec import minspec_data, minspec_result

    if market not in MARKETS:
        raise PerfmodelError(f"--market {market!r} is none of {', '.join(MARKETS)}")
    asked: dict[str, Any] = {
        "percentile": percentile,
        "max_memory_mb": max_memory_mb,
        "max_energy_mj": max_energy_mj,
        "unit": unit,
        "precision": precision,
        "fleet": fleet,
        "dims": sizes(dim),
        "input_shape": input_shapes(input_shape),
        "profiles": profile or [],
        "allow_uncovered": allow_uncovered,
    }
    found: MinSpec
    if market == "known" or kind != "phone":
        refuse_idle(context, "with --market known", "since", "prices", "output", "force")
        found = minspec(model, max_latency_ms, kind=kind, **asked)
    else:
        check_answer("minspec", output, force=force)
        asked |= {"since": since, "prices": prices, "every_phone": output is not None}
        found = market_minspec(model, max_latency_ms, **asked)
    answer(minspec_result(minspec_data(found)), "minspec", output, as_json)
    return 0 if found.minimum is not None else 1
