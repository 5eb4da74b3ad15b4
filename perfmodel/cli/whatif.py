"""`perfmodel whatif`: a sweep, with progress on stderr and the answer in words first."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from perfmodel.cli.options import (
    MODEL_HELP,
    AllowUncovered,
    Dims,
    Force,
    InputShapes,
    Json,
    Output,
    Profiles,
    Seed,
    Target,
    input_shapes,
    refuse_idle,
    sizes,
)
from perfmodel.errors import printable
from perfmodel.render.text import percent
from perfmodel.runners.progress import QUIET_S


def command(
    context: typer.Context,
    scenario: Annotated[
        Path | None, typer.Argument(help="A scenario file to simulate; or give --model and --on.")
    ] = None,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "",
    on: Target = "",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="PATH=V1,V2 or PATH=LOW:HIGH:STEP; several make a grid."),
    ] = None,
    samples: Annotated[
        list[str] | None,
        typer.Option("--sample", help="PATH=LAW(...): uniform, normal, lognormal, choice, ..."),
    ] = None,
    n: Annotated[int | None, typer.Option("--n", min=1, help="Samples a grid point.")] = None,
    seed: Seed = 0,
    metric: Annotated[str, typer.Option(help="Column that the answer is about.")] = "",
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes that simulate; else all cores.")
    ] = None,
    dask: Annotated[str, typer.Option(help="An existing Dask cluster, tcp://HOST:PORT.")] = "",
    output: Output = None,
    restart: Annotated[
        bool, typer.Option(help="Begin rows anew over another sweep's, instead of going on.")
    ] = False,
    force: Force = False,
    dim: Dims = None,
    input_shape: InputShapes = None,
    allow_uncovered: AllowUncovered = False,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """Vary anything in a scenario or a prediction; see what moves the answer.

    Example: perfmodel whatif --model mobilenet_v2 --on snapdragon-888/cpu --set width=0.5,1.0
    """
    from perfmodel.cli.output import answer, check_answer, check_outputs, show
    from perfmodel.explore.sweep import whatif
    from perfmodel.files import TABLE_SUFFIXES, need_pyarrow
    from perfmodel.render.sweep import sweep_data, sweep_result

    _refuse_idle(context, scenario, samples, output)
    rows = output if output is not None and output.suffix in TABLE_SUFFIXES else None
    if rows is None:
        refuse_idle(context, f"without rows that go on: {' or '.join(TABLE_SUFFIXES)}", "restart")
        check_answer("whatif", output, force=force)
    else:
        # whether what is there may be written over, a note beside it says: see SweepJournal
        check_outputs(rows, force=True)
        need_pyarrow(rows)
    meter = Meter()
    try:
        found = whatif(
            scenario,
            model=model,
            target=on,
            sets=sets or [],
            samples=samples or [],
            n=n,
            seed=seed,
            metric=metric,
            workers=workers or os.cpu_count() or 1,
            dask=dask,
            output=rows,
            restart=restart,
            force=force,
            dims=sizes(dim),
            input_shape=input_shapes(input_shape),
            profiles=profile or [],
            allow_uncovered=allow_uncovered,
            progress=meter,
        )
    except KeyboardInterrupt:
        if rows is not None:
            kept = f"rows so far are in {printable(str(rows))}"
            print(f"\n{kept}: the same command goes on", file=sys.stderr)
        raise
    finally:
        meter.close()
    result = sweep_result(sweep_data(found))
    if rows is None:
        answer(result, "whatif", output, as_json)
    else:
        show(result, as_json)
    return 0


def _refuse_idle(
    context: typer.Context, scenario: Path | None, samples: list[str] | None, output: Path | None
) -> None:
    """Raise for options that would do nothing."""
    if scenario is None:
        why = "without a SCENARIO: predictions need no processes"
        refuse_idle(context, why, "workers", "dask")
    else:
        own = ("profile", "dim", "input_shape", "allow_uncovered")
        refuse_idle(context, "with a SCENARIO, which names its networks", *own)
    if not samples:
        refuse_idle(context, "without --sample", "n")
        if scenario is None:
            refuse_idle(context, "without --sample: predictions are not random", "seed")
    if output is None:
        refuse_idle(context, "without --output", "restart", "force")


class Meter:
    """Points done and time left on stderr: one line on a terminal, else one every ten percent."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._tenths = 0
        self._shown = False

    def __call__(self, done: int, total: int, elapsed_s: float) -> None:
        """Show progress; nothing in the first second."""
        share, tenths = done / total, 10 * done // total
        if elapsed_s < QUIET_S or (not self._terminal and tenths <= self._tenths):
            return
        self._tenths, self._shown = tenths, True
        left = elapsed_s / share * (1 - share)
        line = f"{done} of {total} points, {percent(share)}, about {left:.0f} s left"
        print(f"\r{line:<70}" if self._terminal else line, end="", file=sys.stderr, flush=True)
        if not self._terminal:
            print(file=sys.stderr)

    def close(self) -> None:
        """End the line."""
        if self._shown and self._terminal:
            print(file=sys.stderr)
