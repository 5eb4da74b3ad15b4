"""Small quantised detectors as .tflite files whose outputs are larger than the file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perfmodel.formats.tflite.file import Data, Quant, TfliteFile

BOXES = 40 * 40 * 3
"""Three boxes at each place of a map of 40 x 40."""
_SCALE = Quant((1 / 128,), 0)


def write_detector(path: Path, *, post_process: bool = False, said: int = 1) -> None:
    """int8 boxes of a 40 x 40 image by one convolution, reshaped to a size that is computed.

    As converters write detectors with an open batch size: SHAPE, STRIDED_SLICE and PACK make the
    shape while the network runs, and the file has (1, 1, 4) for the result of (1, 4800, 4). With
    `post_process` the boxes go through TFLite_Detection_PostProcess, whose four outputs have no
    shape at all in the file. `said` is the number of boxes that the file speaks of.
    """
    file = TfliteFile()
    weights = np.random.default_rng(0).integers(-90, 90, (12, 3, 3, 3))
    image = file.tensor("image", (1, 40, 40, 3), "int8", quant=_SCALE)
    kernel = _constant(file, weights.astype(np.int8), Quant((0.01,) * 12, 0))
    bias = _constant(file, np.zeros(12, np.int32), Quant((0.01 / 128,) * 12, 0))
    boxes = file.tensor("map", (1, 40, 40, 12), "int8", quant=_SCALE)
    file.operator(
        "CONV_2D", [image, kernel, bias], [boxes], "Conv2DOptions", 3, strideW=1, strideH=1
    )
    rows = _reshaped(file, boxes, said)
    real = file.tensor("boxes", (1, said, 4), "float32")
    file.operator("DEQUANTIZE", [rows], [real], "DequantizeOptions", 2)
    if not post_process:
        file.write(path, [image], [real])
        return
    anchors = _constant(file, np.full((BOXES, 4), 0.5, np.float32))
    scores = _constant(file, np.random.default_rng(1).uniform(0, 1, (1, BOXES, 3)).astype("f4"))
    found = [file.tensor(name, (), "float32") for name in ("box", "class", "score", "count")]
    _detection(file, [real, scores, anchors], found)
    file.write(path, [image], found)


def _constant(file: TfliteFile, values: np.ndarray, quant: Quant | None = None) -> int:
    return file.tensor("", values.shape, str(values.dtype), data=Data.of(values), quant=quant)


def _reshaped(file: TfliteFile, boxes: int, said: int) -> int:
    one, first = (_constant(file, np.array([n], np.int32)) for n in (1, 0))
    batch = file.tensor("", (), "int32")
    sizes = file.tensor("", (4,), "int32")
    shape = file.tensor("", (3,), "int32")
    rows = file.tensor("rows", (1, said, 4), "int8", quant=_SCALE)
    rest, four = (_constant(file, np.array(n, np.int32)) for n in (-1, 4))
    file.operator("SHAPE", [boxes], [sizes], "ShapeOptions", outType=2)
    file.operator(
        "STRIDED_SLICE",
        [sizes, first, one, one],
        [batch],
        "StridedSliceOptions",
        shrinkAxisMask=1,
    )
    file.operator("PACK", [batch, rest, four], [shape], "PackOptions", valuesCount=3)
    file.operator("RESHAPE", [boxes, shape], [rows], "ReshapeOptions")
    return rows


def _detection(file: TfliteFile, inputs: list[int], outputs: list[int]) -> None:
    """The custom operator with its FlexBuffer of options, as the object detection API writes it."""
    from flatbuffers import flexbuffers

    builder = flexbuffers.Builder()
    with builder.Map():
        for key, size in (("max_detections", 10), ("max_classes_per_detection", 1)):
            builder.Int(key, size)
        builder.Int("num_classes", 2)
        for key in ("y_scale", "x_scale", "h_scale", "w_scale"):
            builder.Float(key, 10.0)
        for key in ("nms_score_threshold", "nms_iou_threshold"):
            builder.Float(key, 0.5)
        builder.Bool("use_regular_nms", False)
    file.operator("CUSTOM", inputs, outputs)
    file.model.operatorCodes[-1].customCode = b"TFLite_Detection_PostProcess"
    operator = file.model.subgraphs[0].operators[-1]
    operator.customOptions = np.frombuffer(bytes(builder.Finish()), np.uint8)
