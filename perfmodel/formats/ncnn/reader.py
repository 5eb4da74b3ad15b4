"""Reader of ncnn's text format (.param): structure only, weights lie in another file.

The format: a magic number, the counts of layers and blobs, then one layer a line: type, name,
numbers of inputs and outputs, blob names, `key=value` parameters (an array is
`-233KK=count,v1,v2`). Source: Tencent/ncnn, docs/developer-guide/param-and-model-file-structure.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import perfmodel.formats.ncnn.attention
import perfmodel.formats.ncnn.convolutions
import perfmodel.formats.ncnn.detection
import perfmodel.formats.ncnn.elementwise
import perfmodel.formats.ncnn.layers
import perfmodel.formats.ncnn.movement
import perfmodel.formats.ncnn.pools
import perfmodel.formats.ncnn.products
import perfmodel.formats.ncnn.recurrent
import perfmodel.formats.ncnn.reductions
import perfmodel.formats.ncnn.reshaping
import perfmodel.formats.ncnn.sampling  # noqa: F401 (they fill LAYERS)
from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.limits import (
    MAX_LINE_BYTES,
    MAX_NAME,
    MAX_OPS,
    MAX_TENSORS,
    MAX_TEXT_BYTES,
    check_shape,
    shorten,
)
from perfmodel.formats.ncnn.inputs import InputSize, input_shapes
from perfmodel.formats.ncnn.net import LAYERS, NcnnLayer, NcnnNet, Value, mat_shape
from perfmodel.formats.ncnn.suggest import suggested
from perfmodel.formats.sizes import InputShape, Sizes
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph

MAGIC = "7767517"
ARRAY_KEY = -23300
HINTS_KEY = 30


def read_ncnn(path: str | os.PathLike[str], *, input_shape: InputShape | None = None) -> Graph:
    """Read a .param file into a graph (NHWC, batch first; Split is an alias and makes no op).

    `input_shape` is (batch, height, width, channels), or without height and width for flat inputs,
    and overrides the size of the only input, or of several by name; it is needed where the file
    gives none. Batch normalisation and activations are as the file has them, mostly fused already.
    Raises `ModelFileError`, which names the line.
    """
    net = read_net(path, input_shape)
    try:
        return net.builder.build(*_outputs(net), source=str(path), format="ncnn")
    except GraphError as error:
        raise ModelFileError(path, "whole graph", shorten(error.message, 300)) from None


def read_net(path: str | os.PathLike[str], input_shape: InputShape | None = None) -> NcnnNet:
    """The layers of a file as operators, and which tensor holds each blob."""
    layers = read_layers(path)
    return connect(path, layers, shapes_of_inputs(path, layers, input_shape))


def shapes_of_inputs(
    path: str | os.PathLike[str],
    layers: Sequence[NcnnLayer],
    input_shape: InputShape | None = None,
) -> dict[str, InputSize]:
    """The shape of each input by its blob, batch first and channels last; raises `ModelFileError`
    where neither the file nor `input_shape` gives one."""
    sizes = Sizes.of(None, input_shape)
    return input_shapes(path, layers, sizes, partial(suggested, path, connect))


def connect(
    path: str | os.PathLike[str], layers: Sequence[NcnnLayer], shapes: Mapping[str, InputSize]
) -> NcnnNet:
    """The layers as operators, from inputs of those shapes on."""
    net = NcnnNet(GraphBuilder(Path(path).stem), layers)
    for layer in layers:
        try:
            if layer.type == "Input":
                tops: Sequence[str] = [_add_input(net, layer, shapes)]
            else:
                tops = _convert(net, layer)
            for blob, tensor in zip(layer.tops, tops, strict=True):
                check_shape(net.builder.shape(tensor))
                net.define(blob, tensor)
            if len(net.builder.ops) > MAX_OPS:
                raise GraphError(f"more than {MAX_OPS} operators")
        except GraphError as error:
            raise _at(path, layer, error.message, error.hint) from None
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # converters trust the ranks that a layer asks for
            reason = f"inputs or parameters that do not fit the layer ({error})"
            raise _at(path, layer, reason) from error
    return net


def read_layers(path: str | os.PathLike[str]) -> tuple[NcnnLayer, ...]:
    """The lines of a .param file, parsed and counted, not yet connected."""
    lines = _lines(path)
    if lines[0].strip() != MAGIC:
        raise ModelFileError(
            path,
            "line 1",
            f"not ncnn's text format: expected {MAGIC}, got {shorten(lines[0], 40)!r}",
        )
    counts = lines[1].split() if len(lines) > 1 else []
    if len(counts) != 2 or not all(_is_count(c) for c in counts):
        raise ModelFileError(path, "line 2", "expected the numbers of layers and blobs")
    layer_count, blob_count = (int(c) for c in counts)
    if layer_count > MAX_OPS or blob_count > MAX_TENSORS:
        raise ModelFileError(path, "line 2", f"more than {MAX_OPS} layers or {MAX_TENSORS} blobs")
    numbered = [(i, text) for i, text in enumerate(lines[2:], start=3) if text.strip()]
    if len(numbered) < layer_count:
        raise ModelFileError(
            path, f"line {len(lines)}", f"{layer_count} layers announced, {len(numbered)} found"
        )
    # ncnn reads as many layers as announced and never looks at further lines; so do we
    layers = tuple(_parse_layer(path, number, text) for number, text in numbered[:layer_count])
    if not layers:
        raise ModelFileError(path, "line 2", "a network without layers")
    return layers


def _lines(path: str | os.PathLike[str]) -> list[str]:
    try:
        size = os.path.getsize(path)
        if size > MAX_TEXT_BYTES:
            raise ModelFileError(path, "file", f"{size} bytes; at most {MAX_TEXT_BYTES} are read")
        with open(path, "rb") as file:
            raw = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise ModelFileError(path, "file", f"cannot be read: {error.strerror}") from None
    lines = raw.split(b"\n")
    decoded = []
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE_BYTES:
            raise ModelFileError(path, f"line {number}", f"longer than {MAX_LINE_BYTES} bytes")
        try:
            decoded.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            raise ModelFileError(path, f"line {number}", "is no text (UTF-8)") from None
    return decoded


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _parse_layer(path: object, number: int, text: str) -> NcnnLayer:
    where = f"line {number}"
    words = text.split()
    if len(words) < 4 or not _is_count(words[2]) or not _is_count(words[3]):
        raise ModelFileError(
            path,
            where,
            "expected: type name inputs outputs [blobs] [key=value], "
            f"got {shorten(text.strip(), 60)!r}",
        )
    bottom_count, top_count = int(words[2]), int(words[3])
    end = 4 + bottom_count + top_count
    if len(words) < end:
        raise ModelFileError(path, where, f"{end - 4} blob names announced, {len(words) - 4} found")
    if any(len(word) > MAX_NAME for word in (words[0], words[1], *words[4:end])):
        raise ModelFileError(path, where, f"a name longer than {MAX_NAME} characters")
    params: dict[int, Value] = {}
    for word in words[end:]:
        key, value = _parse_param(path, where, word)
        params[key] = value
    return NcnnLayer(
        line=number,
        type=words[0],
        name=words[1],
        bottoms=tuple(words[4 : 4 + bottom_count]),
        tops=tuple(words[4 + bottom_count : end]),
        params=params,
        hints=_hints(path, where, params.pop(HINTS_KEY, ()), top_count),
    )


def _parse_param(path: object, where: str, word: str) -> tuple[int, Value]:
    """`key=value`: an int, a float, an array (tuple) or, in quotes, a string."""
    key_text, equals, text = word.partition("=")
    try:
        key = int(key_text)
        if not equals or not -23400 < key < 1000:
            raise ValueError
        if key <= ARRAY_KEY:
            count, *values = text.split(",")
            if int(count) != len(values):
                raise ValueError
            return ARRAY_KEY - key, tuple(_number(v) for v in values)
        if text.startswith('"'):
            return key, text.strip('"')
        if "," in text:
            return key, tuple(_number(v) for v in text.split(","))
        return key, _number(text)
    except (ValueError, OverflowError):
        raise ModelFileError(path, where, f"bad parameter {shorten(word, 60)!r}") from None


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _hints(path: object, where: str, value: Value, tops: int) -> tuple[tuple[int, ...], ...]:
    """Shape hints (dims, w, h, c) for each output as batch-first, channels-last shapes."""
    if not value:
        return ()
    if not isinstance(value, tuple) or len(value) != 4 * tops:
        raise ModelFileError(path, where, f"shape hints for {tops} outputs need 4 numbers each")
    shapes = []
    for i in range(0, len(value), 4):
        dims, *whc = value[i : i + 4]
        if not all(isinstance(v, int) and v >= 0 for v in whc) or dims not in (1, 2, 3):
            raise ModelFileError(path, where, "shape hints must be: dims (1 to 3), w, h, c")
        shapes.append(mat_shape(1, *(int(v) for v in whc[: int(dims)])))
    return tuple(shapes)


def _add_input(net: NcnnNet, layer: NcnnLayer, shapes: Mapping[str, InputSize]) -> str:
    if len(layer.tops) != 1:
        raise GraphError("an Input without output")
    shape, own = shapes[layer.tops[0]]
    if own and shape != own:
        net.hints_hold = False  # they describe the file's own input size
    if min(shape) < 1:
        raise GraphError(f"input shape {shape}: sizes must be at least 1")
    check_shape(shape)
    net.batch = shape[0]
    return net.builder.input(shape, layer.tops[0])


def _convert(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    converter = LAYERS.get(layer.type)
    if converter is None:
        return _custom(net, layer)
    tops = converter(net, layer)
    if len(tops) != len(layer.tops):
        raise GraphError(f"{len(tops)} outputs expected, {len(layer.tops)} named")
    return tops


def _custom(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """A layer type we do not know: named, with the shapes the file gives for it."""
    if len(layer.hints) != len(layer.tops) or not net.hints_hold:
        raise GraphError(
            f"unknown layer type {shorten(layer.type)!r} and no usable shape hints for its output"
        )
    attrs = {"custom_name": layer.type, "output_shapes": layer.hints}
    inputs = [net.tensor(b) for b in layer.bottoms]
    return net.builder.add_op("custom", inputs, attrs, layer.name, layer.tops)


def _outputs(net: NcnnNet) -> list[str]:
    """Tensors of the blobs that no layer reads; a closing Noop stands for all it gathers."""
    layers = net.layers
    read = {blob for layer in layers for blob in layer.bottoms}
    closing = {
        layer.line for layer in layers if layer.type == "Noop" and not read.intersection(layer.tops)
    }
    read -= {blob for layer in layers if layer.line in closing for blob in layer.bottoms}
    ends = [
        net.tensor(blob)
        for layer in layers
        for blob in (layer.bottoms if layer.line in closing else layer.tops)
        if blob not in read
    ]
    return list(dict.fromkeys(ends))


def _at(path: object, layer: NcnnLayer, reason: str, hint: str = "") -> ModelFileError:
    where = f"line {layer.line} ({layer.type} {shorten(layer.name, 60)!r})"
    return ModelFileError(path, where, shorten(reason, 300), hint)
