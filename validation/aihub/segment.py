"""Segmentation and whole images: FFNet, PIDNet, DeepLab on Xception, SalsaNext, AOT-GAN."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from validation.aihub.layers import Residual, basic_block, conv, resized, twofold


def _stage(cin: int, cout: int, count: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        basic_block(cin, cout, stride), *(basic_block(cout, cout) for _ in range(count - 1))
    )


SLIM = (64, 128, 192, 320)
"""Channels of FFNet's slim ResNets."""


class Ffnet(nn.Module):
    """FFNet (Mehta et al. 2022, arXiv:2206.08236): a ResNet of basic blocks and a light head.

    `counts` are the blocks of each stage; with three the finest map is one convolution of the
    stem. `head` is B or C; `half` the input is smoothed and halved first.
    """

    def __init__(self, counts: Sequence[int], head: str, first: int = 1, half: bool = False):
        super().__init__()
        self.halving = nn.Conv2d(3, 3, 5, 2, groups=3, bias=False) if half else None
        if len(counts) == 4:
            self.stem = nn.Sequential(conv(3, 32, 3, 2), conv(32, 64, 3, 2))
            wide, stages = SLIM, [_stage(64, 64, counts[0], first)]
        else:
            self.stem = nn.Sequential(conv(3, 64, 3, 2), conv(64, 64, 3, 2))
            wide, stages = (64, 64, 128, 256), [nn.Sequential(conv(64, 64))]
        stages += [_stage(a, b, n, 2) for a, b, n in zip(wide, wide[1:], counts[-3:], strict=False)]
        self.stages = nn.ModuleList(stages)
        base = (64, 128, 128, 256) if head == "B" else (128,) * 4
        out = (96, 96, 64, 32) if head == "B" else (128, 16, 16, 16)
        between, last = (256, 3) if head == "B" else (128, 1)
        self.sides = nn.ModuleList(conv(a, b, 1) for a, b in zip(wide, base, strict=True))
        self.smooth = nn.ModuleList(conv(a, b) for a, b in zip(base, out, strict=True))
        self.ups = nn.ModuleList(conv(b, a, 1) for a, b in itertools.pairwise(base))
        self.head = nn.Sequential(
            conv(sum(out), between), nn.Conv2d(between, 19, last, 1, last // 2)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = image
        if self.halving is not None:
            x = self.halving(functional.pad(x, (0, 0, 1, 1), mode="reflect"))
        x = self.stem(x)
        maps = []
        for stage, side in zip(self.stages, self.sides, strict=True):
            x = stage(x)
            maps.append(side(x))
        x = maps[3]
        found = [self.smooth[3](x)]
        for i in (2, 1, 0):
            x = _as_large(self.ups[i](x), maps[i]) + maps[i]
            found.insert(0, self.smooth[i](x))
        return self.head(torch.cat([found[0], *(_as_large(f, found[0]) for f in found[1:])], 1))


def _as_large(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, size=(like.shape[2], like.shape[3]), mode="nearest")


def _before(cin: int, cout: int, kernel: int = 1, groups: int = 1) -> nn.Sequential:
    """Normalisation and ReLU, then the convolution."""
    layer = nn.Conv2d(cin, cout, kernel, 1, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(nn.BatchNorm2d(cin), nn.ReLU(), layer)


class _Pyramid(nn.Module):
    """PIDNet's parallel pooling pyramid."""

    def __init__(self, cin: int, between: int, cout: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AvgPool2d(k, s, k // 2), _before(cin, between))
            for k, s in ((5, 2), (9, 4), (17, 8))
        )
        self.pools.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), _before(cin, between)))
        self.first, self.mixed = _before(cin, between), _before(4 * between, 4 * between, 3, 4)
        self.leave, self.shortcut = _before(5 * between, cout), _before(cin, cout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size, first = (x.shape[2], x.shape[3]), self.first(x)
        each = torch.cat([resized(pool(x), size) + first for pool in self.pools], 1)
        return self.leave(torch.cat([first, self.mixed(each)], 1)) + self.shortcut(x)


class _Attentive(nn.Module):
    """Adds a coarse map to a fine one as far as they agree, pixel by pixel."""

    def __init__(self, cin: int, between: int) -> None:
        super().__init__()
        self.fine, self.coarse = conv(cin, between, 1, act=None), conv(cin, between, 1, act=None)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        size = (fine.shape[2], fine.shape[3])
        asked = resized(self.coarse(coarse), size)
        alike = (self.fine(fine) * asked).sum(1, keepdim=True).sigmoid()
        return (1 - alike) * fine + alike * resized(coarse, size)


def _bottle(cin: int, half: int, stride: int = 1) -> Residual:
    body = nn.Sequential(
        conv(cin, half, 1), conv(half, half, 3, stride), conv(half, 2 * half, 1, act=None)
    )
    same = cin == 2 * half and stride == 1
    return Residual(body, None if same else conv(cin, 2 * half, 1, stride, act=None), last=False)


class Pidnet(nn.Module):
    """PIDNet-S (Xu et al. 2022, arXiv:2206.02066): branches of detail, context and edges."""

    def __init__(self, classes: int = 19, p: int = 32) -> None:
        super().__init__()
        blocks = _plain_blocks
        self.stem = nn.Sequential(conv(3, p, 3, 2), conv(p, p, 3, 2), blocks(p, p, 2, 1), nn.ReLU())
        self.two = nn.Sequential(blocks(p, 2 * p, 2, 2), nn.ReLU())
        self.three = nn.Sequential(blocks(2 * p, 4 * p, 3, 2), nn.ReLU())
        self.four = nn.Sequential(blocks(4 * p, 8 * p, 3, 2), nn.ReLU())
        self.five = nn.Sequential(_bottle(8 * p, 8 * p, 2), _bottle(16 * p, 8 * p))
        self.narrow = nn.ModuleList(conv(c * p, 2 * p, 1, act=None) for c in (4, 8))
        self.pags = nn.ModuleList(_Attentive(2 * p, p) for _ in range(2))
        self.detail = nn.ModuleList(blocks(2 * p, 2 * p, 2, 1) for _ in range(2))
        self.detail.append(_bottle(2 * p, 2 * p))
        self.edges = nn.ModuleList(
            [basic_block(2 * p, p, last=False), _bottle(p, p), _bottle(2 * p, 2 * p)]
        )
        self.diffs = nn.ModuleList([conv(4 * p, p, act=None), conv(8 * p, 2 * p, act=None)])
        self.pyramid = _Pyramid(16 * p, 96, 4 * p)
        self.joins = nn.ModuleList(conv(4 * p, 4 * p, 1, act=None) for _ in range(2))
        self.head = nn.Sequential(
            *(nn.BatchNorm2d(4 * p), nn.ReLU(), conv(4 * p, 128), nn.Conv2d(128, classes, 1))
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.two(self.stem(image))
        size = (x.shape[2], x.shape[3])
        fine, edge = self.detail[0](x), self.edges[0](x)
        for i, stage in enumerate((self.three, self.four)):
            x = stage(x)
            fine = self.pags[i](fine, self.narrow[i](x))
            edge = edge + resized(self.diffs[i](x), size)
            fine = self.detail[i + 1](functional.relu(fine))
            edge = self.edges[i + 1](functional.relu(edge))
        x = resized(self.pyramid(self.five(x)), size)
        share = edge.sigmoid()
        joined = self.joins[0]((1 - share) * x + fine) + self.joins[1](x + share * fine)
        return self.head(joined)


def _plain_blocks(cin: int, cout: int, count: int, stride: int) -> nn.Sequential:
    """Basic blocks, the last without its ReLU."""
    rest = [basic_block(cout, cout, last=i < count - 2) for i in range(count - 1)]
    return nn.Sequential(basic_block(cin, cout, stride), *rest)


def _separable(
    cin: int, cout: int, stride: int = 1, dilation: int = 1, after: bool = False
) -> nn.Sequential:
    """A convolution by channel and a 1x1, each normalised; ReLU after both, or before the first."""
    act = nn.ReLU if after else None
    each = conv(cin, cin, 3, stride, groups=cin, dilation=dilation, act=act)
    return nn.Sequential(*([] if after else [nn.ReLU()]), each, conv(cin, cout, 1, act=act))


class _XceptionBlock(nn.Module):
    def __init__(self, widths: Sequence[int], stride: int) -> None:
        super().__init__()
        pairs = itertools.pairwise(widths)
        self.parts = nn.ModuleList(
            _separable(a, b, stride if i == 2 else 1) for i, (a, b) in enumerate(pairs)
        )
        same = widths[0] == widths[-1] and stride == 1
        self.short = nn.Identity() if same else conv(widths[0], widths[-1], 1, stride, act=None)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        two = self.parts[1](self.parts[0](x))
        return self.parts[2](two) + self.short(x), two


class DeeplabXception(nn.Module):
    """DeepLabV3+ on Xception-65 at a stride of 16 (Chen et al. 2018, arXiv:1802.02611)."""

    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 32, 3, 2), conv(32, 64))
        widths = [(64, 128, 128, 128), (128, 256, 256, 256), (256, 728, 728, 728)]
        widths += [(728,) * 4] * 16 + [(728, 728, 1024, 1024)]
        self.blocks = nn.ModuleList(
            _XceptionBlock(w, 2 if i < 3 else 1) for i, w in enumerate(widths)
        )
        self.exit = nn.Sequential(
            *(_separable(1024, 1536, after=True), _separable(1536, 1536, after=True)),
            _separable(1536, 2048, after=True),
        )
        self.aspp = nn.ModuleList([conv(2048, 256, 1)])
        self.aspp += [_separable(2048, 256, dilation=d, after=True) for d in (6, 12, 18)]
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv(2048, 256, 1))
        self.project, self.fine = conv(1280, 256, 1), conv(256, 48, 1)
        self.decoder = nn.Sequential(
            *(_separable(304, 256, after=True), _separable(256, 256, after=True)),
            nn.Conv2d(256, classes, 1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x, fine = self.stem(image), image
        for i, block in enumerate(self.blocks):
            x, two = block(x)
            fine = two if i == 1 else fine
        x = self.exit(x)
        size = (x.shape[2], x.shape[3])
        found = [resized(self.pooled(x), size), *(part(x) for part in self.aspp)]
        x = self.project(torch.cat(found, 1))
        fine = self.fine(fine)
        x = torch.cat([resized(x, (fine.shape[2], fine.shape[3])), fine], 1)
        x = resized(self.decoder(x), (image.shape[2], image.shape[3]))
        return x.argmax(1)


def _leaky(cin: int, cout: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """Convolution, leaky ReLU, normalisation, in this order."""
    padding = dilation * (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, 1, padding, dilation), nn.LeakyReLU(), nn.BatchNorm2d(cout)
    )


class _Context(nn.Module):
    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.short = nn.Sequential(nn.Conv2d(cin, cout, 1), nn.LeakyReLU())
        self.body = nn.Sequential(_leaky(cout, cout), _leaky(cout, cout, dilation=2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = self.short(x)
        return short + self.body(short)


class _Triple(nn.Module):
    """Three convolutions one after the other, joined by a 1x1."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [_leaky(cin, cout), _leaky(cout, cout, dilation=2), _leaky(cout, cout, 2, 2)]
        )
        self.leave = _leaky(3 * cout, cout, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = []
        for part in self.parts:
            x = part(x)
            found.append(x)
        return self.leave(torch.cat(found, 1))


class SalsaNext(nn.Module):
    """SalsaNext (Cortinhal et al. 2020, arXiv:2003.03653) on a scan of 64 x 2048 and 5 channels."""

    def __init__(self, classes: int = 20) -> None:
        super().__init__()
        self.context = nn.Sequential(_Context(5, 32), _Context(32, 32), _Context(32, 32))
        wide = (32, 64, 128, 256, 256, 256)
        pairs = list(itertools.pairwise(wide))
        self.shorts = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 1), nn.LeakyReLU()) for a, b in pairs
        )
        self.downs = nn.ModuleList(_Triple(a, b) for a, b in pairs)
        ups = ((64 + 256, 128), (32 + 256, 128), (32 + 128, 64), (16 + 64, 32))
        self.ups = nn.ModuleList(_Triple(a, b) for a, b in ups)
        self.last = nn.Conv2d(32, classes, 1)

    def forward(self, scan: torch.Tensor) -> torch.Tensor:
        x, sides = self.context(scan), []
        for i, (short, down) in enumerate(zip(self.shorts, self.downs, strict=True)):
            x = short(x) + down(x)
            if i < 4:
                sides.append(x)
                x = functional.avg_pool2d(x, 3, 2, 1)
        for up, side in zip(self.ups, reversed(sides), strict=True):
            x = up(torch.cat([functional.pixel_shuffle(x, 2), side], 1))
        return self.last(x).softmax(1)


class _Aot(nn.Module):
    """AOT-GAN's block: four dilated convolutions, and a gate of what to keep."""

    def __init__(self, channels: int = 256) -> None:
        super().__init__()
        self.rates = (1, 2, 4, 8)
        self.parts = nn.ModuleList(
            nn.Conv2d(channels, channels // 4, 3, dilation=r) for r in self.rates
        )
        self.fuse, self.gate = nn.Conv2d(channels, channels, 3), nn.Conv2d(channels, channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = [
            functional.relu(part(_reflected(x, r)))
            for part, r in zip(self.parts, self.rates, strict=True)
        ]
        new = self.fuse(_reflected(torch.cat(found, 1), 1))
        gate = self.gate(_reflected(x, 1))
        mean, spread = gate.mean((2, 3), keepdim=True), gate.std((2, 3), keepdim=True)
        kept = (5 * (2 * (gate - mean) / (spread + 1e-9) - 1)).sigmoid()
        return x * (1 - kept) + new * kept


def _reflected(x: torch.Tensor, rate: int) -> torch.Tensor:
    return functional.pad(x, (rate, rate, rate, rate), mode="reflect")


class AotGan(nn.Module):
    """AOT-GAN (Zeng et al. 2021, arXiv:2104.01431): paints what a mask covers, 512 x 512."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 64, 7)
        self.body = nn.Sequential(
            *(nn.ReLU(), nn.Conv2d(64, 128, 4, 2, 1), nn.ReLU()),
            *(nn.Conv2d(128, 256, 4, 2, 1), nn.ReLU(), *(_Aot() for _ in range(8))),
        )
        self.ups = nn.ModuleList([nn.Conv2d(256, 128, 3, 1, 1), nn.Conv2d(128, 64, 3, 1, 1)])
        self.last = nn.Conv2d(64, 3, 3, 1, 1)

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = image * (1 - mask) + mask
        x = self.body(self.first(_reflected(torch.cat([hidden, mask], 1), 3)))
        for up in self.ups:
            x = functional.relu(up(twofold(x, "bilinear")))
        painted = self.last(x).tanh()
        return painted * mask + image * (1 - mask)
