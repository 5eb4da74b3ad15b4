"""An int8 .tflite file as the uint8 file that converters before 2019 wrote.

The same numbers in another coding: every 8-bit value and zero point moves up by 128, and weights
have one scale a tensor. Runtimes have kernels of their own for this type, but for the full-integer
LSTM: that stays int8 between two QUANTIZE operators, as newer converters write it in files with
uint8 inputs and outputs.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.formats.tflite.schema import object_api, packed

SHIFT = 128


def to_uint8(path: Path) -> None:
    """Rewrite a file of the .tflite writer in place; for the small networks of a calibration."""
    schema = object_api()
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    for subgraph in model.subgraphs:
        kept = _wrap_lstms(schema, model, subgraph)
        for index, tensor in enumerate(subgraph.tensors):
            if tensor.type == schema.TensorType.INT8 and index not in kept:
                _move(schema, model, tensor)
        _fit_biases(schema, subgraph)
    path.write_bytes(packed(model))


def _wrap_lstms(schema: Any, model: Any, subgraph: Any) -> set[int]:
    """Put int8 LSTMs between QUANTIZE operators; returns the tensors that stay int8."""
    lstm = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    kept: set[int] = set()
    operators = []
    for operator in subgraph.operators or []:
        x, y = operator.inputs[0], operator.outputs[0]
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if code != lstm or subgraph.tensors[x].type != schema.TensorType.INT8:
            operators.append(operator)
            continue
        x_int8, y_int8 = (_copied(subgraph, index) for index in (x, y))
        operator.inputs = [x_int8, *operator.inputs[1:]]
        operator.outputs = [y_int8]
        before, after = (_quantize(schema, model, a, b) for a, b in ((x, x_int8), (y_int8, y)))
        operators += [before, operator, after]
        kept |= {y_int8, *operator.inputs, *operator.intermediates}
    subgraph.operators = operators
    return kept


def _copied(subgraph: Any, index: int) -> int:
    tensor = deepcopy(subgraph.tensors[index])
    tensor.name += b"/int8"
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1


def _quantize(schema: Any, model: Any, source: int, target: int) -> Any:
    builtin = schema.BuiltinOperator.QUANTIZE
    codes = [code.builtinCode for code in model.operatorCodes]
    if builtin not in codes:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 1
        model.operatorCodes.append(code)
        codes.append(builtin)
    operator = schema.OperatorT()
    operator.opcodeIndex = codes.index(builtin)
    operator.inputs, operator.outputs = [source], [target]
    operator.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
    operator.builtinOptions = schema.QuantizeOptionsT()
    return operator


def _move(schema: Any, model: Any, tensor: Any) -> None:
    tensor.type = schema.TensorType.UINT8
    data = model.buffers[tensor.buffer]
    if data.data is not None and len(data.data):
        data.data = np.asarray(data.data, np.uint8) ^ np.uint8(SHIFT)
    quantization = tensor.quantization
    if quantization is not None and quantization.scale is not None and len(quantization.scale):
        zero = 0 if quantization.zeroPoint is None else int(quantization.zeroPoint[0])
        quantization.scale = [float(quantization.scale[0])]
        quantization.zeroPoint = [zero + SHIFT]
        quantization.quantizedDimension = 0


def _fit_biases(schema: Any, subgraph: Any) -> None:
    """int32 biases have the scale of input times weights, now one a tensor."""
    for operator in subgraph.operators or []:
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            continue
        x, weights, bias = (subgraph.tensors[i] for i in operator.inputs[:3])
        scaled = weights.quantization is not None and bias.quantization is not None
        if bias.type == schema.TensorType.INT32 and scaled and bias.quantization.scale is not None:
            scale = float(x.quantization.scale[0]) * float(weights.quantization.scale[0])
            bias.quantization.scale = [scale]
            bias.quantization.zeroPoint = [0]
