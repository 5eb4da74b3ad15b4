"""Write docs/zoo.md from the zoo itself: run `python docs/generate_zoo.py`."""

from __future__ import annotations

from pathlib import Path

from perfmodel import zoo
from perfmodel.kernels import macs, params

HEAD = """# The zoo

Networks that perfmodel knows by name, generated from the code by `python docs/generate_zoo.py`.
Wherever a command takes a model, a name works, and so does a name with parameters:

```
perfmodel predict mobilenet_v2@width=0.5,resolution=160,batch=4 --on snapdragon-855-plus/cpu
```

A name may also be one that papers and tools use: `ResNet-18`, `mobilenet_v1_1.0_224` and `VGG 16`
are found, `squeezenet` is SqueezeNet 1.0 as in its paper (ncnn's logs mean 1.1 by it), and the name
of a family (`resnet`, `mobilenet`) asks which. A name with a precision (`..._quant`) is refused:
choose the precision with the target. Names that no rule finds stand in `perfmodel/zoo/aliases.csv`
with who uses them, published figures in `published_figures.csv` and `accuracy.csv` beside it.

Networks of torchvision, timm and transformers go by `torchvision:NAME`, `timm:NAME` and
`transformers:NAME`; `perfmodel models` lists those that ship with perfmodel (perfmodel/zoo/pack),
and `published.csv` there has the MACs and parameters that their libraries print.

The graph is the network as its code runs it. What an exporter would leave out (branches that reach
no output, sums with zeros) runs in eager PyTorch and not elsewhere: NAS-Bench-201's dead edges cost
nothing on TFLite.

MACs are multiply-accumulates of one image (1 MAC = 2 FLOPs), of all that the network's code runs.
Parameters are counted after batch normalisation is folded into the convolution before it, so they
are up to 1 % below those printed for training. "Published" is what a source prints for the
default parameters, "-" where none does.

| name | network | input | MACs | parameters | published MACs | published parameters |
|---|---|---|---:|---:|---:|---:|
"""


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


def page() -> str:
    """The whole page."""
    entries = zoo.entries()
    table = "\n".join(row(e) for e in entries)
    return HEAD + table + "\n\n" + "\n\n".join(details(e) for e in entries) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "zoo.md").write_text(page(), encoding="utf-8")
