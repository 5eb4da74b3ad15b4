"""ONNX files that the tests write: a graph of nodes, inputs and constants."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from perfmodel.graph.ir import Graph  # noqa: E402

MS = "com.microsoft"
Sizes = Sequence[int | str]


def floats(*shape: int) -> np.ndarray:
    """A tensor of zeros."""
    return np.zeros(shape, np.float32)


def integers(*values: int) -> np.ndarray:
    """A list of integers, as shapes and axes are."""
    return np.array(values, np.int64)


def body(
    name: str, nodes: list[Any], inputs: dict[str, Any], outputs: Sequence[str], dtype: int = 1
) -> Any:
    """A graph of control flow; an input's shape, or its shape and element type."""
    infos = [
        helper.make_tensor_value_info(n, *(s[::-1] if isinstance(s, tuple) else (dtype, s)))
        for n, s in inputs.items()
    ]
    results = [helper.make_tensor_value_info(n, dtype, None) for n in outputs]
    return helper.make_graph(nodes, name, infos, results)


def write(
    folder: Path,
    nodes: list[Any],
    inputs: dict[str, Sizes],
    outputs: Sequence[str],
    constants: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    dtypes: dict[str, int] | None = None,
) -> Path:
    """The file of a graph; inputs are floats where `dtypes` does not say otherwise."""
    kinds = dtypes or {}
    graph = helper.make_graph(
        nodes,
        "net",
        [
            helper.make_tensor_value_info(n, kinds.get(n, TensorProto.FLOAT), s)
            for n, s in inputs.items()
        ],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        [numpy_helper.from_array(a, n) for n, a in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MS, 1)]
    path = folder / "net.onnx"
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@cache
def node_cases() -> tuple[Any, ...]:
    """The single-operator tests of the onnx package that come with data.

    What it computes of pools of volumes is zeros here: its loops over windows take seconds, and of
    those outputs no test asks more than the shape.
    """
    from onnx.backend.test.case.node import collect_testcases
    from onnx.reference.ops import op_pool_common

    pool = op_pool_common.pool

    def quick_pool(
        padded: Any,
        x_shape: Any,
        kernel: Any,
        strides: Any,
        out_shape: Any,
        *rest: Any,
        **more: Any,
    ) -> Any:
        if len(kernel) == 3:
            return np.zeros([*x_shape[:2], *out_shape], padded.dtype)
        return pool(padded, x_shape, kernel, strides, out_shape, *rest, **more)

    with warnings.catch_warnings(), mock.patch.object(op_pool_common, "pool", quick_pool):
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    return tuple(case for case in cases if case.model is not None and case.data_sets)


def channels_last(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape of ONNX's as the graph holds images."""
    return (shape[0], *shape[2:], shape[1]) if len(shape) > 2 else tuple(shape)


def kinds(graph: Graph) -> list[str]:
    """Kinds of the operators that are more than views."""
    return [op.kind for op in graph.ops if op.kind not in ("reshape", "identity")]
