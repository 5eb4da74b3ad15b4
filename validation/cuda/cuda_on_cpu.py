"""Our CUDA kernels on the CPU: the same source, built by g++, so that they are checked anywhere.

A kernel without barriers runs its threads one after another. One with `__syncthreads` runs the
threads of a block as coroutines (ucontext) that hand over at each barrier. `HostDevice` is then a
device like any other, whose addresses are those of this process.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perfmodel.runners.cuda.device import GpuFacts, Work
from perfmodel.runners.cuda.kernels import KernelBuild, Launch, signatures
from perfmodel.runners.cuda.nvrtc import kernel_source

PRELUDE = r"""
#define PERFMODEL_HOST 1
#include <cmath>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#define __global__
#define __device__ static inline
#define __shared__ static
#define __align__(n) alignas(n)
struct Index { unsigned x, y, z; };
static Index blockIdx, threadIdx, blockDim, gridDim;
static float host_half_to_float(unsigned short bits)
{
    _Float16 h;
    std::memcpy(&h, &bits, 2);
    return (float)h;
}
static unsigned short host_float_to_half(float v)
{
    _Float16 h = (_Float16)v;
    unsigned short bits;
    std::memcpy(&bits, &h, 2);
    return bits;
}

// One coroutine a thread, made once; _setjmp/_longjmp switch without a system call.
static const int MOST_THREADS = 256, STACK = 64 * 1024;
static jmp_buf scheduler, fibers[MOST_THREADS];
static ucontext_t starter, starting;
static bool made[MOST_THREADS], finished[MOST_THREADS];
static int running;
static void (*body)();

static void hand_over()
{
    if (!_setjmp(fibers[running]))
        _longjmp(scheduler, 1);
}
static void __syncthreads() { hand_over(); }
static void live()
{
    for (;;) {
        body();
        finished[running] = true;
        hand_over();
    }
}

static void resume()
{
    if (_setjmp(scheduler))
        return;
    if (made[running])
        _longjmp(fibers[running], 1);
    made[running] = true;
    getcontext(&starting);
    starting.uc_stack.ss_sp = std::malloc(STACK);
    starting.uc_stack.ss_size = STACK;
    starting.uc_link = nullptr;
    makecontext(&starting, live, 0);
    swapcontext(&starter, &starting);
}

