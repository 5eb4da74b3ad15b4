"""cuDNN and cuBLASLt: descriptors against the real library, backends against a stand-in of it."""

from __future__ import annotations

import ctypes
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perfmodel import zoo
from perfmodel.errors import RunnerError
from perfmodel.runners.cuda import backends, cublas, cudnn
from perfmodel.runners.cuda.backends import MODES, CudnnBackend, Mode, ReadyStep, fastest
from perfmodel.runners.cuda.device import CudaDevice
from perfmodel.runners.cuda.kernels import from_layout, to_layout
from perfmodel.runners.cuda.network import GpuNetwork, make_weights
from perfmodel.runners.cuda.plan import plan_graph
from perfmodel.runners.cuda.reference import (
    activate,
    convolve,
    pool,
    random_input,
    relative_error,
    run_plan,
)
from perfmodel.runners.cuda.steps import GpuPlan, GpuStep, Window
from tests.cuda.cuda_on_cpu import FakeGpu
from tests.cuda.test_cuda_network import STUDY, everything

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="no g++ to build the CUDA kernels for the CPU"
)


# -- the real library, where it is installed; no GPU is needed for descriptors


@pytest.fixture(scope="module")
def real_cudnn() -> ctypes.CDLL:
    try:
        return cudnn.library()
    except RunnerError as error:
        pytest.skip(f"{error}")


@pytest.mark.parametrize("name", STUDY)
def test_cudnn_agrees_with_every_shape_of_the_study(real_cudnn: ctypes.CDLL, name: str) -> None:
    checked = 0
    for half, nhwc in ((False, False), (True, True)):
        for step in plan_graph(zoo.build(f"{name}@batch=3")).steps:
            if step.window is None or not step.window.symmetric:
                continue
            x = cudnn.tensor(step.input_shapes[0], half, nhwc)
            if step.op == "conv2d":
                w = cudnn.filters(step.weight_shapes[0], half, nhwc)
                conv = cudnn.convolution(step.window, step.groups, cudnn.TENSOR_OP_MATH)
                found = cudnn.convolution_output(conv, x, w)
            else:
                found = cudnn.pooling_output(cudnn.pooling(step.window, step.op == "max_pool2d"), x)
            assert found == step.output_shape
            checked += 1
    assert checked > 10


def test_prototypes_have_as_many_arguments_as_the_header(real_cudnn: ctypes.CDLL) -> None:
    check_against_headers(
        Path(real_cudnn._name).parent.parent / "include", "cudnn*.h", cudnn.PROTOTYPES
    )


def test_constants_are_those_of_the_header(real_cudnn: ctypes.CDLL) -> None:
    text = header_text(Path(real_cudnn._name).parent.parent / "include", "cudnn*.h")
    expected = {
        "CUDNN_DATA_FLOAT": cudnn.FLOAT,
        "CUDNN_DATA_HALF": cudnn.HALF,
        "CUDNN_TENSOR_NCHW": cudnn.NCHW,
        "CUDNN_TENSOR_NHWC": cudnn.NHWC,
        "CUDNN_CROSS_CORRELATION": cudnn.CROSS_CORRELATION,
        "CUDNN_TENSOR_OP_MATH": cudnn.TENSOR_OP_MATH,
        "CUDNN_FMA_MATH": cudnn.FMA_MATH,
        "CUDNN_ACTIVATION_RELU": cudnn.ACTIVATION_RELU,
        "CUDNN_ACTIVATION_IDENTITY": cudnn.ACTIVATION_IDENTITY,
        "CUDNN_POOLING_MAX": cudnn.POOLING_MAX,
        "CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING": cudnn.POOLING_AVERAGE_EXCLUDING_PADDING,
    } | {f"CUDNN_CONVOLUTION_FWD_ALGO_{name.upper()}": i for i, name in enumerate(cudnn.ALGORITHMS)}
    for name, value in expected.items():
        found = re.search(rf"\b{name}\s*=\s*(\d+)", text)
        assert found is not None, name
        assert int(found.group(1)) == value, name


