"""Sizes that an ONNX file leaves open: by name, by place, or by whole shapes of inputs."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from perfmodel.errors import ModelFileError
from perfmodel.formats.limits import shorten
from perfmodel.formats.onnx.file import GraphData, ValueInfo
from perfmodel.formats.sizes import Sizes, in_order
from perfmodel.graph.ops import Shape

MAX_FORMULA = 100
"""Longest name of a size that is looked at as a formula; exporters write some tens of letters."""


class OpenSizes:
    """The sizes that a caller gives, and the shapes of a graph's tensors that follow from them.

    `given` are whole shapes by input. Raises `ModelFileError` for a name that no size has.
    """

    def __init__(self, path: str | os.PathLike[str], graph: GraphData, sizes: Sizes) -> None:
        self.path, self.graph, self.dims = path, graph, dict(sizes.dims)
        self.batch_names: set[str] = set()
        free = self.free_names()
        unknown = sorted(set(self.dims) - free)
        if unknown:
            raise ModelFileError(
                self.path,
                "inputs",
                f"no size is called {shorten(unknown[0])!r}",
                f"sizes that can be set: {shorten(', '.join(sorted(free)), 300)}",
            )
        self.given = self._given(sizes)

    def number(self, info: ValueInfo) -> int | None:
        """What an input is that is one whole number, where the caller says so."""
        return self.dims.get(info.name) if _is_a_number(info) else None

    def _given(self, sizes: Sizes) -> dict[str, Shape]:
        """The callers' shapes by input; a symbol in their place is set for the whole file."""
        inputs = {i.name: i for i in self.graph.inputs if i.name not in self.graph.initializers}
        given = sizes.by_input(
            self.path, {name: not _is_fixed(info.shape) for name, info in inputs.items()}
        )
        for name, shape in given.items():
            declared = inputs[name].shape
            channels = declared[1] if declared and len(declared) == 4 else None
            fixed = channels if isinstance(channels, int) and channels > 0 else None
            given[name] = shape = in_order(shape, fixed, last=False)
            if declared is not None and len(declared) != len(shape):
                raise ModelFileError(
                    self.path,
                    f"input {shorten(name)!r}",
                    f"has {len(declared)} axes, --input-shape gives {len(shape)}",
                    f"the file has {_declared_text(declared)}",
                )
            for symbol, size in zip(declared or (), shape, strict=False):
                if _name_of(symbol):
                    self.dims.setdefault(_name_of(symbol), size)
        return given

    def resolve(self, info: ValueInfo, *, of_input: bool = False) -> Shape:
        """The declared shape with symbols set; what an input calls its batch is 1 by default."""
        shape = []
        for axis, size in enumerate(info.shape or ()):
            place, name = f"{info.name}[{axis}]", _name_of(size)
            keys = [key for key in (place, name) if key in self.dims]
            computed = self._computed(name) if not keys else None
            if keys:
                shape.append(self.dims[keys[0]])
            elif isinstance(size, int) and size >= 0:
                shape.append(size)
            elif computed is not None:
                shape.append(computed)
            elif axis == 0 and (of_input or name in self.batch_names):
                self.batch_names.add(name)
                shape.append(1)
            else:
                # two axes of one name may differ: then each goes by its place
                alone = name and list(info.shape or ()).count(size) == 1
                shown = shorten(name if alone else place)
                raise ModelFileError(
                    self.path,
                    f"tensor {shorten(info.name)!r}",
                    f"size {shown!r} (axis {axis}) is not set",
                    _size_hint(info, shown, of_input=of_input),
                )
        return tuple(shape)

    def _computed(self, name: str) -> int | None:
        """A sum of products of sizes that are set (`past + 1`, `2*s0`), None for anything else."""
        if len(name) > MAX_FORMULA or not any(sign in name for sign in "+*"):
            return None
        total = 0
        for term in name.split("+"):
            factors = [self._factor(factor.strip()) for factor in term.split("*")]
            known = [factor for factor in factors if factor is not None]
            if len(known) < len(factors):
                return None
            total += math.prod(known)
        return total

    def _factor(self, text: str) -> int | None:
        if text.isascii() and text.isdigit():
            return int(text)
        return 1 if text in self.batch_names else self.dims.get(text)

    def free_names(self) -> set[str]:
        """Names of the sizes that are not numbers; each also goes by its place."""
        names: set[str] = set()
        for info in (*self.graph.inputs, *self.graph.value_info.values()):
            for axis, size in enumerate(info.shape or ()):
                if not isinstance(size, int) or size < 0:
                    names.update(filter(None, (f"{info.name}[{axis}]", _name_of(size))))
        names.update(info.name for info in self.graph.inputs if _is_a_number(info))
        return names


def _is_fixed(shape: Sequence[int | str | None] | None) -> bool:
    return shape is not None and all(isinstance(size, int) and size > 0 for size in shape)


def _declared_text(shape: Sequence[int | str | None]) -> str:
    """A declared shape for a message: `batch x 3 x ? x ?`."""
    known = (size if size and (isinstance(size, str) or size > 0) else "?" for size in shape)
    return shorten(" x ".join(map(str, known)), 200)


def _size_hint(info: ValueInfo, name: str, *, of_input: bool) -> str:
    """How to give a size that the file leaves open."""
    named = f"add --dim {shorten(name)}=N (in Python dims={{{shorten(name)!r}: N}})"
    if not of_input:
        return named
    shown = _declared_text(info.shape or ()).replace(" ", "")
    return f"{named}, or the whole shape {shown} with --input-shape {shorten(info.name)}=..."


def _name_of(size: int | str | None) -> str:
    """The name of a size that is no number; some writers put a question mark for one."""
    return size if isinstance(size, str) and size != "?" else ""


def _is_a_number(info: ValueInfo) -> bool:
    """Whether an input is one whole number."""
    return info.dtype in ("int32", "int64") and info.shape in ((), (1,))
