"""Layers that several of the networks share, as torch modules (extra `torch`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


def conv(cin: int, cout: int, kernel: int = 3, stride: int = 1, **more: Any) -> nn.Sequential:
    """Convolution that keeps the size, batch normalisation, activation (`act`, ReLU; None: none).

    `norm=False` leaves the normalisation out; `groups` and `dilation` are those of the convolution.
    """
    act, norm = more.pop("act", nn.ReLU), more.pop("norm", True)
    padding = more.get("dilation", 1) * ((kernel - 1) // 2)
    layers = [nn.Conv2d(cin, cout, kernel, stride, padding, bias=not norm, **more)]
    layers += [nn.BatchNorm2d(cout)] if norm else []
    return nn.Sequential(*layers, *([act()] if act else []))


def silu(cin: int, cout: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution of the YOLO family."""
    return conv(cin, cout, kernel, stride, groups=groups, act=nn.SiLU)


class Sum(nn.Module):
    """x + body(x)."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class Residual(nn.Module):
    """relu(body(x) + shortcut(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None, last: bool = True):
        super().__init__()
        self.body, self.shortcut, self.last = body, shortcut or nn.Identity(), last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x) + self.shortcut(x)
        return functional.relu(y) if self.last else y


def basic_block(cin: int, cout: int, stride: int = 1, last: bool = True) -> Residual:
    """ResNet's block of two 3x3 convolutions."""
    body = nn.Sequential(conv(cin, cout, 3, stride), conv(cout, cout, act=None))
    same = cin == cout and stride == 1
    return Residual(body, None if same else conv(cin, cout, 1, stride, act=None), last)


class SqueezeExcite(nn.Module):
    """A gate by channel from the channel means."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


def twofold(x: torch.Tensor, mode: str = "nearest") -> torch.Tensor:
    """Twice the height and width."""
    return functional.interpolate(x, scale_factor=2, mode=mode)


def resized(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear interpolation to a size."""
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
