"""Kernel classes: operators that one implementation serves and one efficiency describes."""

from __future__ import annotations

from functools import lru_cache

from perfmodel.errors import UncoveredOpError
from perfmodel.graph.kinds import BINARY, DETECTION, POOLS, REDUCE, UNARY

FIRST_LAYER_CHANNELS = 4
"""Up to this many input channels a convolution is an image layer: vectors run half empty."""

ATTENTION = "attention"
"""Two products of one kernel with a softmax between them, whose scores stay on the chip."""

MASKED_ATTENTION = "masked_attention"
"""The same with a mask or a bias added to the scores, which takes another kernel than without."""

RESIZE_BY_PIXEL = "resize_by_pixel"
"""A resize whose threads each compute one pixel of all channels of all images, one by one."""

CLASSES: tuple[str, ...] = (
    "conv1x1",
    "conv3x3",
    "convkxk",
    "conv_first",
    "depthwise",
    "grouped",
    "transpose_conv",
    "fully_connected",
    "matmul",
    "sparse_matmul",
    "recurrent",
    "pool",
    "reduce",
    "elementwise",
    "transcendental",
    "softmax",
    "norm",
    "data_movement",
    "resize",
    "detection",
)
"""Every class; `conv3x3` has stride 1 and is not an image layer, so Winograd's algorithm fits."""

_CHEAP_UNARY = (
    "relu relu6 relu_n1_to_1 prelu leaky_relu hard_swish hard_sigmoid hard_tanh softsign neg abs "
    "sign square floor ceil round clip identity cast quantize dequantize logical_not reciprocal "
    "dropout cumsum zeros_like is_nan threshold select fake_quant scale batch_norm"
)
_DATA_MOVEMENT = (
    "channel_shuffle reverse concat split slice strided_slice pad reshape view transpose "
    "gather gather_nd tile broadcast_to fill range one_hot shape pack unpack depth_to_space "
    "space_to_depth space_to_batch batch_to_space mirror_pad scatter variable layout_convert"
)
_NORMS = "lrn layer_norm instance_norm group_norm l2_norm local_norm"

CLASS_OF_OP: dict[str, str] = {
    **dict.fromkeys(BINARY, "elementwise"),
    **dict.fromkeys(UNARY, "transcendental"),
    **dict.fromkeys(_CHEAP_UNARY.split(), "elementwise"),
    **dict.fromkeys(("pow", "atan2"), "transcendental"),
    **dict.fromkeys(_DATA_MOVEMENT.split(), "data_movement"),
    **dict.fromkeys((*REDUCE, "reduce_layer", "arg_max", "arg_min"), "reduce"),
    **dict.fromkeys(("softmax", "log_softmax"), "softmax"),
    **dict.fromkeys(_NORMS.split(), "norm"),
    **dict.fromkeys(("resize", "resize_to", RESIZE_BY_PIXEL), "resize"),
    **dict.fromkeys(POOLS, "pool"),
    **dict.fromkeys(("lstm", "gru", "rnn", "svdf"), "recurrent"),
    **dict.fromkeys(
        ("gemm", "gemm_tn", "gemm_nt", "bmm", "matmul", ATTENTION, MASKED_ATTENTION), "matmul"
    ),
    **dict.fromkeys(("sparse_gemm_0.90", "sparse_gemm_0.95"), "sparse_matmul"),
    **dict.fromkeys(DETECTION, "detection"),
    "fully_connected": "fully_connected",
    **dict.fromkeys(("transpose_conv2d", "transpose_conv3d"), "transpose_conv"),
}
"""Class by operator; `conv2d` depends on its shape as well (see `kernel_class`)."""


@lru_cache(maxsize=65536)
def kernel_class(
    op: str,
    cin: float = 0,
    cout: float = 0,
    groups: float = 1,
    kh: float = 1,
    kw: float = 1,
    sh: float = 1,
    sw: float = 1,
) -> str:
    """Class of a kernel by its operator and, for convolutions, its shape.

    A convolution with as many groups as input channels is depthwise. Raises `UncoveredOpError` for
    an operator of no class.
    """
    if op not in ("conv2d", "conv3d"):
        if op not in CLASS_OF_OP:
            raise UncoveredOpError(f"operator {op!r} belongs to no kernel class")
        return CLASS_OF_OP[op]
    if groups > 1:
        return "depthwise" if groups == cin else "grouped"
    if cin <= FIRST_LAYER_CHANNELS:
        return "conv_first"
    if kh == kw == 1:
        return "conv1x1"
    return "conv3x3" if (kh, kw, sh, sw) == (3, 3, 1, 1) else "convkxk"
