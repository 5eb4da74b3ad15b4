"""Networks by the names of PyTorch's libraries: from the pack, or exported here and now.

`timm:mobilenetv4_conv_small@resolution=192,batch=4`: the pack's structure at another size where the
structure allows it; else, and for every network that the pack does not have, the library itself,
if it is installed.
"""

from __future__ import annotations

from dataclasses import replace

from perfmodel.errors import GraphError, UnknownModelError, nearest_names
from perfmodel.formats.structure import read_structure
from perfmodel.graph.ir import Graph
from perfmodel.graph.rebatch import rebatch
from perfmodel.graph.rescale import at_length, image_size, rescale
from perfmodel.zoo.pack import library_of, packed_networks, structure_path
from perfmodel.zoo.registry import BATCH, Parameter, parse_spec

RESOLUTION = Parameter("resolution", 224, 16, 4096)
"""Side of a square image in pixels."""

SEQUENCE = Parameter("sequence", 128, 1, 131_072)
"""Tokens of a text."""


def load_packed(spec: str) -> Graph:
    """The network of `LIBRARY:NAME` or `LIBRARY:NAME@resolution=R,sequence=T,batch=N`.

    Raises `UnknownModelError` for a name that neither the pack nor an installed library has,
    `GraphError` where a network cannot be run at a size.
    """
    full, given = parse_spec(spec)
    library = library_of(full)
    name = full.partition(":")[2].strip()
    known = {p.name: p for p in (RESOLUTION, SEQUENCE, BATCH)}
    wrong = sorted(given.keys() - known.keys())
    if wrong:
        takes = ", ".join(f"{p.name} ({p.domain})" for p in known.values())
        raise GraphError(f"{full}: unknown parameter {wrong[0]!r}", f"it takes {takes}")
    values = {n: int(known[n].parse(text, full)) for n, text in given.items()}
    graph = _at_resolution(library, name, values.get("resolution"))
    graph = at_length(graph, values["sequence"]) if "sequence" in values else graph
    graph = rebatch(graph, values.get("batch", graph.batch_size))
    text = ",".join(f"{k}={v}" for k, v in values.items())
    return replace(graph, name=f"{library}:{name}" + (f"@{text}" if text else ""))


def _at_resolution(library: str, name: str, resolution: int | None) -> Graph:
    path = structure_path(library, name)
    if path is None:
        return _exported(library, name, resolution)
    graph = replace(read_structure(path), source=f"pack:{library}:{name}")
    if resolution is None or image_size(graph) == (resolution, resolution):
        return graph
    try:
        return rescale(graph, resolution, resolution)
    except GraphError as error:
        try:
            return _exported(library, name, resolution)
        except UnknownModelError:
            raise GraphError(
                error.message,
                f"with {library} installed, `{library}:{name}@resolution={resolution}` is exported "
                "from it where the library allows that size",
            ) from None


def _exported(library: str, name: str, resolution: int | None) -> Graph:
    from perfmodel.formats.pytorch.libraries import graph_of_name

    try:
        return graph_of_name(library, name, resolution)
    except UnknownModelError as error:
        listed = [n.partition(":")[2] for n in packed_networks() if n.startswith(f"{library}:")]
        close = nearest_names(name, listed)
        if not close:
            raise
        meant = " or ".join(f"{library}:{c}" for c in close)
        raise UnknownModelError(error.message, f"did you mean {meant}? Or {error.hint}") from None
