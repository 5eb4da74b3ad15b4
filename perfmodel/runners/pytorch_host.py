"""The `pytorch` runner: times .onnx files as PyTorch runs them eagerly on this machine's CPU."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.runners.machine import host_facts
from perfmodel.runners.runner import Job, MachineFacts, RawRuns
from perfmodel.runners.timed import TimedModel, random_values, shapes_of, times_of
from perfmodel.runners.torch_network import TorchNetwork, torch_network


def _torch() -> Any:
    try:
        import onnx  # noqa: F401
        import torch
    except ImportError as error:
        raise RunnerError(
            f"{error.name} is not installed", "pip install 'perfmodel[torch,onnx]'"
        ) from None
    return torch


class PyTorchRunner:
    """Runs .onnx files with torch's functions; `profile` adds the time of every step."""

    name = "pytorch"

    def __init__(self, seed: int = 0, profile: bool = True) -> None:
        self.seed, self.profile = seed, profile
        self._torch = _torch()

    def describe(self) -> MachineFacts:
        """This machine and the library's build."""
        build = f"torch {self._torch.__version__}"
        return MachineFacts(self.name, {**host_facts(), "runtime": build})

    def prepare(self, job: Job) -> PreparedTorch:
        """Load a file and make seeded random inputs; open sizes are the job's, or count as 1."""
        return PreparedTorch(self._torch, job, self.seed, self.profile)


class PreparedTorch(TimedModel):
    """One loaded network with its inputs."""

    def __init__(self, torch: Any, job: Job, seed: int, profile: bool) -> None:
        self._torch, self.threads, self._profile = torch, job.threads, profile
        torch.set_num_threads(job.threads)
        started = time.perf_counter()
        self._network: TorchNetwork | None = torch_network(job.model)
        self.load_ms: float | None = (time.perf_counter() - started) * 1e3
        self._inputs = inputs_of(self._network, torch, job, seed)
        started = time.perf_counter()
        try:
            self._run()
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise RunnerError(f"{job.model}: torch cannot run this file: {error}") from None
        self.first_ms: float | None = (time.perf_counter() - started) * 1e3

    def run_set(self, runs: int, warmups: int) -> RawRuns:
        """Time `runs` inferences, then as many step by step."""
        # the number of threads belongs to the process, where other networks are loaded too
        self._torch.set_num_threads(self.threads)
        return super().run_set(runs, warmups)

    def close(self) -> None:
        """Free the network."""
        self._network = None
        self._inputs = ()

    def _run(self) -> Any:
        assert self._network is not None
        with self._torch.inference_mode():
            return self._network(*self._inputs)

    def outputs(self) -> list[np.ndarray]:
        """Results of a run, in the file's order."""
        return [made.numpy() for made in self._run()]

    def _timed(self) -> tuple[float, float]:
        return times_of(self._run)

    def _operator_times_us(self, runs: int) -> dict[str, tuple[float, ...]]:
        """Times of each step in us, as {"position name": times}."""
        if not self._profile:
            return {}
        assert self._network is not None
        network, clock = self._network, time.perf_counter
        times: dict[str, list[float]] = {f"{i} {s.name}": [] for i, s in enumerate(network.steps)}
        with self._torch.inference_mode():
            for _ in range(runs):
                values = dict(zip(network.inputs, self._inputs, strict=True))
                for step, taken in zip(network.steps, times.values(), strict=True):
                    started = clock()
                    step.into(values)
                    taken.append((clock() - started) * 1e6)
        return {key: tuple(values) for key, values in times.items()}


def inputs_of(network: TorchNetwork, torch: Any, job: Job, seed: int) -> tuple[Any, ...]:
    """Seeded random tensors for a network's inputs: [-1, 1) for floats, small indices otherwise."""
    generator = np.random.default_rng(seed)
    shapes = shapes_of(job, {name: shape for name, (shape, _) in network.inputs.items()})
    made = [
        random_values(generator, shapes[name], np.dtype(dtype))
        for name, (_, dtype) in network.inputs.items()
    ]
    return tuple(torch.from_numpy(a) for a in made)
