"""Times of single operators from LiteRT's own profiler, through its C interface.

The ai-edge-litert wheel exports the profiler in libLiteRt.so but has no Python binding for it. The
interface drifts between releases, so this is tried once on a real file and is simply not available
where it does not answer as expected; one-operator files are the portable way then. Events are
13 words of 8 bytes each (tag, type, ..., whole us in word 3), in the order of execution.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError

KNOWN_RELEASES = ("2.3.",)
"""Releases whose event layout was checked against one-operator files."""

_EVENT_WORDS = 13
_DELEGATE_OP = 8
_OPERATOR = 2
_CPU = 1
_WRITE = 1
_HOST_MEMORY = 1

_Pointer = ctypes.c_void_p
_Free = ctypes.CFUNCTYPE(None, _Pointer)
_size = ctypes.c_size_t


class ProfilerError(RunnerError):
    """The profiler cannot run a file or does not answer as expected; other ways of timing may."""


@lru_cache(maxsize=1)
def profiler_available() -> bool:
    """Whether the installed runtime is one whose profiler we can read."""
    try:
        version = importlib.metadata.version("ai-edge-litert")
    except importlib.metadata.PackageNotFoundError:
        return False
    return version.startswith(KNOWN_RELEASES) and _library_path() is not None


def _library_path() -> Path | None:
    spec = importlib.util.find_spec("ai_edge_litert")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / "libLiteRt.so"
    return path if path.is_file() else None


@lru_cache(maxsize=1)
def _library() -> Any:
    return ctypes.CDLL(str(_library_path()))


@lru_cache(maxsize=1)
def _environment() -> Any:
    """One environment a process: each new one tries to load every accelerator."""
    environment = _Pointer()
    _call("LiteRtCreateEnvironment", 0, None, ctypes.byref(environment))
    return environment


def _call(name: str, *arguments: Any) -> None:
    status = getattr(_library(), name)(*arguments)
    if status != 0:
        raise ProfilerError(f"LiteRT profiler: {name} returned status {status}")


class ProfiledModel:
    """A .tflite file compiled with profiling on; `op_times_us` runs it and reads the events.

    `inputs` are arrays in the file's order: times depend on the data where kernels branch on it.
    `output_bytes` are what the plain interpreter made of the same inputs, in the file's order.
    The file's own shapes say too little where they are only known while it runs (a computed
    reshape, boxes that were found): LiteRT asks for a buffer of the file's size, tells its kernels
    that this is enough, and they write past its end.
    """

    def __init__(
        self,
        path: Path,
        threads: int,
        inputs: Sequence[np.ndarray],
        output_bytes: Sequence[int],
    ) -> None:
        self._keep: list[Any] = []
        self._held: list[int] = []
        self._model, self._compiled, self._profiler = _Pointer(), _Pointer(), _Pointer()
        try:
            self._compile(path, threads, len(inputs), output_bytes)
            self._fill(inputs)
        except ProfilerError:
            self.close()
            raise

    def _compile(self, path: Path, threads: int, inputs: int, output_bytes: Sequence[int]) -> None:
        environment, file = _environment(), str(path).encode()
        _call("LiteRtCreateModelFromFile", environment, file, ctypes.byref(self._model))
        options = self._options(threads)
        _call(
            "LiteRtCreateCompiledModel",
            environment,
            self._model,
            options,
            ctypes.byref(self._compiled),
        )
        _call("LiteRtCompiledModelGetProfiler", self._compiled, ctypes.byref(self._profiler))
        self._inputs = self._buffers("Input", [0] * inputs)
        self._outputs = self._buffers("Output", output_bytes)

    def op_times_us(self, runs: int, warmups: int = 3) -> dict[str, tuple[float, ...]]:
        """Durations of each operator in `runs` inferences, in us, as {"position name": times}.

        A delegate's own kernels count as operators. Times are whole us, cut off; as both ends are
        cut alike, their mean over runs is unbiased while their median is not.
        """
        for _ in range(warmups):
            self._run()
        _call("LiteRtResetProfiler", self._profiler)
        _call("LiteRtStartProfiler", self._profiler)
        for _ in range(runs):
            self._run()
        events = self._events()  # before StopProfiler, which forgets them
        _call("LiteRtStopProfiler", self._profiler)
        return _by_operator(events, runs)

    def close(self) -> None:
        """Free the compiled model and its buffers."""
        library = _library()
        for destroy, pointer in (
            ("LiteRtDestroyCompiledModel", self._compiled),
            ("LiteRtDestroyModel", self._model),
        ):
            if pointer.value and hasattr(library, destroy):
                getattr(library, destroy)(pointer)
                pointer.value = None
        for buffer in self._held:
            library.LiteRtDestroyTensorBuffer(_Pointer(buffer))
        self._held = []

    def _options(self, threads: int) -> Any:
        options = _Pointer()
        _call("LiteRtCreateOptions", ctypes.byref(options))
        _call("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
        self._opaque(options, "runtime_options_string", "enable_profiling = true\n")
        self._opaque(options, "xnnpack", f"num_threads = {threads}\n")
        return options

    def _opaque(self, options: Any, identifier: str, text: str) -> None:
        payload = ctypes.create_string_buffer(text.encode())
        name, free, made = identifier.encode(), _Free(lambda _: None), _Pointer()
        self._keep += [payload, name, free]
        _call(
            "LiteRtCreateOpaqueOptions",
            name,
            ctypes.cast(payload, _Pointer),
            free,
            ctypes.byref(made),
        )
        _call("LiteRtAddOpaqueOptions", options, made)

    def _buffers(self, side: str, least_bytes: Sequence[int]) -> Any:
        """Buffers of the file's inputs or outputs, each of at least so many bytes."""
        subgraph, count = _Pointer(), _size()
        _call("LiteRtGetModelSubgraph", self._model, _size(0), ctypes.byref(subgraph))
        _call(f"LiteRtGetNumSubgraph{side}s", subgraph, ctypes.byref(count))
        if count.value != len(least_bytes):
            raise ProfilerError(
                f"LiteRT profiler: {count.value} {side.lower()}s, not {len(least_bytes)}"
            )
        return (_Pointer * count.value)(
            *(self._buffer(side, subgraph, i, least) for i, least in enumerate(least_bytes))
        )

    def _buffer(self, side: str, subgraph: Any, index: int, least_bytes: int) -> int | None:
        tensor, requirements, wanted = _Pointer(), _Pointer(), _size()
        kind = ctypes.create_string_buffer(512)
        self._keep.append(kind)
        _call(f"LiteRtGetSubgraph{side}", subgraph, _size(index), ctypes.byref(tensor))
        _call("LiteRtGetRankedTensorType", tensor, kind)
        _call(
            f"LiteRtGetCompiledModel{side}BufferRequirements",
            self._compiled,
            _size(0),
            _size(index),
            ctypes.byref(requirements),
        )
        _call("LiteRtGetTensorBufferRequirementsBufferSize", requirements, ctypes.byref(wanted))
        return self._managed(kind, requirements, least_bytes, enough=wanted.value >= least_bytes)

    def _managed(
        self, kind: Any, requirements: Any, least_bytes: int, *, enough: bool
    ) -> int | None:
        """A buffer as the runtime asks for it, where that is `enough`; else a larger one."""
        environment, buffer = _environment(), _Pointer()
        if enough:
            _call(
                "LiteRtCreateManagedTensorBufferFromRequirements",
                environment,
                kind,
                requirements,
                ctypes.byref(buffer),
            )
        else:
            _call(
                "LiteRtCreateManagedTensorBuffer",
                environment,
                _HOST_MEMORY,
                kind,
                _size(least_bytes),
                ctypes.byref(buffer),
            )
        if buffer.value is not None:
            self._held.append(buffer.value)
        return buffer.value

    def _fill(self, inputs: Sequence[np.ndarray]) -> None:
        for buffer, values in zip(self._inputs, inputs, strict=True):
            room, place = _size(), _Pointer()
            _call("LiteRtGetTensorBufferPackedSize", _Pointer(buffer), ctypes.byref(room))
            if room.value != values.nbytes:
                raise ProfilerError(
                    f"LiteRT profiler: an input holds {room.value} bytes, not {values.nbytes}"
                )
            _call("LiteRtLockTensorBuffer", _Pointer(buffer), ctypes.byref(place), _WRITE)
            ctypes.memmove(place, np.ascontiguousarray(values).ctypes.data, values.nbytes)
            _call("LiteRtUnlockTensorBuffer", _Pointer(buffer))

    def _run(self) -> None:
        _call(
            "LiteRtRunCompiledModel",
            self._compiled,
            _size(0),
            _size(len(self._inputs)),
            self._inputs,
            _size(len(self._outputs)),
            self._outputs,
        )

    def _events(self) -> np.ndarray:
        count = ctypes.c_int()
        _call("LiteRtGetNumProfilerEvents", self._profiler, ctypes.byref(count))
        raw = ctypes.create_string_buffer(8 * _EVENT_WORDS * max(1, count.value))
        _call("LiteRtGetProfilerEvents", self._profiler, count, raw)
        words = np.frombuffer(raw.raw, np.uint64)[: _EVENT_WORDS * count.value]
        return words.reshape(count.value, _EVENT_WORDS)


def _by_operator(events: np.ndarray, runs: int) -> dict[str, tuple[float, ...]]:
    """Events as {"position name": durations}: every run has the same operators in the same order.

    Calls of a delegate are left out (their kernels are in). Raises `ProfilerError` otherwise.
    """
    kinds = events[:, 1] & np.uint64(0xFFFFFFFF)
    names = [ctypes.string_at(int(tag)).decode(errors="replace") for tag in events[:, 0]]
    kept = [
        (name, float(duration))
        for name, kind, duration in zip(names, kinds.tolist(), events[:, 3].tolist(), strict=True)
        if kind == _DELEGATE_OP or (kind == _OPERATOR and "DELEGATE" not in name.upper())
    ]
    count, rest = divmod(len(kept), runs)
    if rest or any(kept[i][0] != kept[i % count][0] for i in range(len(kept))):
        raise ProfilerError("LiteRT profiler: runs of one network have different operators")
    return {
        f"{i} {kept[i][0]}": tuple(duration for _, duration in kept[i::count]) for i in range(count)
    }
