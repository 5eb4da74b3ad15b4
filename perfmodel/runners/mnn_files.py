"""Files for MNN: a graph becomes an .onnx file, which MNN's converter makes an .mnn file.

The converter is the own one of the package MNN (`_tools.mnnconvert`). The scripts `mnnconvert`
and `mnnquant` that the package brings are not used: on import they install a package of their own
choice and report what is converted to a server. It runs in a process of its own, for it prints what
it does and ends its process where it cannot read a file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.files import folder_prefix, replaced
from perfmodel.formats.onnx.writer import write_onnx
from perfmodel.graph.ir import Graph
from perfmodel.kernels.kernel import Kernel
from perfmodel.runners import named_times

MISSING = "pip install 'perfmodel[runtimes-mnn]'"
CONVERTED_S = 300.0
"""Longest wait for a conversion: the zoo's largest networks take about 10 s."""
_PROGRAM = "import sys, _tools; _tools.mnnconvert(['mnnconvert', *sys.argv[1:]])"
_RASTER = re.compile(r"(.+?)_raster(?:_[0-9]+)?")
_MOVES = frozenset(
    {"concat", "split", "channel_shuffle", "pad", "slice", "strided_slice", "transpose", "tile"}
    | {"depth_to_space", "space_to_depth", "broadcast_to"}
)
_FREE = frozenset({"reshape", "view", "identity", "dropout"})
LAST_WORDS = 300
"""Characters of what the converter said last."""


def write_mnn(graph: Graph, path: Path, precision: str = "float32") -> None:
    """Write `graph` with seeded random weights as an .mnn file.

    `precision` is "float32", or "weights8": weights in integers of 8 bits, which MNN computes with
    on activations that it quantises as it runs. Operators are named after those of the graph.
    Raises `RunnerError` where MNN is not installed or does not take the network.
    """
    with tempfile.TemporaryDirectory(prefix=folder_prefix()) as folder:
        source = Path(folder) / "network.onnx"
        write_onnx(graph, source)
        convert_file(source, path, precision)


def convert_file(
    source: Path,
    path: Path,
    precision: str = "float32",
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> None:
    """Make an .mnn file of an .onnx file in a precision of `write_mnn`.

    The file keeps sizes of inputs that are open: its runner sets them, and `shapes` are not used.
    """
    options = ["--weightQuantBits", "8"] if precision == "weights8" else []
    with replaced(path) as made:
        convert(source, made, *options)


def convert(source: Path, made: Path, *options: str) -> None:
    """Convert an .onnx file, in a process of its own; `RunnerError` has its words."""
    files = ["--modelFile", str(source.resolve()), "--MNNModel", str(made.resolve())]
    command = ["-f", "ONNX", *files]
    paths = os.pathsep.join(p or os.getcwd() for p in sys.path)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *command, "--bizCode", "perfmodel", *options],
            capture_output=True,
            timeout=CONVERTED_S,
            # it leaves a file of weights where it runs
            cwd=source.parent,
            env={**os.environ, "PYTHONPATH": paths},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RunnerError(f"{source.name}: MNN's converter took {CONVERTED_S:.0f} s") from None
    said = (done.stderr + done.stdout).decode("utf-8", "replace")
    if "No module named '_tools'" in said:
        raise RunnerError("MNN is not installed", MISSING)
    if done.returncode or not made.stat().st_size:
        words = " ".join(said.split())[-LAST_WORDS:]
        raise RunnerError(f"{source.name}: MNN's converter failed: {words}")


def kernel_times(
    graph: Graph, stored: str, kernels: Sequence[Kernel], per_op_us: Mapping[str, Sequence[float]]
) -> np.ndarray:
    """Mean time of each kernel in us, shape (kernels,), from times by "position name".

    MNN moves data (joins, splits, shuffles, pads) where the result is read, in operators named
    `READER_raster_N`: their time belongs to what moves the data, else to the reader.
    """
    moved = {}
    for key, values in per_op_us.items():
        place, _, name = key.partition(" ")
        found = _RASTER.fullmatch(name)
        moved[f"{place} {_mover(graph, found[1]) if found else name}"] = values
    return named_times.kernel_times(graph, stored, kernels, moved)


def _mover(graph: Graph, reader: str) -> str:
    """The operator whose data is moved for a reader, itself where it reads no moved data."""
    name = reader
    ops = graph.once("ops by name", lambda: {op.name: op for op in graph.ops})
    while name not in ops and "/" in name:
        name = name.rpartition("/")[0]
    makers = graph.once("makers", lambda: {out: op for op in graph.ops for out in op.outputs})
    waiting = [ops[name]] if name in ops else []
    while waiting:
        op = waiting.pop()
        if op.kind in _MOVES:
            return op.name
        if op.name == name or op.kind in _FREE:
            waiting += [makers[i] for i in reversed(op.inputs) if i in makers]
    return reader
