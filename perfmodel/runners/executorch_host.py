"""The `executorch` runner: times .pte files in ExecuTorch's runtime on this machine's CPU."""

from __future__ import annotations

import importlib.metadata
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.files import folder_prefix
from perfmodel.runners.executorch_files import MISSING
from perfmodel.runners.machine import host_facts
from perfmodel.runners.runner import Job, MachineFacts
from perfmodel.runners.timed import TimedModel, random_values, times_of


def _runtime() -> Any:
    try:
        from executorch.runtime import Runtime
    except ImportError as error:
        raise RunnerError(f"executorch cannot be used: {error}", MISSING) from None
    return Runtime.get()


class ExecuTorchRunner:
    """Runs .pte files on the CPU; `profile` adds the time of every operator of XNNPACK."""

    name = "executorch"

    def __init__(self, seed: int = 0, profile: bool = True) -> None:
        self.seed, self.profile = seed, profile
        self._runtime = _runtime()

    def describe(self) -> MachineFacts:
        """This machine and the runtime's build."""
        build = f"executorch {importlib.metadata.version('executorch')}"
        return MachineFacts(self.name, {**host_facts(), "runtime": build})

    def prepare(self, job: Job) -> PreparedExecuTorch:
        """Load a file and make seeded random inputs."""
        return PreparedExecuTorch(self._runtime, job, self.seed, self.profile)


class PreparedExecuTorch(TimedModel):
    """One loaded method with its inputs; loaded once more where its operators are timed."""

    def __init__(self, runtime: Any, job: Job, seed: int, profile: bool) -> None:
        self._runtime, self.job, self._profile = runtime, job, profile
        self.threads = job.threads
        set_threads(job.threads)
        started = time.perf_counter()
        self._program, self._method = _load(runtime, job, profile=False)
        self.load_ms: float | None = (time.perf_counter() - started) * 1e3
        self._inputs = _inputs(self._method, job, seed)
        started = time.perf_counter()
        self._made = self._run()
        self.first_ms: float | None = (time.perf_counter() - started) * 1e3

    def close(self) -> None:
        """Free the method before its program."""
        self._made = None
        self._method = None
        self._program = None

    def outputs(self) -> list[np.ndarray]:
        """Results of a run, in the file's order."""
        return [made.numpy().copy() for made in self._run()]

    def _run(self) -> Any:
        try:
            return self._method.execute(self._inputs)
        except (RuntimeError, ValueError) as error:
            raise RunnerError(f"{self.job.model}: ExecuTorch failed: {error}") from None

    def _timed(self) -> tuple[float, float]:
        return times_of(self._run)

    def _operator_times_us(self, runs: int) -> Mapping[str, tuple[float, ...]]:
        """Times of the operators in us by "position name", in the order in which they run.

        Given with the first set only: a program writes what it recorded once.
        """
        if not self._profile:
            return {}
        self._profile = False
        program, method = _load(self._runtime, self.job, profile=True)
        for _ in range(1 + runs):
            method.execute(self._inputs)
        return recorded_us(program)


def set_threads(threads: int) -> None:
    """Have this process's pool hold so many threads.

    What was loaded before keeps a pool that is gone: a process runs with one number of threads.
    Raises `RunnerError` where the pool does not follow.
    """
    from executorch.extension.pybindings import portable_lib as library

    if library._threadpool_get_thread_count() == threads:
        return
    library._unsafe_reset_threadpool(threads)
    if library._threadpool_get_thread_count() != threads:
        has = library._threadpool_get_thread_count()
        raise RunnerError(f"ExecuTorch runs on {has} threads, not on {threads}")


def _load(runtime: Any, job: Job, *, profile: bool) -> tuple[Any, Any]:
    if not Path(job.model).is_file():
        raise RunnerError(f"{job.model}: no such file")
    try:
        program = runtime.load_program(str(job.model), enable_etdump=profile)
        return program, program.load_method("forward")
    except (RuntimeError, ValueError, KeyError) as error:
        raise RunnerError(f"{job.model}: ExecuTorch cannot load this file: {error}") from None


_DTYPES: Mapping[int, Any] = {
    0: np.uint8,
    1: np.int8,
    2: np.int16,
    3: np.int32,
    4: np.int64,
    5: np.float16,
    6: np.float32,
    7: np.float64,
    11: np.bool_,
}
"""Element types by the numbers of ExecuTorch's ScalarType, which are those of torch."""


def _inputs(method: Any, job: Job, seed: int) -> tuple[Any, ...]:
    import torch

    generator, meta, made = np.random.default_rng(seed), method.metadata, []
    for place in range(meta.num_inputs()):
        tensor = meta.input_tensor_meta(place)
        if tensor.dtype() not in _DTYPES:
            raise RunnerError(f"{job.model}: input {place} has type {tensor.dtype()}, not known")
        values = random_values(generator, tensor.sizes(), np.dtype(_DTYPES[tensor.dtype()]))
        made.append(torch.from_numpy(values))
    return tuple(made)


_AROUND = frozenset({"Method::execute", "DELEGATE_CALL", "OPERATOR_CALL", "Execute"})
"""Events that hold others."""


def recorded_us(program: Any) -> dict[str, tuple[float, ...]]:
    """Times in us by "position name" of what a program recorded of its runs but the first.

    Nothing where ExecuTorch was built without its event tracer.
    """
    from executorch.devtools.etdump.serialize import deserialize_from_etdump_flatcc

    with tempfile.TemporaryDirectory(prefix=folder_prefix()) as folder:
        path = Path(folder) / "times.etdp"
        program.write_etdump_result_to_file(str(path), str(Path(folder) / "debug.bin"))
        if not path.is_file():
            return {}
        recorded = deserialize_from_etdump_flatcc(path.read_bytes())
    return times_of_runs([_events(run) for run in recorded.run_data if run.name == "Execute"])


def _events(run: Any) -> list[tuple[str, float]]:
    """Name and time in us of what ran, in order; ticks are nanoseconds on Linux."""
    found = []
    for event in run.events or ():
        one = event.profile_event
        name = (one.delegate_debug_id_str or one.name or "") if one is not None else ""
        if name and name not in _AROUND:
            found.append((name, (one.end_time - one.start_time) / 1e3))
    return found


def times_of_runs(runs: Sequence[Sequence[tuple[str, float]]]) -> dict[str, tuple[float, ...]]:
    """(name, us) of each run as times by "position name"; the first of several runs warms up."""
    kept = runs[1:] or runs
    names = [name for name, _ in kept[0]] if kept else []
    alike = [run for run in kept if [name for name, _ in run] == names]
    return {
        f"{place} {name}": tuple(run[place][1] for run in alike) for place, name in enumerate(names)
    }
