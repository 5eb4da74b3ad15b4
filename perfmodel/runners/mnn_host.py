"""The `mnn` runner: times .mnn files on this machine's CPU, operator by operator."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.runners.machine import host_facts
from perfmodel.runners.mnn_files import MISSING
from perfmodel.runners.runner import Job, MachineFacts
from perfmodel.runners.timed import TimedModel, shapes_of, times_of


def _mnn() -> Any:
    try:
        import MNN
    except ImportError:
        raise RunnerError("MNN is not installed", MISSING) from None
    return MNN


class MnnRunner:
    """Runs .mnn files on the CPU; `profile` adds the time of every operator, `seed` makes inputs.

    In precision fp32 it computes in float32 alone ("high"); in int8, weights of 8 bits stay so and
    activations are quantised as it runs ("low" memory).
    """

    name = "mnn"

    def __init__(self, seed: int = 0, profile: bool = True) -> None:
        self.seed, self.profile = seed, profile
        self._library = _mnn()

    def describe(self) -> MachineFacts:
        """This machine and the runtime's build."""
        build = f"MNN {self._library.version()}"
        return MachineFacts(self.name, {**host_facts(), "runtime": build})

    def prepare(self, job: Job) -> PreparedMnn:
        """Load a file and make seeded random inputs of the sizes that it states."""
        return PreparedMnn(self._library, job, self.seed, self.profile)


class PreparedMnn(TimedModel):
    """One loaded file with its inputs filled."""

    def __init__(self, library: Any, job: Job, seed: int, profile: bool) -> None:
        self.job, self.threads = job, job.threads
        self._profile, self._library = profile, library
        started = time.perf_counter()
        self._interpreter, self._session = _open(library, job)
        self.load_ms: float | None = (time.perf_counter() - started) * 1e3
        self._resize()
        self._filled = self._inputs(seed)
        self._fill()
        started = time.perf_counter()
        self._invoke()
        self.first_ms: float | None = (time.perf_counter() - started) * 1e3

    def close(self) -> None:
        """Free the session before what made it."""
        self._filled = []
        self._session = None
        self._interpreter = None

    def outputs(self) -> list[np.ndarray]:
        """Results of the last run by the file's names in order, channels before the picture."""
        found = self._interpreter.getSessionOutputAll(self._session)
        return [self._as_array(tensor) for tensor in found.values()]

    def _as_array(self, tensor: Any) -> np.ndarray:
        plain = self._library.Tensor_DimensionType_Caffe
        shape = tensor.getShape()
        host = self._library.Tensor(shape, tensor.getDataType(), np.zeros(shape, np.float32), plain)
        tensor.copyToHostTensor(host)
        return np.array(host.getNumpyData()).reshape(shape)

    def _fill(self) -> None:
        """Copy the inputs in: MNN uses their memory for other things as it runs."""
        for tensor, host, _ in self._filled:
            tensor.copyFrom(host)

    def _resize(self) -> None:
        """Give the inputs whose size is open the shapes of the job."""
        if not self.job.shapes:
            return
        inputs = self._interpreter.getSessionInputAll(self._session)
        shapes = shapes_of(self.job, {name: tuple(t.getShape()) for name, t in inputs.items()})
        for name, tensor in inputs.items():
            self._interpreter.resizeTensor(tensor, shapes[name])
        self._interpreter.resizeSession(self._session)

    def _inputs(self, seed: int) -> list[tuple[Any, Any, np.ndarray]]:
        """Each input with what it is filled with, and whose memory that is.

        Drawn with the channels last, so that a .tflite file of the network gets the same.
        """
        found = []
        generator = np.random.default_rng(seed)
        plain = self._library.Tensor_DimensionType_Caffe
        for name, tensor in self._interpreter.getSessionInputAll(self._session).items():
            shape = tuple(tensor.getShape())
            if not shape or min(shape) < 1:
                raise RunnerError(f"{self.job.model}: input {name!r} has an open size {shape}")
            if tensor.getDataType() != self._library.Halide_Type_Float:
                values = generator.integers(0, 2, shape).astype(np.int32)
            elif len(shape) == 4:
                drawn = generator.uniform(-1, 1, (shape[0], *shape[2:], shape[1]))
                values = np.ascontiguousarray(np.moveaxis(drawn, -1, 1).astype(np.float32))
            else:
                values = generator.uniform(-1, 1, shape).astype(np.float32)
            host = self._library.Tensor(shape, tensor.getDataType(), values, plain)
            found.append((tensor, host, values))
        return found

    def _invoke(self) -> None:
        code = self._interpreter.runSession(self._session)
        if code:
            raise RunnerError(f"{self.job.model}: MNN failed (code {code})")

    def _timed(self) -> tuple[float, float]:
        self._fill()
        return times_of(self._invoke)

    def _operator_times_us(self, runs: int) -> dict[str, tuple[float, ...]]:
        """Times of each operator in us by "position name", between the calls around it."""
        if not self._profile:
            return {}
        clock, began = time.perf_counter, [0.0]
        names: list[str] = []
        spent: list[float] = []

        def before(tensors: Any, info: Any) -> bool:
            began[0] = clock()
            return True

        def after(tensors: Any, info: Any) -> bool:
            spent.append((clock() - began[0]) * 1e6)
            names.append(info.getName())
            return True

        found = []
        for _ in range(runs):
            names.clear()
            spent.clear()
            self._fill()
            self._interpreter.runSessionWithCallBackInfo(self._session, before, after)
            found.append(tuple(spent))
        keys = [f"{i} {name}" for i, name in enumerate(names)]
        return dict(zip(keys, zip(*found, strict=True), strict=True))


def _open(library: Any, job: Job) -> tuple[Any, Any]:
    if not Path(job.model).is_file():
        raise RunnerError(f"{job.model}: no such file")
    interpreter = library.Interpreter(str(job.model))
    config = {"backend": "CPU", "numThread": job.threads, "precision": "high"}
    if job.precision == "int8":
        config["memory"] = "low"
    session = interpreter.createSession(config) if interpreter is not None else None
    if session is None:
        raise RunnerError(f"{job.model}: MNN cannot load this file")
    return interpreter, session
