"""cuDNN's convolution and pooling through ctypes (the API that cuDNN 7, 8 and 9 share).

Chosen over NVIDIA's cudnn-frontend package because the same few symbols exist from JetPack 4
(cuDNN 8) to cuDNN 9.x, addresses are plain integers, nothing needs installing on a Jetson, and
descriptors can be made and checked without a GPU. The API is marked deprecated in cuDNN 9.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import byref, c_double, c_float, c_int, c_size_t, c_void_p
from functools import lru_cache

from perfmodel.errors import RunnerError
from perfmodel.runners.cuda.nvrtc import load_library
from perfmodel.runners.cuda.steps import Shape, Window

FLOAT, HALF = 0, 2
"""cudnnDataType_t."""
NCHW, NHWC = 0, 1
"""cudnnTensorFormat_t."""
CROSS_CORRELATION = 1
DEFAULT_MATH, TENSOR_OP_MATH, FMA_MATH = 0, 1, 3
"""cudnnMathType_t: default lets cuDNN 8+ use TF32 for floats; FMA forbids it."""
ACTIVATION_RELU, ACTIVATION_IDENTITY = 1, 5
POOLING_MAX, POOLING_AVERAGE_EXCLUDING_PADDING = 0, 2
ALGORITHMS = (
    "implicit_gemm",
    "implicit_precomp_gemm",
    "gemm",
    "direct",
    "fft",
    "fft_tiling",
    "winograd",
    "winograd_nonfused",
)
"""cudnnConvolutionFwdAlgo_t by number."""
PRECOMP_GEMM = ALGORITHMS.index("implicit_precomp_gemm")

P, N = c_void_p, c_int
PROTOTYPES: dict[str, tuple[type, ...]] = {
    "cudnnCreate": (P,),
    "cudnnDestroy": (P,),
    "cudnnSetStream": (P, P),
    "cudnnCreateTensorDescriptor": (P,),
    "cudnnDestroyTensorDescriptor": (P,),
    "cudnnSetTensor4dDescriptor": (P, N, N, N, N, N, N),
    "cudnnCreateFilterDescriptor": (P,),
    "cudnnDestroyFilterDescriptor": (P,),
    "cudnnSetFilter4dDescriptor": (P, N, N, N, N, N, N),
    "cudnnCreateConvolutionDescriptor": (P,),
    "cudnnDestroyConvolutionDescriptor": (P,),
    "cudnnSetConvolution2dDescriptor": (P, N, N, N, N, N, N, N, N),
    "cudnnSetConvolutionMathType": (P, N),
    "cudnnSetConvolutionGroupCount": (P, N),
    "cudnnGetConvolution2dForwardOutputDim": (P, P, P, P, P, P, P),
    "cudnnGetConvolutionForwardWorkspaceSize": (P, P, P, P, P, N, P),
    "cudnnConvolutionForward": (P, P, P, P, P, P, P, N, P, c_size_t, P, P, P),
    "cudnnConvolutionBiasActivationForward": (
        *(P, P, P, P, P, P, P, N, P, c_size_t),
        *(P, P, P, P, P, P, P, P),
    ),
    "cudnnCreateActivationDescriptor": (P,),
    "cudnnDestroyActivationDescriptor": (P,),
    "cudnnSetActivationDescriptor": (P, N, N, c_double),
    "cudnnCreatePoolingDescriptor": (P,),
    "cudnnDestroyPoolingDescriptor": (P,),
    "cudnnSetPooling2dDescriptor": (P, N, N, N, N, N, N, N, N),
    "cudnnGetPooling2dForwardOutputDim": (P, P, P, P, P, P),
    "cudnnPoolingForward": (P, P, P, P, P, P, P, P),
}


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """libcudnn with prototypes; raises `RunnerError` where it is absent."""
    lib = load_library(
        "libcudnn",
        ("nvidia.cudnn",),
        "install cuDNN (JetPack and PyTorch have it, or `pip install nvidia-cudnn-cu12`)",
    )
    for name, types in PROTOTYPES.items():
        function = getattr(lib, name)
        function.argtypes, function.restype = types, c_int
    lib.cudnnGetErrorString.argtypes, lib.cudnnGetErrorString.restype = (c_int,), ctypes.c_char_p
    lib.cudnnGetVersion.restype = c_size_t
    return lib


def version() -> int:
    """For example 92800."""
    return int(library().cudnnGetVersion())


class CudnnError(RunnerError):
    """A call that cuDNN refused; `code` is its status."""

    def __init__(self, name: str, code: int) -> None:
        text = library().cudnnGetErrorString(code).decode()
        super().__init__(f"{name}: {text}")
        self.code = code


def call(name: str, *arguments: object) -> None:
    """Call cuDNN; raises `CudnnError` unless it answers success."""
    code = getattr(library(), name)(*arguments)
    if code:
        raise CudnnError(name, code)


class Descriptor:
    """A cuDNN descriptor that is destroyed with its Python object."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.handle = c_void_p()
        call(f"cudnnCreate{kind}Descriptor", byref(self.handle))

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            getattr(library(), f"cudnnDestroy{self._kind}Descriptor")(self.handle)


def data_type(half: bool) -> int:
    """cudnnDataType_t of the storage."""
    return HALF if half else FLOAT


def tensor(shape: Shape, half: bool, nhwc: bool) -> Descriptor:
    """A 4-D tensor; `shape` is (n, h, w, c) whatever the layout."""
    n, h, w, c = shape
    made = Descriptor("Tensor")
    layout = NHWC if nhwc else NCHW
    call("cudnnSetTensor4dDescriptor", made.handle, layout, data_type(half), n, c, h, w)
    return made


def bias_tensor(channels: int, half: bool) -> Descriptor:
    """(1, channels, 1, 1)."""
    return tensor((1, 1, 1, channels), half, False)


