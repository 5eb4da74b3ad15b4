"""Shapes of every blob as ncnn makes them; run in a process of its own, for ncnn may crash.

`python ncnn_oracle.py` reads JSON on stdin, [[FILE.param, [[c, h, w], ...]], ...] with the sizes of
each input, outermost first, and answers with a list: sizes of each blob by name, or why there are
none. Weights are zeros.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Any


def blob_shapes(param: str, inputs: list[list[int]]) -> dict[str, list[int]]:
    """Sizes of each blob, outermost first (c, d, h, w as far as there are), by its name."""
    import ncnn
    import numpy as np

    class Zeros(ncnn.DataReader):
        def scan(self, format_text: str, target: object) -> int:
            return 0

        def read(self, target: object, size: int) -> int:
            return size

    net = ncnn.Net()
    net.opt.lightmode = False
    net.opt.use_packing_layout = False
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_storage = net.opt.use_fp16_packed = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.opt.num_threads = 1
    if net.load_param(param):
        raise RuntimeError("ncnn cannot read it")
    net.load_model(Zeros())
    extractor = net.create_extractor()
    held = []
    for name, shape in zip(net.input_names(), inputs, strict=True):
        # the Mat does not own the array's memory: the clone does
        array = np.ones(shape, np.float32)
        held.append(ncnn.Mat(array).clone())
        extractor.input(name, held[-1])
    found = {}
    for blob in net.blobs():
        code, mat = extractor.extract(blob.name)
        if code:
            raise RuntimeError(f"{blob.name}: ncnn answers {code}")
        sizes = {0: [], 1: ["w"], 2: ["h", "w"], 3: ["c", "h", "w"], 4: ["c", "d", "h", "w"]}
        found[blob.name] = [int(getattr(mat, axis)) for axis in sizes[mat.dims]]
    return found


def _answer(pipe: Any, param: str, inputs: list[list[int]]) -> None:
    try:
        pipe.send(blob_shapes(param, inputs))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")


def in_child(param: str, inputs: list[list[int]]) -> dict[str, list[int]] | str:
    """`blob_shapes` in a process of its own; a text where that ends badly."""
    here, there = multiprocessing.Pipe()
    child = multiprocessing.Process(target=_answer, args=(there, param, inputs))
    child.start()
    there.close()
    try:
        return here.recv() if here.poll(60) else "no answer"
    except EOFError:
        return "crashed"
    finally:
        child.kill()
        child.join()


if __name__ == "__main__":
    import ncnn  # noqa: F401 (once for all children)

    answers = [in_child(param, inputs) for param, inputs in json.load(sys.stdin)]
    print(json.dumps(answers))
