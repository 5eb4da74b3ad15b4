"""`perfmodel partition`: cut a network, predict the pieces, find the best plan, write it out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfmodel.cli.output import plain, print_json
from perfmodel.errors import PerfmodelError
from perfmodel.graph.ir import Graph
from perfmodel.plans.plan import PartitionResult, partition
from perfmodel.plans.problem import Link
from perfmodel.render.text import bar, table
from perfmodel.units import format_bytes, format_ms


def partition_command(
    model: str,
    on: str,
    *,
    units: str,
    k: int | None,
    by: str,
    server: str,
    link: str,
    objective: str,
    batch_size: int | None,
    emit: Path | None,
    plot: Path | None,
    profiles: Sequence[Path],
    as_json: bool,
) -> int:
    """Partition and print; returns the exit code."""
    from perfmodel.formats.load import load

    graph = load(model)
    result = partition(
        graph,
        on,
        units=[u.strip() for u in units.split(",") if u.strip()],
        k=k,
        by=by,
        server=server or None,
        link=named_link(link) if link else None,
        objective=objective,
        batch_size=batch_size,
        profiles=profiles,
    )
    written = emit_segments(graph, model, result, emit) if emit is not None else []
    if plot is not None:
        from perfmodel.render.cut_curve import write_plan_plot

        write_plan_plot(result, plot)
    if as_json:
        print_json(partition_json(result) | ({"emitted": written} if emit else {}))
    else:
        print(partition_text(result))
        for path in written:
            print(f"wrote {path}")
    return 0


def named_link(name: str) -> Link:
    """A link by name (lte, wifi, ...) or as UP/DOWN/RTT in Mbit/s, Mbit/s and ms."""
    parts = name.split("/")
    if len(parts) == 3:
        try:
            up, down, rtt = (float(p) for p in parts)
        except ValueError:
            up = -1.0
        if up <= 0 or down <= 0 or rtt < 0:
            raise PerfmodelError(
                f"link {name!r}: rates must be above 0 and the round trip at least 0",
                "write UPLINK_MBPS/DOWNLINK_MBPS/RTT_MS, for example 5/20/50",
            )
        return Link(name, up, down, rtt)
    from perfmodel.sim.links import named_link as typical_link

    spec = typical_link(name)
    if spec.uplink_mbps is None or spec.downlink_mbps is None or spec.rtt_ms is None:
        raise PerfmodelError(f"link {name!r} does not say both rates and its round trip")
    radio = spec.radio
    if radio is None:
        return Link(name, spec.uplink_mbps, spec.downlink_mbps, spec.rtt_ms)
    return Link(
        name,
        spec.uplink_mbps,
        spec.downlink_mbps,
        spec.rtt_ms,
        radio.base_mw + radio.uplink_mw_per_mbps * spec.uplink_mbps,
        radio.base_mw + radio.downlink_mw_per_mbps * spec.downlink_mbps,
        radio.tail_mw * radio.tail_s,
    )


def partition_json(result: PartitionResult) -> dict[str, Any]:
    """The JSON contract of `partition`."""
    data: dict[str, Any] = plain(result)
    data.pop("op_order")
    data["speedup"] = result.speedup
    if result.curve is not None:
        data["curve"]["total_ms"] = list(result.curve.total_ms)
    return data


def partition_text(result: PartitionResult) -> str:
    """The plan for people: the answer first."""
    better = result.unpartitioned_ms / result.latency_ms
    verdict = (
        f"{better:.2f} times as fast as in one piece"
        if better > 1.005
        else "no faster than in one piece"
        if better > 0.995
        else f"{1 / better:.2f} times the time in one piece"
    )
    pieces = "1 piece" if result.k == 1 else f"{result.k} pieces"
    lines = [
        f"{result.model} in {pieces} ({result.criterion}) takes "
        f"{format_ms(result.latency_ms)}: {verdict} ({format_ms(result.unpartitioned_ms)} on "
        f"{result.unpartitioned_target})",
        f"  best among {result.exact_over}"
        if result.criterion == "optimal"
        else f"  pieces by {result.criterion}",
        *(f"  {note}" for note in result.notes),
    ]
    longest = max(s.latency_ms for s in result.segments)
    rows = [
        (
            f"{s.first_op}-{s.last_op}",
            f"{s.first_name[:24]} .. {s.last_name[:24]}",
            s.target,
            format_bytes(s.weights_bytes),
            f"{s.latency_ms:.3f}",
            bar(s.latency_ms / longest, 20),
        )
        for s in result.segments
    ]
    lines += ["", table(("ops", "from .. to", "target", "weights", "ms", ""), rows)]
    if result.boundaries:
        moved = [
            (b.after_op, b.tensors, format_bytes(b.bytes), f"{b.latency_ms:.3f}")
            for b in result.boundaries
        ]
        lines += ["", table(("cut after op", "tensors", "bytes", "moving ms"), moved)]
    if result.energy_mj is not None:
        lines.append(f"energy {result.energy_mj:.3g} mJ")
    return "\n".join(lines)


def emit_segments(graph: Graph, model: str, result: PartitionResult, folder: Path) -> list[str]:
    """Write each segment as its own .tflite; a real .tflite is cut, another network is written with
    seeded random weights."""
    from dataclasses import replace

    from perfmodel.formats.tflite.cut import cut, cut_tflite
    from perfmodel.formats.tflite.writer import write_tflite

    folder.mkdir(parents=True, exist_ok=True)
    place = {op.name: number for number, op in enumerate(graph.ops)}
    order = [place[name] for name in result.op_order]
    ordered = replace(graph, ops=tuple(graph.ops[number] for number in order))
    written = []
    for number, segment in enumerate(result.segments, 1):
        path = folder / f"{Path(graph.name).stem}_{number}_of_{result.k}.tflite"
        if Path(model).suffix == ".tflite":
            cut_tflite(Path(model), segment.first_op, segment.last_op + 1, path, order=order)
        else:
            write_tflite(cut(ordered, segment.first_op, segment.last_op + 1), path)
        written.append(str(path))
    return written
