"""Sizes beyond which a network file is refused: no reader may hang or fill memory on bad input.

The figures are far above any network we know of and small enough that a hostile file is refused
within a second and a few hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.errors import GraphError

MAX_TEXT_BYTES = 4 * 2**20
"""Largest text format file (.param, .prototxt); structure only, so real ones are below 1 MB."""

MAX_STRUCTURE_BYTES = 16 * 2**20
"""Most text of a structure file, unpacked; a network of 3,000 operators has about 500 kB."""

MAX_LINE_BYTES = 2**18
"""Longest line of a .param file; the longest of ncnn's own are about 400 bytes."""

MAX_TOKENS = 400_000
"""Words and marks of one text file; a network of 1,000 layers has about 40,000."""

MAX_OPS = 10_000
"""Most operators of one file: NASNet-A large has 800, Switch Transformers with 48 layers 2,700."""

MAX_FAN = 1_000
"""Most operands of one element-wise layer, each of which becomes an operator, and most results."""

MAX_TENSORS = 200_000
"""Most tensors of one file: an operator of the most allowed has about 20."""

MAX_RANK = 16
"""Most axes of a tensor; frameworks end at 8 (TFLite) or a little more."""

MAX_DIM = 2**31 - 1
"""Longest axis: sizes are integers of 32 bits in every format but ONNX."""

MAX_ELEMENTS = 2**40
"""Most elements of a tensor: a thousand times the largest weights that fit a 2 GiB file."""

MAX_NESTING = 32
"""Messages or types inside each other; real files nest about five."""

MAX_NAME = 2_000
"""Longest name in bytes; paths in a TensorFlow graph reach some hundreds."""

MAX_FIELDS = 500_000
"""Fields of one protobuf file: a network of 10,000 nodes has about 400,000."""

MAX_NUMBERS = 500_000
"""Integers and reals decoded from one protobuf file, all lists together."""

MAX_TEXT_TOTAL = 2**25
"""Bytes of all names in one protobuf file."""

MAX_FOLDED_REALS = 64
"""Longest constant of reals whose numbers are looked at: scales and bounds, never weights."""

MAX_FOLDED_ELEMENTS = 1_024
"""Longest constant of integers whose numbers are looked at; shapes and axes are far shorter."""

MAX_FOLDED_TOTAL = 2_000_000
"""Numbers of all constants that are looked at, so that folding them stays within some megabytes."""


def check_shape(shape: Sequence[int]) -> None:
    """Raise `GraphError` where a shape has more axes, longer axes or more elements than allowed."""
    if len(shape) > MAX_RANK:
        raise GraphError(f"a tensor of {len(shape)} axes; at most {MAX_RANK} are read")
    elements = 1
    for size in shape:
        if not 0 <= size <= MAX_DIM:
            raise GraphError(f"an axis of {shorten(size)} elements; at most {MAX_DIM} are read")
        elements *= size
    if elements > MAX_ELEMENTS:
        raise GraphError(f"a tensor of {elements} elements; at most {MAX_ELEMENTS} are read")


def shorten(value: object, length: int = 80) -> str:
    """Text of `value` for a message, cut where it is long."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"  # str() itself refuses huge numbers
    text = str(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."
