"""`perfmodel compare`: networks on targets, or AI-Benchmark's tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from perfmodel.cli.options import (
    MODEL_HELP,
    TARGET_HELP,
    AllowUncovered,
    BatchSize,
    Dims,
    Force,
    InputShapes,
    Json,
    Output,
    Profiles,
    input_shapes,
    refuse_idle,
    sizes,
)
from perfmodel.errors import PerfmodelError

SUITES = ("ai-benchmark",)


def command(
    context: typer.Context,
    models: Annotated[
        list[str] | None, typer.Argument(help="Networks. Each: " + MODEL_HELP)
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option("--on", help=TARGET_HELP + " Several: again, or by comma: DEVICE/cpu,gpu."),
    ] = None,
    batch_size: BatchSize = None,
    dim: Dims = None,
    input_shape: InputShapes = None,
    relative: Annotated[bool, typer.Option(help="Times as fast as the first target.")] = False,
    suite: Annotated[str, typer.Option(help="ai-benchmark: its twelve tests.")] = "",
    plot: Annotated[Path | None, typer.Option(help="A heat map as .html or .svg.")] = None,
    output: Output = None,
    force: Force = False,
    allow_uncovered: AllowUncovered = False,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """Networks against targets.

    Example: perfmodel compare mobilenet_v2 vgg16 --on snapdragon-888/cpu,gpu
    """
    from perfmodel.cli.output import answer, check_answer, check_outputs
    from perfmodel.explore.compare import compare
    from perfmodel.render.comparison import comparison_data, comparison_map, comparison_result
    from perfmodel.render.page import write_figure

    networks, targets = told_apart(models or [], on or [], profile or [])
    if suite:
        return _suite(context, suite, networks, targets, profile or [], as_json)
    check_answer("compare", output, force=force, others=[plot])
    check_outputs(plot, suffixes=(".html", ".svg"), force=force)
    found = compare(
        networks,
        targets,
        batch_size=batch_size,
        dims=sizes(dim),
        input_shape=input_shapes(input_shape),
        profiles=profile or [],
        allow_uncovered=allow_uncovered,
    )
    result = comparison_result(comparison_data(found, relative=relative), plot=plot)
    if plot is not None:
        write_figure(comparison_map(result.data), result.answer, plot)
    answer(result, "compare", output, as_json)
    return 0


def told_apart(
    words: Sequence[str], on: Sequence[str], profiles: Sequence[Path]
) -> tuple[list[str], list[str]]:
    """Networks and targets: words after `--on TARGET` may be further targets."""
    from perfmodel.devices.registry import ProfileFolder

    devices = ProfileFolder(tuple(profiles)).names() if on else ()
    networks: list[str] = []
    targets = list(on)
    for word in words:
        device = word.split("/")[0].lower()
        (targets if device in devices and not Path(word).is_file() else networks).append(word)
    return networks, targets


def _suite(
    context: typer.Context,
    suite: str,
    models: Sequence[str],
    targets: Sequence[str],
    profiles: Sequence[Path],
    as_json: bool,
) -> int:
    from perfmodel.cli.output import show
    from perfmodel.explore.ai_benchmark import ai_benchmark
    from perfmodel.render.comparison import suite_data, suite_result

    if suite not in SUITES:
        raise PerfmodelError(f"--suite {suite!r} is none of {', '.join(SUITES)}")
    if models:
        raise PerfmodelError(f"--suite brings its own networks: what is {models[0]!r}?")
    idle = (
        "batch_size",
        "dim",
        "input_shape",
        "relative",
        "plot",
        "output",
        "force",
        "allow_uncovered",
    )
    refuse_idle(context, "with --suite", *idle)
    show(suite_result(suite_data(ai_benchmark(targets, profiles=profiles))), as_json)
    return 0
