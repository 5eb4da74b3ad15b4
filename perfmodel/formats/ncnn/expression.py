"""Sizes that a .param file gives as an expression over the sizes of the inputs.

`+(0w,1h),*(2,0c),-1` is three sizes; `0w` is the width of the first input. Operators stand before
their operands (Tencent/ncnn, src/expression.cpp).
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence

from perfmodel.errors import GraphError
from perfmodel.formats.limits import MAX_DIM, shorten

MAX_WORDS = 1_000
"""Words of one expression; pnnx writes a dozen."""

LARGEST = 2.0**62
"""Numbers beyond this are no sizes: the arithmetic stays quick."""

Number = int | float


def _quotient(a: Number, b: Number) -> Number:
    return int(a / b) if isinstance(a, int) and isinstance(b, int) else math.floor(a / b)


UNARY: Mapping[str, Callable[[Number], Number]] = {
    "abs": abs,
    "neg": operator.neg,
    "sign": lambda a: (a > 0) - (a < 0),
    "square": lambda a: a * a,
    "trunc": math.trunc,
    "ceil": math.ceil,
    "floor": math.floor,
    "round": lambda a: math.floor(abs(a) + 0.5) * (1 if a >= 0 else -1),
    "sqrt": math.sqrt,
    "rsqrt": lambda a: 1 / math.sqrt(a),
    "reciprocal": lambda a: 1 / a,
    "exp": math.exp,
    "log": math.log,
    "log10": math.log10,
}
BINARY: Mapping[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": _quotient,
    "/": operator.truediv,
    "max": max,
    "min": min,
    "fmod": math.fmod,
    "remainder": operator.mod,
    "pow": math.pow,
}


def evaluate(text: str, blobs: Sequence[Mapping[str, int]]) -> list[int]:
    """The numbers of an expression; `blobs` are the sizes of each input by axis (w, h, d, c).

    Raises `GraphError` for an expression that is broken, too long or beyond any size.
    """
    words = [word for word in re.split(r"[(),\s]+", text) if word]
    if not words or len(words) > MAX_WORDS:
        raise GraphError(f"the expression {shorten(text)!r} has {len(words)} words")
    stack: list[Number] = []
    try:
        for word in reversed(words):
            stack.append(_value(word, stack, blobs))
            if not abs(stack[-1]) < LARGEST:
                raise ValueError(f"{word} gives a number beyond any size")
    except (ArithmeticError, LookupError, ValueError) as error:
        raise GraphError(f"the expression {shorten(text)!r}: {shorten(error)}") from None
    found = [math.trunc(number) for number in reversed(stack)]
    if any(abs(size) > MAX_DIM for size in found):
        raise GraphError(f"the expression {shorten(text)!r} gives {shorten(found)}")
    return found


def _value(word: str, stack: list[Number], blobs: Sequence[Mapping[str, int]]) -> Number:
    """The number that a word stands for; operators take their operands off the stack."""
    if word in UNARY:
        return UNARY[word](stack.pop())
    if word in BINARY:
        return BINARY[word](stack.pop(), stack.pop())
    if re.fullmatch(r"[0-9][whdcn]", word):
        return blobs[int(word[0])].get(word[1], 1)  # n is the batch, which stands apart
    return int(word) if re.fullmatch(r"[-+]?[0-9]{1,18}", word) else float(word)
