"""The `pytorch-compiled` runner: the same files through `torch.compile`, which writes C++."""

from __future__ import annotations

import itertools
import os
import shutil
from types import FunctionType, MethodType
from typing import Any

from perfmodel.errors import RunnerError
from perfmodel.runners.pytorch_host import PreparedTorch, PyTorchRunner
from perfmodel.runners.runner import Job
from perfmodel.runners.torch_network import TorchNetwork

COMPILERS = ("c++", "g++", "clang++", "clang")
"""Programs that torch.compile looks for, after the one that $CXX names."""
_NUMBERS = itertools.count()


class PyTorchCompiledRunner(PyTorchRunner):
    """Whole inferences are those of the compiled network.

    What it runs has no names of ours: `profile` gives the times of the steps run eagerly, whose
    shares say how the whole divides.
    """

    name = "pytorch-compiled"

    def __init__(self, seed: int = 0, profile: bool = True) -> None:
        super().__init__(seed, profile)
        wanted = (os.environ.get("CXX", ""), *COMPILERS)
        if not any(shutil.which(name) for name in wanted if name):
            raise RunnerError(
                "torch.compile needs a C++ compiler, and none was found",
                "install g++, or name one in the environment variable CXX",
            )

    def prepare(self, job: Job) -> PreparedTorch:
        """Load and compile a file, which takes seconds; inputs are seeded and random."""
        return PreparedCompiled(self._torch, job, self.seed, self.profile)


class PreparedCompiled(PreparedTorch):
    """One compiled network with its inputs; compiling counts to the first run."""

    def _ready(self, torch: Any) -> None:
        # what is compiled is kept by code object, and only so many versions of one: every network
        # gets a copy of the code that runs it
        run = TorchNetwork.__call__
        code = run.__code__.replace(co_name=f"network_{next(_NUMBERS)}")
        copied = FunctionType(code, run.__globals__, code.co_name, None, run.__closure__)
        self._whole = torch.compile(MethodType(copied, self._network), dynamic=False)