def test_cublaslt_prototypes_and_constants_are_those_of_the_header() -> None:
    try:
        lib = cublas.load_library("libcublasLt", ("nvidia.cublas", "nvidia.cu13"), "")
    except RunnerError as error:
        pytest.skip(f"{error}")
    include = Path(lib._name).parent.parent / "include"
    check_against_headers(include, "cublasLt.h", cublas.PROTOTYPES)
    text = header_text(include, "cublas*.h")
    for name, value in {
        "CUBLASLT_MATMUL_DESC_TRANSA": cublas.DESC_TRANSA,
        "CUBLASLT_MATMUL_DESC_TRANSB": cublas.DESC_TRANSB,
        "CUBLASLT_MATMUL_DESC_EPILOGUE": cublas.DESC_EPILOGUE,
        "CUBLASLT_MATMUL_DESC_BIAS_POINTER": cublas.DESC_BIAS_POINTER,
        "CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE": cublas.DESC_BIAS_TYPE,
        "CUBLASLT_EPILOGUE_BIAS": cublas.EPILOGUE_BIAS,
        "CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES": cublas.PREF_MAX_WORKSPACE,
        "CUBLAS_COMPUTE_32F": cublas.COMPUTE_32F,
        "CUBLAS_COMPUTE_32F_FAST_TF32": cublas.COMPUTE_32F_FAST_TF32,
    }.items():
        found = re.search(rf"\b{name}\s*=\s*(\d+)", text)
        assert found is not None, name
        assert int(found.group(1)) == value, name


def header_text(include: Path, pattern: str) -> str:
    if not include.is_dir():
        pytest.skip(f"no headers at {include}")
    text = "\n".join(p.read_text(errors="replace") for p in sorted(include.glob(pattern)))
    return re.sub(r"//[^\n]*", "", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))


def check_against_headers(
    include: Path, pattern: str, prototypes: dict[str, tuple[type, ...]]
) -> None:
    """Number of arguments, and whether each is a pointer, an integer, a size or a double."""
    text = header_text(include, pattern)
    kinds = {
        "size_t": ctypes.c_size_t, "double": ctypes.c_double, "uint64_t": ctypes.c_uint64,
        "int64_t": ctypes.c_int64,
    }  # fmt: skip
    pointers = re.compile(r"\*|Handle_t|Descriptor_t|Stream_t|Desc_t|MatrixLayout_t|Preference_t")
    for name, types in prototypes.items():
        found = re.search(rf"\b{name}\s*\((.*?)\)\s*;", text, re.DOTALL)
        assert found is not None, name
        parameters = [p.strip() for p in found.group(1).split(",")]
        assert len(parameters) == len(types), name
        for parameter, kind in zip(parameters, types, strict=True):
            if pointers.search(parameter) or "[]" in parameter:
                assert kind is ctypes.c_void_p, (name, parameter)
            else:
                expected = next(
                    (t for w, t in kinds.items() if w in parameter.split()), ctypes.c_int
                )
                assert kind is expected, (name, parameter)


def test_cudnn_without_a_gpu_says_so(real_cudnn: ctypes.CDLL) -> None:
    try:
        CudaDevice().close()
    except RunnerError:
        with pytest.raises(RunnerError, match="cudnnCreate"):
            cudnn.Handle(0)
        return
    pytest.skip("there is a GPU here")


def test_padding_on_one_side_is_refused() -> None:
    with pytest.raises(RunnerError, match="alike"):
        cudnn.convolution(Window((3, 3), (2, 2), (0, 1, 0, 1)), 1, cudnn.FMA_MATH)


# -- a stand-in that computes what NVIDIA's documentation says, on this process's memory


class PaperHandle:
    """cuDNN's convolutions and pooling on host memory; refuses what cuDNN refuses."""

    def __init__(self, stream: int) -> None:
        self.calls: list[str] = []

    def close(self) -> None:
        """Nothing is held."""

    def workspace_bytes(self, x: Any, w: Any, conv: Any, y: Any, algorithm: int) -> int | None:
        name = cudnn.ALGORITHMS[algorithm]
        if name == "direct" or (name.startswith("winograd") and w.shape[1:3] != (3, 3)):
            return None
        return 1 << 40 if name == "fft" else 1024

    def _convolution(self, x: Any, w: Any, conv: Any, x_at: int, w_at: int) -> Any:
        inputs, weights = x.read(x_at), w.read(w_at)
        out = [x.shape[0], 0, 0, w.shape[0]]
        for axis in (0, 1):
            pads = conv.window.pads[2 * axis : 2 * axis + 2]
            reach = conv.window.dilation[axis] * (w.shape[1 + axis] - 1) + 1
            out[1 + axis] = (x.shape[1 + axis] + sum(pads) - reach) // conv.window.stride[axis] + 1
        return convolve(inputs, weights, conv.window, conv.groups, out)

    def convolve(self, descriptors, addresses, algorithm, workspace, size):  # type: ignore[no-untyped-def]
        self.calls.append(cudnn.ALGORITHMS[algorithm])
        x, w, conv, y = descriptors
        y.write(addresses[2], self._convolution(x, w, conv, addresses[0], addresses[1]))

    def convolve_fused(self, descriptors, addresses, algorithm, workspace, size):  # type: ignore[no-untyped-def]
        x, w, conv, bias, relu, y = descriptors
        assert relu or algorithm == cudnn.PRECOMP_GEMM, (
            "cuDNN fuses the identity with one algorithm"
        )
        x_at, w_at, bias_at, z_at, y_at = addresses
        result = self._convolution(x, w, conv, x_at, w_at) + bias.read(bias_at).reshape(-1)
        if z_at:
            result = result + y.read(z_at)
        y.write(y_at, activate(result, "relu" if relu else "none"))

    def pool(self, described, x, x_at, y, y_at):  # type: ignore[no-untyped-def]
        window, maximum = described
        y.write(y_at, pool(x.read(x_at), window, maximum, y.shape))


