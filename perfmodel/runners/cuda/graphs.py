"""CUDA graphs and the events inside them, through ctypes on the driver: pycuda has neither."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from perfmodel.errors import RunnerError

Work = Callable[[], None]


class GraphApi:
    """Capture of a stream into a CUDA graph (driver API of CUDA 11.4 or later)."""

    RELAXED = 2
    NEEDED = (
        "cuStreamBeginCapture_v2",
        "cuStreamEndCapture",
        "cuGraphInstantiateWithFlags",
        "cuGraphLaunch",
        "cuGraphExecDestroy",
        "cuGraphDestroy",
        "cuEventRecordWithFlags",
    )

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._lib = lib

    @staticmethod
    def load() -> GraphApi | None:
        """The API of this machine's driver, or None where it is too old."""
        try:
            lib = ctypes.CDLL("libcuda.so.1")
        except OSError:
            return None
        return GraphApi(lib) if all(hasattr(lib, name) for name in GraphApi.NEEDED) else None

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._lib, name)(*arguments)
        if code:
            raise RunnerError(f"{name} failed with CUDA driver code {code}")

    def capture(self, stream: int, work: Work) -> ctypes.c_void_p:
        """What `work` enqueues on `stream`, as an executable graph."""
        graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
        handle = ctypes.c_void_p(stream)
        self._call("cuStreamBeginCapture_v2", handle, ctypes.c_int(self.RELAXED))
        try:
            work()
        finally:
            # ends the capture also when `work` failed, or the stream stays unusable
            code = self._lib.cuStreamEndCapture(handle, ctypes.byref(graph))
        if code:
            raise RunnerError(f"cuStreamEndCapture failed with CUDA driver code {code}")
        try:
            flags = ctypes.c_ulonglong(0)
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, flags)
        finally:
            self._lib.cuGraphDestroy(graph)
        return executable

    def record(self, event: ctypes.c_void_p, stream: int) -> None:
        """Record an event that can be read after a graph with it ran (CUDA 11.1 or later)."""
        external = 1
        self._call("cuEventRecordWithFlags", event, ctypes.c_void_p(stream), external)

    def events(self, count: int) -> list[ctypes.c_void_p]:
        """New events with timing."""
        made = [ctypes.c_void_p() for _ in range(count)]
        for event in made:
            self._call("cuEventCreate", ctypes.byref(event), 0)
        return made

    def elapsed_ms(self, start: ctypes.c_void_p, end: ctypes.c_void_p) -> float:
        """Time between two recorded events."""
        value = ctypes.c_float()
        name = (
            "cuEventElapsedTime_v2"
            if hasattr(self._lib, "cuEventElapsedTime_v2")
            else "cuEventElapsedTime"
        )
        self._call(name, ctypes.byref(value), start, end)
        return float(value.value)

    def destroy_events(self, events: list[ctypes.c_void_p]) -> None:
        """Free events."""
        for event in events:
            self._call("cuEventDestroy_v2", event)

    def launch(self, executable: ctypes.c_void_p, stream: int) -> None:
        """Enqueue a graph."""
        self._call("cuGraphLaunch", executable, ctypes.c_void_p(stream))

    def destroy(self, executable: ctypes.c_void_p) -> None:
        """Free a graph."""
        self._call("cuGraphExecDestroy", executable)
