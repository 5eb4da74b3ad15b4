"""Compiles the kernels with NVRTC through ctypes: no nvcc, no GPU, one library.

The library comes with the CUDA toolkit, JetPack, PyTorch, or the package nvidia-cuda-nvrtc-cu12
(12.x still builds for Jetson TX2, Nano and Xavier, which CUDA 13 dropped).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib import resources
from pathlib import Path

from perfmodel.errors import RunnerError
from perfmodel.runners.cuda.kernels import KernelBuild

ARCHITECTURES = {
    "sm_53": "Jetson Nano, TX1",
    "sm_62": "Jetson TX2",
    "sm_70": "TITAN V, V100",
    "sm_72": "Jetson Xavier",
    "sm_87": "Jetson Orin",
    "sm_90": "H100, H200",
}
"""Compute capabilities this project names, with the boards that have them."""


def library_candidates(stem: str, packages: Iterable[str]) -> Iterator[str]:
    """Where a CUDA library may lie: in the NVIDIA packages of this Python, then on the system.

    `stem` is for example "libnvrtc"; `packages` are import names such as "nvidia.cuda_nvrtc".
    """
    for package in packages:
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in (spec.submodule_search_locations or []) if spec else []:
            found = Path(folder, "lib").glob(f"{stem}.so*")
            yield from (str(p) for p in sorted(found, key=lambda p: (len(p.name), p.name)))
    roots = [os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"]
    for root in filter(None, roots):
        for sub in ("lib64", "lib", "targets/aarch64-linux/lib"):
            found = Path(root, sub).glob(f"{stem}.so*")
            yield from (str(p) for p in sorted(found, key=lambda p: (len(p.name), p.name)))
    yield f"{stem}.so"
    for major in (13, 12, 11, 10, 9, 8):
        yield f"{stem}.so.{major}"
    yield from (f"{stem}.so.{v}" for v in ("11.4", "11.2", "10.2", "10.0"))


def load_library(stem: str, packages: Iterable[str], hint: str) -> ctypes.CDLL:
    """The first candidate that loads; raises `RunnerError` with `hint` where none does."""
    for candidate in library_candidates(stem, packages):
        try:
            return ctypes.CDLL(candidate)
        except OSError:
            continue
    raise RunnerError(f"{stem} was not found", hint)


@lru_cache(maxsize=1)
def _nvrtc() -> ctypes.CDLL:
    lib = load_library(
        "libnvrtc",
        ("nvidia.cuda_nvrtc", "nvidia.cu13"),
        "install the CUDA toolkit or `pip install nvidia-cuda-nvrtc-cu12`",
    )
    # NVRTC opens this one by its bare name, which only works once it is loaded
    for builtins in Path(lib._name).parent.glob("libnvrtc-builtins.so*"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(str(builtins))
    return lib


@lru_cache(maxsize=1)
def kernel_source() -> str:
    """The CUDA C source of all our kernels."""
    file = resources.files("perfmodel.runners.cuda") / "kernels.cu"
    return file.read_text(encoding="utf-8")


def compile_kernels(architecture: str, variant: KernelBuild) -> bytes:
    """Machine code (cubin) of all kernels for an architecture such as "sm_87".

    NVRTC before 11.1 (JetPack 4) makes no machine code: then it is PTX, which the driver compiles.

    Raises `RunnerError` with the compiler's log if the architecture is unknown to this NVRTC or
    the source does not compile.
    """
    if not re.fullmatch(r"sm_\d{2,3}a?", architecture):
        raise RunnerError(
            f"architecture must look like sm_87, got {architecture!r}",
            f"this project names {', '.join(ARCHITECTURES)}",
        )
    lib = _nvrtc()
    result = "nvrtcGetCUBIN"
    if not hasattr(lib, result):
        architecture, result = architecture.replace("sm_", "compute_"), "nvrtcGetPTX"
    options = [f"--gpu-architecture={architecture}", "--std=c++14", *variant.macros]
    return _compile(lib, kernel_source(), options, result)


def _compile(lib: ctypes.CDLL, source: str, options: list[str], result: str) -> bytes:
    program = ctypes.c_void_p()
    text = source.encode()
    status = lib.nvrtcCreateProgram(ctypes.byref(program), text, b"kernels.cu", 0, None, None)
    if status:
        raise RunnerError(f"NVRTC could not start (code {status})")
    try:
        encoded = [o.encode() for o in options]
        status = lib.nvrtcCompileProgram(
            program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded)
        )
        if status:
            log = _read(lib, program, "nvrtcGetProgramLog").decode(errors="replace").strip("\0 \n")
            dropped = "NVRTC 13 has dropped sm_53, sm_62, sm_70 and sm_72; use 12.x for those"
            raise RunnerError(
                f"the CUDA kernels do not compile with {' '.join(options)}: {log or status}",
                dropped if "gpu-architecture" in log else "",
            )
        return _read(lib, program, result)
    finally:
        lib.nvrtcDestroyProgram(ctypes.byref(program))


def _read(lib: ctypes.CDLL, program: ctypes.c_void_p, getter: str) -> bytes:
    size = ctypes.c_size_t()
    status = getattr(lib, f"{getter}Size")(program, ctypes.byref(size))
    if status:
        raise RunnerError(f"{getter}Size failed with code {status}")
    buffer = ctypes.create_string_buffer(max(size.value, 1))
    status = getattr(lib, getter)(program, buffer)
    if status:
        raise RunnerError(f"{getter} failed with code {status}")
    return buffer.raw[: size.value]
