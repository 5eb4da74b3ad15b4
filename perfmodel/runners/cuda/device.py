"""The GPU through pycuda: memory, our kernels, streams, events and CUDA graphs.

Graph capture, which pycuda does not wrap, goes to the driver library through ctypes; where the
driver is too old for it (Jetson Nano's CUDA 10.2 lacks parts of it), launches go on one stream.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perfmodel.errors import RunnerError
from perfmodel.runners.cuda.graphs import GraphApi, Work
from perfmodel.runners.cuda.kernels import KernelBuild, Launch, signatures
from perfmodel.runners.cuda.nvrtc import compile_kernels, kernel_source

HINT = "run on a machine with an NVIDIA GPU and `pip install perfmodel[cuda]` (see docs/jetson.md)"


class Device(Protocol):
    """What a backend needs of a device; addresses are plain integers."""

    def allocate(self, size_bytes: int) -> int:
        """Address of new memory, aligned to 256 bytes."""
        ...

    def free(self, address: int) -> None:
        """Give memory back."""
        ...

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy a contiguous array to the device."""
        ...

    def download(self, address: int, count: int, dtype: np.dtype) -> NDArray[Any]:
        """Copy `count` elements back."""
        ...

    def fill(self, address: int, byte: int, size_bytes: int) -> None:
        """Set every byte."""
        ...

    def copy(self, to: int, source: int, size_bytes: int) -> None:
        """Copy within the device's memory."""
        ...

    def launch(self, launch: Launch) -> None:
        """Enqueue one of our kernels."""
        ...

    def synchronize(self) -> None:
        """Wait until everything enqueued is done; raises `RunnerError` if any of it failed."""
        ...

    def time_ms(self, work: Work, repeats: int) -> float:
        """Mean time of one run of `work` over `repeats` back-to-back runs."""
        ...


@dataclass(frozen=True)
class GpuFacts:
    """What the driver says about a GPU; clocks are maxima in kHz."""

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    l2_bytes: int
    memory_bytes: int
    clock_khz: int
    memory_clock_khz: int
    memory_bus_bits: int
    driver_cuda: int

    @property
    def architecture(self) -> str:
        """As the compiler names it, such as "sm_90"."""
        return f"sm_{self.compute_capability[0]}{self.compute_capability[1]}"


def import_pycuda() -> Any:
    """`pycuda.driver`, initialised; raises `RunnerError` if there is no pycuda or no GPU."""
    try:
        import pycuda.driver as driver
    except ImportError as error:
        raise RunnerError(f"pycuda is not usable here: {error}", HINT) from error
    try:
        driver.init()
        count = driver.Device.count()
    except driver.Error as error:
        raise RunnerError(f"the CUDA driver does not answer: {error}", HINT) from error
    if count == 0:
        raise RunnerError("there is no CUDA device", HINT)
    return driver


