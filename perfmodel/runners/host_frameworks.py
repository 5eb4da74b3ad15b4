"""The frameworks that run on this machine's CPU: one entry each, and nothing of them elsewhere.

An entry says how a graph becomes a file, which runner times it, by which fusion rules it is
predicted and how the times that the runtime lists are put down to kernels. What it names is only
imported when it is used, so that a runtime that is not installed costs nothing.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.files import folder_prefix
from perfmodel.graph.ir import Graph
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import Kernel
from perfmodel.kernels.precisions import stored_precision
from perfmodel.runners.worker import Worker

DEFAULT = "tflite"
"""The framework where none is named."""


@dataclass(frozen=True, kw_only=True)
class HostFramework:
    """One framework on this machine's CPU, by its `name` in targets.

    `extra` of perfmodel installs it; `runner` is its name in `worker_side.RUNNERS`.
    `precisions` by the names of targets, with what the writer calls them, the usual first; of
    them `zoo_precisions` are also run for the zoo. `skipped` are (precision, threads) that are not
    calibrated. Networks with an operator in `refused[precision]` are not run in it.
    The others are "module:function":
    `writer` takes (graph, path, precision of the writer) and writes a file of seeded weights;
    `lists_operators` says without arguments whether the runtime tells times of operators ("": it
    never does, and kernels are timed as files of their own);
    `kernel_times` takes (graph, precision of the writer, kernels, times in us by "position name")
    and gives the time of each kernel in us, shape (kernels,); `file_times` likewise takes
    (path, graph, kernels, times) for a real file ("": they are not split).
    `threads` are the usual numbers of them; where `threads_of_process`, a process keeps its first.
    Where `loaded_once`, loading takes seconds, and a first run is timed once.
    `rules` are the fusion rules by which it is predicted, `suffix` that of its files, `beside`
    those of further files that belong to one, such as its weights. `reads` is the ending of the
    real files that it is given. Where that is not `suffix`, `converter` takes (file, path to make,
    precision of the writer, shapes of inputs whose size is open) and makes its own of them, in a
    worker, for it may take its process down; where `writes_source`, also of what `writer` writes.
    """

    name: str
    title: str
    extra: str
    runner: str
    suffix: str
    reads: str
    rules: str
    writer: str
    precisions: Mapping[str, str]
    zoo_precisions: tuple[str, ...]
    lists_operators: str = ""
    kernel_times: str = "perfmodel.runners.named_times:kernel_times"
    file_times: str = ""
    beside: tuple[str, ...] = ()
    converter: str = ""
    writes_source: bool = False
    threads: tuple[int, ...] = (1, 2)
    threads_of_process: bool = False
    loaded_once: bool = False
    skipped: frozenset[tuple[str, int]] = frozenset()
    refused: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def fused(self, graph: Graph) -> tuple[Kernel, ...]:
        """The kernels that it runs for a graph."""
        return fuse(graph, self.rules)

    def write(self, graph: Graph, path: Path, precision: str, worker: Worker | None = None) -> None:
        """Write a graph with seeded random weights for a precision of targets.

        What has to be converted is in `worker`, or in one that is started for it.
        """
        stored = self.stored(precision)
        if not self.writes_source:
            _named(self.writer)(graph, path, stored)
            return
        with tempfile.TemporaryDirectory(prefix=folder_prefix()) as folder:
            source = Path(folder) / f"{graph.name}{self.reads}"
            _named(self.writer)(graph, source, stored)
            self.convert(source, path, precision, worker)

    def convert(
        self,
        source: Path,
        made: Path,
        precision: str,
        worker: Worker | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        """Make a file of the framework of one that it `reads`, in a worker.

        `shapes` are those of inputs whose size is open, by name. Raises `RunnerError` for what the
        framework does not take, with its own words.
        """
        with nullcontext(worker) if worker is not None else Worker() as own:
            own.call(
                "convert",
                framework=self.name,
                source=str(source.resolve()),
                made=str(made.resolve()),
                stored=self.stored(precision),
                shapes=dict(shapes or {}),
            )

    def precision_of(self, graph: Graph) -> str:
        """The precision of targets in which it runs a file that holds this graph.

        What is stored in floats runs in its usual precision; "" where it runs no such files.
        """
        stored = stored_precision(graph)
        if stored == "fp32":
            return next(iter(self.precisions))
        return stored if stored in self.precisions else ""

    def files(self, path: Path) -> tuple[Path, ...]:
        """All files of a network whose name is `path`."""
        return (path, *(path.with_suffix(suffix) for suffix in self.beside))

    def stored(self, precision: str) -> str:
        """What the writer calls a precision of targets; `RunnerError` for one it cannot run."""
        if precision not in self.precisions:
            known = ", ".join(self.precisions)
            raise RunnerError(f"{self.title} does not run {precision} here", f"it runs {known}")
        return self.precisions[precision]

    def tells_operators(self) -> bool:
        """Whether the runtime lists the times of operators, so that none is timed by itself."""
        return bool(self.lists_operators) and bool(_named(self.lists_operators)())

    def kernel_us(
        self, graph: Graph, precision: str, per_op_us: Mapping[str, Sequence[float]]
    ) -> np.ndarray:
        """Times of the kernels of a written graph, shape (kernels,), in us.

        Raises `RunnerError` where the runtime's list cannot be split into kernels.
        """
        stored, kernels = self.stored(precision), self.fused(graph)
        times: np.ndarray = _named(self.kernel_times)(graph, stored, kernels, per_op_us)
        return times

    def file_kernel_us(
        self, path: Path, graph: Graph, per_op_us: Mapping[str, Sequence[float]]
    ) -> np.ndarray | None:
        """The same of a real file; None where the framework cannot tell."""
        if not self.file_times:
            return None
        times: np.ndarray = _named(self.file_times)(path, graph, self.fused(graph), per_op_us)
        return times


@dataclass(frozen=True)
class Converted:
    """What a conversion made, in bytes."""

    size_bytes: int


def convert_here(
    framework: str, source: str, made: str, stored: str, shapes: Mapping[str, Sequence[int]]
) -> Converted:
    """Convert a file in this process, which the converter may take down."""
    path = Path(made)
    _named(host_framework(framework).converter)(Path(source), path, stored, shapes)
    return Converted(path.stat().st_size)


def _named(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _of_onnx(**own: Any) -> HostFramework:
    """A framework that runs our .onnx files and lists times by the names in them."""
    return HostFramework(
        suffix=".onnx",
        reads=".onnx",
        writer="perfmodel.formats.onnx.writer:write_onnx",
        lists_operators="perfmodel.runners.named_times:listed",
        file_times="perfmodel.runners.named_times:file_times",
        **own,
    )


_ALL = (
    HostFramework(
        name="tflite",
        title="TFLite",
        extra="",
        runner="tflite",
        suffix=".tflite",
        reads=".tflite",
        rules="tflite-cpu",
        writer="perfmodel.runners.tflite_files:write",
        precisions={"fp32": "float32", "int8": "int8", "uint8": "uint8"},
        # uint8 is what files of 2018 hold: it is predicted for them, and not run for the zoo
        zoo_precisions=("fp32", "int8"),
        lists_operators="perfmodel.runners.litert_profiler:profiler_available",
        kernel_times="perfmodel.runners.tflite_files:kernel_times",
        file_times="perfmodel.runners.tflite_files:file_times",
        # old files are predicted on one thread only: their kernels are few, and time is short
        skipped=frozenset({("uint8", 2)}),
        # operators that no file of a precision holds or no runtime takes in it
        refused={"uint8": frozenset({"matmul", "transpose_conv2d", "elu", "lstm"})},
    ),
    _of_onnx(
        name="onnxruntime",
        title="ONNX Runtime",
        extra="onnx",
        runner="onnxruntime",
        rules="onnxruntime-cpu",
        precisions={"fp32": "float32", "int8": "int8"},
        zoo_precisions=("fp32", "int8"),
    ),
    _of_onnx(
        name="openvino",
        title="OpenVINO",
        extra="runtimes-openvino",
        runner="openvino",
        rules="openvino",
        precisions={"fp32": "float32", "int8": "int8"},
        zoo_precisions=("fp32", "int8"),
    ),
    _of_onnx(
        name="pytorch",
        title="PyTorch",
        extra="torch,onnx",
        runner="pytorch",
        rules="pytorch",
        precisions={"fp32": "float32"},
        zoo_precisions=("fp32",),
    ),
    _of_onnx(
        name="pytorch-compiled",
        title="torch.compile",
        extra="torch,onnx",
        runner="pytorch-compiled",
        rules="pytorch-compiled",
        precisions={"fp32": "float32"},
        zoo_precisions=("fp32",),
        # compiling takes seconds a network, and a budget holds few
        threads=(1,),
        loaded_once=True,
        # torch.compile does not trace into its recurrent layers
        refused={"fp32": frozenset({"lstm"})},
    ),
    HostFramework(
        name="ncnn",
        title="ncnn",
        extra="runtimes-ncnn",
        runner="ncnn",
        suffix=".param",
        reads=".param",
        beside=(".bin",),
        rules="ncnn",
        writer="perfmodel.formats.ncnn.writer:write_ncnn",
        # its own mixture of float32 and halves, as on phones
        precisions={"float": "float32", "int8": "int8"},
        zoo_precisions=("float", "int8"),
        lists_operators="perfmodel.runners.named_times:listed",
    ),
    HostFramework(
        name="mnn",
        title="MNN",
        extra="runtimes-mnn",
        runner="mnn",
        suffix=".mnn",
        reads=".onnx",
        converter="perfmodel.runners.mnn_files:convert_file",
        rules="mnn",
        writer="perfmodel.runners.mnn_files:write_mnn",
        precisions={"fp32": "float32", "int8": "weights8"},
        zoo_precisions=("fp32", "int8"),
        lists_operators="perfmodel.runners.named_times:listed",
        kernel_times="perfmodel.runners.mnn_files:kernel_times",
        # its converter ends on the LSTM layers of an .onnx file
        refused={"fp32": frozenset({"lstm"}), "int8": frozenset({"lstm"})},
    ),
    HostFramework(
        name="executorch",
        title="ExecuTorch",
        extra="runtimes-executorch",
        runner="executorch",
        suffix=".pte",
        reads=".onnx",
        rules="executorch",
        writer="perfmodel.runners.executorch_files:write_source",
        writes_source=True,
        converter="perfmodel.runners.executorch_files:convert_file",
        precisions={"fp32": "float32", "int8": "int8"},
        zoo_precisions=("fp32", "int8"),
        lists_operators="perfmodel.runners.named_times:listed",
        kernel_times="perfmodel.runners.executorch_files:kernel_times",
        # a second number of threads takes a second process, and each start of one seconds
        threads=(1,),
        threads_of_process=True,
        # its exporter unrolls them step by step
        refused={"fp32": frozenset({"lstm"}), "int8": frozenset({"lstm"})},
    ),
)

FRAMEWORKS: Mapping[str, HostFramework] = {f.name: f for f in _ALL}
"""Frameworks by name, the default first."""


def host_framework(name: str) -> HostFramework:
    """The entry of that name; `RunnerError` with the known ones for another."""
    if name not in FRAMEWORKS:
        raise RunnerError(
            f"--framework {name!r} does not run on this machine",
            f"choose one of {', '.join(FRAMEWORKS)}",
        )
    return FRAMEWORKS[name]


def own_profile(framework: str = DEFAULT, device: str = "host") -> Path:
    """The file of this machine's profile where none is named; other frameworks have their own."""
    return Path(f"{device}.json" if framework == DEFAULT else f"{device}-{framework}.json")
