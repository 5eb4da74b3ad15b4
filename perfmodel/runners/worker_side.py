"""The side of a worker that runs native code: one request after another, until its parent ends."""

from __future__ import annotations

import ctypes
import gc
import importlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from perfmodel.errors import PerfmodelError
from perfmodel.processes import killed_with_parent
from perfmodel.runners.runner import Job, Prepared, machine_to_dict

RUNNERS: Mapping[str, str] = {
    "tflite": "perfmodel.runners.tflite_host:TfliteRunner",
    "tflite-chain": "perfmodel.runners.tflite_chain:ChainOfFiles",
    "onnxruntime": "perfmodel.runners.onnxruntime_host:OnnxRuntimeRunner",
    "ncnn": "perfmodel.runners.ncnn_host:NcnnRunner",
    "openvino": "perfmodel.runners.openvino_host:OpenVinoRunner",
    "pytorch": "perfmodel.runners.pytorch_host:PyTorchRunner",
    "pytorch-compiled": "perfmodel.runners.torch_compiled:CompiledRunner",
    "mnn": "perfmodel.runners.mnn_host:MnnRunner",
    "executorch": "perfmodel.runners.executorch_host:ExecuTorchRunner",
}
"""Runners of this machine: where each is made from its options, which are plain data."""
FUNCTIONS: Mapping[str, str] = {
    "convert": "perfmodel.runners.host_frameworks:convert_here",
    "handover": "perfmodel.runners.tflite_chain:measure_handover",
    "cuda-campaign": "perfmodel.runners.cuda.apart:run_here",
}
"""Functions that run native code and are no runner: from plain data to a frozen dataclass.

A function that is called with notes takes `note`, to which it says where it is."""

MEMORY_SHARE = 0.9
"""Of this machine's memory: a runtime that asks for more is told that there is none, before the
system has to choose what to kill."""
MOST_FILE_BYTES = 1 << 32
"""A runtime that writes without end fills no disk."""


def serve() -> None:
    """Answer requests from stdin until it ends; argument 1 is the number of the parent process.

    What a runtime prints goes where stderr goes, and never between the answers.
    """
    killed_with_parent(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this too
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    limit_resources()
    side = _Side(lambda text: _write(answers, {"note": text}))
    _write(answers, {"ok": None})
    for line in sys.stdin.buffer:
        _write(answers, side.answer(json.loads(line)))


def limit_resources() -> None:
    """Be the first that the system kills where memory is short, and leave no large files."""
    try:
        Path("/proc/self/oom_score_adj").write_text("900")
        import resource
    except (OSError, ImportError):
        # a system without either: nothing bounds its processes
        return
    memory = int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * MEMORY_SHARE)
    for kind, most in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_FSIZE, MOST_FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, hard))


def give_back_memory() -> None:
    """Let the C library hand freed memory back to the system, which it may keep for later."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # only glibc has it
        trim(0)


class _Side:
    """What is loaded, by handle."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._loaded: dict[int, Prepared] = {}
        self._handles = itertools.count()

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request; an error is an answer too."""
        do = {
            "describe": self._describe,
            "prepare": self._prepare,
            "run_set": self._run_set,
            "close": self._close,
            "call": self._call,
        }[request["do"]]
        try:
            return {"ok": do(request)}
        except PerfmodelError as error:
            return _error(type(error).__name__, error.message, error.hint)
        except Exception as error:
            # runtimes raise classes of their own, which share no base
            return _error("RunnerError", f"{type(error).__name__}: {error}", "")

    def _describe(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return machine_to_dict(_runner(request).describe())

    def _prepare(self, request: Mapping[str, Any]) -> dict[str, Any]:
        job = Job(**{**request["job"], "model": Path(request["job"]["model"])})
        loaded, handle = _runner(request).prepare(job), next(self._handles)
        self._loaded[handle] = loaded
        times = {name: getattr(loaded, name, None) for name in ("load_ms", "first_ms")}
        return {"handle": handle, **times}

    def _run_set(self, request: Mapping[str, Any]) -> dict[str, Any]:
        loaded = self._loaded[request["handle"]]
        return asdict(loaded.run_set(request["runs"], request["warmups"]))

    def _close(self, request: Mapping[str, Any]) -> None:
        self._loaded.pop(request["handle"]).close()
        # interpreters refer to themselves through their tensors
        gc.collect()
        give_back_memory()

    def _call(self, request: Mapping[str, Any]) -> Any:
        notes = {"note": self._note} if request["notes"] else {}
        return asdict(_named(FUNCTIONS[request["function"]])(**request["arguments"], **notes))


def _runner(request: Mapping[str, Any]) -> Any:
    return _named(RUNNERS[request["runner"]])(**request["options"])


def _named(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    made: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return made


def _error(kind: str, message: str, hint: str) -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message, "hint": hint}}


def _write(answers: IO[str], answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