class CudaDevice:
    """One GPU with its primary context, one stream, and our kernels compiled on demand.

    Use as a context manager; the context is popped and released at the end.
    """

    def __init__(self, index: int = 0) -> None:
        self._driver = import_pycuda()
        count = self._driver.Device.count()
        if not 0 <= index < count:
            raise RunnerError(f"there is no CUDA device {index}, only 0 to {count - 1}")
        device = self._driver.Device(index)
        # the primary context is what cuDNN, cuBLAS and PyTorch use too
        self._context = device.retain_primary_context()
        self._context.push()
        self.stream = self._driver.Stream()
        self.facts = _facts(self._driver, device)
        self._functions: dict[tuple[KernelBuild, str], Any] = {}
        self._modules: dict[KernelBuild, Any] = {}
        self._memory: dict[int, Any] = {}
        self._graphs = GraphApi.load()

    def __enter__(self) -> CudaDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free everything and leave the context."""
        self._context.synchronize()
        for block in self._memory.values():
            block.free()
        self._memory.clear()
        self._functions.clear()
        self._modules.clear()
        self._context.pop()

    @property
    def stream_handle(self) -> int:
        """The stream as the C libraries want it."""
        return int(self.stream.handle)

    def allocate(self, size_bytes: int) -> int:
        """Address of new memory, aligned to 256 bytes."""
        try:
            block = self._driver.mem_alloc(max(size_bytes, 256))
        except self._driver.MemoryError as error:
            raise RunnerError(
                f"{size_bytes} bytes do not fit into the GPU's memory", "use a smaller batch"
            ) from error
        self._memory[int(block)] = block
        return int(block)

    def free(self, address: int) -> None:
        """Give memory back."""
        self._memory.pop(address).free()

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy a contiguous array to the device."""
        self._driver.memcpy_htod(address, np.ascontiguousarray(array))

    def download(self, address: int, count: int, dtype: np.dtype) -> NDArray[Any]:
        """Copy `count` elements back."""
        self.synchronize()
        array = np.empty(count, dtype)
        self._driver.memcpy_dtoh(array, address)
        return array

    def fill(self, address: int, byte: int, size_bytes: int) -> None:
        """Set every byte."""
        self._driver.memset_d8(address, byte, size_bytes)
        self._context.synchronize()

    def copy(self, to: int, source: int, size_bytes: int) -> None:
        """Copy within the device's memory."""
        self._driver.memcpy_dtod(to, source, size_bytes)

    def launch(self, launch: Launch) -> None:
        """Enqueue one of our kernels."""
        function = self._function(launch.variant, launch.kernel)
        function.prepared_async_call(launch.grid, launch.block, self.stream, *launch.arguments)

    def _function(self, variant: KernelBuild, name: str) -> Any:
        key = (variant, name)
        if key not in self._functions:
            if variant not in self._modules:
                cubin = compile_kernels(self.facts.architecture, variant)
                self._modules[variant] = self._driver.module_from_buffer(cubin)
            function = self._modules[variant].get_function(name)
            function.prepare(signatures(kernel_source())[name])
            self._functions[key] = function
        return self._functions[key]

    def synchronize(self) -> None:
        """Wait until everything enqueued is done; raises `RunnerError` if any of it failed."""
        try:
            self.stream.synchronize()
        except self._driver.Error as error:
            raise RunnerError(f"a kernel failed: {error}") from error

    def time_ms(self, work: Work, repeats: int) -> float:
        """Mean time of one run of `work` over `repeats` back-to-back runs.

        Replayed as a graph where there are graphs, so that a slow launch from Python does not
        hide a fast kernel; raises `RunnerError` if `work` cannot be captured.
        """

        def many() -> None:
            for _ in range(repeats):
                work()

        with self.replayable(many) as (replay, _):
            replay()
            return self.elapsed_ms(replay) / repeats

    def elapsed_ms(self, work: Work) -> float:
        """Time of one run of `work` between two events."""
        start, end = self._driver.Event(), self._driver.Event()
        start.record(self.stream)
        work()
        end.record(self.stream)
        end.synchronize()
        return float(end.time_since(start))

    @contextmanager
    def replayable(self, work: Work) -> Iterator[tuple[Work, bool]]:
        """`work` as a CUDA graph: (a function that enqueues it, whether it is really a graph).

        `work` must have run once before, so that nothing is loaded during the capture.
        """
        if self._graphs is None:
            yield work, False
            return
        graphs = self._graphs
        executable = graphs.capture(self.stream_handle, work)
        try:
            yield lambda: graphs.launch(executable, self.stream_handle), True
        finally:
            self.synchronize()
            graphs.destroy(executable)

    def layer_times_ms(self, works: Sequence[Work], runs: int) -> list[list[float]]:
        """Time of each piece of work within one pass over all, for each of `runs` passes.

        The time between two event marks; what the marks themselves add is not taken off. In a CUDA
        graph where there are graphs, on the stream otherwise.
        """
        if self._graphs is None:
            return [self._stream_layers(works) for _ in range(runs)]
        graphs = self._graphs
        events = graphs.events(len(works) + 1)

        def marked() -> None:
            graphs.record(events[0], self.stream_handle)
            for work, event in zip(works, events[1:], strict=True):
                work()
                graphs.record(event, self.stream_handle)

        passes = []
        try:
            with self.replayable(marked) as (replay, _):
                for _ in range(runs + 1):
                    replay()
                    self.synchronize()
                    pairs = itertools.pairwise(events)
                    passes.append([graphs.elapsed_ms(a, b) for a, b in pairs])
        finally:
            graphs.destroy_events(events)
        return passes[1:]

    def _stream_layers(self, works: Sequence[Work]) -> list[float]:
        events = [self._driver.Event() for _ in range(len(works) + 1)]
        events[0].record(self.stream)
        for work, event in zip(works, events[1:], strict=True):
            work()
            event.record(self.stream)
        self.synchronize()
        pairs = itertools.pairwise(events)
        return [float(b.time_since(a)) for a, b in pairs]


def _facts(driver: Any, device: Any) -> GpuFacts:
    attribute = driver.device_attribute

    def read(name: str) -> int:
        # an old or future driver may not know one; 0 says so
        try:
            return int(device.get_attribute(getattr(attribute, name)))
        except (AttributeError, driver.Error):
            return 0

    return GpuFacts(
        name=device.name(),
        compute_capability=tuple(device.compute_capability()),
        multiprocessors=read("MULTIPROCESSOR_COUNT"),
        l2_bytes=read("L2_CACHE_SIZE"),
        memory_bytes=int(device.total_memory()),
        clock_khz=read("CLOCK_RATE"),
        memory_clock_khz=read("MEMORY_CLOCK_RATE"),
        memory_bus_bits=read("GLOBAL_MEMORY_BUS_WIDTH"),
        driver_cuda=int(driver.get_driver_version()),
    )
