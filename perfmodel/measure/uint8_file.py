"""An int8 .tflite file as the uint8 file that converters before 2019 wrote.

The same numbers in another coding: every 8-bit value and zero point moves up by 128, and weights
have one scale a tensor. Runtimes have kernels of their own for this type.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SHIFT = 128


def to_uint8(path: Path) -> None:
    """Rewrite a file of the .tflite writer in place; for the small networks of a calibration."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            if tensor.type == schema.TensorType.INT8:
                _move(schema, model, tensor)
        _fit_biases(schema, subgraph)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


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
