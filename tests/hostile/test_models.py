"""Damaged networks whose structure is changed, not only bytes: .tflite tables, .prototxt lines.

Those of ONNX and ncnn are in tests/formats, damage of bytes in test_bad_files there.

A mutant is read and, where it can be, priced: `ModelFileError` or another of the product's own
errors, or a graph with finite costs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import ModelFileError, PerfmodelError
from perfmodel.formats.load import load
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.kernels import covered_part, fuse, macs, params, peak_activation_bytes
from perfmodel.zoo import build
from tests.hostile.mutants import campaign, mutated_lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

CASES = 2_500
NUMBERS = (*range(-2, 9), 16, 127, 128, 255, 256, 65535, 2**31 - 1, -(2**31))


def cost(path: Path, rng: random.Random) -> Any:
    """What a graph costs; raises what reading raises."""
    graph = load(path)
    plain = covered_part(graph)
    kernels = fuse(graph, "tflite")
    return {
        "macs": macs(plain),
        "params": params(graph),
        "peak": peak_activation_bytes(graph),
        "elements": [k.output_elements for k in kernels],
    }


def refusals_are_of_files(outcomes: Any, share: float) -> None:
    assert outcomes["refused"] > share * CASES


class TestTflite:
    def tables(self, folder: Path) -> list[Any]:
        schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
        found = []
        for spec, precision in (("squeezenet", "float32"), ("mobilenet_v3_small", "int8")):
            path = folder / f"{spec}.tflite"
            write_tflite(build(f"{spec}@resolution=64"), path, precision=precision)
            found.append(schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0))
        for bodies in sorted((Path(__file__).parent / "samples").glob("*.tflite")):
            found.append(schema.ModelT.InitFromPackedBuf(bodies.read_bytes(), 0))
        return found

    def test_structure(self, tmp_path: Path) -> None:
        import copy

        from perfmodel.formats.tflite.schema import packed

        models = [self.lighter(m) for m in self.tables(tmp_path)]

        def write(rng: random.Random) -> Path:
            path = tmp_path / "mutant.tflite"
            while True:
                model = copy.deepcopy(rng.choice(models))
                for _ in range(rng.choice((1, 1, 2, 4))):
                    change_object(model, rng)
                try:
                    path.write_bytes(packed(model))
                except Exception:
                    continue  # what the schema's own packer refuses is no file
                return path

        refusals_are_of_files(campaign("tflite", CASES, write, cost), 0.2)

    def lighter(self, model: Any) -> Any:
        """Without the weights' numbers: an external buffer has none, and packing is quick."""
        for buffer in model.buffers:
            if buffer.data is not None and len(buffer.data) > 256:
                buffer.data = None
        return model


def change_object(model: Any, rng: random.Random) -> None:
    """Change one field of one table of a model of the schema's object API."""
    parts = list(model.subgraphs if model.subgraphs is not None else ())
    if not parts:
        return
    part = rng.choice(parts)
    operators = list(part.operators if part.operators is not None else ())
    tensors = list(part.tensors if part.tensors is not None else ())
    codes = list(model.operatorCodes if model.operatorCodes is not None else ())
    options = [o.builtinOptions for o in operators if o.builtinOptions is not None]
    of_kind = rng.choice((operators, operators, tensors, codes, options, [part], [model]))
    if not of_kind:
        return
    target = rng.choice(of_kind)
    names = [n for n in vars(target) if n not in ("description", "subgraphs")]
    if not names:
        return
    name = rng.choice(names)
    value = getattr(target, name)
    if isinstance(value, bool):
        setattr(target, name, not value)
    elif isinstance(value, int):
        setattr(target, name, rng.choice(NUMBERS))
    elif value is not None and hasattr(value, "__len__") and not isinstance(value, str | bytes):
        setattr(target, name, changed_list(list(value), rng))
    else:
        setattr(target, name, None)


def changed_list(items: list[Any], rng: random.Random) -> list[Any] | None:
    kind = rng.randrange(5)
    if kind == 0 or not items:
        return None
    at = rng.randrange(len(items))
    if kind == 1:
        del items[at]
    elif kind == 2:
        items.insert(at, items[rng.randrange(len(items))])
    elif kind == 3:
        rng.shuffle(items)
    elif isinstance(items[at], int) or hasattr(items[at], "dtype"):
        items[at] = rng.choice(NUMBERS)
    return items


PARAM = """7767517
13 14
Input data 0 1 data 0=16 1=16 2=3
Split s 1 2 data a b
Convolution conv1 1 1 a conv1 0=8 1=3 4=1 5=1 6=216
ConvolutionDepthWise dw 1 1 b dw 0=3 1=3 4=1 5=1 6=27 7=3
InnerProduct fc0 1 1 dw fc0 0=10 1=1 2=7680
Permute p 1 1 conv1 p 0=1
Reshape r 1 1 p r 0=64 1=-1
LayerNorm ln 1 1 r ln 0=64 1=1.0e-6
MultiHeadAttention mha 1 1 ln mha 0=64 1=4 2=4096
Reduction red 1 1 mha red 0=3 1=0 -23303=1,1 5=1
InnerProduct fc 1 1 red fc 0=10 1=1 2=320
BinaryOp add 2 1 fc fc0 add 0=0
Softmax prob 1 1 add prob 0=0
"""


class TestTexts:
    def write(self, folder: Path, suffix: str, texts: Sequence[str]) -> Callable[..., Path]:
        def write(rng: random.Random) -> Path:
            path = folder / f"mutant{suffix}"
            text = mutated_lines(rng.choice(texts), rng)
            path.write_text(text, encoding="utf-8", newline="")
            return path

        return write

    def test_caffe(self, tmp_path: Path) -> None:
        folder = Path(__file__).resolve().parents[1] / "formats" / "samples"
        texts = [p.read_text() for p in sorted(folder.glob("squeezenet*.prototxt"))]
        outcomes = campaign("caffe", CASES, self.write(tmp_path, ".prototxt", texts), cost)
        refusals_are_of_files(outcomes, 0.1)


def test_refusals_of_files_name_the_file_and_the_place(tmp_path: Path) -> None:
    path = tmp_path / "x.param"
    path.write_text(PARAM.replace("0=8", "0=-8"))
    with pytest.raises(PerfmodelError) as caught:
        load(path)
    assert isinstance(caught.value, ModelFileError)
    assert str(path) in str(caught.value)
