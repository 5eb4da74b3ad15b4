"""Which values of an ONNX graph are held channels last from the start."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.formats.onnx.elementwise import BINARY, UNARY, VARIADIC
from perfmodel.formats.onnx.file import OnnxNode

IMAGE_OPS = frozenset(
    [
        *("Conv", "FusedConv", "ConvInteger", "QLinearConv", "ConvTranspose", "DeformConv"),
        *("MaxPool", "AveragePool", "LpPool", "QLinearGlobalAveragePool", "QLinearAveragePool"),
        *("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "Resize", "Upsample"),
        *("DepthToSpace", "SpaceToDepth", "InstanceNormalization", "GroupNormalization", "LRN"),
        *("GridSample", "RoiAlign"),
    ]
)
"""Operators that take (batch, channels, ...): what reaches them is held channels last."""

ANY_LAYOUT = frozenset(
    [
        *(*UNARY, *BINARY, *VARIADIC),
        *("BatchNormalization", "Cast", "Clip", "Concat", "DequantizeLinear", "Dropout"),
        *("Identity", "PRelu", "Pad", "QuantizeLinear", "Slice", "Split", "Where"),
        *("QLinearAdd", "QLinearMul", "QLinearConcat", "DynamicQuantizeLinear"),
    ]
)
"""Operators that work in either layout, so that they pass on what their readers want."""


def wanted_as_images(nodes: Sequence[OnnxNode]) -> set[str]:
    """Names of tensors that reach an image operator through operators of any layout."""
    wanted: set[str] = set()
    for node in reversed(nodes):
        if node.op_type in IMAGE_OPS:
            wanted.update(node.inputs[:1])
        elif node.op_type in ANY_LAYOUT and any(name in wanted for name in node.outputs):
            wanted.update(node.inputs)
    return wanted