def filters(shape: Shape, half: bool, nhwc: bool) -> Descriptor:
    """Filters; `shape` is (cout, kh, kw, cin / groups) whatever the layout."""
    k, h, w, c = shape
    made = Descriptor("Filter")
    layout = NHWC if nhwc else NCHW
    call("cudnnSetFilter4dDescriptor", made.handle, data_type(half), layout, k, c, h, w)
    return made


def convolution(window: Window, groups: int, math_type: int) -> Descriptor:
    """A convolution that adds in 32-bit floats; padding must be alike on both sides."""
    if not window.symmetric:
        raise RunnerError(f"cuDNN pads both sides alike, not {window.pads}")
    made = Descriptor("Convolution")
    top, left = window.pads[0], window.pads[2]
    call(
        "cudnnSetConvolution2dDescriptor",
        made.handle,
        top,
        left,
        *window.stride,
        *window.dilation,
        CROSS_CORRELATION,
        FLOAT,
    )
    call("cudnnSetConvolutionMathType", made.handle, math_type)
    call("cudnnSetConvolutionGroupCount", made.handle, groups)
    return made


def convolution_output(conv: Descriptor, x: Descriptor, w: Descriptor) -> Shape:
    """(n, h, w, c) that cuDNN would write; needs no GPU."""
    sizes = [c_int() for _ in range(4)]
    call(
        "cudnnGetConvolution2dForwardOutputDim",
        conv.handle,
        x.handle,
        w.handle,
        *(byref(s) for s in sizes),
    )
    n, c, h, width = (s.value for s in sizes)
    return (n, h, width, c)


def activation(relu: bool) -> Descriptor:
    """The two activations that a fused convolution takes."""
    made = Descriptor("Activation")
    mode = ACTIVATION_RELU if relu else ACTIVATION_IDENTITY
    call("cudnnSetActivationDescriptor", made.handle, mode, 0, 0.0)
    return made


def pooling(window: Window, maximum: bool) -> Descriptor:
    """Max pooling, or average pooling that does not count padding."""
    if not window.symmetric:
        raise RunnerError(f"cuDNN pads both sides alike, not {window.pads}")
    made = Descriptor("Pooling")
    mode = POOLING_MAX if maximum else POOLING_AVERAGE_EXCLUDING_PADDING
    call(
        "cudnnSetPooling2dDescriptor",
        made.handle,
        mode,
        0,
        *window.kernel,
        window.pads[0],
        window.pads[2],
        *window.stride,
    )
    return made


def pooling_output(pool: Descriptor, x: Descriptor) -> Shape:
    """(n, h, w, c) that cuDNN would write; needs no GPU."""
    sizes = [c_int() for _ in range(4)]
    call("cudnnGetPooling2dForwardOutputDim", pool.handle, x.handle, *(byref(s) for s in sizes))
    n, c, h, w = (s.value for s in sizes)
    return (n, h, w, c)


class Handle:
    """cuDNN on the current context and one stream; everything it enqueues goes there."""

    def __init__(self, stream: int) -> None:
        self._handle = c_void_p()
        call("cudnnCreate", byref(self._handle))
        call("cudnnSetStream", self._handle, c_void_p(stream))
        self._one, self._zero = c_float(1.0), c_float(0.0)

    def close(self) -> None:
        """Release the handle."""
        call("cudnnDestroy", self._handle)

    def workspace_bytes(
        self, x: Descriptor, w: Descriptor, conv: Descriptor, y: Descriptor, algorithm: int
    ) -> int | None:
        """Scratch memory an algorithm needs, or None if it cannot run this convolution."""
        size = c_size_t()
        code = library().cudnnGetConvolutionForwardWorkspaceSize(
            self._handle, x.handle, w.handle, conv.handle, y.handle, algorithm, byref(size)
        )
        return None if code else int(size.value)

    def convolve(
        self,
        descriptors: Sequence[Descriptor],
        addresses: Sequence[int],
        algorithm: int,
        workspace: int,
        workspace_bytes: int,
    ) -> None:
        """y = conv(x, w): descriptors (x, w, conv, y), addresses (x, w, y)."""
        x, w, conv, y = (d.handle for d in descriptors)
        call(
            "cudnnConvolutionForward",
            self._handle,
            byref(self._one),
            x,
            addresses[0],
            w,
            addresses[1],
            conv,
            algorithm,
            workspace,
            workspace_bytes,
            byref(self._zero),
            y,
            addresses[2],
        )

    def convolve_fused(
        self,
        descriptors: Sequence[Descriptor],
        addresses: Sequence[int],
        algorithm: int,
        workspace: int,
        workspace_bytes: int,
    ) -> None:
        """y = act(conv(x, w) + z + bias).

        Descriptors (x, w, conv, bias, act, y), addresses (x, w, bias, z or 0, y).
        """
        x, w, conv, bias, act, y = (d.handle for d in descriptors)
        x_at, w_at, bias_at, z_at, y_at = addresses
        second = self._one if z_at else self._zero
        call(
            "cudnnConvolutionBiasActivationForward",
            self._handle,
            byref(self._one),
            x,
            x_at,
            w,
            w_at,
            conv,
            algorithm,
            workspace,
            workspace_bytes,
            byref(second),
            y,
            z_at or y_at,
            bias,
            bias_at,
            act,
            y,
            y_at,
        )

    def pool(self, pool: Descriptor, x: Descriptor, x_at: int, y: Descriptor, y_at: int) -> None:
        """y = pool(x)."""
        call(
            "cudnnPoolingForward",
            self._handle,
            pool.handle,
            byref(self._one),
            x.handle,
            x_at,
            byref(self._zero),
            y.handle,
            y_at,
        )
