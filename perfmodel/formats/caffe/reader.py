"""Reader of Caffe's network descriptions (.prototxt): structure only, weights lie elsewhere.

Both the current form (`layer`, type as a string) and the one before it (`layers`, type as an
upper-case word). Fields: src/caffe/proto/caffe.proto in github BVLC/caffe.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import perfmodel.formats.caffe.detection
import perfmodel.formats.caffe.layers  # noqa: F401 (they fill LAYERS)
from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.caffe.net import LAYERS, CaffeLayer, CaffeNet, dims_of, integer, sized
from perfmodel.formats.caffe.prototxt import Message, read_prototxt
from perfmodel.formats.limits import MAX_OPS, check_shape, shorten
from perfmodel.formats.sizes import PICTURE_CHANNELS, InputShape, Sizes, size_hint
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.graph.ops import Shape

OLD_TYPES = {
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "ELTWISE": "Eltwise",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HINGE_LOSS": "HingeLoss",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "PRELU": "PReLU",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
}
"""Names of layer types in the old form (V1LayerParameter.LayerType)."""

DATA_TYPES = frozenset(
    ["Data", "ImageData", "MemoryData", "HDF5Data", "WindowData", "DummyData", "AnnotatedData"]
)

CONVOLVING = frozenset(["Convolution", "Pooling"])
"""Layers that make no sense of a picture of one pixel, so that its size must be a stand-in."""

USUAL_SIDE = 224
"""Of pictures where a file tells nothing: ImageNet's networks since 2012."""

TRAINING_TYPES = frozenset(["Accuracy", "DetectionEvaluate", "HDF5Output", "Silence"])
"""Layers that judge or log and have no part in inference; so have losses but for a softmax."""


def read_caffe(path: str | os.PathLike[str], *, input_shape: InputShape | None = None) -> Graph:
    """Read a .prototxt file into a graph (images NHWC; the batch is the file's own).

    `input_shape` (batch, height, width, channels) overrides the size of the only input, or of
    several by name, and stands in for a data layer, which gives none. Layers for the training phase
    only, losses and accuracy are left out; dropout and split copy nothing and make no operator.
    Raises `ModelFileError`, which names the line.
    """
    root = read_prototxt(path)
    layers = _layers(path, root)
    sizes = Sizes.of(None, input_shape)
    try:
        return _graph(path, root, layers, sizes, plain_zoom=False)
    except ModelFileError:
        if not any("zoom_factor" in m.message.message("interp_param").fields for m in layers):
            raise
        with suppress(ModelFileError):  # sizes fit by the other meaning of zoom_factor
            return _graph(path, root, layers, sizes, plain_zoom=True)
        raise


def _graph(
    path: str | os.PathLike[str],
    root: Message,
    layers: Sequence[CaffeLayer],
    sizes: Sizes,
    *,
    plain_zoom: bool,
) -> Graph:
    net = CaffeNet(GraphBuilder(Path(path).stem), plain_zoom=plain_zoom)
    _add_inputs(path, net, root, layers, sizes)
    for layer in layers:
        if _gives_data(layer) or layer.type == "Input":
            continue
        try:
            _convert(net, layer)
        except GraphError as error:
            raise _at(path, layer, error.message, error.hint) from None
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # converters trust the ranks that a layer asks for
            reason = f"inputs or parameters that do not fit the layer ({error})"
            raise _at(path, layer, reason) from error
    try:
        outputs = net.outputs()
        return net.builder.build(*outputs, source=str(path), format="caffe")
    except GraphError as error:
        raise ModelFileError(path, "whole graph", shorten(error.message, 300)) from None


def _layers(path: object, root: Message) -> list[CaffeLayer]:
    found = root.messages("layer") or root.messages("layers")
    if not found:
        raise ModelFileError(path, "line 1", "no layers: not a Caffe network")
    if len(found) > MAX_OPS:
        raise ModelFileError(path, "file", f"more than {MAX_OPS} layers")
    layers = []
    for message in found:
        if "layer" in message.fields:
            raise ModelFileError(
                path,
                f"line {message.line}",
                "a network in Caffe's first form (before 2014)",
                "upgrade it with Caffe's upgrade_net_proto_text",
            )
        kind = message.text("type")
        kind = OLD_TYPES.get(kind, kind)
        if not kind:
            raise ModelFileError(path, f"line {message.line}", "a layer without a type")
        layer = CaffeLayer(
            line=message.line,
            type=kind,
            name=message.text("name") or kind,
            bottoms=tuple(message.strings("bottom")),
            tops=tuple(message.strings("top")),
            message=message,
        )
        if _in_test_phase(message):
            layers.append(layer)
    return layers


