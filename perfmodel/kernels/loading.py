"""What has to be done before a network can run: files to read, weights to pack, buffers to fill."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.operators import PRECISION_BYTES
from perfmodel.kernels.recency import kinds_of

PACKED_OPS = ("conv2d", "transpose_conv2d", "fully_connected", "gemm", "bmm")
"""Operators whose weights a runtime copies into the order in which its kernels read them."""

POINTER_BYTES = 8

PIECES = (64e3, 1e6, 16e6)
"""Bytes of a kernel's weights up to which a piece of them counts (see `LoadWork.piece_bytes`): the
system reads files ahead by 128 kB and hands out memory in steps of 2 MB, so that weights in many
small tensors take longer by the byte than those in a few large ones. With these three, 84 % of the
loads of the random fp32 networks in validation/results/host/calibration_raw.json.gz are within
20 % out of sample, without any 77 %, with five 83 %."""


@dataclass(frozen=True, kw_only=True)
class LoadWork:
    """What preparing a network and its first inference take, in bytes but for counts.

    `kernels` are prepared one by one; `kinds` of them are different (see `recency.kinds_of`), whose
    code is looked up and read for the first time. `packed_bytes` are weights that are copied into
    another order; `window_bytes` those among them with a window larger than 1x1, which are gathered
    in small pieces, and `winograd_bytes` those of 3x3 windows of stride 1, which most libraries
    transform for Winograd's algorithm. `pointer_bytes` are the
    addresses of input pixels that a convolution without im2col looks up, one for each place of its
    window and each output pixel (Dukhan, "The Indirect Convolution Algorithm", 2019).
    `unpacked_bytes` are the weights of recurrent layers, which stay in the file until they are run.
    `touched_bytes` are what the largest kernel reads and writes, `copied_bytes` the largest matrix
    that windows are copied into: memory that the system hands out as it is first written to.
    """

    kernels: int
    kinds: int
    packed_bytes: float
    window_bytes: float
    winograd_bytes: float
    pointer_bytes: float
    unpacked_bytes: float
    touched_bytes: float
    copied_bytes: float
    piece_bytes: tuple[float, ...]


def load_work(table: KernelTable, precision: str) -> LoadWork:
    """The work of preparing these kernels with weights of `precision` (of `PRECISION_BYTES`)."""
    size = PRECISION_BYTES[precision]
    weights = table["weight_elements"] * size
    window = table["kh"] * table["kw"]
    packed = np.isin(table["op"], PACKED_OPS)
    slides = packed & (window > 1)
    # depthwise weights are few: they are packed like those of matrix products
    gathers = slides & (table["kernel_class"] != "depthwise")
    looked_up = slides & (table["op"] == "conv2d")
    whole = gathers & looked_up & (table["groups"] == 1)
    transformed = whole & (table["kh"] == 3) & (table["kw"] == 3) & (table["sh"] == 1)
    pixels = table["batch"] * table["hout"] * table["wout"]
    touched = (table["input_elements"] + table["output_elements"]) * size
    copied = table["m"] * table["k"] * size
    return LoadWork(
        kernels=len(table),
        kinds=len(set(kinds_of(table))),
        packed_bytes=float(weights[packed].sum()),
        window_bytes=float(weights[gathers].sum()),
        winograd_bytes=float(weights[transformed].sum()),
        pointer_bytes=float((pixels * window)[looked_up].sum()) * POINTER_BYTES,
        unpacked_bytes=float(weights[table["kernel_class"] == "recurrent"].sum()),
        touched_bytes=float(touched.max(initial=0.0)),
        copied_bytes=float(copied[gathers & looked_up & ~transformed].max(initial=0.0)),
        piece_bytes=tuple(float(np.minimum(weights[packed], limit).sum()) for limit in PIECES),
    )
