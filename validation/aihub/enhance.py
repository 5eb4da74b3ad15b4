"""Super-resolution networks: ESRGAN, Real-ESRGAN, QuickSRNet, SESR, XLSR."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from validation.aihub.layers import twofold


class DenseBlock(nn.Module):
    """Five 3x3 convolutions, each of all before it (Wang et al. 2018, arXiv:1809.00219)."""

    def __init__(self, channels: int = 64, growth: int = 32) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + i * growth, growth if i < 4 else channels, 3, 1, 1)
            for i in range(5)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [x]
        for layer in self.convs[:-1]:
            parts.append(functional.leaky_relu(layer(torch.cat(parts, 1)), 0.2))
        return self.convs[-1](torch.cat(parts, 1)) * 0.2 + x


class Esrgan(nn.Module):
    """ESRGAN's generator: 23 residual-in-residual dense blocks, enlarged four-fold."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 64, 3, 1, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(DenseBlock() for _ in range(3))) for _ in range(23)
        )
        self.body, self.up1, self.up2, self.high = (nn.Conv2d(64, 64, 3, 1, 1) for _ in range(4))
        self.last = nn.Conv2d(64, 3, 3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = x = self.first(image)
        for block in self.blocks:
            x = block(x) * 0.2 + x
        x = first + self.body(x)
        for up in (self.up1, self.up2):
            x = functional.leaky_relu(up(twofold(x)), 0.2)
        return self.last(functional.leaky_relu(self.high(x), 0.2))


class CompactEsrgan(nn.Module):
    """Real-ESRGAN's compact network: 34 convolutions and a pixel shuffle (arXiv:2107.10833)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1), nn.PReLU(64)]
        for _ in range(32):
            layers += [nn.Conv2d(64, 64, 3, 1, 1), nn.PReLU(64)]
        self.body = nn.Sequential(*layers, nn.Conv2d(64, 48, 3, 1, 1), nn.PixelShuffle(4))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.body(image) + functional.interpolate(image, scale_factor=4)


def quicksr(channels: int, layers: int) -> nn.Module:
    """QuickSRNet (Berger et al. 2023, arXiv:2303.04336), four-fold: plain 3x3 convolutions."""
    body: list[nn.Module] = [nn.Conv2d(3, channels, 3, 1, 1), nn.ReLU6()]
    for _ in range(layers):
        body += [nn.Conv2d(channels, channels, 3, 1, 1), nn.ReLU6()]
    return nn.Sequential(*body, nn.Conv2d(channels, 48, 3, 1, 1), nn.PixelShuffle(4), nn.ReLU6())


def _linear_block(cin: int, cout: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(cin, 256, kernel, 1, kernel // 2), nn.Conv2d(256, cout, 1))


class Sesr(nn.Module):
    """SESR-M5 (Bhardwaj et al. 2022, arXiv:2103.09404), its linear blocks as they are trained.

    AI Hub states 343,000 parameters, which is the network before its blocks are collapsed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = _linear_block(3, 16, 5)
        self.blocks = nn.ModuleList(_linear_block(16, 16, 3) for _ in range(5))
        self.last, self.enlarge = _linear_block(16, 48, 5), nn.PixelShuffle(4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = x = functional.relu(self.first(image))
        for block in self.blocks:
            x = functional.relu(block(x) + x)
        return self.enlarge(self.last(x + first) + image.repeat(1, 16, 1, 1))


class Xlsr(nn.Module):
    """XLSR (Ayazoglu 2021, arXiv:2105.10288): grouped convolutions, four-fold."""

    def __init__(self) -> None:
        super().__init__()
        self.short, self.first = nn.Conv2d(3, 16, 3, 1, 1), nn.Conv2d(3, 32, 3, 1, 1)
        blocks: list[nn.Module] = []
        for _ in range(3):
            blocks += [nn.Conv2d(32, 32, 3, 1, 1, groups=4), nn.ReLU(), nn.Conv2d(32, 32, 1)]
        self.blocks = nn.Sequential(*blocks, nn.Conv2d(32, 32, 1), nn.ReLU())
        self.joined, self.last = nn.Conv2d(48, 32, 1), nn.Conv2d(32, 48, 3, 1, 1)
        self.enlarge = nn.PixelShuffle(4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.blocks(self.first(image)), self.short(image)], 1)
        return self.enlarge(self.last(functional.relu(self.joined(x)))).clamp(0, 1)
