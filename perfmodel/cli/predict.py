"""`perfmodel predict`: one network on one target, or a table of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perfmodel.cli.options import (
    MODEL_HELP,
    AllowUncovered,
    BatchSize,
    Dims,
    Force,
    InputShapes,
    Json,
    Output,
    Profiles,
    Target,
    input_shapes,
    refuse_idle,
    sizes,
)
from perfmodel.errors import PerfmodelError

if TYPE_CHECKING:
    from perfmodel.prediction import Prediction


def command(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help=MODEL_HELP)] = "",
    on: Target = "",
    batch_size: BatchSize = None,
    kind: Annotated[str, typer.Option(help="first, steady, sustained or in_app.")] = "steady",
    per_layer: Annotated[bool, typer.Option(help="Every kernel, not only the heaviest.")] = False,
    allow_uncovered: AllowUncovered = False,
    dim: Dims = None,
    input_shape: InputShapes = None,
    queries: Annotated[
        Path | None, typer.Option(help="CSV with columns model,target[,batch_size].")
    ] = None,
    fps: Annotated[
        bool, typer.Option("--fps", help="Frames per second too, one batch after the other.")
    ] = False,
    output: Output = None,
    export_model_explorer: Annotated[
        Path | None, typer.Option(help="Write per-layer latencies as Model Explorer node data.")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Write the kernels in order as a Perfetto trace.")
    ] = None,
    force: Force = False,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """How long a network takes on a target.

    Example: perfmodel predict mobilenet_v2 --on snapdragon-855-plus/cpu
    """
    from perfmodel.cli.output import check_answer, check_outputs, check_table
    from perfmodel.render.model_explorer import NODES_MARK, write_node_data

    if queries is not None:
        one = ("model", "on", "batch_size", "kind", "per_layer", "dim", "input_shape", "fps")
        written = ("export_model_explorer", "trace")
        refuse_idle(context, "with --queries: each row says what it asks", *one, *written)
        from perfmodel.cli.queries import ANSWERS, COLUMNS, answer_queries

        if output is None:
            refuse_idle(context, "without an output", "force")
        check_table(output, (*COLUMNS, *ANSWERS), force=force)
        return answer_queries(queries, output, profile or [], allow_uncovered, as_json)
    check_answer("predict", output, force=force, others=[export_model_explorer, trace])
    check_outputs(export_model_explorer, mark=NODES_MARK, force=force)
    if trace is not None:
        from perfmodel.sim.tracing import TRACE_MARK

        check_outputs(trace, mark=TRACE_MARK, force=force)
    found = _predicted(
        model,
        on,
        kind=kind,
        batch_size=batch_size,
        dims=sizes(dim),
        input_shape=input_shapes(input_shape),
        profiles=profile or [],
        allow_uncovered=allow_uncovered,
    )
    if export_model_explorer is not None:
        # operators fused into one kernel share its time; the first of them carries it
        write_node_data(export_model_explorer, {k.ops[0]: k.latency_ms for k in found.kernels})
    if trace is not None:
        _write_trace(found, trace)
    others = [str(path) for path in (export_model_explorer, trace) if path is not None]
    return _show(found, per_layer, fps, output, others, as_json)


def _write_trace(found: Prediction, path: Path) -> None:
    """The kernels in their order, each named for people and by its layer."""
    from perfmodel.sim.tracing import write_kernel_trace

    named = [(f"{k.title} ({k.name})", k.latency_ms) for k in found.kernels]
    if found.overhead_ms > 0:
        named.append(("overhead of the whole network", found.overhead_ms))
    write_kernel_trace(path, found.target, named)


def _predicted(
    model: str,
    on: str,
    *,
    kind: str,
    batch_size: int | None,
    dims: Mapping[str, int],
    input_shape: Mapping[str, Sequence[int]],
    profiles: Sequence[Path],
    allow_uncovered: bool,
) -> Prediction:
    from perfmodel.prediction import predict

    if not model or not on:
        raise PerfmodelError(
            "predict needs a MODEL and --on TARGET",
            "for example: perfmodel predict mobilenet_v2 --on snapdragon-855-plus/cpu",
        )
    return predict(
        model,
        on,
        batch_size=batch_size,
        dims=dims,
        input_shape=input_shape,
        profiles=profiles,
        allow_uncovered=allow_uncovered,
        kind=kind,
    )


def _show(
    found: Prediction,
    per_layer: bool,
    fps: bool,
    output: Path | None,
    others: Sequence[str],
    as_json: bool,
) -> int:
    """Print the answer and write its file, which holds every kernel; `others` are written."""
    from perfmodel.cli.output import show, write
    from perfmodel.render.prediction import prediction_data, prediction_result

    data = prediction_data(found, fps=fps)
    if output is not None:
        write(prediction_result(data), "predict", output)
    written = [*([str(output)] if output is not None else []), *others]
    show(prediction_result(data, per_layer=per_layer, written=written), as_json)
    return 0