static Index thread_at(int t)
{
    return {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
}

static void run_block(bool barriers)
{
    const int threads = blockDim.x * blockDim.y * blockDim.z;
    if (!barriers) {
        for (int t = 0; t < threads; ++t) {
            threadIdx = thread_at(t);
            body();
        }
        return;
    }
    for (int t = 0; t < threads; ++t)
        finished[t] = false;
    for (bool alive = true; alive;) {
        alive = false;
        for (running = 0; running < threads; ++running)
            if (!finished[running]) {
                threadIdx = thread_at(running);
                resume();
                alive = alive || !finished[running];
            }
    }
}

static void run_grid(const unsigned *sizes, bool barriers)
{
    gridDim = {sizes[0], sizes[1], sizes[2]};
    blockDim = {sizes[3], sizes[4], sizes[5]};
    for (unsigned z = 0; z < gridDim.z; ++z)
        for (unsigned y = 0; y < gridDim.y; ++y)
            for (unsigned x = 0; x < gridDim.x; ++x) {
                blockIdx = {x, y, z};
                run_block(barriers);
            }
}
"""

C_TYPES = {"P": ctypes.c_void_p, "i": ctypes.c_int, "f": ctypes.c_float}


def host_source() -> str:
    """The kernels with a launcher each that fills the grid."""
    source = kernel_source()
    launchers = []
    for match in re.finditer(
        r'extern "C" __global__ void (\w+)\((.*?)\)\n\{(.*?)\n\}', source, re.DOTALL
    ):
        name, parameters, text = match.groups()
        declared = [p.strip() for p in parameters.split(",")]
        names = [re.split(r"[\s*]+", p)[-1] for p in declared]
        struct = " ".join(f"{p.replace('const ', '')};" for p in declared)
        given = ", ".join(f"({_bare(p)}){n}" for p, n in zip(declared, names, strict=True))
        used = ", ".join("a." + n for n in names)
        barriers = str("__syncthreads" in text).lower()
        launchers += [
            "#if NHWC" if name == "depthwise_nhwc" else "#if 1",
            f"static struct {{ {struct} }} {name}_args;",
            f"static void {name}_body() {{ auto &a = {name}_args; {name}({used}); }}",
            f'extern "C" void host_{name}(const unsigned *sizes, {", ".join(declared)})',
            f"{{ {name}_args = {{{given}}}; body = {name}_body; run_grid(sizes, {barriers}); }}",
            "#endif",
        ]
    return PRELUDE + source + "\n".join(launchers) + "\n"


def _bare(parameter: str) -> str:
    """The type of a parameter, without const and name."""
    kind = re.sub(r"\w+$", "", parameter.replace("const ", "")).strip()
    return kind


@lru_cache(maxsize=16)
def build(variant: KernelBuild, folder: Path) -> ctypes.CDLL:
    """The shared library of one build; raises `CalledProcessError` if g++ refuses."""
    name = "_".join(m.strip("-").replace("=", "") for m in variant.macros)
    source, library = folder / f"{name}.cpp", folder / f"{name}.so"
    source.write_text(host_source(), encoding="utf-8")
    subprocess.run(
        [
            "g++",
            "-O2",
            "-w",
            "-std=c++17",
            "-shared",
            "-fPIC",
            *variant.macros,
            str(source),
            "-o",
            str(library),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return ctypes.CDLL(str(library))


class HostDevice:
    """A `Device` on this CPU: memory of NumPy, kernels built by g++ into `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blocks: dict[int, NDArray[np.uint8]] = {}
        self.launched: list[Launch] = []

    def allocate(self, size_bytes: int) -> int:
        """Address of new memory, aligned to 256 bytes, filled with NaN."""
        block = np.full(size_bytes + 256, 0xFF, np.uint8)
        address = -(-block.ctypes.data // 256) * 256
        self._blocks[address] = block
        return address

    def free(self, address: int) -> None:
        """Give memory back; a wrong address is a KeyError."""
        del self._blocks[address]

    @property
    def allocations(self) -> int:
        """Blocks that are not freed."""
        return len(self._blocks)

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy a contiguous array."""
        array = np.ascontiguousarray(array)
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def download(self, address: int, count: int, dtype: np.dtype) -> NDArray[Any]:
        """Copy `count` elements."""
        array = np.empty(count, dtype)
        ctypes.memmove(array.ctypes.data, address, array.nbytes)
        return array

    def fill(self, address: int, byte: int, size_bytes: int) -> None:
        """Set every byte."""
        ctypes.memset(address, byte, size_bytes)

    def copy(self, to: int, source: int, size_bytes: int) -> None:
        """Copy within memory."""
        ctypes.memmove(to, source, size_bytes)

    def launch(self, launch: Launch) -> None:
        """Run one kernel to its end."""
        self.launched.append(launch)
        function = getattr(build(launch.variant, self._folder), f"host_{launch.kernel}")
        letters = signatures(kernel_source())[launch.kernel]
        assert len(letters) == len(launch.arguments)
        function.argtypes = (ctypes.c_void_p, *(C_TYPES[c] for c in letters))
        function.restype = None
        sizes = (ctypes.c_uint * 6)(*launch.grid, *launch.block)
        function(ctypes.addressof(sizes), *launch.arguments)

    def synchronize(self) -> None:
        """Everything has run already."""

    def time_ms(self, work: Work, repeats: int) -> float:
        """Wall time on this CPU."""
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        return (time.perf_counter() - start) * 1e3 / repeats


class FakeGpu(HostDevice):
    """A `HostDevice` in the place of `CudaDevice`: facts, graphs, events by the clock."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.facts = GpuFacts(
            name="NVIDIA Paper 9000",
            compute_capability=(9, 0),
            multiprocessors=2,
            l2_bytes=65536,
            memory_bytes=1 << 32,
            clock_khz=10**6,
            memory_clock_khz=10**6,
            memory_bus_bits=64,
            driver_cuda=13000,
        )
        self.stream_handle = 0

    def __enter__(self) -> FakeGpu:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to leave."""

    @contextmanager
    def replayable(self, work: Work) -> Iterator[tuple[Work, bool]]:
        """The work itself, said to be a graph."""
        yield work, True

    def elapsed_ms(self, work: Work) -> float:
        """Wall time."""
        return self.time_ms(work, 1)

    def layer_times_ms(self, works: Sequence[Work], runs: int) -> list[list[float]]:
        """Wall time of each."""
        return [[self.time_ms(w, 1) for w in works] for _ in range(min(runs, 2))]
