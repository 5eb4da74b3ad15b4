"""The `tflite` runner: times .tflite files on this machine's CPU, in the process that asks it.

Whoever measures files of others asks it through a `worker`, because a runtime may crash.
`ai-edge-litert` is used where it is installed, else `tflite-runtime` (which needs numpy < 2): both
offer the same interpreter.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.runners.litert_profiler import ProfiledModel, ProfilerError, profiler_available
from perfmodel.runners.machine import host_facts
from perfmodel.runners.runner import Job, MachineFacts
from perfmodel.runners.timed import TimedModel, shapes_of, times_of

_RUNTIMES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
)


def runtime() -> tuple[str, Any]:
    """Name with version of the installed runtime, and its `Interpreter` class."""
    problems = []
    for package, module in _RUNTIMES:
        try:
            version = importlib.metadata.version(package)
            interpreter = importlib.import_module(module).Interpreter
        except (ImportError, importlib.metadata.PackageNotFoundError) as error:
            problems.append(f"{package}: {error}")
            continue
        return f"{package} {version}", interpreter
    raise RunnerError(
        f"no TFLite runtime is installed ({'; '.join(problems)})",
        "pip install ai-edge-litert (or tflite-runtime together with 'numpy<2')",
    )


class TfliteRunner:
    """Runs whole networks, single kernels and segments as .tflite files on the host CPU.

    `seed` makes the input data; `profile` adds the time of each operator where the runtime's
    profiler can be reached.
    """

    name = "tflite"

    def __init__(self, seed: int = 0, profile: bool = False) -> None:
        self.seed = seed
        self.profile = profile
        self.build, self._interpreter = runtime()

    def describe(self) -> MachineFacts:
        """This machine and the runtime's build."""
        facts = {**host_facts(), "runtime": self.build, "numpy": np.__version__}
        return MachineFacts(self.name, facts)

    def prepare(self, job: Job) -> PreparedTflite:
        """Load a .tflite file and fill its inputs with seeded random data."""
        return PreparedTflite(self._interpreter, job, self.seed, self.profile)


class PreparedTflite(TimedModel):
    """One loaded file with its inputs filled."""

    def __init__(self, interpreter: Any, job: Job, seed: int, profile: bool) -> None:
        self.job, self.threads = job, job.threads
        started = time.perf_counter()
        self._interpreter = _open(interpreter, job)
        self.load_ms: float | None = (time.perf_counter() - started) * 1e3
        fill_inputs(self._interpreter, seed)
        started = time.perf_counter()
        self._invoke()
        self.first_ms: float | None = (time.perf_counter() - started) * 1e3
        self._profiled: ProfiledModel | None = None
        # the profiler sizes its buffers by the file, which knows nothing of the job's shapes
        if profile and not job.shapes and profiler_available():
            try:
                made = [output.nbytes for output in self.outputs()]
                self._profiled = ProfiledModel(job.model, job.threads, self._inputs(), made)
            except ProfilerError:
                # whoever falls back on the plain interpreter wants the file out of memory first
                self.close()
                raise

    def close(self) -> None:
        """Free the interpreter."""
        self._interpreter = None
        if self._profiled is not None:
            self._profiled.close()

    def _inputs(self) -> list[np.ndarray]:
        details = self._interpreter.get_input_details()
        return [self._interpreter.get_tensor(d["index"]) for d in details]

    def outputs(self) -> list[np.ndarray]:
        """Results of the last run, in the file's order."""
        details = self._interpreter.get_output_details()
        return [self._interpreter.get_tensor(d["index"]) for d in details]

    def _timed(self) -> tuple[float, float]:
        return times_of(self._invoke)

    def _operator_times_us(self, runs: int) -> Mapping[str, tuple[float, ...]]:
        return self._profiled.op_times_us(runs, warmups=1) if self._profiled else {}

    def _invoke(self) -> None:
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise RunnerError(f"{self.job.model}: the runtime failed: {error}") from None


def _open(interpreter: Any, job: Job) -> Any:
    try:
        opened = interpreter(model_path=str(job.model), num_threads=job.threads)
        if job.shapes:
            _resize(opened, job)
        opened.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise RunnerError(
            f"{job.model}: the runtime cannot run this file: {error}",
            "custom operators need a runtime that has them",
        ) from None
    return opened


def _resize(opened: Any, job: Job) -> None:
    """Give the inputs whose size is open the shapes of the job."""
    details = opened.get_input_details()
    declared = {d["name"]: d["shape_signature"].tolist() for d in details}
    shapes = shapes_of(job, declared, last=True)
    for detail in details:
        if min(declared[detail["name"]], default=1) < 1:
            opened.resize_tensor_input(detail["index"], shapes[detail["name"]])


def fill_inputs(interpreter: Any, seed: int) -> None:
    """Fill every input with seeded random data of its type (never zeros, which can run faster)."""
    generator = np.random.default_rng(seed)
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], random_array(generator, detail))


def random_array(generator: np.random.Generator, detail: Mapping[str, Any]) -> np.ndarray:
    """Random values of an input's shape and type: [-1, 1) for floats, the whole range of 8 bits,
    small non-negative indices otherwise."""
    shape, dtype = tuple(detail["shape"]), np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return generator.uniform(-1, 1, shape).astype(dtype)
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(bool)
    if dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max + 1, shape).astype(dtype)
    return generator.integers(0, 2, shape).astype(dtype)
