"""What kernels are called and how a network falls into parts, by hand."""

from __future__ import annotations

from itertools import groupby

import pytest

from perfmodel import kernels
from perfmodel.formats.load import load
from perfmodel.kernels import CLASSES, Kernel
from perfmodel.kernels.titles import CLASS_TITLES, MOST_STAGES, kernel_blocks, kernel_title


def conv(size: int, **more: object) -> Kernel:
    sizes: dict = {"cin": 8, "cout": 8, "hout": size, "wout": size, "kh": 3, "kw": 3}
    return Kernel("k", "conv2d", "conv3x3", **{**sizes, **more})


def plain(op: str, size: int = 1, **more: object) -> Kernel:
    sizes: dict = {"cin": 8, "cout": 8, "hout": size, "wout": size}
    return Kernel("k", op, "elementwise", **{**sizes, **more})


@pytest.mark.parametrize(
    ("kernel", "title"),
    [
        (conv(56, cin=64, cout=128), "3x3 conv 64->128 @56x56"),
        (conv(56, kh=1, kw=7), "1x7 conv 8 @56x56"),
        (conv(56, sh=2, sw=2), "3x3 conv 8 /2 @56x56"),
        (conv(56, sh=2, sw=1), "3x3 conv 8 /2x1 @56x56"),
        (conv(56, groups=8), "3x3 depthwise 8 @56x56"),
        (conv(56, groups=2, cout=16), "3x3 conv in 2 groups 8->16 @56x56"),
        (conv(1), "3x3 conv 8"),
        (conv(56, wout=1), "3x3 conv 8 @56x1"),
        (Kernel("k", "transpose_conv2d", "transpose_conv", cin=4, cout=2, hout=8, wout=8, kh=2,
                kw=2, sh=2, sw=2), "2x2 transposed conv 4->2 /2 @8x8"),
        (Kernel("k", "max_pool2d", "pool", cin=4, cout=4, hout=8, wout=8, kh=2, kw=2, sh=2, sw=2),
         "2x2 max pool 4 /2 @8x8"),
        (Kernel("k", "avg_pool2d", "pool", cin=4, cout=4, hout=1, wout=1, kh=7, kw=7),
         "7x7 average pool 4"),
        (Kernel("k", "fully_connected", "fully_connected", cin=4, cout=10, m=1, n=10, k=4),
         "fully connected 4->10"),
        (Kernel("k", "fully_connected", "fully_connected", cin=4, cout=4, m=7, n=4, k=4),
         "fully connected 4->4 x7"),
        (Kernel("k", "bmm", "matmul", batch=12, m=5, n=6, k=7), "12x matmul 5x7x6"),
        (Kernel("k", "gemm", "matmul", m=5, n=6, k=7), "matmul 5x7x6"),
        (plain("hard_swish", 14), "hard swish 8 @14x14"),
        (plain("softmax", cout=0, cin=0), "softmax"),
    ],
)  # fmt: skip
def test_a_kernel_is_called_by_what_it_computes_and_how_large(kernel: Kernel, title: str) -> None:
    assert kernel_title(kernel) == title


def test_every_class_has_a_name_for_people() -> None:
    assert set(CLASS_TITLES) == set(CLASSES)
    assert len(set(CLASS_TITLES.values())) == len(CLASSES)


def runs(*parts: Kernel) -> list[tuple[str, int]]:
    return [(name, len(list(run))) for name, run in groupby(kernel_blocks(parts))]


def test_stages_are_runs_of_one_size_and_the_head_has_none() -> None:
    squeeze = [plain("reduce_mean"), conv(1), plain("mul", 28)]
    shown = runs(
        plain("cast", 224), conv(56), plain("add", 56), conv(28), *squeeze, conv(28), conv(14),
        plain("reduce_mean"), plain("softmax"),
    )  # fmt: skip
    assert shown == [("56x56", 3), ("28x28", 5), ("14x14", 1), ("head", 2)]


def test_a_shortcut_beside_a_stage_ends_none() -> None:
    long = [conv(28)] * 4
    assert runs(conv(56), conv(56), conv(28), conv(56), *long, conv(14)) == [
        ("56x56", 4),
        ("28x28", 4),
        ("14x14", 1),
    ]


def test_a_size_that_comes_back_is_told_apart() -> None:
    down, up = [conv(56)] * 4, [conv(56)] * 5
    assert runs(*down, *[conv(28)] * 4, *[conv(14)] * 4, *[conv(28)] * 4, *up) == [
        ("56x56", 4), ("28x28", 4), ("14x14", 4), ("28x28 (2)", 4), ("56x56 (2)", 5),
    ]  # fmt: skip


def test_many_branches_are_joined_by_size() -> None:
    sizes = [[conv(s)] * 4 for s in (56, 28, 14)] * (MOST_STAGES // 3 + 1)
    assert set(kernel_blocks([k for run in sizes for k in run])) == {"56x56", "28x28", "14x14"}


def test_blocks_that_repeat_are_counted() -> None:
    block = [plain("layer_norm"), plain("add"), plain("gelu")]
    shown = runs(plain("cast"), *block, *block, *block, plain("softmax"))
    assert shown == [("stem", 1), ("block 1", 3), ("block 2", 3), ("block 3", 3), ("head", 1)]
    assert runs(plain("cast"), *block, *block, plain("softmax")) == [("", 8)]
    others = [plain(op) for op in ("abs", "exp", "sin", "cos", "neg", "sqrt", "log", "sign", "erf")]
    assert runs(*others, plain("floor"), *block, *block, *block) == [("", 19)]
    assert kernel_blocks([]) == ()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("mobilenet_v2", ["112x112", "56x56", "28x28", "14x14", "7x7", "head"]),
        ("resnet50", ["112x112", "56x56", "28x28", "14x14", "7x7", "head"]),
        ("vit_b16", ["stem", *(f"block {i}" for i in range(1, 13)), "head"]),
    ],
)
def test_known_networks_fall_into_their_parts(model: str, expected: list[str]) -> None:
    found = kernel_blocks(kernels.fuse(load(model), "tflite"))
    assert [name for name, _ in groupby(found)] == expected
