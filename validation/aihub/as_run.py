"""Networks as AI Hub ran them: most first normalise their image on the NPU.

A package's network takes an image that is normalised already. AI Hub puts that work before it: the
mean of each channel is subtracted and the result divided by their spread. As the borders of a
convolution are padded with zeros, neither can be folded into its weights; a factor that is the same
for all channels can, and is no work of its own. Which networks do so stands in networks.csv
(`normalised`), after the models' sources (github quic/ai-hub-models, model.py of each).
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from perfmodel.formats.load import load
from perfmodel.formats.structure import write_structure
from perfmodel.graph.ir import Graph, Op, Tensor
from validation.data.aihub import network_lines, network_name

CHANNELS = 3
"""Of an image: its axis is the last, or before rows and columns in videos of some libraries."""

STEPS = ("sub", "div")


def normalised(graph: Graph) -> Graph:
    """The graph with its image less a mean by channel and divided by their spread.

    Raises `ValueError` where it takes no image.
    """
    images = [n for n in graph.inputs if CHANNELS in graph.tensors[n].shape[1:]]
    if not images:
        raise ValueError(f"{graph.name} takes no image")
    image = last = images[0]
    tensors, ops = dict(graph.tensors), []
    for step in STEPS:
        name, of_channels = f"normalised.{step}", f"normalised.{step}.of_channels"
        shape = tuple(n if n == CHANNELS else 1 for n in tensors[image].shape)
        tensors[of_channels] = Tensor(of_channels, shape, constant=True, learned=0)
        tensors[name] = replace(tensors[image], name=name)
        ops.append(Op(name, step, (last, of_channels), (name,)))
        last = name
    rest = (
        replace(op, inputs=tuple(last if n == image else n for n in op.inputs)) for op in graph.ops
    )
    return replace(graph, tensors=tensors, ops=(*ops, *rest))


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="aihub-")


@lru_cache(maxsize=1)
def as_run() -> dict[str, str]:
    """Files of what ran, by the name that `load` takes for the network without it.

    They are written once and last as long as the process.
    """
    found = {}
    for line in network_lines():
        name = network_name(line)
        if line.normalised and name not in found:
            path = Path(_folder().name) / f"{line.model}.json"
            write_structure(normalised(load(name)), path)
            found[name] = str(path)
    return found
