"""Fusion rules: what each framework folds into one kernel, and what it runs at all, as data.

They describe what the frameworks' own optimisers do by default for inference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from perfmodel.errors import TargetError
from perfmodel.graph.kinds import CONVOLUTIONS, NORMS, POOLS, UNARY
from perfmodel.graph.ops import OPS
from perfmodel.kernels.autocast import EVERYWHERE, FUSED

_DENSE = CONVOLUTIONS | {"fully_connected"}
_NEVER_RUN = frozenset({"identity", "dropout", "view"})
_VIEWS = _NEVER_RUN | {"reshape", "shape", "pack", "unpack"}
RELUS = frozenset({"relu", "relu6", "relu_n1_to_1", "clip"})
ANY_UNARY = frozenset(UNARY) - _NEVER_RUN
_EVERY_KIND = frozenset(OPS)
_ORT_PRODUCTS = frozenset({"fully_connected", "matmul"})
_ORT_MOVES = frozenset(
    {"gather", "tile", "broadcast_to", "transpose", "resize", "resize_to", "max_pool2d", "slice"}
    | {"strided_slice", "split", "select"}
)
_ORT_INTEGERS = frozenset(
    {"conv2d", "add", "mul", "concat", "avg_pool2d", "reduce_mean", "sigmoid", "leaky_relu"}
    | {"softmax", *_ORT_MOVES, *_ORT_PRODUCTS}
)
"""What onnxruntime's CPU provider has an integer kernel for, found by letting it optimise one
operator between its pairs at a time (version 1.32; tests/kernels/test_quantised_fusion.py)."""


EVERY_IMAGE, RESHAPED = "every image", "reshaped images"
"""Images that lie plane by plane in memory: all, or those that a reshape or transposition made."""


@dataclass(frozen=True)
class FusionRules:
    """What one framework folds into the kernel before it, and what costs nothing.

    `activations` fold into `hosts`; `batch_norm` (and, where `constants` is true, scale and adding
    or multiplying a constant) into convolutions; a constant add into a lone constant multiplication
    if `affine`; a two-tensor add into a convolution if `residual`; an explicit pad into the
    convolution after it if `pad`; any element-wise operator into any kernel if `pointwise`.
    Between a DequantizeLinear and a QuantizeLinear, the `quantised` kinds compute on integers, so
    that the pair costs nothing; those of `float_results` also without the second.
    A bilinear resize of the images that `resizes_by_pixel` names (`EVERY_IMAGE`, `RESHAPED` or "")
    is a kernel `RESIZE_BY_PIXEL`.
    Where `attention`, the two products of a network's scaled_dot_product_attention and what stands
    between them are one kernel; where `chains`, an element-wise operator or a normalisation takes
    what element-wise follows it, though convolutions take nothing. `free` kinds start no kernel.
    `casts` says where conversions run in automatic mixed precision (`autocast.EVERYWHERE`,
    `autocast.FUSED`, or "" where one precision is all there is).
    Graphs of format `finished_format` are already fused.
    Of operators that compute the same from the same, one runs where the framework `merges_repeats`.
    `runs_dead_branches` where no exporter stands between a network's code and what runs: all of
    it runs, with what cannot reach the output and what only adds zeros.
    """

    hosts: frozenset[str]
    activations: frozenset[str]
    free: frozenset[str]
    batch_norm: bool = False
    constants: bool = True
    affine: bool = False
    residual: bool = False
    pad: bool = False
    pointwise: bool = False
    quantised: frozenset[str] = frozenset()
    float_results: frozenset[str] = frozenset()
    finished_format: str = ""
    merges_repeats: bool = False
    runs_dead_branches: bool = False
    resizes_by_pixel: str = ""
    attention: bool = False
    chains: bool = False
    casts: str = ""
    source: str = ""


FUSION: dict[str, FusionRules] = {
    "ncnn": FusionRules(
        hosts=_DENSE,
        activations=RELUS | {"leaky_relu", "sigmoid", "mish", "hard_swish"},
        free=_NEVER_RUN | {"shape"},
        batch_norm=True,
        finished_format="ncnn",
        quantised=_EVERY_KIND,
        float_results=_EVERY_KIND,
        source="ncnn tools/ncnnoptimize.cpp, activation_type 1 to 6",
    ),
    "tflite-cpu": FusionRules(
        hosts=_DENSE | NORMS | {"add", "sub", "mul", "div"} | POOLS,
        activations=RELUS,
        free=_VIEWS,
        batch_norm=True,
        pad=True,
        quantised=_EVERY_KIND,
        float_results=_EVERY_KIND,
        source="TFLite converter (fused activation functions); XNNPACK folds pads and clamps",
    ),
    "tflite-gpu": FusionRules(
        hosts=_DENSE,
        activations=ANY_UNARY,
        free=_NEVER_RUN | {"shape"},
        batch_norm=True,
        residual=True,
        pad=True,
        pointwise=True,
        quantised=_EVERY_KIND,
        float_results=_EVERY_KIND,
        source="TFLite gpu/common: linkable (element-wise) operations merge into their producer",
    ),
    "mnn": FusionRules(
        hosts=CONVOLUTIONS,
        activations=frozenset({"relu", "relu6"}),
        free=_VIEWS,
        batch_norm=True,
        quantised=_EVERY_KIND,
        float_results=_EVERY_KIND,
        source="MNN converter, MergeReluToConvolution, MergeBNToConvolution",
    ),
    "acl": FusionRules(
        hosts=_DENSE,
        activations=RELUS | {"leaky_relu", "sigmoid", "tanh", "hard_swish", "swish"},
        free=_VIEWS,
        batch_norm=True,
        quantised=_EVERY_KIND,
        float_results=_EVERY_KIND,
        source="Arm Compute Library src/graph/mutators/NodeFusionMutator.cpp",
    ),
    "tensorrt": FusionRules(
        hosts=_DENSE,
        activations=ANY_UNARY,
        free=_VIEWS | {"concat", "split"},
        batch_norm=True,
        residual=True,
        pad=True,
        pointwise=True,
        quantised=_EVERY_KIND,
        float_results=_EVERY_KIND,
        source="TensorRT developer guide, layer fusion: conv-activation, conv-add, pointwise; "
        "concatenation is elided, its inputs are written in place",
    ),
    "qnn": FusionRules(
        hosts=_DENSE | NORMS | {"add", "sub", "mul", "div"} | POOLS,
        activations=RELUS,
        free=_VIEWS,
        batch_norm=True,
        constants=False,
        pad=True,
        quantised=_EVERY_KIND,
        float_results=_EVERY_KIND,
        source="Qualcomm AI Hub's counts of layers (validation/aihub): clamps fold into what makes "
        "their input; the frozen normalisations of DETR, a product and a sum, stay",
    ),
    "cudnn": FusionRules(
        hosts=_DENSE | {"add", "mul", "batch_norm", "scale"},
        activations=frozenset({"relu", "relu6", "clip"}),
        free=_VIEWS,
        batch_norm=True,
        affine=True,
        residual=True,
        pad=True,
        source="cudnnConvolutionBiasActivationForward: conv, bias, residual, ReLU; padding is an "
        "argument of its convolutions; cuBLASLt epilogues; one kernel for a lone normalisation and "
        "its activation; what perfmodel.runners.cuda runs in its mode cudnn",
    ),
    "onnxruntime": FusionRules(
        hosts=_DENSE,
        activations=RELUS | {"leaky_relu", "sigmoid", "tanh", "hard_sigmoid"},
        free=_VIEWS,
        batch_norm=True,
        residual=True,
        pad=True,
        quantised=_ORT_INTEGERS,
        float_results=_ORT_PRODUCTS,
        source="ONNX Runtime docs, graph optimizations: constant folding, conv-add-activation",
    ),
    "openvino": FusionRules(
        hosts=_DENSE,
        activations=ANY_UNARY,
        free=_VIEWS,
        batch_norm=True,
        residual=True,
        pad=True,
        pointwise=True,
        merges_repeats=True,
        quantised=_EVERY_KIND,
        float_results=_EVERY_KIND,
        source="OpenVINO docs, CPU device: convolution, sum and activation fused by oneDNN's "
        "post-operations; element-wise chains are one kernel",
    ),
    "pytorch": FusionRules(
        hosts=frozenset(),
        activations=frozenset(),
        free=_VIEWS | {"split", "slice", "broadcast_to"},
        runs_dead_branches=True,
        source="PyTorch eager: every call of the network's code runs, one kernel each; split, "
        "slice and expand make views",
    ),
    "vanilla": FusionRules(
        hosts=frozenset(),
        activations=frozenset(),
        free=_VIEWS,
        pad=True,
        source="our plain CUDA kernels, one an operator; padding is an argument of convolutions; "
        "what perfmodel.runners.cuda runs in its mode vanilla",
    ),
    "unfused": FusionRules(
        hosts=frozenset(),
        activations=frozenset(),
        free=_VIEWS,
        source="frameworks that run one kernel an operator, nothing folded",
    ),
}
"""Rules by framework."""

FUSION |= {
    "onnxruntime-cpu": replace(
        FUSION["onnxruntime"],
        activations=FUSION["onnxruntime"].activations | {"hard_swish"},
        merges_repeats=True,
        source="what onnxruntime 1.32 lists in its profiles of networks that we wrote, on x86: its "
        "convolutions in blocks of channels take HardSwish; equal operators are run once "
        "(ONNX Runtime docs, graph optimizations: common subexpression elimination)",
    ),
}

FUSION |= {
    "pytorch-1.13-amp": replace(
        FUSION["pytorch"],
        resizes_by_pixel=EVERY_IMAGE,
        casts=EVERYWHERE,
        source=FUSION["pytorch"].source + "; aten/src/ATen/native/cuda/UpSampleBilinear2d.cu: a "
        "thread of a bilinear resize of planes goes through all images and channels of its pixel",
    ),
}

FUSION |= {
    "pytorch-amp": replace(
        FUSION["pytorch-1.13-amp"],
        attention=True,
        source=FUSION["pytorch-1.13-amp"].source + "; PyTorch docs, scaled_dot_product_attention: "
        "one fused kernel on CUDA in half precision",
    ),
    "pytorch-compiled-amp": replace(
        FUSION["pytorch"],
        attention=True,
        chains=True,
        casts=FUSED,
        source="PyTorch docs, torch.compile: Inductor joins element-wise operators and reductions "
        "with one another and calls libraries for convolutions and products",
    ),
}

FUSION |= {
    "pytorch-amp-nhwc": replace(
        FUSION["pytorch-amp"],
        resizes_by_pixel=RESHAPED,
        source=FUSION["pytorch-amp"].source + "; images whose channels come last have a kernel of "
        "their own there, with a thread for each number",
    ),
}

RULES_OF: Mapping[str, str] = {
    "tflite": "tflite-cpu",
    "litert": "tflite-cpu",
    # XNNPACK runs its convolutions
    "executorch": "tflite-cpu",
    "nnapi": "tflite-gpu",
    "caffe": "unfused",
    "miopen": "cudnn",
    "gemmlowp": "unfused",
    # mobile engines fold activations and normalisation into convolutions
    "tnn": "acl",
    "paddle-lite": "acl",
    "mace": "acl",
    # compilers fold every element-wise operator into its producer
    "tvm": "tflite-gpu",
    "rknn": "qnn",
    "snpe": "tflite-gpu",
    "enn": "tflite-gpu",
    "coreml": "tflite-gpu",
    # one kernel an operator
    "tensorflow": "unfused",
    "darknet": "unfused",
    "torch7": "unfused",
    "cl-nn": "unfused",
    "chainer": "unfused",
    "cudaconvnet2": "unfused",
    "fbfft": "unfused",
    "neon": "unfused",
}
"""Frameworks that follow the rules of another."""


BY_UNIT: Mapping[str, Mapping[str, str]] = {
    "tflite": {"cpu": "tflite-cpu", "npu": "qnn", "": "tflite-gpu"},
    "onnxruntime": {"cpu": "onnxruntime-cpu", "npu": "qnn", "": "onnxruntime"},
}
"""Frameworks whose rules differ by what executes them; "" stands for every other unit."""


def rules_on(framework: str, unit: str) -> str:
    """Name of the fusion rules of a framework on a unit of a target."""
    named = BY_UNIT.get(framework, {})
    return named.get(unit, named.get("", framework))


def fusion_rules(framework: str) -> FusionRules:
    """Rules of a framework; raises `TargetError` with the known names for an unknown one."""
    name = framework
    while name not in FUSION and name not in RULES_OF and "-" in name:
        # a build of a framework follows its rules: torch7-cudnn-5.1, paddle-lite-armv7
        name = name.rpartition("-")[0]
    rules = FUSION.get(RULES_OF.get(name, name))
    if rules is None:
        known = ", ".join(sorted({*FUSION, *RULES_OF}))
        raise TargetError(f"no fusion rules for framework {framework!r}", f"known: {known}")
    return rules
