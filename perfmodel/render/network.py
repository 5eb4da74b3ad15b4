"""What `inspect` and `models` answer: a network's cost op by op; the networks there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from perfmodel.render.result import Data, Result, ResultTable
from perfmodel.render.text import percent
from perfmodel.units import format_bytes, format_count

if TYPE_CHECKING:
    from perfmodel.graph.ir import Graph, Op
    from perfmodel.kernels import OpCost
    from perfmodel.zoo import ZooEntry
    from perfmodel.zoo.pack import PackedNetwork

MOVED = ("input", "weight", "output")
LEAST_SHARE = 0.005
"""Smallest share that a whole percent shows."""
FIGURES = ("macs", "params", "input_bytes", "weight_bytes", "output_bytes")


def inspection_data(graph: Graph) -> dict[str, Any]:
    """Totals and rows of a graph as plain data: the JSON contract of `inspect`."""
    from perfmodel import kernels
    from perfmodel.kernels.precisions import runs_in, stored_shares

    covered = kernels.covered_part(graph)
    costs = {cost.name: cost for cost in kernels.op_costs(covered)}
    return {
        "model": graph.name,
        "format": graph.format,
        "source": graph.source,
        "batch_size": graph.batch_size,
        "inputs": [_tensor(graph, n) for n in graph.inputs],
        "outputs": [_tensor(graph, n) for n in graph.outputs],
        "op_count": len(graph.ops),
        "macs": kernels.macs(covered),
        "params": kernels.params(graph),
        "weights_bytes": kernels.weights_bytes(graph),
        "peak_activation_bytes": kernels.peak_activation_bytes(graph),
        "uncovered_ops": [
            {"name": op.name, "op": _kind(op)} for op in kernels.uncovered_ops(graph)
        ],
        "stored": stored_shares(graph),
        "runs_in": runs_in(graph),
        "notes": list(graph.notes),
        "subgraphs": len(graph.subgraphs),
        "ops": [_row(graph, op, costs.get(op.name)) for op in graph.ops],
    }


def _kind(op: Op) -> str:
    return str(op.attrs.get("custom_name", op.kind))


def _row(graph: Graph, op: Op, cost: OpCost | None) -> dict[str, Any]:
    """One operator; figures of an uncovered one are null, never zero."""
    return {
        "name": op.name,
        "op": _kind(op),
        **{f: None if cost is None else getattr(cost, f) for f in FIGURES},
        "output_shapes": [list(t.shape) for t in graph.outputs_of(op)],
    }


def _tensor(graph: Graph, name: str) -> dict[str, Any]:
    tensor = graph.tensors[name]
    return {"name": name, "shape": list(tensor.shape), "dtype": tensor.dtype}


def inspection_result(data: Data) -> Result:
    """Describe an inspection."""
    facts = [
        f"{label}: " + ", ".join(f"{t['name']} {t['shape']} {t['dtype']}" for t in data[label])
        for label in ("inputs", "outputs")
    ]
    if data.get("stored"):
        held = {dtype: share for dtype, share in data["stored"].items() if share >= LEAST_SHARE}
        shares = ", ".join(f"{dtype} {percent(share)}" for dtype, share in held.items())
        runs = "; ".join(f"{where} {what}" for where, what in data["runs_in"].items())
        facts += [f"weights stored as {shares}", f"by default runs in: {runs}"]
    if data["uncovered_ops"]:
        named = ", ".join(f"{u['name']} ({u['op']})" for u in data["uncovered_ops"])
        facts.append(f"not covered by the cost model: {named}")
    rows = [
        (
            r["name"][:48],
            r["op"],
            " ".join("x".join(map(str, s)) for s in r["output_shapes"])[:28],
            *("?" if r[f] is None else format_count(r[f]) for f in ("macs", "params")),
            *("?" if r[f"{f}_bytes"] is None else format_bytes(r[f"{f}_bytes"]) for f in MOVED),
        )
        for r in data["ops"]
    ]
    headers = ("op", "kind", "output", "MACs", "params", "read", "weights", "written")
    return Result(
        title=data["model"],
        answer=f"{data['model']}: {format_count(data['macs'])}MAC, "
        f"{format_count(data['params'])} parameters ({format_bytes(data['weights_bytes'])}), "
        f"activations at peak {format_bytes(data['peak_activation_bytes'])}, "
        f"{data['op_count']} ops, batch {data['batch_size']}",
        data=data,
        facts=facts,
        assumptions=data.get("notes", ()),
        parts=(ResultTable(headers=headers, rows=rows),),
    )


def models_result(
    entries: Sequence[ZooEntry], packed: Sequence[PackedNetwork] = (), match: str = ""
) -> Result:
    """Describe networks of the zoo and of the pack, each by itself where a `match` chose them.

    Data are the entries without the functions that build them, then the networks of the pack.
    """
    rows = [(e.name, e.title, e.family, _defaults(e), " ".join(e.seeds) or "-") for e in entries]
    parts = []
    if rows:
        headers = ("name", "network", "family", "parameters", "asked for by seed")
        optional = ("asked for by seed", "family")
        parts.append(ResultTable(headers=headers, rows=rows, optional=optional))
    if packed:
        parts.append(_packed_one_by_one(packed) if match else _packed_by_family(packed))
    return Result(
        title="The zoo",
        answer=f"{len(entries) + len(packed)} networks; "
        "parameters as mobilenet_v2@width=0.5,resolution=160,batch=4",
        data=[
            *(
                {f.name: getattr(e, f.name) for f in fields(e) if f.name != "builder"}
                for e in entries
            ),
            *(asdict(n) for n in packed),
        ],
        parts=tuple(parts),
    )


def _packed_one_by_one(packed: Sequence[PackedNetwork]) -> ResultTable:
    rows = [
        (n.name, n.task, "x".join(map(str, n.input_shape)), *map(format_count, (n.macs, n.params)))
        for n in packed
    ]
    headers = ("name", "task", "input", "MACs", "params")
    return ResultTable(title="Networks of PyTorch's libraries", headers=headers, rows=rows)


def _packed_by_family(packed: Sequence[PackedNetwork]) -> ResultTable:
    """A line for each library and family, so that hundreds of networks stay readable."""
    families: dict[tuple[str, str], list[str]] = {}
    for network in packed:
        library, _, name = network.name.partition(":")
        families.setdefault((library, network.family), []).append(name)
    rows = [
        (f"{library}:{names[0]}", str(len(names)), _shortened(", ".join(names[1:]) or "-", 72))
        for (library, _), names in families.items()
    ]
    return ResultTable(
        title="Networks of PyTorch's libraries by family; --match NAME lists each",
        headers=("first of the family", "networks", "others"),
        rows=rows,
    )


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _defaults(entry: ZooEntry) -> str:
    text = ",".join(f"{p.name}={p.default}" for p in entry.parameters)
    return _shortened(text, 60)