class Memory:
    """A described buffer: reads and writes NHWC whatever its layout."""

    def __init__(self, gpu: FakeGpu, shape: tuple[int, ...], half: bool, nhwc: bool) -> None:
        self.gpu, self.shape = gpu, shape
        self.variant = backends.KernelBuild(half, nhwc, 1)

    def read(self, address: int) -> Any:
        flat = self.gpu.download(address, int(np.prod(self.shape)), self.variant.dtype)
        return from_layout(flat, self.shape, self.variant)

    def write(self, address: int, array: Any) -> None:
        assert array.shape == self.shape
        self.gpu.upload(address, to_layout(array, self.variant))


class PaperLt:
    """cuBLASLt's matrix product on host memory."""

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu

    def close(self) -> None:
        """Nothing is held."""

    def linear(self, shape, half, tf32, relu, bias, residual, workspace_bytes, count=4):  # type: ignore[no-untyped-def]
        m, n, k = shape
        dtype = np.dtype(np.float16 if half else np.float32)

        def read(address: int, rows: int, columns: int) -> Any:
            flat = self.gpu.download(address, rows * columns, dtype)
            return flat.reshape(rows, columns).astype(np.float64)

        def enqueue(x: int, w: int, z: int, out: int, workspace: int) -> None:
            result = read(x, m, k) @ read(w, n, k).T + read(bias, 1, n)
            if residual:
                result = result + read(z, m, n)
            self.gpu.upload(out, activate(result, "relu" if relu else "none").astype(dtype))

        return [SimpleNamespace(enqueue=enqueue)]


