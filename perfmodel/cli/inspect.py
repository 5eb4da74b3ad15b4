"""`perfmodel inspect`: what a network costs, op by op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.cli.output import parse_sizes, print_json
from perfmodel.graph.ir import Graph, Op
from perfmodel.kernels import (
    OpCost,
    covered_part,
    macs,
    op_costs,
    params,
    peak_activation_bytes,
    uncovered_ops,
    weights_bytes,
)
from perfmodel.prediction import load_at_batch
from perfmodel.render.text import table
from perfmodel.units import format_bytes, format_count

_MOVED = ("input", "weight", "output")


def inspect_command(
    model: str, *, batch_size: int | None, dims: Sequence[str], as_json: bool
) -> int:
    """Print totals and the per-op table; returns the exit code."""
    from perfmodel.formats.load import load

    graph = load_at_batch(load(model, dims=parse_sizes(dims)), batch_size)
    if as_json:
        print_json(inspection(graph))
    else:
        print(inspection_text(graph))
    return 0


def inspection(graph: Graph) -> dict[str, Any]:
    """Totals and rows of a graph as plain data."""
    covered = covered_part(graph)
    costs = {cost.name: cost for cost in op_costs(covered)}
    rows = [_row(graph, op, costs.get(op.name)) for op in graph.ops]
    return {
        "model": graph.name,
        "format": graph.format,
        "source": graph.source,
        "batch_size": graph.batch_size,
        "inputs": [_tensor(graph, n) for n in graph.inputs],
        "outputs": [_tensor(graph, n) for n in graph.outputs],
        "op_count": len(graph.ops),
        "macs": macs(covered),
        "params": params(graph),
        "weights_bytes": weights_bytes(graph),
        "peak_activation_bytes": peak_activation_bytes(graph),
        "uncovered_ops": [
            {"name": op.name, "op": str(op.attrs.get("custom_name", op.kind))}
            for op in uncovered_ops(graph)
        ],
        "subgraphs": len(graph.subgraphs),
        "ops": rows,
    }


def _row(graph: Graph, op: Op, cost: OpCost | None) -> dict[str, Any]:
    """One operator; figures of an uncovered one are null, never zero."""
    figures = ("macs", "params", "input_bytes", "weight_bytes", "output_bytes")
    return {
        "name": op.name,
        "op": str(op.attrs.get("custom_name", op.kind)),
        **{f: None if cost is None else getattr(cost, f) for f in figures},
        "output_shapes": [list(t.shape) for t in graph.outputs_of(op)],
    }


def _tensor(graph: Graph, name: str) -> dict[str, Any]:
    tensor = graph.tensors[name]
    return {"name": name, "shape": list(tensor.shape), "dtype": tensor.dtype}


def inspection_text(graph: Graph) -> str:
    """The inspection for people."""
    data = inspection(graph)
    head = (
        f"{graph.name}: {format_count(data['macs'])}MAC, {format_count(data['params'])} "
        f"parameters ({format_bytes(data['weights_bytes'])}), activations at peak "
        f"{format_bytes(data['peak_activation_bytes'])}, {data['op_count']} ops, "
        f"batch {data['batch_size']}"
    )
    lines = [head]
    for label in ("inputs", "outputs"):
        shown = ", ".join(f"{t['name']} {t['shape']} {t['dtype']}" for t in data[label])
        lines.append(f"  {label}: {shown}")
    if data["uncovered_ops"]:
        named = ", ".join(f"{u['name']} ({u['op']})" for u in data["uncovered_ops"])
        lines.append(f"  not covered by the cost model: {named}")
    rows = [
        (
            r["name"][:48],
            r["op"],
            " ".join("x".join(map(str, s)) for s in r["output_shapes"])[:28],
            *("?" if r[f] is None else format_count(r[f]) for f in ("macs", "params")),
            *("?" if r[f"{f}_bytes"] is None else format_bytes(r[f"{f}_bytes"]) for f in _MOVED),
        )
        for r in data["ops"]
    ]
    headers = ("op", "kind", "output", "MACs", "params", "read", "weights", "written")
    return "\n".join([*lines, "", table(headers, rows)])
