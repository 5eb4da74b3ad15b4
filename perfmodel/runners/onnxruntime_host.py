"""The `onnxruntime` runner: times .onnx files on this machine's CPU, node by node."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.files import folder_prefix
from perfmodel.runners.machine import host_facts
from perfmodel.runners.runner import Job, MachineFacts
from perfmodel.runners.timed import TimedModel, random_values, shapes_of, times_of

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise RunnerError("onnxruntime is not installed", "pip install 'perfmodel[onnx]'") from None
    return onnxruntime


LEAST_PROFILED = 6
"""Runs of a profile, so that each node has a mean of a few: times are whole microseconds."""


class OnnxRuntimeRunner:
    """Runs .onnx files on the CPU; `profile` adds the time of every node."""

    name = "onnxruntime"

    def __init__(self, seed: int = 0, profile: bool = True) -> None:
        self.seed, self.profile = seed, profile
        self._library = _onnxruntime()

    def describe(self) -> MachineFacts:
        """This machine and the runtime's build."""
        build = f"onnxruntime {self._library.__version__}"
        return MachineFacts(self.name, {**host_facts(), "runtime": build})

    def prepare(self, job: Job) -> PreparedOnnx:
        """Load a file and make seeded random inputs; open sizes are the job's, or count as 1."""
        return PreparedOnnx(self._library, job, self.seed, self.profile)


class PreparedOnnx(TimedModel):
    """One loaded session with its inputs."""

    def __init__(self, library: Any, job: Job, seed: int, profile: bool) -> None:
        started = time.perf_counter()
        self._session = _session(library, job, "")
        self.load_ms: float | None = (time.perf_counter() - started) * 1e3
        self.threads = job.threads
        self._inputs = _inputs(self._session, job, seed)
        started = time.perf_counter()
        self._session.run(None, self._inputs)
        self.first_ms: float | None = (time.perf_counter() - started) * 1e3
        # profiling costs up to a tenth of the time: nodes are timed in a session of their own
        self._folder = tempfile.mkdtemp(prefix=folder_prefix())
        prefix = str(Path(self._folder) / "profile")
        self._profiled = _session(library, job, prefix) if profile else None

    def close(self) -> None:
        """Free the sessions and their profile files."""
        self._session = self._profiled = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _timed(self) -> tuple[float, float]:
        return times_of(lambda: self._session.run(None, self._inputs))

    def _operator_times_us(self, runs: int) -> dict[str, tuple[float, ...]]:
        """Times of each node in us, as {"position name": times}, in the order in which they run.

        Given with the first set only: a session writes its profile once.
        """
        if self._profiled is None:
            return {}
        for _ in range(1 + max(runs, LEAST_PROFILED)):
            self._profiled.run(None, self._inputs)
        path = Path(self._profiled.end_profiling())
        self._profiled = None
        times: dict[str, list[float]] = {}
        for event in json.loads(path.read_text(encoding="utf-8")):
            name = str(event.get("name", ""))
            if event.get("cat") == "Node" and name.endswith("_kernel_time"):
                times.setdefault(_node_name(event), []).append(float(event["dur"]))
        # the first run pays for what later ones find in place
        return {f"{i} {key}": tuple(v[1:] or v) for i, (key, v) in enumerate(times.items())}


def _node_name(event: Mapping[str, Any]) -> str:
    """Name of a node in the file, without what the runtime's own rewriting adds to it.

    A node that has none is named after its operator and its place in the runtime's graph.
    """
    name = str(event["name"]).removesuffix("_kernel_time").removesuffix("_nchwc")
    place = f"{event['args']['op_name']} {event['args'].get('node_index', '')}".strip()
    return name.removeprefix("fused ") or place


def _session(library: Any, job: Job, profile_prefix: str) -> Any:
    options = library.SessionOptions()
    options.intra_op_num_threads = job.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if profile_prefix:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    try:
        return library.InferenceSession(str(job.model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # the runtime raises its own C++ exception classes, which share no public base
        raise RunnerError(f"{job.model}: onnxruntime cannot load this file: {error}") from None


def _inputs(session: Any, job: Job, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    declared = {
        tensor.name: [d if isinstance(d, int) else 0 for d in tensor.shape]
        for tensor in session.get_inputs()
    }
    shapes = shapes_of(job, declared)
    made = {}
    for tensor in session.get_inputs():
        if tensor.type not in _DTYPES:
            raise RunnerError(f"input {tensor.name!r} has type {tensor.type}, which is not known")
        dtype = np.dtype(_DTYPES[tensor.type])
        made[tensor.name] = random_values(generator, shapes[tensor.name], dtype)
    return made