@pytest.fixture
def paper(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    """A stand-in GPU with stand-in libraries."""
    gpu = FakeGpu(tmp_path_factory.mktemp("kernels"))
    described = {
        "tensor": lambda s, half, nhwc: Memory(gpu, s, half, nhwc),
        "bias_tensor": lambda c, half: Memory(gpu, (1, 1, 1, c), half, False),
        "filters": lambda s, half, nhwc: Memory(gpu, s, half, nhwc),
        "convolution": lambda window, groups, math: SimpleNamespace(
            window=window, groups=groups, math=math
        ),
        "activation": lambda relu: relu,
        "pooling": lambda window, maximum: (window, maximum),
        "pooling_output": lambda p, x: pool_output(p[0], x.shape),
        "Handle": PaperHandle,
    }
    for name, stand_in in described.items():
        monkeypatch.setattr(cudnn, name, stand_in)
    monkeypatch.setattr(backends, "_cublas", lambda stream: PaperLt(gpu))
    return gpu


def pool_output(window: Window, shape: tuple[int, ...]) -> tuple[int, ...]:
    sizes = [
        (shape[1 + a] + sum(window.pads[2 * a : 2 * a + 2]) - window.kernel[a]) // window.stride[a]
        + 1
        for a in (0, 1)
    ]
    return (shape[0], *sizes, shape[3])


def worst_error(gpu: FakeGpu, backend: Any, plan: GpuPlan) -> float:
    rng = np.random.default_rng(2)
    dtype = backend.mode.variant.dtype
    weights = {n: tuple(w.astype(dtype) for w in ws) for n, ws in make_weights(plan, 2).items()}
    inputs = {n: random_input(plan.shapes[n], rng).astype(dtype) for n in plan.inputs}
    network = GpuNetwork(gpu, backend, plan, weights)  # type: ignore[arg-type]
    network.poison()
    network.set_inputs(inputs)
    network.run()
    expected = run_plan(plan, inputs, weights)
    error = max(relative_error(network.read(n), expected[n]) for n in plan.outputs)
    network.close()
    return error


MODE_NAMES = ["cudnn/fp32", "cudnn/tf32", "cudnn/fp16"]


@needs_compiler
@pytest.mark.parametrize("mode", MODE_NAMES)
def test_every_candidate_of_every_step_computes_the_same(paper: FakeGpu, mode: str) -> None:
    """Not only the fastest: whichever a GPU prefers, its answer must be right."""
    backend = CudnnBackend(paper, MODES[mode], 0, 1 << 20)
    plan = plan_graph(everything())
    counts = []
    for step in plan.steps:
        names = candidate_names(backend, step)
        counts.append(len(names))
        for name in names:
            backend._chosen[backends.choice_key(step)] = name
            assert worst_error(paper, backend, single(step)) < (2e-3 if "16" in mode else 1e-5), (
                name
            )
    assert max(counts) >= 6
    backend.close()
    assert paper.allocations == 0


def single(step: GpuStep) -> GpuPlan:
    from perfmodel.runners.cuda.network import single_step_plan

    return single_step_plan(step)


def candidate_names(backend: CudnnBackend, step: GpuStep) -> list[str]:
    operands = backends.Operands(
        tuple(range(256, 256 * (len(step.inputs) + 1), 256)),
        4096,
        (1, 2, 3),
        512 if step.residual else 0,
    )
    return [c.algorithm for c in backend.candidates(step, operands)]


@needs_compiler
@pytest.mark.parametrize("mode", MODE_NAMES)
def test_whole_network_with_the_fastest_candidates(paper: FakeGpu, mode: str) -> None:
    backend = CudnnBackend(paper, MODES[mode], 0, 1 << 20)
    assert worst_error(paper, backend, plan_graph(everything())) < (5e-3 if "16" in mode else 1e-5)
    backend.close()


@needs_compiler
def test_modes_ask_for_the_arithmetic_they_are_named_after(
    paper: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, set[int]] = {}
    for name in MODE_NAMES:
        seen: set[int] = set()
        original = cudnn.convolution
        monkeypatch.setattr(
            cudnn,
            "convolution",
            lambda w, g, m, seen=seen, f=original: (seen.add(m), f(w, g, m))[1],
        )
        backend = CudnnBackend(paper, MODES[name], 0, 1 << 20)
        for step in plan_graph(everything()).steps:
            candidate_names(backend, step)
        asked[name] = seen
        backend.close()
        monkeypatch.setattr(cudnn, "convolution", original)
    assert asked == {
        "cudnn/fp32": {cudnn.FMA_MATH},
        "cudnn/tf32": {cudnn.TENSOR_OP_MATH},
        "cudnn/fp16": {cudnn.TENSOR_OP_MATH},
    }


@needs_compiler
def test_without_cublaslt_our_kernels_do_the_fully_connected_layers(
    paper: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "_cublas", lambda stream: None)
    backend = CudnnBackend(paper, MODES["cudnn/fp16"], 0, 1 << 20)
    assert worst_error(paper, backend, plan_graph(everything())) < 5e-3
    backend.close()


class Clock:
    """A device on which a candidate takes as long as its name says; some cannot run."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def time_ms(self, work: Any, repeats: int) -> float:
        name, seconds = work.args[0].split(":")
        if name == self.broken:
            raise RunnerError("operation not permitted when stream is capturing")
        return float(seconds)


def candidate(name: str) -> ReadyStep:
    from functools import partial

    return ReadyStep(partial(lambda n: None, name), name)


def test_the_fastest_candidate_wins() -> None:
    choices = [candidate(n) for n in ("a:3", "b:1", "c:2")]
    assert fastest(Clock(), choices) == "b:1"  # type: ignore[arg-type]


def test_a_candidate_that_cannot_be_captured_drops_out() -> None:
    choices = [candidate(n) for n in ("a:3", "b:1", "c:2")]
    assert fastest(Clock("b"), choices) == "c:2"  # type: ignore[arg-type]


def test_nothing_that_runs_is_an_error_with_reasons() -> None:
    with pytest.raises(RunnerError, match="capturing"):
        fastest(Clock("a"), [candidate("a:1"), candidate("a:2")])  # type: ignore[arg-type]


def test_modes_name_their_layout() -> None:
    assert MODES["cudnn/fp16"] == Mode("cudnn", "fp16", "nhwc")
    assert MODES["cudnn/fp16"].variant.vector == 8
    assert MODES["vanilla/fp32"].variant.vector == 1