def _in_test_phase(message: Message) -> bool:
    """Whether the layer takes part in inference (rules by stage or level are not looked at)."""
    included = [rule.text("phase", "TEST") for rule in message.messages("include")]
    excluded = [rule.text("phase") for rule in message.messages("exclude")]
    return (not included or "TEST" in included) and "TEST" not in excluded


def _add_inputs(
    path: object,
    net: CaffeNet,
    root: Message,
    layers: Sequence[CaffeLayer],
    sizes: Sizes,
) -> None:
    """Inputs from fields of the network, from Input layers, or in place of a data layer."""
    try:
        inputs = [*_named_inputs(root), *_layer_inputs(layers, sizes)]
    except GraphError as error:
        raise ModelFileError(path, "inputs", error.message) from None
    if not inputs:
        raise ModelFileError(path, "inputs", "no input, Input layer or data layer")
    convolved = {layer.bottoms[0] for layer in layers if layer.type in CONVOLVING and layer.bottoms}
    open_sizes = {n: not sized(shape, convolved=n in convolved) for n, shape, _ in inputs}
    given, only = sizes.by_input(path, open_sizes), len(inputs) == 1
    side = cropped_side(layers)
    for name, shape, where in inputs:
        try:
            hint = size_hint(
                name,
                (1, side, side, shape[1] if shape and len(shape) == 4 else PICTURE_CHANNELS),
                only=only,
                why="batch x height x width x channels",
            )
            net.add_input(name, shape, given.get(name), open_size=open_sizes[name], hint=hint)
        except GraphError as error:
            raise ModelFileError(path, where, error.message, error.hint) from None


def _named_inputs(root: Message) -> list[tuple[str, Shape | None, str]]:
    """`input: "data"` with four `input_dim` each, or an `input_shape` each."""
    names, shapes = root.strings("input"), root.messages("input_shape")
    dims = dims_of(root, "input_dim")
    result: list[tuple[str, Shape | None, str]] = []
    for i, name in enumerate(names):
        where = f"line {root.lines['input']}"
        if i < len(shapes):
            result.append((name, _shape(shapes[i]), where))
        else:
            own = dims[4 * i : 4 * i + 4]
            result.append((name, own if len(own) == 4 else None, where))
    return result


def _gives_data(layer: CaffeLayer) -> bool:
    """Whether the layer brings pictures and labels in; one written in Python may, too."""
    return layer.type in DATA_TYPES or (layer.type == "Python" and not layer.bottoms)


def _layer_inputs(
    layers: Sequence[CaffeLayer], sizes: Sizes
) -> list[tuple[str, Shape | None, str]]:
    """Tops of Input layers, and those of data layers, whose size the file does not give.

    Of a data layer the first is needed; others (labels, regions) are inputs where they are sized.
    """
    result: list[tuple[str, Shape | None, str]] = []
    for layer in layers:
        where = f"line {layer.line}"
        if layer.type == "Input":
            shapes = layer.message.message("input_param").messages("shape")
            for i, top in enumerate(layer.tops):
                shape = _shape(shapes[min(i, len(shapes) - 1)]) if shapes else None
                result.append((top, shape, where))
        elif _gives_data(layer):
            named = [top for top in layer.tops[1:] if top in sizes.shapes]
            result += [(top, None, where) for top in (*layer.tops[:1], *named)]
    return result


def cropped_side(layers: Sequence[CaffeLayer]) -> int:
    """The side to which a data layer crops its pictures, or the usual 224."""
    for layer in layers:
        side = integer(layer.message.message("transform_param"), "crop_size", 0)
        if _gives_data(layer) and side:
            return side
    return USUAL_SIDE


def _shape(message: Message) -> Shape:
    return dims_of(message, "dim")


def _convert(net: CaffeNet, layer: CaffeLayer) -> None:
    if layer.type in TRAINING_TYPES:
        return
    if layer.type.endswith("Loss") and layer.type != "SoftmaxWithLoss":
        return
    converter = LAYERS.get(layer.type)
    if converter is None:
        raise GraphError(
            f"unknown layer type {shorten(layer.type)!r}; the file does not give its output's shape"
        )
    tops = converter(net, layer)
    names = layer.tops or ((layer.name,) if layer.type == "SoftmaxWithLoss" else ())
    if len(tops) < len(names):
        raise GraphError(f"{len(names)} outputs named, {len(tops)} made")
    for blob, tensor in zip(names, tops, strict=False):
        check_shape(net.builder.shape(tensor))
        net.define(blob, tensor)
    if len(net.builder.ops) > MAX_OPS:
        raise GraphError(f"more than {MAX_OPS} operators")


def _at(path: object, layer: CaffeLayer, reason: str, hint: str = "") -> ModelFileError:
    where = f"line {layer.line} ({shorten(layer.type, 40)} {shorten(layer.name, 60)!r})"
    return ModelFileError(path, where, shorten(reason, 300), hint)
