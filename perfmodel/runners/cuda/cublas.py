"""cuBLASLt through ctypes: y = activation(x wᵀ + bias + residual) in one call, row-major.

Needs CUDA 11 or later; older toolkits (JetPack 4) have another signature and are refused.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

from perfmodel.errors import RunnerError
from perfmodel.runners.cuda.nvrtc import load_library

R_32F, R_16F = 0, 2
"""cudaDataType."""
COMPUTE_32F, COMPUTE_32F_FAST_TF32 = 68, 77
"""cublasComputeType_t: 32-bit multiply and add; tensor cores with TF32 inputs."""
OP_N, OP_T = 0, 1
DESC_TRANSA, DESC_TRANSB, DESC_EPILOGUE, DESC_BIAS_POINTER, DESC_BIAS_TYPE = 3, 4, 7, 8, 26
EPILOGUE_BIAS, EPILOGUE_RELU_BIAS = 4, 6
PREF_MAX_WORKSPACE = 1
MINIMUM_VERSION = 110000


class Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = (
        ("algorithm", c_uint64 * 8),
        ("workspace_bytes", c_size_t),
        ("state", c_int),
        ("waves", ctypes.c_float),
        ("reserved", c_int * 4),
    )


PROTOTYPES: dict[str, tuple[type, ...]] = {
    "cublasLtCreate": (c_void_p,),
    "cublasLtDestroy": (c_void_p,),
    "cublasLtMatmulDescCreate": (c_void_p, c_int, c_int),
    "cublasLtMatmulDescDestroy": (c_void_p,),
    "cublasLtMatmulDescSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatrixLayoutCreate": (c_void_p, c_int, c_uint64, c_uint64, c_int64),
    "cublasLtMatrixLayoutDestroy": (c_void_p,),
    "cublasLtMatmulPreferenceCreate": (c_void_p,),
    "cublasLtMatmulPreferenceDestroy": (c_void_p,),
    "cublasLtMatmulPreferenceSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatmulAlgoGetHeuristic": (*[c_void_p] * 7, c_int, c_void_p, c_void_p),
    "cublasLtMatmul": (
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_size_t,
        c_void_p,
    ),
}


class CublasLt:
    """The library with a handle on the current context."""

    def __init__(self, stream: int) -> None:
        self._lib = load_library(
            "libcublasLt",
            ("nvidia.cublas", "nvidia.cu13"),
            "install the CUDA toolkit (JetPack has it)",
        )
        for name, types in PROTOTYPES.items():
            getattr(self._lib, name).argtypes = types
        self._lib.cublasLtGetVersion.restype = c_size_t
        self.version = int(self._lib.cublasLtGetVersion())
        if self.version < MINIMUM_VERSION:
            raise RunnerError(
                f"cuBLASLt {self.version} is older than CUDA 11",
                "fully connected layers then use the plain kernels",
            )
        self._stream = c_void_p(stream)
        self._handle = c_void_p()
        self._call("cublasLtCreate", byref(self._handle))

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._lib, name)(*arguments)
        if code:
            raise RunnerError(f"{name} failed with cuBLAS status {code}")

    def close(self) -> None:
        """Release the handle."""
        self._call("cublasLtDestroy", self._handle)

    def linear(
        self,
        shape: tuple[int, int, int],
        half: bool,
        tf32: bool,
        relu: bool,
        bias: int,
        residual: bool,
        workspace_bytes: int,
        count: int = 4,
    ) -> list[MatrixProduct]:
        """Up to `count` ways to out[m, n] = x[m, k] w[n, k]ᵀ + bias (+ residual), best first.

        `shape` is (m, n, k); `bias` the address of n values.
        """
        m, n, k = shape
        data = R_16F if half else R_32F
        description = self._description(data, tf32 and not half, relu, bias)
        # cuBLAS is column-major: our row-major (m, n) is its (n, m)
        layouts = [self._layout(data, *size) for size in ((k, n), (k, m), (n, m))]
        found = self._heuristics(description, layouts, workspace_bytes, count)
        return [MatrixProduct(self, description, layouts, h, residual) for h in found]

    def _description(self, data: int, tf32: bool, relu: bool, bias: int) -> c_void_p:
        description = c_void_p()
        compute = COMPUTE_32F_FAST_TF32 if tf32 else COMPUTE_32F
        self._call("cublasLtMatmulDescCreate", byref(description), compute, R_32F)
        epilogue = EPILOGUE_RELU_BIAS if relu else EPILOGUE_BIAS
        for attribute, value in (
            (DESC_TRANSA, c_int32(OP_T)),
            (DESC_TRANSB, c_int32(OP_N)),
            (DESC_EPILOGUE, c_uint32(epilogue)),
            (DESC_BIAS_POINTER, c_uint64(bias)),
        ):
            self._call(
                "cublasLtMatmulDescSetAttribute",
                description,
                attribute,
                byref(value),
                ctypes.sizeof(value),
            )
        return description

    def _layout(self, data: int, rows: int, columns: int) -> c_void_p:
        layout = c_void_p()
        self._call("cublasLtMatrixLayoutCreate", byref(layout), data, rows, columns, rows)
        return layout

    def _heuristics(
        self, description: c_void_p, layouts: list[c_void_p], workspace_bytes: int, count: int
    ) -> list[Heuristic]:
        preference = c_void_p()
        self._call("cublasLtMatmulPreferenceCreate", byref(preference))
        limit = c_uint64(workspace_bytes)
        self._call(
            "cublasLtMatmulPreferenceSetAttribute",
            preference,
            PREF_MAX_WORKSPACE,
            byref(limit),
            ctypes.sizeof(limit),
        )
        results, returned = (Heuristic * count)(), c_int()
        w, x, y = layouts
        code = self._lib.cublasLtMatmulAlgoGetHeuristic(
            self._handle, description, w, x, y, y, preference, count, results, byref(returned)
        )
        self._lib.cublasLtMatmulPreferenceDestroy(preference)
        usable = results[: returned.value] if code == 0 else []
        return [r for r in usable if r.state == 0]


class MatrixProduct:
    """One algorithm for one product, ready to be enqueued."""

    def __init__(
        self,
        lt: CublasLt,
        description: c_void_p,
        layouts: list[c_void_p],
        chosen: Heuristic,
        residual: bool,
    ) -> None:
        self._lt, self._description, self._layouts = lt, description, layouts
        self._chosen = chosen
        self._one = ctypes.c_float(1.0)
        self._beta = ctypes.c_float(1.0 if residual else 0.0)

    def enqueue(self, x: int, w: int, residual: int, out: int, workspace: int) -> None:
        """Compute out = epilogue(x wᵀ + residual); addresses of row-major matrices."""
        w_layout, x_layout, y_layout = self._layouts
        self._lt._call(
            "cublasLtMatmul",
            self._lt._handle,
            self._description,
            byref(self._one),
            w,
            w_layout,
            x,
            x_layout,
            byref(self._beta),
            residual or out,
            y_layout,
            out,
            y_layout,
            byref(self._chosen),
            workspace,
            self._chosen.workspace_bytes,
            self._lt._stream,
        )
