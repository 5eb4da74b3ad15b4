"""The `pytorch-compiled` runner: times .onnx files as torch.compile runs them on the CPU.

torch.compile writes C++ for what stands between the library's products and compiles it, which takes
seconds a network: a network that takes longer than `COMPILED_S` is refused.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.runners.pytorch_host import PreparedTorch, PyTorchRunner
from perfmodel.runners.runner import Job

COMPILED_S = 90.0
"""Longest wait for a network to be compiled, well within what a worker is waited for."""
LIBRARY_CALLS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM"})
"""Nodes that compiled code runs by the same call of the library as eager code does."""
LEAST = 0.05
"""Share of its eager time that a compiled step keeps at least, by judgement: none is free."""


class CompiledRunner(PyTorchRunner):
    """Runs .onnx files compiled by torch.compile with its usual settings; `profile` adds times of
    the steps."""

    name = "pytorch-compiled"

    def __init__(self, seed: int = 0, profile: bool = True) -> None:
        super().__init__(seed, profile)
        check_compiler()
        from torch._inductor import config

        # a pool of compiling processes would outlive a network that is given up
        config.compile_threads = 1

    def prepare(self, job: Job) -> PreparedCompiled:
        """Compile a file and make seeded random inputs; open sizes are the job's, or count as 1."""
        return PreparedCompiled(self._torch, job, self.seed, self.profile)


class PreparedCompiled(PreparedTorch):
    """One compiled network with its inputs; its first run is the one that compiles."""

    _compiled: Any = None

    def __init__(self, torch: Any, job: Job, seed: int, profile: bool) -> None:
        from perfmodel.runners.torch_export import exported

        super().__init__(torch, job, seed, profile)
        # each program has code of its own, so that none is compiled again for another's sizes
        program, _ = exported(job.model, job.shapes, seed)
        started = time.perf_counter()
        try:
            with at_most(COMPILED_S, f"{job.model.name}: torch.compile"):
                self._compiled = torch.compile(program.module(), dynamic=False)
                self._run()
        except RunnerError:
            raise
        except Exception as error:
            # the compiler's errors are wrapped in classes of its own
            words = " ".join(str(error).split())[:200]
            raise RunnerError(f"{job.model.name}: torch.compile failed: {words}") from None
        self.first_ms = (time.perf_counter() - started) * 1e3

    def close(self) -> None:
        """Free the network and its code."""
        self._compiled = None
        super().close()

    def _run(self) -> Any:
        if self._compiled is None:
            return super()._run()
        with self._torch.inference_mode():
            return self._compiled(*self._inputs)

    def _operator_times_us(self, runs: int) -> dict[str, tuple[float, ...]]:
        """Times of each step in us, as {"position name": times}: those of eager runs for calls of
        the library, and shares of what the compiled run leaves for the others."""
        eager = super()._operator_times_us(runs)
        if not eager:
            return {}
        assert self._network is not None
        whole = [self._timed()[0] * 1e3 for _ in range(runs)]
        fixed = [step.kind in LIBRARY_CALLS for step in self._network.steps]
        return shared_out(eager, fixed, whole)


def shared_out(
    eager_us: Mapping[str, Sequence[float]], fixed: Sequence[bool], whole_us: Sequence[float]
) -> dict[str, tuple[float, ...]]:
    """Times of the steps of compiled code, run by run, in us.

    `fixed` steps take what they take in eager code. The others share what is left of the whole by
    their eager times, at least `LEAST` of these.
    """
    times = np.array(list(eager_us.values()), dtype=float)
    kept = np.array(fixed, dtype=bool)
    others = times[~kept].sum(axis=0)
    left = np.maximum(np.asarray(whole_us) - times[kept].sum(axis=0), LEAST * others)
    times[~kept] *= left / np.maximum(others, 1e-9)
    return {key: tuple(row.tolist()) for key, row in zip(eager_us, times, strict=True)}


def check_compiler() -> None:
    """Raise `RunnerError` where torch.compile finds no C++ compiler."""
    from torch._inductor import cpp_builder, exc

    try:
        cpp_builder.get_cpp_compiler()
    except (exc.InvalidCxxCompiler, RuntimeError, OSError):
        raise RunnerError(
            "torch.compile finds no C++ compiler on this machine",
            "install g++ or clang++ (and Python's headers), or name one in the variable CXX",
        ) from None


@contextmanager
def at_most(seconds: float, what: str) -> Iterator[None]:
    """Raise `RunnerError` where what is done takes longer; no limit where there are no timers."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    over = RunnerError(f"{what} took longer than {seconds:.0f} s")

    def stop(number: int, frame: Any) -> None:
        raise over

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except Exception as error:
        # whoever was interrupted may have wrapped what was raised in an error of its own
        cause: BaseException | None = error
        while cause is not None and cause is not over:
            cause = cause.__cause__ or cause.__context__
        if cause is over:
            raise over from None
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
