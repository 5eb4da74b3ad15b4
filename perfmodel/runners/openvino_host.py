"""The `openvino` runner: times .onnx files in OpenVINO on this machine's CPU, node by node."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from perfmodel.errors import PerfmodelError, RunnerError
from perfmodel.runners.machine import host_facts
from perfmodel.runners.runner import Job, MachineFacts
from perfmodel.runners.timed import TimedModel, random_values, shapes_of, times_of


def _openvino() -> Any:
    try:
        import openvino
    except ImportError:
        raise RunnerError(
            "openvino is not installed", "pip install 'perfmodel[runtimes-openvino]'"
        ) from None
    return openvino


class OpenVinoRunner:
    """Runs .onnx files on the CPU; `profile` adds the time of every node that was executed."""

    name = "openvino"

    def __init__(self, seed: int = 0, profile: bool = True) -> None:
        self.seed, self.profile = seed, profile
        self._library = _openvino()

    def describe(self) -> MachineFacts:
        """This machine and the runtime's build."""
        build = f"openvino {self._library.__version__.partition('-')[0]}"
        return MachineFacts(self.name, {**host_facts(), "runtime": build})

    def prepare(self, job: Job) -> PreparedOpenVino:
        """Compile a file and make seeded random inputs; open sizes are the job's, or count as 1."""
        return PreparedOpenVino(self._library, job, self.seed, self.profile)


class PreparedOpenVino(TimedModel):
    """One compiled network with its inputs, and once more with counters where it is profiled."""

    def __init__(self, library: Any, job: Job, seed: int, profile: bool) -> None:
        # it runs on threads of the library's own
        self.threads = 0
        started = time.perf_counter()
        try:
            core = library.Core()
            model = core.read_model(str(job.model))
            self._shapes = _shapes(model, job)
            if job.shapes:
                model.reshape({port: list(self._shapes[name]) for name, port in _ports(model)})
            self._request = _request(core, model, job.threads, counters=False)
        except PerfmodelError:
            raise
        except Exception as error:
            # the library raises RuntimeError and classes of its own
            raise RunnerError(f"{job.model}: openvino cannot load this file: {error}") from None
        self.load_ms: float | None = (time.perf_counter() - started) * 1e3
        self._inputs = _inputs(model, self._shapes, seed)
        started = time.perf_counter()
        self._request.infer(self._inputs)
        self.first_ms: float | None = (time.perf_counter() - started) * 1e3
        # counters cost time of their own: nodes are timed in a request of their own
        self._counted = _request(core, model, job.threads, counters=True) if profile else None

    def close(self) -> None:
        """Free the network."""
        self._request = self._counted = None

    def outputs(self) -> list[np.ndarray]:
        """Results of the last run, in the file's order."""
        return [tensor.data.copy() for tensor in self._request.output_tensors]

    def _timed(self) -> tuple[float, float]:
        return times_of(self._request.infer)

    def _operator_times_us(self, runs: int) -> dict[str, tuple[float, ...]]:
        """Times of the nodes that ran in us, as {"position name": times}, in their order."""
        if self._counted is None:
            return {}
        self._counted.infer(self._inputs)
        times: dict[str, list[float]] = {}
        for _ in range(runs):
            self._counted.infer()
            for info in self._counted.profiling_info:
                if str(info.status).endswith("EXECUTED") and "NOT_RUN" not in str(info.status):
                    taken = info.real_time.total_seconds() * 1e6
                    times.setdefault(info.node_name, []).append(taken)
        return {f"{i} {name}": tuple(v) for i, (name, v) in enumerate(times.items())}


def _request(core: Any, model: Any, threads: int, *, counters: bool) -> Any:
    """A request on one stream; floats stay floats, which some CPUs would halve."""
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERF_COUNT": counters,
    }
    return core.compile_model(model, "CPU", options).create_infer_request()


def _ports(model: Any) -> list[tuple[str, Any]]:
    """The inputs in the order of the file, each with a name that it has, or its place."""
    return [
        (next(iter(sorted(port.get_names())), str(place)), port)
        for place, port in enumerate(model.inputs)
    ]


def _shapes(model: Any, job: Job) -> dict[str, tuple[int, ...]]:
    declared = {
        name: [d.get_length() if d.is_static else 0 for d in port.partial_shape]
        for name, port in _ports(model)
    }
    return shapes_of(job, declared)


def _inputs(model: Any, shapes: Mapping[str, tuple[int, ...]], seed: int) -> list[np.ndarray]:
    """Seeded random arrays in the order of the inputs: [-1, 1) for floats, else small indices."""
    generator = np.random.default_rng(seed)
    return [
        random_values(generator, shapes[name], np.dtype(port.element_type.to_dtype()))
        for name, port in _ports(model)
    ]
