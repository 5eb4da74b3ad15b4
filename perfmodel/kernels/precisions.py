"""In which precision a network is stored, and in which frameworks compute it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from perfmodel.graph.ir import Graph
from perfmodel.graph.kinds import CONVOLUTIONS, GATES

FLOATS, HALVES, INTEGERS = "floats", "halves", "integers"

INTEGER_DTYPES = frozenset({"int8", "uint8", "int4", "uint4", "int2"})
HALF_DTYPES = frozenset({"float16", "bfloat16"})
_PRODUCTS = CONVOLUTIONS | frozenset(GATES) | {"fully_connected", "matmul"}


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """What a framework computes in by default, for networks stored in each way."""

    floats: str
    halves: str
    integers: str
    source: str


RUNS_IN: Mapping[str, Arithmetic] = {
    "tflite/cpu": Arithmetic(
        floats="fp32",
        halves="fp32",
        integers="int8",
        source="TensorFlow docs, post-training float16 quantization: the CPU unpacks half weights",
    ),
    "tflite/gpu": Arithmetic(
        floats="fp16",
        halves="fp16",
        integers="fp16",
        source="TensorFlow docs, GPU delegates for TensorFlow Lite: integers are unpacked",
    ),
    "ncnn/cpu": Arithmetic(
        floats="fp16 where the cores have it, else fp32",
        halves="fp16 where the cores have it, else fp32",
        integers="int8",
        source="ncnn src/option.h: use_fp16_arithmetic and use_int8_inference are set",
    ),
    "onnxruntime/cpu": Arithmetic(
        floats="fp32",
        halves="fp16 where an operator has a kernel for it, else fp32",
        integers="int8",
        source="ONNX Runtime docs, float16 and mixed precision models; quantize ONNX models",
    ),
    "tensorrt/gpu": Arithmetic(
        floats="TF32 where the GPU has it, else fp32",
        halves="fp16",
        integers="int8",
        source="TensorRT developer guide: TF32 by default, strong typing, explicit quantization",
    ),
}
"""By framework and unit."""


def stored_shares(graph: Graph) -> dict[str, float]:
    """The share of each element type in the bytes of a network's constants, largest first."""
    held: Counter[str] = Counter()
    for tensor in graph.tensors.values():
        if tensor.constant:
            held[tensor.dtype] += tensor.size_bytes
    total = sum(held.values())
    return {dtype: size / total for dtype, size in held.most_common() if size}


def computes_on_integers(graph: Graph) -> bool:
    """Whether products of weights of integers read integers too, or what was quantised before.

    Weights that are only stored as integers are unpacked where an operator reads floats.
    """
    if graph.format != "onnx":
        return True
    makers = {name: op.kind for op in graph.ops for name in op.outputs}
    for op in graph.ops:
        if op.kind in _PRODUCTS and any(t.dtype in INTEGER_DTYPES for t in graph.weights_of(op)):
            first = op.inputs[0]
            if graph.tensors[first].dtype in INTEGER_DTYPES or makers.get(first) == "dequantize":
                return True
    return False


def stored_precision(graph: Graph) -> str:
    """Precision that a file holds: int8 or uint8 if most of its constants are that, else fp32.

    An ONNX file whose weights alone are integers, to be unpacked, counts as floats.
    """
    held: Counter[str] = Counter()
    for tensor in graph.tensors.values():
        if tensor.constant:
            held[tensor.dtype] += tensor.elements
    most = max(held, key=lambda dtype: held[dtype], default="float32")
    return most if most in ("int8", "uint8") and computes_on_integers(graph) else "fp32"


_WORDS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def precision_held(graph: Graph) -> str:
    """The precision that most bytes of a network's constants have; "" where no word tells it.

    Unlike `stored_precision` nothing counts as floats that is none: weights of four bits, or of
    integers that are unpacked.
    """
    stored = stored_precision(graph)
    return stored if stored != "fp32" else _WORDS.get(next(iter(stored_shares(graph)), ""), "")


def stored_form(graph: Graph) -> str:
    """Which column of `RUNS_IN` a network is of: `FLOATS`, `HALVES` or `INTEGERS`."""
    if stored_precision(graph) != "fp32":
        return INTEGERS
    most = next(iter(stored_shares(graph)), "float32")
    return HALVES if most in HALF_DTYPES else FLOATS


def runs_in(graph: Graph) -> dict[str, str]:
    """What each framework and unit of `RUNS_IN` computes a network in."""
    form = stored_form(graph)
    return {where: str(getattr(arithmetic, form)) for where, arithmetic in RUNS_IN.items()}
