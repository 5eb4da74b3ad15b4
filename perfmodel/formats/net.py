"""A file of named layers or nodes, and the graph that it is turned into.

What the readers of ncnn, Caffe and ONNX share: names that give way where they are taken, and blobs
(the named values between layers) that are held by tensors of the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.errors import GraphError
from perfmodel.formats.limits import shorten
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ops import Shape


@dataclass(frozen=True, kw_only=True)
class NamedLayer:
    """A layer as a file has it: where it stands, its type and name, and the blobs it joins."""

    line: int
    type: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]


class Net:
    """The graph so far."""

    def __init__(self, builder: GraphBuilder) -> None:
        self.builder = builder
        self._numbers: dict[str, int] = {}

    def fresh(self, name: str) -> str:
        """`name`, or with a number behind it where it is taken."""
        base = name
        while name in self.builder.tensors:
            self._numbers[base] = self._numbers.get(base, 0) + 1
            name = f"{base}_{self._numbers[base]}"
        return name


class BlobNet(Net):
    """The graph so far, and which tensor each blob is."""

    def __init__(self, builder: GraphBuilder) -> None:
        super().__init__(builder)
        self._blobs: dict[str, str] = {}

    def define(self, blob: str, tensor: str) -> None:
        """Say that `blob` is held by `tensor` from here on."""
        self._blobs[blob] = tensor

    def tensor(self, blob: str) -> str:
        """Name of the tensor that holds a blob."""
        if blob not in self._blobs:
            raise GraphError(f"blob {shorten(blob)!r} is read before any layer makes it")
        return self._blobs[blob]

    def shape(self, blob: str) -> Shape:
        """Shape of a blob."""
        return self.builder.shape(self.tensor(blob))

    def weights(self, layer: NamedLayer, what: str, shape: Sequence[int], dtype: str = "") -> str:
        """A constant of a layer; the name gives way where the file uses it already."""
        if min(shape, default=1) < 0:
            raise GraphError(f"{what} of shape {tuple(shape)}")
        return self.builder.constant(tuple(shape), self.fresh(f"{layer.name}/{what}"), dtype)
