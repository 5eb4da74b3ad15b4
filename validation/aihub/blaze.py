"""MediaPipe's networks of faces, hands and bodies: BlazeFace's blocks (arXiv:1907.05047)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from validation.aihub.layers import SqueezeExcite, Sum, conv, twofold

Step = tuple[int, int]
"""Channels that a block leaves, and its stride."""


class Blaze(nn.Module):
    """A separable convolution added to its input, whose new channels are zero or projected."""

    def __init__(
        self, cin: int, step: Step, kernel: int = 3, prelu: bool = False, project: bool = False
    ) -> None:
        super().__init__()
        cout, stride = step
        self.body = nn.Sequential(
            nn.Conv2d(cin, cin, kernel, stride, kernel // 2, groups=cin), nn.Conv2d(cin, cout, 1)
        )
        self.pool = nn.MaxPool2d(2) if stride == 2 else None
        self.project = nn.Conv2d(cin, cout, 1) if project and stride == 2 else None
        self.more = cout - cin
        self.act = nn.PReLU(cout) if prelu else nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = x if self.pool is None else self.pool(x)
        if self.project is not None:
            short = self.project(short)
        elif self.more:
            short = functional.pad(short, (0, 0, 0, 0, 0, self.more))
        return self.act(self.body(x) + short)


def chain(cin: int, steps: Sequence[Step], kernel: int = 3, **more: bool) -> nn.Sequential:
    """Blocks one after the other."""
    blocks = []
    for step in steps:
        blocks.append(Blaze(cin, step, kernel, **more))
        cin = step[0]
    return nn.Sequential(*blocks)


def stage(channels: int, count: int, stride: int = 2) -> list[Step]:
    """A block of a stride and so many at the same size after it."""
    return [(channels, stride), *[(channels, 1)] * count]


def stem(channels: int, kernel: int = 3, stride: int = 2, prelu: bool = False) -> nn.Sequential:
    """The first convolution, of an image."""
    act = nn.PReLU(channels) if prelu else nn.ReLU()
    return nn.Sequential(nn.Conv2d(3, channels, kernel, stride, kernel // 2), act)


class Detector(nn.Module):
    """Maps of several sizes, each with scores and boxes of its anchors."""

    def __init__(self, parts: Sequence[nn.Module], heads: Sequence[tuple[int, int]], numbers: int):
        super().__init__()
        self.parts, self.numbers = nn.ModuleList(parts), numbers
        self.scores = nn.ModuleList(nn.Conv2d(c, n, 1) for c, n in heads)
        self.boxes = nn.ModuleList(nn.Conv2d(c, n * numbers, 1) for c, n in heads)

    def maps(self, image: torch.Tensor) -> list[torch.Tensor]:
        """The maps that are detected on."""
        found, x = [], image
        for part in self.parts:
            x = part(x)
            found.append(x)
        return found

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = self.maps(image)
        boxes = [_flat(h(m), self.numbers) for h, m in zip(self.boxes, maps, strict=True)]
        scores = [_flat(h(m), 1) for h, m in zip(self.scores, maps, strict=True)]
        return (*boxes, *scores)


def _flat(x: torch.Tensor, numbers: int) -> torch.Tensor:
    return x.permute(0, 2, 3, 1).reshape(1, -1, numbers)


def face_detector() -> nn.Module:
    """BlazeFace for the camera at the back, 256 x 256."""
    body = chain(24, [*stage(24, 6, 1), *stage(24, 7), *stage(48, 7), *stage(96, 7)])
    last = nn.Sequential(nn.Conv2d(96, 96, 3, 2, 1, groups=96), nn.Conv2d(96, 96, 1), nn.ReLU())
    return Detector([nn.Sequential(stem(24, 5), body), last], [(96, 2), (96, 6)], 16)


def pose_detector() -> nn.Module:
    """BlazePose's detector, 128 x 128: the first convolution keeps the size."""
    steps = [*stage(48, 2, 1), *stage(64, 3), *stage(96, 6), *stage(128, 7)]
    body = nn.Sequential(stem(48, 5, 1), chain(48, steps, 5, project=True))
    last = chain(128, stage(256, 6), 5, project=True)
    return Detector([body, last], [(128, 2), (256, 6)], 12)


