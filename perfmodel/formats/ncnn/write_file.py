"""The writer's workbench: layers of an ncnn file, and which blob holds each tensor of a graph.

Parameter numbers, and the order and form of weights in the .bin file, are those of `load_param` and
`load_model` in Tencent/ncnn, src/layer/*.cpp, and `ModelBinFromDataReader` in src/modelbin.cpp.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from perfmodel.errors import GraphError
from perfmodel.files import replaced, write_atomically
from perfmodel.formats.ncnn.reader import ARRAY_KEY, MAGIC
from perfmodel.formats.ncnn.reshaping import ORDERS
from perfmodel.formats.operator_table import registering, unwritable
from perfmodel.formats.tflite import random_weights as weights
from perfmodel.formats.tflite.file import Data
from perfmodel.graph.ir import Graph, Op

Number = int | float
Axes = tuple[int, ...]
Params = dict[int, Number | Sequence[Number]]

IMAGE, VOLUME_RANK = (3, 1, 2), 4
"""Axes of an image as ncnn holds them, channels outermost; the most axes that a blob has."""
LONGEST_NAME = 200
"""Characters of a name; ncnn reads at most 255, and numbers are added."""
FLOAT_TAG, INT8_TAG = b"\0\0\0\0", (0x000D4B38).to_bytes(4, "little")
"""What stands before weights that may be stored in several types."""
RECTIFIED_RANGE, LINEAR_RANGE, IMAGE_RANGE = 6.0, 4.0, 1.0
"""Largest magnitudes of activations that int8 scales are written for, as in our .tflite files."""


@dataclass(frozen=True)
class Blob:
    """A blob and the axes of its tensor that it holds, outermost first; others have one element.

    `flat_of` are the sizes (channels, height, width) of an image that was laid out as one axis:
    ncnn's order of its elements is not that of a tensor with its channels last.
    """

    name: str
    axes: Axes
    flat_of: tuple[int, ...] = ()


@dataclass(frozen=True)
class ParamLine:
    """A layer to be written; `op` is the operator that it belongs to."""

    type: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: Mapping[int, Number | Sequence[Number]] = field(default_factory=dict)
    data: tuple[Data, ...] = ()
    op: str = ""


class NcnnWriter:
    """Collects the layers of `graph`; `int8` asks for integer products."""

    def __init__(self, graph: Graph, int8: bool, seed: int) -> None:
        self.graph, self.int8, self.seed = graph, int8, seed
        self.lines: list[ParamLine] = []
        self.consumers = graph.consumers()
        self._blobs: dict[str, Blob] = {}
        self._converted: dict[tuple[str, Axes], Blob] = {}
        self._names: Counter[str] = Counter()

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of a tensor of the graph, batch first."""
        return self.graph.tensors[tensor].shape

    def readers(self, op: Op) -> list[Op]:
        """Operators that read the first result."""
        return [self.graph.ops[i] for i in self.consumers.get(op.outputs[0], ())]

    def stream(self, tensor: str) -> list[int]:
        """The seed of a constant's values, the same as in a .tflite file of this graph."""
        return [self.seed, zlib.crc32(tensor.encode())]

    def fresh(self, wanted: str) -> str:
        """A name without blanks that no other layer or blob has."""
        plain = "_".join(wanted.split())[:LONGEST_NAME]
        self._names[plain] += 1
        return plain if self._names[plain] == 1 else f"{plain}/~{self._names[plain]}"

    def layer(
        self,
        op: Op,
        kind: str,
        bottoms: Sequence[str],
        params: Mapping[int, Number | Sequence[Number]] | None = None,
        data: Sequence[Data] = (),
        *,
        part: str = "",
        tops: int = 1,
    ) -> list[str]:
        """Append a layer of `op`, named `OP/part` where it is not its whole; gives its blobs."""
        name = self.fresh(f"{op.name}/{part}" if part else op.name)
        made = [name if i == 0 else self.fresh(f"{name}:{i}") for i in range(tops)]
        lines = ParamLine(
            kind,
            name,
            bottoms=tuple(bottoms),
            tops=tuple(made),
            params=params or {},
            data=tuple(data),
            op=op.name,
        )
        self.lines.append(lines)
        return made

    def blob(self, tensor: str) -> Blob:
        """What holds a tensor, as its maker left it."""
        if tensor not in self._blobs:
            raise GraphError(
                f"{self.graph.name}: {tensor!r} is a constant where none can be written"
            )
        return self._blobs[tensor]

    def bind(self, tensor: str, blob: str, axes: Axes, flat_of: tuple[int, ...] = ()) -> None:
        """Let a blob hold a tensor."""
        self._blobs[tensor] = Blob(blob, axes, flat_of)

    def alias(self, tensor: str, other: str) -> None:
        """Let one blob hold two tensors."""
        self._blobs[tensor] = self.blob(other)

    def read(self, op: Op, tensor: str, axes: Axes) -> str:
        """The blob of a tensor with these axes, turned and reshaped where it has others."""
        have = self.blob(tensor)
        if have.axes == axes:
            return have.name
        key = (tensor, axes)
        if key not in self._converted:
            self._converted[key] = Blob(self._with_axes(op, tensor, have, axes), axes)
        return self._converted[key].name

    def _with_axes(self, op: Op, tensor: str, have: Blob, axes: Axes) -> str:
        shape, blob, held = self.shape(tensor), have.name, have.axes
        long = [a for a in held if shape[a] > 1]
        if [a for a in axes if shape[a] > 1] != long:
            if have.flat_of or sorted(held) != sorted(axes):
                full = tuple(range(1, len(shape)))
                blob = blob if held == full else self.read(op, tensor, full)
                held = full
            blob, held = self.permute(op, blob, held, axes), axes
        if held == axes:
            return blob
        return self.reshape(op, blob, [shape[a] for a in axes])

    def permute(self, op: Op, blob: str, held: Axes, axes: Axes) -> str:
        """A blob with its axes in another order."""
        if held == axes:
            return blob
        known = ORDERS[len(held)]
        letter = dict(zip(reversed(held), known[0], strict=True))
        order = known.index("".join(letter[a] for a in reversed(axes)))
        return self.layer(op, "Permute", [blob], {0: order}, part="permute")[0]

    def reshape(self, op: Op, blob: str, sizes: Sequence[int]) -> str:
        """A blob whose elements have other axes, of these sizes, outermost first."""
        if len(sizes) > VOLUME_RANK:
            raise self.refuse(op, f"{len(sizes)} axes; an ncnn blob has at most {VOLUME_RANK}")
        keys = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}[len(sizes)]
        params = dict(sorted(zip(keys, sizes, strict=True)))
        return self.layer(op, "Reshape", [blob], params, part="reshape")[0]

    def straight(self, tensor: str) -> Axes:
        """All axes of a tensor behind its batch, in its own order."""
        return tuple(range(1, len(self.shape(tensor))))

    def usual(self, tensor: str) -> Axes:
        """The axes in which ncnn's layers expect a tensor: images have their channels outermost."""
        return IMAGE if len(self.shape(tensor)) == 4 else self.straight(tensor)

    def scale(self, tensor: str) -> float:
        """int8 steps a unit of an activation."""
        if tensor in self.graph.inputs:
            return 127 / IMAGE_RANGE
        maker = next(op for op in self.graph.ops if tensor in op.outputs)
        rectified = {maker.kind, maker.attrs.get("activation")} & {"relu", "relu6"}
        return 127 / (RECTIFIED_RANGE if rectified else LINEAR_RANGE)

    def refuse(self, op: Op, reason: str) -> GraphError:
        """The error for an op that cannot be written."""
        return unwritable(self.graph, op, reason)

    def finished(self) -> tuple[ParamLine, ...]:
        """All layers, with a Split behind each blob that several read, as ncnn demands.

        An output of the network that others read too is left over as the last copy.
        """
        uses = Counter(blob for line in self.lines for blob in line.bottoms)
        uses.update(self.blob(name).name for name in dict.fromkeys(self.graph.outputs))
        shared = {blob for blob, count in uses.items() if count > 1}
        taken: Counter[str] = Counter()
        found: list[ParamLine] = []
        for line in self.lines:
            bottoms = []
            for blob in line.bottoms:
                bottoms.append(f"{blob}#{taken[blob]}" if blob in shared else blob)
                taken[blob] += 1
            found.append(replace(line, bottoms=tuple(bottoms)))
            for blob in line.tops:
                if blob in shared:
                    copies = tuple(f"{blob}#{i}" for i in range(uses[blob]))
                    found.append(
                        ParamLine(
                            "Split",
                            self.fresh(f"{line.name}/split"),
                            bottoms=(blob,),
                            tops=copies,
                            op=line.op,
                        )
                    )
        return tuple(found)


