"""Networks by name: `build("mobilenet_v2@width=0.5,resolution=160,batch=4")`, and what is known.

Layers follow the papers' tables. Batch normalisation is folded into the convolution before it,
activations that runtimes fuse are attributes of the op, images are NHWC.
"""

from __future__ import annotations

from perfmodel.errors import GraphError, UnknownModelError
from perfmodel.graph.ir import Graph
from perfmodel.zoo.figures import Accuracy, Published
from perfmodel.zoo.modules import entry_named, mobile_names, names
from perfmodel.zoo.registry import (
    Parameter,
    ZooEntry,
    parse_spec,
    unknown_model,
)


def entries() -> tuple[ZooEntry, ...]:
    """Every network of the zoo."""
    return tuple(entry_named(name) for name in names())


def entry(spec: str) -> ZooEntry:
    """The entry a spec or name belongs to; raises `UnknownModelError` as `build` does."""
    return _find(spec)[0]


def knows(spec: str) -> bool:
    """Whether a spec's name is one of the zoo's, or one that publications use for it."""
    from perfmodel.zoo.published_names import network_called

    name = spec.strip().partition("@")[0]
    meant = network_called(name) if name not in names() else name
    return bool(meant) and str(meant).partition("@")[0] in names()


def build(spec: str) -> Graph:
    """The network of a spec: a name, or `name@parameter=value,...`.

    A name may be one that publications use (`ResNet-18`, `mobilenet_v1_1.0_224`). Raises
    `UnknownModelError`, which lists the networks of a family (`resnet`) or the nearest names, or
    `GraphError`, which says what is allowed.
    """
    found, given = _find(spec)
    return found.build(**given)


def _find(spec: str) -> tuple[ZooEntry, dict[str, str]]:
    """The entry that a spec means, and the parameters that it gives."""
    name, given = parse_spec(spec)
    if name in names():
        return entry_named(name), given
    from perfmodel.zoo.published_names import network_called, precision_in

    meant = network_called(name)
    known, implied = parse_spec(meant) if meant else ("", {})
    if known not in names():
        from perfmodel.zoo.pack import packed_networks
        from perfmodel.zoo.published_names import names_in_libraries

        raise unknown_model(name, names(), [*names_in_libraries(), *packed_networks()])
    precision = precision_in(name)
    if precision:
        raise UnknownModelError(
            f"{name}: a network by name has no precision of its own, this one says {precision!r}",
            f"name it {meant}, and choose the precision with the target or give the file",
        )
    twice = sorted(implied.keys() & given.keys())
    if twice:
        raise GraphError(
            f"{spec}: {twice[0]} is given twice, {name} already means {meant}", "give it once"
        )
    return entry_named(known), {**implied, **given}


__all__ = [
    "Accuracy",
    "Parameter",
    "Published",
    "ZooEntry",
    "build",
    "entries",
    "entry",
    "knows",
    "mobile_names",
    "names",
    "parse_spec",
]
