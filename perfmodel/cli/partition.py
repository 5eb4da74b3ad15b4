"""`perfmodel partition`: cut a network, predict the pieces, find the best plan, write it out."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perfmodel.cli.options import (
    AllowUncovered,
    BatchSize,
    Dims,
    Force,
    InputShapes,
    Json,
    Model,
    Output,
    Profiles,
    Target,
    input_shapes,
    sizes,
)
from perfmodel.errors import PerfmodelError
from perfmodel.units import parse_bytes

if TYPE_CHECKING:
    from perfmodel.graph.ir import Graph
    from perfmodel.plans.plan import PartitionResult
    from perfmodel.plans.problem import Link


def command(
    model: Model,
    on: Target,
    units: Annotated[
        list[str] | None,
        typer.Option(
            help="Further units of the device, or full targets; several by comma or again."
        ),
    ] = None,
    k: Annotated[int | None, typer.Option("-k", help="Number of segments.")] = None,
    by: Annotated[
        str, typer.Option(help="layer-count, layer-type, param-count, each-layer or optimal.")
    ] = "optimal",
    server: Annotated[str, typer.Option(help="Target of a server for device/cloud plans.")] = "",
    link: Annotated[
        str,
        typer.Option(help="A named link (lte, wifi, ...) or UPLINK/DOWNLINK/RTT in Mbit/s, ms."),
    ] = "",
    objective: Annotated[str, typer.Option(help="latency, energy or deadline=MS.")] = "latency",
    batch_size: BatchSize = None,
    dim: Dims = None,
    input_shape: InputShapes = None,
    memory: Annotated[
        list[str] | None,
        typer.Option(help="UNIT=SIZE that its parts may hold, gpu=200MB; several by comma."),
    ] = None,
    emit: Annotated[
        Path | None, typer.Option(help="Write each segment as its own .tflite into this folder.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Latency over the cut point, in parts, as .html or .svg.")
    ] = None,
    output: Output = None,
    force: Force = False,
    allow_uncovered: AllowUncovered = False,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """Cut a network into segments, or find the best plan over units and the cloud.

    Example: perfmodel partition vgg16 --on huawei-p40/gpu --units cpu -k 3
    """
    from perfmodel.cli.output import answer, check_answer, check_outputs
    from perfmodel.files import check_folder
    from perfmodel.formats.load import load
    from perfmodel.formats.tflite.file import TFLITE_MARK
    from perfmodel.plans.plan import partition
    from perfmodel.render.page import write_figure
    from perfmodel.render.plan import plan_curve, plan_data, plan_result

    check_answer("partition", output, force=force, others=[plot, emit])
    check_outputs(plot, suffixes=(".html", ".svg"), force=force)
    if emit is not None:
        check_folder(emit)
    shapes = input_shapes(input_shape)
    if emit is not None and shapes and Path(model).suffix == ".tflite":
        raise PerfmodelError(
            "--emit cuts a .tflite file at its own sizes", "leave --input-shape out"
        )
    graph = load(model, dims=sizes(dim), input_shape=shapes)
    found = partition(
        graph,
        on,
        units=[u.strip() for text in units or () for u in text.split(",") if u.strip()],
        k=k,
        by=by,
        server=server or None,
        link=named_link(link) if link else None,
        objective=objective,
        batch_size=batch_size,
        profiles=profile or [],
        allow_uncovered=allow_uncovered,
        memory=dict(sized(m) for text in memory or () for m in text.split(",")),
    )
    data = plan_data(found)
    if emit is not None:
        check_outputs(*piece_paths(graph, found, emit), mark=TFLITE_MARK, force=force)
        data |= {"emitted": emit_segments(graph, model, found, emit)}
    if plot is not None:
        curve = plan_curve(data)
        write_figure(curve.draw(), curve.title, plot)
    answer(plan_result(data, plot), "partition", output, as_json)
    return 0


def sized(text: str) -> tuple[str, int]:
    """A unit and what it may hold in bytes, of `UNIT=SIZE`."""
    unit, _, size = text.partition("=")
    try:
        return unit.strip(), parse_bytes(size)
    except ValueError as error:
        raise PerfmodelError(
            f"--memory {text[:60]!r}: {error}", "for example --memory gpu=200MB"
        ) from None


def named_link(name: str) -> Link:
    """A link by name (lte, wifi, ...) or as UP/DOWN/RTT in Mbit/s, Mbit/s and ms."""
    from perfmodel.plans.problem import Link

    parts = name.split("/")
    if len(parts) == 3:
        try:
            up, down, rtt = (float(p) for p in parts)
        except ValueError:
            up = down = rtt = math.nan
        if not (0 < up < math.inf and 0 < down < math.inf and 0 <= rtt < math.inf):
            raise PerfmodelError(
                f"link {name!r}: rates must be above 0 and the round trip at least 0",
                "write UPLINK_MBPS/DOWNLINK_MBPS/RTT_MS, for example 5/20/50",
            )
        return Link(name=name, uplink_mbps=up, downlink_mbps=down, rtt_ms=rtt)
    from perfmodel.sim.resolve import named_link as typical_link

    spec = typical_link(name)
    if spec.uplink_mbps is None or spec.downlink_mbps is None or spec.rtt_ms is None:
        raise PerfmodelError(f"link {name!r} does not say both rates and its round trip")
    link = Link(
        name=name,
        uplink_mbps=spec.uplink_mbps,
        downlink_mbps=spec.downlink_mbps,
        rtt_ms=spec.rtt_ms,
    )
    radio = spec.radio
    if radio is None:
        return link
    return replace(
        link,
        uplink_mw=radio.base_mw + radio.uplink_mw_per_mbps * spec.uplink_mbps,
        downlink_mw=radio.base_mw + radio.downlink_mw_per_mbps * spec.downlink_mbps,
        tail_mj=radio.tail_mw * radio.tail_s,
    )


def piece_paths(graph: Graph, result: PartitionResult, folder: Path) -> list[Path]:
    """Where the segments are written, in their order."""
    stem, count = Path(graph.name).stem, result.k
    return [folder / f"{stem}_{number}_of_{count}.tflite" for number in range(1, count + 1)]


def emit_segments(graph: Graph, model: str, result: PartitionResult, folder: Path) -> list[str]:
    """Write each segment as its own .tflite; a real .tflite is cut, another network is written with
    seeded random weights."""
    from perfmodel.formats.tflite.cut import cut, cut_tflite
    from perfmodel.formats.tflite.writer import write_tflite

    folder.mkdir(parents=True, exist_ok=True)
    place = {op.name: number for number, op in enumerate(graph.ops)}
    order = [place[name] for name in result.op_order]
    ordered = replace(graph, ops=tuple(graph.ops[number] for number in order))
    written = []
    for segment, path in zip(result.segments, piece_paths(graph, result, folder), strict=True):
        if Path(model).suffix == ".tflite":
            cut_tflite(Path(model), segment.first_op, segment.last_op + 1, path, order=order)
        else:
            write_tflite(cut(ordered, segment.first_op, segment.last_op + 1), path)
        written.append(str(path))
    return written