def write_files(lines: Sequence[ParamLine], param: Path) -> None:
    """The text of all layers, and their weights beside it in a .bin file."""
    with replaced(param.with_suffix(".bin")) as place, open(place, "wb") as file:
        for line in lines:
            for data in line.data:
                for chunk in data.chunks():
                    file.write(chunk)
    write_atomically(param, text_of(lines))


def text_of(lines: Sequence[ParamLine]) -> str:
    """The .param file of some layers."""
    blobs = sum(len(line.tops) for line in lines)
    return "\n".join([MAGIC, f"{len(lines)} {blobs}", *map(_text, lines)]) + "\n"


def _text(line: ParamLine) -> str:
    words = [line.type, line.name, str(len(line.bottoms)), str(len(line.tops))]
    words += [*line.bottoms, *line.tops]
    for key, value in line.params.items():
        if isinstance(value, int | float):
            words.append(f"{key}={_number(value)}")
        else:
            listed = ",".join(map(_number, value))
            words.append(f"{ARRAY_KEY - key}={len(value)},{listed}")
    return " ".join(words)


def _number(value: Number) -> str:
    # ncnn tells numbers apart by the dot or the exponent
    return str(value) if isinstance(value, int) else f"{value:e}"


def floats(values: np.ndarray) -> Data:
    """float32 values without a mark of their type."""
    return Data.of(np.asarray(values, np.float32))


