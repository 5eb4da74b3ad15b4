"""Small networks for faces, people and protective gear that AI Hub publishes itself.

Their sizes are those of its sources (quic/ai-hub-models, BSD-3-Clause): facts only.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from validation.aihub.layers import Residual, basic_block, conv, twofold

Row = tuple[int, int, int, int, bool, int]
"""Kernel, channels before, within and after, whether gated, stride."""


class _Gate(nn.Module):
    """Squeeze and excitation with normalised layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            conv(channels, channels // 4, 1),
            conv(channels // 4, channels, 1, act=nn.Sigmoid),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


def _fast_block(row: Row) -> nn.Module:
    """MobileNetV3's block with one dense 3x3 convolution in place of 3x3 by channel, two of 5x5."""
    kernel, cin, wide, cout, gated, stride = row
    layers = [conv(cin, wide, 1), conv(wide, cout, 3, stride if kernel == 3 else 1)]
    layers += [conv(cout, cout, 3, stride)] if kernel == 5 else []
    body = nn.Sequential(*layers, *([_Gate(cout)] if gated else []))
    if stride > 1:
        return body
    return Residual(body, None if cin == cout else conv(cin, cout, 1, act=None), last=False)


FACE_ROWS: tuple[Row, ...] = (
    *((3, 16, 16, 16, False, 2), (3, 16, 64, 32, False, 2), (3, 32, 96, 32, False, 1)),
    *((5, 32, 96, 32, True, 2), (5, 32, 224, 32, True, 1), (5, 32, 224, 32, True, 1)),
    *((5, 32, 128, 64, True, 1), (5, 64, 160, 64, True, 1), (5, 64, 256, 96, True, 2)),
)

FOOT_ROWS: tuple[Row, ...] = (
    *((3, 16, 16, 16, False, 1), (3, 16, 64, 16, False, 2), (3, 16, 64, 16, False, 1)),
    *((5, 16, 96, 32, True, 2), (5, 32, 96, 32, True, 1), (5, 32, 128, 32, True, 1)),
    *((3, 32, 128, 64, False, 2), (3, 64, 128, 64, False, 1)),
    *((3, 64, 160, 64, False, 1), (3, 64, 160, 64, False, 1)),
    *((3, 64, 256, 64, True, 1), (3, 64, 320, 64, True, 1), (5, 64, 320, 64, True, 1)),
    *((5, 64, 320, 96, True, 2), (5, 96, 480, 96, True, 1)),
)


class FastPyramid(nn.Module):
    """Blocks, a pyramid up from their last map, and heads on the finest.

    `kept` are the places of blocks whose maps the pyramid joins, from fine to coarse; `heads` the
    channels of each head, of a 3x3 convolution before it where `deep`.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        kept: Sequence[int],
        wide: int,
        heads: Sequence[int],
        *,
        channels: int,
        deep: bool,
    ) -> None:
        super().__init__()
        self.stem = conv(channels, 16, 3, 2)
        ends = [0, *(k + 1 for k in kept), len(rows)]
        self.parts = nn.ModuleList(
            nn.Sequential(*(_fast_block(r) for r in rows[a:b])) for a, b in itertools.pairwise(ends)
        )
        self.sides = nn.ModuleList(conv(rows[e - 1][3], wide, 1) for e in ends[1:])
        self.ups = nn.ModuleList(conv(wide, wide) for _ in kept)
        self.one, self.enter = conv(wide, wide // 2), conv(wide, wide // 4)
        self.up = conv(wide // 4, wide // 4)
        self.down = nn.Sequential(conv(wide // 4, wide // 4), conv(wide // 4, wide // 4))
        self.heads = nn.ModuleList(
            nn.Sequential(*([conv(wide, wide)] if deep else []), nn.Conv2d(wide, n, 1))
            for n in heads
        )

    def found(self, image: torch.Tensor) -> list[torch.Tensor]:
        """What each head says."""
        maps, x = [], self.stem(image)
        for part, side in zip(self.parts, self.sides, strict=True):
            x = part(x)
            maps.append(side(x))
        x = maps[-1]
        for up, side in zip(self.ups, reversed(maps[:-1]), strict=True):
            x = up(twofold(x)) + side
        near = self.enter(x)
        x = torch.cat([self.one(x), self.up(near), self.down(near)], 1)
        return [head(x) for head in self.heads]


class FaceDetLite(FastPyramid):
    """Faces in a grey image of 480 x 640."""

    def __init__(self) -> None:
        super().__init__(FACE_ROWS, (2, 7), 32, (1, 4, 10), channels=1, deep=False)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.found(image))


class FootTrack(FastPyramid):
    """People, faces and 17 points of a body in an image of 480 x 640."""

    def __init__(self) -> None:
        heads = (1, 4, 1, 4, 1, 4, 34, 17)
        super().__init__(FOOT_ROWS, (2, 5, 12), 64, heads, channels=3, deep=True)
        self.colours = conv(3, 3, 1, act=None)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        one, box, two, box2, three, box3, points, seen = self.found(self.colours(image))
        scores = torch.cat([one.sigmoid(), two.sigmoid(), three.sigmoid()], 1)
        return scores, torch.cat([box, box2, box3], 1), points, seen.sigmoid()


GROUP = 32
"""Channels of a group of the network of attributes."""


def _pair(
    cin: int,
    wide: int,
    cout: int,
    stride: int = 1,
    *,
    groups: int = 0,
    act: type[nn.Module] | None = nn.PReLU,
) -> nn.Sequential:
    """A grouped 3x3 convolution and a 1x1 with normalisation; groups of `GROUP` where 0."""
    grouped = conv(cin, wide, 3, stride, norm=False, act=None, groups=groups or cin // GROUP)
    return nn.Sequential(grouped, conv(wide, cout, 1, act=act))


class _Both(nn.Module):
    """prelu(one(x) + two(x))."""

    def __init__(self, one: nn.Module, two: nn.Module) -> None:
        super().__init__()
        self.one, self.two, self.act = one, two, nn.PReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.one(x) + self.two(x))


def _halving(c: int) -> nn.Module:
    deep = nn.Sequential(
        _pair(c, 4 * c, 2 * c, 2), _pair(2 * c, 4 * c, 2 * c, groups=c // GROUP, act=None)
    )
    return _Both(_pair(c, 2 * c, 2 * c, 2), deep)


def _same_size(c: int) -> nn.Module:
    return _Both(nn.Sequential(_pair(c, 2 * c, c), _pair(c, 2 * c, c, act=None)), nn.Identity())


class _Attribute(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.one, self.two = _pair(4 * c, 2 * c, 2 * c, 2), _pair(10 * c, 5 * c, 2 * c, 2)
        self.pool, self.last = nn.AvgPool2d(4, 1), nn.Linear(2 * c, 2)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.two(torch.cat([self.one(fine), coarse], 1)))
        return self.last(x.flatten(1))


class FaceAttributes(nn.Module):
    """Five attributes of a face of 128 x 128, by grouped convolutions."""

    def __init__(self, c: int = 64) -> None:
        super().__init__()
        first = nn.Sequential(_pair(c, c, c, 2), _pair(c, c, c, act=None))
        head = _Both(first, _pair(c, c, c, 2, act=None))
        layers = [conv(3, c, act=nn.PReLU), head, _halving(c), _same_size(2 * c)]
        layers += [_halving(2 * c), *(_same_size(4 * c) for _ in range(5))]
        self.fine = nn.Sequential(*layers)
        self.coarse = nn.Sequential(_halving(4 * c), *(_same_size(8 * c) for _ in range(2)))
        self.heads = nn.ModuleList(_Attribute(c) for _ in range(5))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        fine = self.fine(image)
        coarse = self.coarse(fine)
        found = torch.stack([head(fine, coarse) for head in self.heads], 1)
        return found.softmax(2)[:, :, 1]


def facemap() -> nn.Module:
    """The 265 numbers of a face's shape: ResNet-18 of half the width on a grey image."""
    layers: list[nn.Module] = [nn.Conv2d(3, 1, 1), conv(1, 32, 7, 2), nn.MaxPool2d(3, 2, 1)]
    cin = 32
    for cout, stride in ((32, 1), (64, 2), (128, 2), (256, 2)):
        last = 512 if cout == 256 else cout
        layers += [basic_block(cin, cout, stride), basic_block(cout, last)]
        cin = last
    return nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(512, 265))


class _Double(nn.Module):
    """Two separable 5x5 convolutions added to the input (BlazeFace's double block)."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        wide = max(cin, cout) // 2
        self.body = nn.Sequential(
            *(conv(cin, cin, 5, groups=cin, act=None), conv(cin, wide, 1)),
            *(conv(wide, wide, 5, groups=wide, act=None), conv(wide, cout, 1, act=None)),
        )
        self.short = nn.Conv2d(cin, cout, 1) if cin != cout else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.body(x) + self.short(x))


def _doubles(cin: int, cout: int, count: int) -> nn.Sequential:
    """As the source repeats a block: each with the channels of the first."""
    return nn.Sequential(_Double(cin, cout), *(_Double(cout, cout) for _ in range(count - 1)))


class GearGuard(nn.Module):
    """Helmets and vests in an image of 320 x 192: YOLOv5's pyramid of BlazeFace's blocks."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            *(conv(3, 32, 6, 2), conv(32, 64, 3, 2), _doubles(64, 64, 1)),
            *(conv(64, 128, 3, 2), _doubles(128, 128, 1)),
        )
        self.middle = nn.Sequential(conv(128, 256, 3, 2), _doubles(256, 256, 3))
        self.coarse = nn.Sequential(conv(256, 512, 3, 2), _doubles(512, 512, 1), conv(512, 512))
        self.side5, self.side4 = conv(512, 256, 1), conv(256, 128, 1)
        self.up4, self.up3 = _doubles(512, 256, 1), _doubles(256, 128, 1)
        self.down3, self.down4 = conv(128, 128, 3, 2), conv(256, 256, 3, 2)
        self.out4, self.out5 = _doubles(256, 256, 1), _doubles(512, 512, 1)
        self.outputs = classes + 5
        self.heads = nn.ModuleList(nn.Conv2d(c, 3 * self.outputs, 1) for c in (128, 256, 512))

    def maps(self, image: torch.Tensor) -> list[torch.Tensor]:
        """The three maps that are detected on."""
        fine = self.fine(image)
        middle = self.middle(fine)
        top = self.side5(self.coarse(middle))
        side = self.side4(self.up4(torch.cat([twofold(top), middle], 1)))
        low = self.up3(torch.cat([twofold(side), fine], 1))
        four = self.out4(torch.cat([self.down3(low), side], 1))
        return [low, four, self.out5(torch.cat([self.down4(four), top], 1))]

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = []
        for head, x in zip(self.heads, self.maps(image), strict=True):
            y = head(x).permute(0, 2, 3, 1).reshape(1, -1, self.outputs).sigmoid()
            place, size, score = y.split((2, 2, self.outputs - 4), 2)
            found.append(torch.cat([place * 2.0 - 0.5, size * size * 4.0, score], 2))
        y = torch.cat(found, 1)
        best = (y[..., 5:] * y[..., 4:5]).max(-1)
        return y[..., :4], best.values, best.indices
