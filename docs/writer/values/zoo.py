"""The tables of docs/zoo.md, from the zoo itself."""

from __future__ import annotations

from docs.writer.page import Made, on_lines
from perfmodel import zoo
from perfmodel.kernels import macs, params

HEAD = """| name | network | input | MACs | parameters | published MACs | published parameters |
|---|---|---|---:|---:|---:|---:|"""


def quantity(value: float | None) -> str:
    """A count with three or four digits and a unit: 569 M, 15.5 G."""
    if value is None:
        return "-"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.0f}"


def row(entry: zoo.ZooEntry) -> str:
    """One line of the table."""
    graph = zoo.build(entry.name)
    default = [p for p in entry.published if not p.parameters]
    printed_macs = next((p.macs for p in default if p.macs), None)
    printed_params = next((p.params for p in default if p.params), None)
    cells = [
        f"`{entry.name}`",
        entry.title,
        " x ".join(str(d) for d in entry.input_shape),
        quantity(macs(graph)),
        quantity(params(graph)),
        quantity(printed_macs),
        quantity(printed_params),
    ]
    return "| " + " | ".join(cells) + " |"


def details(entry: zoo.ZooEntry) -> str:
    """Parameters, notes, sources and published accuracy of a network."""
    lines = [f"### {entry.name}", "", f"{entry.title}; family {entry.family}, {entry.task}.", ""]
    if entry.note:
        lines += [entry.note, ""]
    lines += [f"- `{p.name}` = {p.default}: {p.domain}" for p in entry.parameters]
    sources = dict.fromkeys(p.source for p in (*entry.published, *entry.accuracy))
    lines += [f"- source: {source}" for source in sources]
    lines += [f"- {p.parameters or 'default'}: {p.note}" for p in entry.published if p.note]
    if entry.accuracy:
        lines += ["", "| parameters | precision | metric | value |", "|---|---|---|---:|"]
        lines += [
            f"| {a.parameters or 'default'} | {a.precision} | {a.metric} | {a.value:g} |"
            for a in entry.accuracy
        ]
    return "\n".join(lines)


def make() -> Made:
    """The values of the page."""
    entries = zoo.entries()
    networks = "\n".join([HEAD, *(row(e) for e in entries)])
    texts = {"NETWORKS": networks, "DETAILS": "\n\n".join(details(e) for e in entries)}
    return Made({name: on_lines(text) for name, text in texts.items()}, {})