class PalmDetector(Detector):
    """The detector of palms, 256 x 256: a pyramid down and up again."""

    def __init__(self) -> None:
        body = [*stage(32, 6, 1), *stage(64, 7), *stage(128, 7)]
        parts = [
            nn.Sequential(stem(32), chain(32, body)),
            *(chain(128, stage(256, 7)), chain(256, stage(256, 7))),
        ]
        super().__init__(parts, [(128, 2), (256, 2), (256, 6)], 18)
        self.up2 = nn.Sequential(nn.ConvTranspose2d(256, 256, 2, 2), nn.ReLU())
        self.up1 = nn.Sequential(nn.ConvTranspose2d(256, 128, 2, 2), nn.ReLU())
        self.middle, self.fine = Blaze(256, (256, 1)), Blaze(128, (128, 1))

    def maps(self, image: torch.Tensor) -> list[torch.Tensor]:
        fine, middle, coarse = super().maps(image)
        middle = self.middle(middle + self.up2(coarse))
        return [self.fine(fine + self.up1(middle)), middle, coarse]

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = super().forward(image)
        return torch.cat(found[:3], 1), torch.cat(found[3:], 1)


class FaceLandmarks(nn.Module):
    """468 points of a face of 192 x 192, and whether there is one."""

    def __init__(self) -> None:
        super().__init__()
        steps = [
            *(*stage(16, 1, 1), *stage(32, 2), *stage(64, 2)),
            *(*stage(128, 2), *stage(128, 2)),
        ]
        self.body = nn.Sequential(stem(16, prelu=True), chain(16, steps, prelu=True))
        self.points = _landmark_head(2, 1404)
        self.flag = _landmark_head(0, 1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.body(image)
        return self.flag(x).sigmoid().view(-1), self.points(x).view(-1, 468, 3) / 192


def _landmark_head(count: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        chain(128, stage(128, count), prelu=True),
        *(nn.Conv2d(128, 32, 1), nn.PReLU(32), chain(32, [(32, 1)], prelu=True)),
        nn.Conv2d(32, outputs, 3),
    )


class HandLandmarks(nn.Module):
    """21 points of a hand of 256 x 256."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(stem(24), chain(24, [(24, 1), (24, 1), (48, 2)], 5))
        self.downs = nn.ModuleList(chain(c, [(c, 1), (c, 1), (96, 2)], 5) for c in (48, 96, 96))
        self.five, self.six = Blaze(96, (96, 1), 5), Blaze(96, (96, 1), 5)
        self.seven = nn.Conv2d(96, 48, 1)
        wide = [step for _ in range(4) for step in stage(288, 4)]
        self.eight = chain(48, [*[(48, 1)] * 4, *stage(96, 4), *wide], 5)
        self.heads = nn.ModuleList(nn.Conv2d(288, n, 2) for n in (1, 1, 63))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.one(image)
        y = self.downs[0](x)
        z = self.downs[1](y)
        z = self.five(z + twofold(self.downs[2](z), "bilinear"))
        y = self.seven(self.six(y + twofold(z, "bilinear")))
        x = self.eight(x + twofold(y, "bilinear"))
        flag, side, points = (head(x) for head in self.heads)
        return flag.view(-1).sigmoid(), side.view(-1).sigmoid(), points.view(-1, 21, 3) / 256


class PoseLandmarks(nn.Module):
    """25 points of a body of 256 x 256; the mask that nobody asks for is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(stem(24), chain(24, [(24, 1)] * 2))
        wide = (24, 48, 96, 192, 288)
        counts = (3, 4, 5, 6)
        self.downs = nn.ModuleList(
            chain(wide[i], stage(wide[i + 1], n)) for i, n in enumerate(counts)
        )
        self.sides = nn.ModuleList(_side(c, 48) for c in wide[1:])
        self.again = nn.ModuleList(
            chain(48 if i == 1 else wide[i], stage(wide[i + 1], counts[i])) for i in (1, 2, 3)
        )
        self.joins = nn.ModuleList(_side(c, c) for c in wide[2:])
        self.last = chain(288, [*stage(288, 7), *stage(288, 6), (288, 1)])
        self.flag, self.points = nn.Conv2d(288, 1, 2), nn.Conv2d(288, 124, 2)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps, x = [], self.one(image)
        for down in self.downs:
            x = down(x)
            maps.append(x)
        y = self.sides[3](maps[3])
        for i in (2, 1, 0):
            y = self.sides[i](maps[i]) + twofold(y, "bilinear")
        for again, join, side in zip(self.again, self.joins, maps[1:], strict=True):
            y = again(y) + join(side)
        y = self.last(y)
        points = self.points(y).view(1, 31, 4) / 256
        return self.flag(y).view(-1).sigmoid(), points[:, :25]


def _side(cin: int, cout: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(cin, cin, 3, 1, 1, groups=cin), nn.Conv2d(cin, cout, 1), nn.ReLU()
    )


def _narrowing(
    cin: int, wide: int, cout: int, shape: tuple[int, int], act: type[nn.Module]
) -> list[nn.Module]:
    """Expand, filter each channel (kernel and stride), reduce; no normalisation is left."""
    kernel, stride = shape
    return [
        conv(cin, wide, 1, norm=False, act=act),
        conv(wide, wide, kernel, stride, norm=False, act=act, groups=wide),
        nn.Conv2d(wide, cout, 1),
    ]


def _gated(cin: int, wide: int, cout: int, stride: int) -> list[nn.Module]:
    enter, each, leave = _narrowing(cin, wide, cout, (5, stride), nn.Hardswish)
    return [enter, each, SqueezeExcite(wide, wide // 4), leave]


class _Upward(nn.Module):
    """Twice the size, joined with a finer map that is weighed by channel."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(cin, cout, 1)
        self.gate = SqueezeExcite(cout, cout).gate
        self.leave = conv(cout, cout, 1, norm=False)
        self.each = conv(cout, cout, norm=False, groups=cout)

    def forward(self, x: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        x = self.enter(twofold(x, "bilinear"))
        x = self.leave(x + side * self.gate(x + side))
        return x + self.each(x)


class Selfie(nn.Module):
    """The mask of a person in an image of 256 x 256: MobileNetV3's blocks and a light decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.one = conv(3, 16, 3, 2, norm=False, act=nn.Hardswish)
        first = conv(16, 16, 3, 2, norm=False, groups=16)
        self.two = nn.Sequential(
            *(conv(16, 16, 1, norm=False), first, SqueezeExcite(16, 8), nn.Conv2d(16, 16, 1))
        )
        self.three = nn.Sequential(
            *_narrowing(16, 72, 24, (3, 2), nn.ReLU), Sum(*_narrowing(24, 88, 24, (3, 1), nn.ReLU))
        )
        rest = [Sum(*_gated(32, wide, 32, 1)) for wide in (128, 128, 96, 96)]
        self.four = nn.Sequential(*_gated(24, 96, 32, 2), *rest)
        self.top = conv(32, 128, 1, norm=False)
        self.weigh = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(32, 128, 1), nn.Sigmoid())
        self.ups = nn.ModuleList(_Upward(a, b) for a, b in ((128, 24), (24, 16), (16, 16)))
        self.last = nn.ConvTranspose2d(16, 1, 2, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        one = self.one(image)
        two = self.two(one)
        three = self.three(two)
        four = self.four(three)
        x = self.top(four) * self.weigh(four)
        for up, side in zip(self.ups, (three, two, one), strict=True):
            x = up(x, side)
        return self.last(x).sigmoid()


class HandPoints(nn.Module):
    """21 points of a hand of 224 x 224 in the image and in the room: EfficientNet-Lite's blocks."""

    BLOCKS = (
        *((16, 64, 24, 3, 2), (24, 144, 24, 3, 1), (24, 144, 40, 5, 2), (40, 240, 40, 5, 1)),
        *((40, 240, 80, 3, 2), (80, 480, 80, 3, 1), (80, 480, 80, 3, 1), (80, 480, 112, 5, 1)),
        *((112, 672, 112, 5, 1), (112, 672, 112, 5, 1), (112, 672, 192, 5, 2)),
        *[(192, 1152, 192, 5, 1)] * 3,
    )
    """Channels before, within and after, kernel and stride."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            conv(3, 24, 3, 2, norm=False, act=nn.ReLU6),
            conv(24, 24, norm=False, act=nn.ReLU6, groups=24),
            nn.Conv2d(24, 16, 1),
        ]
        for cin, wide, cout, kernel, stride in self.BLOCKS:
            body = _narrowing(cin, wide, cout, (kernel, stride), nn.ReLU6)
            layers.append(Sum(*body) if cin == cout and stride == 1 else nn.Sequential(*body))
        layers += [
            conv(192, 1152, 1, norm=False, act=nn.ReLU6),
            conv(1152, 1152, norm=False, act=nn.ReLU6, groups=1152),
        ]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.heads = nn.ModuleList(nn.Linear(1152, n) for n in (63, 1, 1, 63))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.body(image)
        points, score, side, room = (head(x) for head in self.heads)
        return points, score.sigmoid(), side.sigmoid(), room