def drawn(shape: Sequence[int], deviation: float, mean: float, stream: Sequence[int]) -> np.ndarray:
    """The values that `random_weights.normal` writes, as an array."""
    raw = b"".join(weights.normal(shape, deviation, mean, stream).chunks())
    return np.frombuffer(raw, np.float32).reshape(tuple(shape))


def tagged(data: Data, tag: bytes = FLOAT_TAG) -> Data:
    """Weights behind the mark of their type, filled up to whole words."""
    fill = b"\0" * (-data.size_bytes % 4)

    def chunks() -> Iterator[bytes]:
        yield tag
        yield from data.chunks()
        yield fill

    return Data(len(tag) + data.size_bytes + len(fill), chunks)


def turned_rows(
    data: Data, shape: Sequence[int], turn: Callable[[np.ndarray], np.ndarray], dtype: str
) -> Data:
    """An array of `shape` with each row turned: `turn` gets (count, *shape[1:]), some at a time.

    The largest layers have a few hundred MB: they are never held whole.
    """
    row_bytes = math.prod(shape[1:]) * np.dtype(dtype).itemsize

    def chunks() -> Iterator[bytes]:
        left = b""
        for chunk in data.chunks():
            left += chunk
            whole = len(left) // row_bytes * row_bytes
            rows = np.frombuffer(left[:whole], dtype).reshape(-1, *shape[1:])
            left = left[whole:]
            yield np.ascontiguousarray(turn(rows)).tobytes()

    return Data(data.size_bytes, chunks)


EmitLayers = Callable[[NcnnWriter, Op], None]
WRITERS: dict[str, EmitLayers] = {}
"""How each kind of op is written; filled by the modules write_*."""

writes = registering(WRITERS)
"""Register the writer of some kinds (space-separated)."""
