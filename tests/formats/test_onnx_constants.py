"""Constants computed while an ONNX file is read, against the results that onnx states."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")

from onnx import TensorProto, numpy_helper

from perfmodel.formats.limits import MAX_FOLDED_ELEMENTS, MAX_FOLDED_TOTAL
from perfmodel.formats.onnx.call import Call
from perfmodel.formats.onnx.constants import FOLDED, NUMPY_DTYPES, fold
from perfmodel.formats.onnx.file import read_model
from perfmodel.formats.onnx.net import OnnxNet, Value
from perfmodel.formats.onnx.wire import Wire
from tests.formats.onnx_files import node_cases

KNOWN = {np.dtype(dtype) for dtype in NUMPY_DTYPES.values()}


RARE = {"select_last_index", "reduction", "batch_dims", "exclusive", "reverse"}
"""Settings that no network computes its sizes with."""


RARE_CASES = re.compile("pad_axes|pad_negative|negative_pad|wrap_pad")
"""Padding of some axes or by less than nothing."""


def test_constants_are_kept_while_they_are_few() -> None:
    net = OnnxNet("constants", 17)
    assert net.may_fold(MAX_FOLDED_ELEMENTS)
    assert not net.may_fold(MAX_FOLDED_ELEMENTS + 1)
    kept = 1 + sum(net.may_fold(MAX_FOLDED_ELEMENTS) for _ in range(3_000))
    assert kept == MAX_FOLDED_TOTAL // MAX_FOLDED_ELEMENTS


def as_array(value: object) -> np.ndarray | None:
    """A number or a tensor as an array; None for a sequence."""
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None


@pytest.mark.slow
def test_what_is_computed_equals_what_onnx_states() -> None:
    """Every single-operator test of the onnx package whose inputs are all numbers."""
    compared: set[str] = set()
    for case in node_cases():
        model = read_model(Wire(Path(case.name), case.model.SerializeToString()))
        [node, *more] = model.graph.nodes
        inputs, outputs = ([as_array(value) for value in part] for part in case.data_sets[0])
        arrays = [*inputs, *outputs]
        small = all(a is not None and a.dtype in KNOWN and a.size <= 1024 for a in arrays)
        if more or node.domain or node.op_type not in FOLDED or not small:
            continue
        given = dict(zip((i.name for i in model.graph.inputs), inputs, strict=True))
        values = [
            Value(name, given[name].shape, str(given[name].dtype), constant=True, value=given[name])
            if name
            else None
            for name in node.inputs
        ]
        net = OnnxNet("constants", model.opsets.get("", 1))
        made = fold(Call(net, node, tuple(values)))
        if made is None:
            rare = RARE & set(node.attributes) or any(a.size == 0 for a in inputs if a is not None)
            assert rare or RARE_CASES.search(case.name), case.name
            continue
        for value, truth in zip(made, outputs, strict=False):
            assert truth is not None
            assert value.shape == truth.shape, case.name
            if value.value is not None:
                found = np.asarray(value.value)
                assert found.dtype == truth.dtype, case.name
                np.testing.assert_allclose(found, truth, rtol=1e-3, atol=1e-6, err_msg=case.name)
                compared.add(node.op_type)
    assert compared >= FOLDED, sorted(FOLDED - compared)
