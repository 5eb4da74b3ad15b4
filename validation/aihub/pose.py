"""Poses and portraits: RTMPose (arXiv:2303.07399) and SINet (arXiv:1911.09099)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from validation.aihub.layers import Sum, conv, silu, twofold


class _CspNext(nn.Module):
    """Blocks of a 3x3 and a separable 5x5 beside a 1x1, joined and weighed by channel."""

    def __init__(self, channels: int, count: int, add: bool) -> None:
        super().__init__()
        half = channels // 2
        self.beside, self.enter = silu(channels, half), silu(channels, half)
        blocks = []
        for _ in range(count):
            body = [silu(half, half, 3), silu(half, half, 5, groups=half), silu(half, half)]
            blocks.append(Sum(*body) if add else nn.Sequential(*body))
        self.blocks = nn.Sequential(*blocks)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1), nn.Hardsigmoid()
        )
        self.leave = silu(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.cat([self.blocks(self.enter(x)), self.beside(x)], 1)
        return self.leave(y * self.weigh(y))


class _Pools(nn.Module):
    """Poolings of 5, 9 and 13 of one map, joined with it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter, self.leave = silu(channels, channels // 2), silu(2 * channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        pooled = [functional.max_pool2d(x, k, 1, k // 2) for k in (5, 9, 13)]
        return self.leave(torch.cat([x, *pooled], 1))


class _ScaleNorm(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.scale, self.gain = size**-0.5, nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = torch.linalg.vector_norm(x, dim=2, keepdim=True) * self.scale
        return x / length.clamp(min=1e-5) * self.gain


class _GatedAttention(nn.Module):
    """The gated attention unit between joints."""

    def __init__(self, size: int = 256, inner: int = 512, key: int = 128) -> None:
        super().__init__()
        self.norm, self.sizes = _ScaleNorm(size), (inner, inner, key)
        self.enter = nn.Linear(size, 2 * inner + key, bias=False)
        self.leave = nn.Linear(inner, size, bias=False)
        self.gamma, self.beta = nn.Parameter(torch.ones(2, key)), nn.Parameter(torch.zeros(2, key))
        self.rest = nn.Parameter(torch.ones(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u, v, base = functional.silu(self.enter(self.norm(x))).split(self.sizes, 2)
        q, k = (base * self.gamma[i] + self.beta[i] for i in (0, 1))
        seen = functional.relu(q @ k.transpose(1, 2) / self.sizes[2] ** 0.5)
        return x * self.rest + self.leave(u * (seen * seen @ v))


class Rtmpose(nn.Module):
    """RTMPose-m for the whole body: 133 joints in an image of 256 x 192."""

    def __init__(self, joints: int = 133) -> None:
        super().__init__()
        layers = [silu(3, 24, 3, 2), silu(24, 24, 3), silu(24, 48, 3)]
        for cin, cout, count in ((48, 96, 2), (96, 192, 4), (192, 384, 4), (384, 768, 2)):
            layers.append(silu(cin, cout, 3, 2))
            layers += [_Pools(cout)] if cout == 768 else []
            layers.append(_CspNext(cout, count, cout != 768))
        self.body = nn.Sequential(*layers, nn.Conv2d(768, joints, 7, 1, 3))
        self.enter = nn.Sequential(_ScaleNorm(48), nn.Linear(48, 256, bias=False))
        self.mixed = _GatedAttention()
        self.across = nn.Linear(256, 384, bias=False)
        self.down = nn.Linear(256, 512, bias=False)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.mixed(self.enter(self.body(image).flatten(2)))
        return self.across(x), self.down(x)


def _normed(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))


class _Squeeze(nn.Module):
    def __init__(self, channels: int, divide: int) -> None:
        super().__init__()
        narrow = channels // divide
        layers: list[nn.Module] = [nn.Linear(channels, narrow), nn.PReLU(narrow)]
        if divide > 1:
            layers += [nn.Linear(narrow, channels), nn.PReLU(channels)]
        self.dense = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = self.dense(x.mean((2, 3)))
        return x * means.view(1, -1, 1, 1)


def _squeezed(cin: int, cout: int, divide: int) -> nn.Sequential:
    each = nn.Conv2d(cin, cin, 3, 2, 1, groups=cin, bias=False)
    return nn.Sequential(
        *(each, _Squeeze(cin, divide), nn.Conv2d(cin, cout, 1, bias=False), _normed(cout))
    )


class _Spatial(nn.Module):
    """A separable convolution at a smaller size."""

    def __init__(self, cin: int, cout: int, kernel: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.body = nn.Sequential(
            *(conv(cin, cin, kernel, groups=cin, act=None), nn.PReLU(cin)),
            nn.Conv2d(cin, cout, 1, bias=False),
        )
        self.norm = nn.BatchNorm2d(cout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.size > 1:
            x = functional.avg_pool2d(x, self.size, self.size)
        x = self.body(x)
        if self.size > 1:
            x = functional.interpolate(x, scale_factor=self.size, mode="bilinear")
        return self.norm(x)


class _TwoSizes(nn.Module):
    """SINet's module: two branches of windows and sizes of their own on shuffled channels."""

    def __init__(self, cin: int, cout: int, parts: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        half = cout // 2
        self.enter = nn.Conv2d(cin, half, 1, groups=2, bias=False)
        self.parts = nn.ModuleList(_Spatial(half, half, k, s) for k, s in parts)
        self.add, self.norm = cin == cout, _normed(cout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.channel_shuffle(self.enter(x), 2)
        found = torch.cat([part(y) for part in self.parts], 1)
        return self.norm(x + found if self.add else found)


class Sinet(nn.Module):
    """SINet: the mask of a portrait of 224 x 224, 92,000 parameters."""

    PARTS = (
        *(((3, 1), (5, 1)), ((3, 1), (3, 1)), ((3, 1), (5, 1)), ((3, 1), (3, 1))),
        *(((5, 1), (3, 2)), ((5, 2), (3, 4)), ((3, 1), (3, 1)), ((5, 1), (5, 1))),
        *(((3, 2), (3, 4)), ((3, 1), (5, 2))),
    )
    """Window and size of both branches of each module, two at a fourth and eight at an eighth."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.one = nn.Sequential(conv(3, 12, 3, 2, act=None), nn.PReLU(12))
        self.two = _squeezed(12, 16, 1)
        self.parts2 = nn.Sequential(
            _TwoSizes(16, 48, self.PARTS[0]), _TwoSizes(48, 48, self.PARTS[1])
        )
        self.three = nn.Sequential(_normed(64), _squeezed(64, 48, 2))
        self.parts3 = nn.Sequential(
            _TwoSizes(48, 96, self.PARTS[2]), *(_TwoSizes(96, 96, p) for p in self.PARTS[3:])
        )
        self.last = nn.Sequential(_normed(144), nn.Conv2d(144, classes, 1, bias=False))
        self.norm3, self.norm2 = nn.BatchNorm2d(classes), nn.BatchNorm2d(classes)
        self.fine = nn.Sequential(conv(48, classes, 1, act=None), nn.PReLU(classes))
        self.leave = nn.Conv2d(classes, classes, 3, 1, 1, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        two = self.two(self.one(image))
        fine = self.parts2(two)
        three = self.three(torch.cat([two, fine], 1))
        x = self.last(torch.cat([three, self.parts3(three)], 1))
        x = self.norm3(twofold(x, "bilinear"))
        unsure = 1 - x.softmax(1).max(1, keepdim=True).values
        x = self.norm2(twofold(self.fine(fine) * unsure + x, "bilinear"))
        return self.leave(twofold(x, "bilinear"))
