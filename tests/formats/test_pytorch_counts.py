"""Networks of PyTorch's libraries against torch's own counters, and at other sizes."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.formats.named import load_packed
from perfmodel.formats.pytorch.libraries import graph_of_name, made_by
from perfmodel.kernels import macs, params

pytestmark = [pytest.mark.slow, pytest.mark.ci]

EVERY_PRODUCT_BOTH_COUNT = [
    "torchvision:mobilenet_v2",
    "torchvision:shufflenet_v2_x1_0",
    "torchvision:vit_b_32",
    "torchvision:densenet121",
    "torchvision:lraspp_mobilenet_v3_large",
    "torchvision:r3d_18",
    "torchvision:ssdlite320_mobilenet_v3_large",
    "timm:mobilenetv4_conv_small",
    "timm:mobilevit_xxs",
    "timm:levit_128s",
    "timm:efficientformerv2_s0",
    "timm:tf_efficientnet_b0",
    "timm:convnext_atto",
    "timm:ghostnet_100",
    "timm:fastvit_t8",
    "timm:hrnet_w18_small",
    "timm:swin_tiny_patch4_window7_224",
    "timm:mixer_s32_224",
    "timm:pvt_v2_b0",
    "timm:resnest14d",
    "transformers:mobilevit-small",
    "transformers:tinybert-4l-312d",
    "transformers:t5-small-encoder",
    "transformers:whisper-tiny-encoder",
]
"""One or two of each way to build a network: convolutions, volumes, windows, attention, text."""


def counted(spec: str) -> tuple[int, int]:
    """MACs and parameters as torch counts them, without numbers."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    made = made_by(*spec.split(":"))

    def tensor(shape: tuple[int, ...], dtype: str) -> Any:
        return torch.empty(shape, dtype=getattr(torch, dtype), device="meta")

    module = made.module.to("meta").eval()
    given = {k: tensor(*v) for k, v in made.keywords.items()}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*[tensor(*i) for i in made.inputs], **given)
    return counter.get_total_flops() // 2, sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("spec", EVERY_PRODUCT_BOTH_COUNT)
def test_macs_and_parameters_are_those_that_torch_counts(spec: str) -> None:
    pytest.importorskip(spec.partition(":")[0])
    graph = graph_of_name(*spec.split(":"))
    assert (macs(graph), params(graph)) == counted(spec)


@pytest.mark.parametrize(
    ("spec", "resolution"),
    [
        ("torchvision:resnet18", 320),
        ("torchvision:vgg11", 256),
        ("torchvision:deeplabv3_mobilenet_v3_large", 512),
        ("timm:mobilenetv3_small_100", 192),
        ("timm:tf_efficientnet_lite0", 256),
        ("timm:convnext_atto", 160),
        ("timm:hrnet_w18_small", 256),
    ],
)
def test_the_pack_at_another_size_is_the_library_at_that_size(spec: str, resolution: int) -> None:
    library, _, name = spec.partition(":")
    pytest.importorskip(library)
    packed = load_packed(f"{spec}@resolution={resolution}")
    exported = graph_of_name(library, name, resolution)
    assert packed.source.startswith("pack:")
    assert macs(packed) == macs(exported)
    assert [op.kind for op in packed.ops] == [op.kind for op in exported.ops]
    assert [packed.tensors[o].shape for op in packed.ops for o in op.outputs] == [
        exported.tensors[o].shape for op in exported.ops for o in op.outputs
    ]
