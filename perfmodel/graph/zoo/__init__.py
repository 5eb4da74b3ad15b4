"""Networks by name: `build("mobilenet_v2@width=0.5,resolution=160,batch=4")`, and what is known.

Layers follow the papers' tables. Batch normalisation is folded into the convolution before it,
activations that runtimes fuse are attributes of the op, images are NHWC.
"""

from __future__ import annotations

from perfmodel.graph.ir import Graph
from perfmodel.graph.zoo import (
    classic,
    densenet,
    detect,
    efficientnet,
    enhance,
    inception,
    inception_more,
    mobilenet,
    mobilenet_v3,
    nasbench,
    nasnet,
    recurrent,
    resnet,
    segment,
    shufflenet,
    squeezenet,
    transformer,
)
from perfmodel.graph.zoo.registry import (
    Accuracy,
    Parameter,
    Published,
    ZooEntry,
    nearest,
    parse_spec,
    unknown_model,
)

_ENTRIES: dict[str, ZooEntry] = {
    entry.name: entry
    for module in (
        mobilenet,
        mobilenet_v3,
        efficientnet,
        shufflenet,
        inception,
        inception_more,
        classic,
        squeezenet,
        resnet,
        densenet,
        detect,
        enhance,
        segment,
        recurrent,
        transformer,
        nasbench,
        nasnet,
    )
    for entry in module.ENTRIES
}


def entries() -> tuple[ZooEntry, ...]:
    """Every network of the zoo."""
    return tuple(_ENTRIES.values())


def names() -> tuple[str, ...]:
    """Names of all networks."""
    return tuple(_ENTRIES)


def entry(spec: str) -> ZooEntry:
    """The entry a spec or name belongs to; raises `UnknownModelError` with the nearest names."""
    name, _ = parse_spec(spec)
    if name not in _ENTRIES:
        raise unknown_model(name, names())
    return _ENTRIES[name]


def build(spec: str) -> Graph:
    """The network of a spec: a name, or `name@parameter=value,...`.

    Raises `UnknownModelError` (with the nearest names) or `GraphError` (with what is allowed).
    """
    _, given = parse_spec(spec)
    return entry(spec).build(**given)


__all__ = [
    "Accuracy",
    "Parameter",
    "Published",
    "ZooEntry",
    "build",
    "entries",
    "entry",
    "names",
    "nearest",
    "parse_spec",
]
