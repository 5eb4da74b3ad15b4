"""Every CUDA kernel against float64, on the CPU; compiled for every Jetson by NVRTC."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

from perfmodel.errors import RunnerError, UncoveredOpError
from perfmodel.runners.cuda import kernels, nvrtc
from perfmodel.runners.cuda.backends import MODES, Mode, ReadyStep, VanillaBackend, run_launches
from perfmodel.runners.cuda.kernels import (
    VARIANTS,
    KernelBuild,
    Operands,
    depthwise_launch,
    launches,
    stored_weights,
)
from perfmodel.runners.cuda.network import GpuNetwork, single_step_plan
from perfmodel.runners.cuda.reference import random_input, random_weights, relative_error, run_plan
from perfmodel.runners.cuda.steps import GpuStep, Window
from tests.cuda.cuda_on_cpu import HostDevice

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="no g++ to build the CUDA kernels for the CPU"
)


def conv(
    cin: int,
    cout: int,
    size: tuple[int, int],
    window: Window,
    *,
    batch: int = 2,
    groups: int = 1,
    activation: str = "relu",
    residual: bool = False,
) -> GpuStep:
    """A convolution step; its output size by the usual formula."""
    out = []
    for s, k, st, d, pads in zip(
        size,
        window.kernel,
        window.stride,
        window.dilation,
        (window.pads[:2], window.pads[2:]),
        strict=True,
    ):
        out.append((s + sum(pads) - d * (k - 1) - 1) // st + 1)
    return GpuStep(
        name="conv",
        op="conv2d",
        inputs=("x",),
        output="y",
        input_shapes=((batch, *size, cin),),
        output_shape=(batch, *out, cout),
        window=window,
        groups=groups,
        activation=activation,
        residual="z" if residual else "",
    )


def unary(op: str, shape: tuple[int, ...], out: tuple[int, ...], **fields: object) -> GpuStep:
    """A step with one input."""
    return GpuStep(op, op, ("x",), "y", (shape,), out, **fields)  # type: ignore[arg-type]


LRN = {"size": 5, "alpha": 2e-5, "beta": 0.75, "bias": 1.0}
STEPS = {
    "conv 3x3": conv(5, 19, (9, 7), Window((3, 3), (1, 1), (1, 1, 1, 1))),
    "conv 1x1": conv(33, 17, (5, 6), Window((1, 1)), activation="none"),
    "conv 7x7 stride 2": conv(3, 20, (17, 15), Window((7, 7), (2, 2), (3, 3, 3, 3)), batch=1),
    "conv 1x7": conv(8, 16, (6, 11), Window((1, 7), (1, 1), (0, 0, 3, 3))),
    "conv uneven padding": conv(4, 8, (8, 8), Window((3, 3), (2, 2), (0, 1, 0, 1))),
    "conv dilated": conv(4, 8, (12, 13), Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2))),
    "conv residual": conv(16, 24, (6, 6), Window((1, 1)), residual=True),
    "conv residual relu6": conv(16, 8, (6, 6), Window((1, 1)), residual=True, activation="relu6"),
    "conv grouped": conv(12, 18, (7, 7), Window((3, 3), (1, 1), (1, 1, 1, 1)), groups=3),
    "conv depthwise": conv(16, 16, (9, 9), Window((3, 3), (2, 2), (1, 1, 1, 1)), groups=16),
    "conv depthwise 5x5": conv(
        6, 6, (9, 8), Window((5, 5), (1, 1), (2, 2, 2, 2)), groups=6, activation="relu6"
    ),
    "linear": unary("fully_connected", (3, 70), (3, 35), activation="relu"),
    "linear over an image": unary("fully_connected", (2, 3, 5, 8), (2, 21)),
    "max pool": unary(
        "max_pool2d", (2, 9, 11, 8), (2, 5, 6, 8), window=Window((3, 3), (2, 2), (1, 1, 1, 1))
    ),
    "avg pool": unary(
        "avg_pool2d", (2, 7, 7, 12), (2, 7, 7, 12), window=Window((3, 3), (1, 1), (1, 1, 1, 1))
    ),
    "max pool odd channels": unary(
        "max_pool2d", (1, 6, 6, 5), (1, 3, 3, 5), window=Window((2, 2), (2, 2))
    ),
    "mean": unary("reduce_mean", (2, 7, 7, 45), (2, 45)),
    "add": GpuStep(
        "add", "add", ("x", "u"), "y", ((2, 5, 5, 8),) * 2, (2, 5, 5, 8), activation="relu"
    ),
    "add odd": GpuStep("add", "add", ("x", "u"), "y", ((1, 5, 5, 7),) * 2, (1, 5, 5, 7)),
    "batch norm": unary("batch_norm", (2, 4, 6, 16), (2, 4, 6, 16), activation="relu"),
    "batch norm odd": unary("batch_norm", (2, 3, 5, 9), (2, 3, 5, 9)),
    "batch norm of rows": unary("batch_norm", (3, 24), (3, 24)),
    "concat two": GpuStep(
        "c", "concat", ("x", "u"), "y", ((2, 3, 4, 8), (2, 3, 4, 16)), (2, 3, 4, 24)
    ),
    "concat six": GpuStep(
        "c",
        "concat",
        tuple("abcdef"),
        "y",
        tuple((2, 3, 3, c) for c in (3, 8, 1, 16, 5, 7)),
        (2, 3, 3, 40),
    ),
    "softmax": unary("softmax", (3, 1001), (3, 1001)),
    "lrn": unary("lrn", (2, 5, 4, 13), (2, 5, 4, 13), options=LRN),
    **{
        f"activation {name}": unary("activation", (2, 4, 4, 8), (2, 4, 4, 8), activation=name)
        for name in ("relu", "relu6", "sigmoid", "tanh", "hard_swish", "hard_sigmoid", "swish")
    },
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostDevice:
    return HostDevice(tmp_path_factory.mktemp("kernels"))


class AnyVariant(VanillaBackend):
    """Our own kernels in a build that no mode of the study uses by itself."""

    def __init__(self, device: HostDevice, variant: KernelBuild) -> None:
        precision = "fp16" if variant.half else "fp32"
        layout = "nhwc" if variant.nhwc else "nchw"
        framework = "vanilla" if variant.vector == 1 else "cudnn"
        super().__init__(device, Mode(framework, precision, layout))
        assert self.mode.variant == variant


def check(host: HostDevice, backend: VanillaBackend, step: GpuStep, seed: int) -> float:
    """Relative error of one step on fresh random data, its output poisoned before the run."""
    plan, rng = single_step_plan(step), np.random.default_rng(seed)
    dtype = backend.mode.variant.dtype
    inputs = {n: random_input(plan.shapes[n], rng).astype(dtype) for n in plan.inputs}
    weights = {step.name: tuple(w.astype(dtype) for w in random_weights(step, rng))}
    network = GpuNetwork(host, backend, plan, weights)  # type: ignore[arg-type]
    network.poison()
    network.set_inputs(inputs)
    network.run()
    error = relative_error(network.read("y"), run_plan(plan, inputs, weights)["y"])
    network.close()
    return error


@needs_compiler
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: " ".join(v.macros))
@pytest.mark.parametrize("name", STEPS)
def test_kernel_agrees_with_the_float64_reference(
    host: HostDevice, variant: KernelBuild, name: str
) -> None:
    limit = 1e-3 if variant.half else 2e-6
    assert check(host, AnyVariant(host, variant), STEPS[name], seed=len(name)) < limit


@needs_compiler
def test_nothing_stays_allocated(host: HostDevice) -> None:
    check(host, VanillaBackend(host), STEPS["conv residual"], seed=1)
    assert host.allocations == 0


class OwnDepthwise(AnyVariant):
    """The channel-vectorised depthwise kernel."""

    def constants(self, step, weights):  # type: ignore[no-untyped-def]
        return stored_weights(step, weights, self.mode.variant, depthwise=True)

    def prepare(self, step: GpuStep, operands: Operands) -> ReadyStep:
        sequence = depthwise_launch(step, operands, self.mode.variant)
        return ReadyStep(run_launches(self._device, sequence), "own")


@needs_compiler
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", ["conv depthwise", "conv depthwise 5x5"])
def test_vectorised_depthwise_agrees_too(host: HostDevice, half: bool, name: str) -> None:
    backend = OwnDepthwise(host, KernelBuild(half, True, 8 if half else 4))
    assert check(host, backend, STEPS[name], seed=3) < (1e-3 if half else 2e-6)


@needs_compiler
def test_a_wrong_kernel_would_be_seen(host: HostDevice) -> None:
    """The check has teeth: leaving out the padding, or one filter row, is far outside."""
    step = STEPS["conv 3x3"]
    assert step.window is not None
    plan, rng = single_step_plan(step), np.random.default_rng(5)
    inputs = {"x": random_input(plan.shapes["x"], rng)}
    weights = {step.name: random_weights(step, rng)}
    shifted = replace(step, window=replace(step.window, pads=(0, 2, 1, 1)))
    right = run_plan(plan, inputs, weights)["y"]
    wrong = run_plan(single_step_plan(shifted), inputs, weights)["y"]
    assert relative_error(wrong, right) > 0.1


def test_an_element_that_was_never_written_fails_every_check() -> None:
    out, ref = np.ones(10), np.ones(10)
    out[3] = np.nan
    assert relative_error(out, ref) == math.inf


@pytest.mark.parametrize(
    "architecture", ["sm_53", "sm_62", "sm_72", "sm_87", "sm_90"], ids=lambda a: f"{a}"
)
@pytest.mark.parametrize("variant", [MODES["vanilla/fp32"].variant, MODES["cudnn/fp16"].variant])
def test_kernels_compile_for_every_board(architecture: str, variant: KernelBuild) -> None:
    pytest.importorskip("nvidia.cuda_nvrtc", reason="nvidia-cuda-nvrtc-cu12 is not installed")
    cubin = nvrtc.compile_kernels(architecture, variant)
    assert cubin[:4] == b"\x7fELF"
    present = set(kernels.signatures(nvrtc.kernel_source())) - (
        {"depthwise_nhwc"} if not variant.nhwc else set()
    )
    assert all(name.encode() in cubin for name in present)


def test_unknown_architecture_is_refused() -> None:
    with pytest.raises(RunnerError, match="sm_87"):
        nvrtc.compile_kernels("jetson", VARIANTS[0])


def test_compiler_errors_carry_the_log() -> None:
    pytest.importorskip("nvidia.cuda_nvrtc", reason="nvidia-cuda-nvrtc-cu12 is not installed")
    with pytest.raises(RunnerError, match="sm_999"):
        nvrtc.compile_kernels("sm_999", VARIANTS[0])


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: " ".join(v.macros))
@pytest.mark.parametrize("name", STEPS)
def test_launches_fit_the_signatures_in_the_source(variant: KernelBuild, name: str) -> None:
    step = STEPS[name]
    operands = Operands(
        tuple(range(1, len(step.inputs) + 1)), 100, (200, 201), 300 if step.residual else 0
    )
    for launch in launches(step, operands, variant):
        letters = kernels.signatures(nvrtc.kernel_source())[launch.kernel]
        assert len(letters) == len(launch.arguments)
        assert all(
            isinstance(a, float) == (c == "f")
            for a, c in zip(launch.arguments, letters, strict=True)
        )
        assert math.prod(launch.block) == 256
        assert all(g > 0 for g in launch.grid)


def test_tensors_beyond_32_bit_indices_are_refused() -> None:
    step = unary("activation", (64, 8192, 8192, 4), (64, 8192, 8192, 4), activation="relu")
    with pytest.raises(RunnerError, match="smaller batch"):
        launches(step, Operands((1,), 2), VARIANTS[0])


def test_operators_without_a_kernel_are_named() -> None:
    step = unary("lstm", (1, 4, 8), (1, 4, 8))
    with pytest.raises(UncoveredOpError, match="lstm"):
        launches(step, Operands((1,), 2), VARIANTS[0])
