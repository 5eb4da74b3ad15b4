"""Detectors of the YOLO family after their published configurations."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from validation.aihub.layers import conv, silu, twofold

P = (8, 16, 32)
"""Strides of the three maps that are detected on."""


class Bottleneck(nn.Module):
    """Two 3x3 convolutions, or a 1x1 and a 3x3, added to their input where `add`."""

    def __init__(self, channels: int, add: bool, first: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(silu(channels, channels, first), silu(channels, channels, 3))
        self.add = add

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.add else self.body(x)


class C2f(nn.Module):
    """YOLOv8's block: every bottleneck's result is joined."""

    def __init__(self, cin: int, cout: int, count: int, add: bool) -> None:
        super().__init__()
        half = cout // 2
        self.enter, self.half = silu(cin, cout), half
        self.parts = nn.ModuleList(Bottleneck(half, add) for _ in range(count))
        self.leave = silu((2 + count) * half, cout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = list(self.enter(x).split((self.half, self.half), 1))
        for part in self.parts:
            y.append(part(y[-1]))
        return self.leave(torch.cat(y, 1))


class C3(nn.Module):
    """YOLOv5's block: bottlenecks beside a 1x1 convolution; `first` is its bottlenecks' kernel."""

    def __init__(self, cin: int, cout: int, count: int, add: bool) -> None:
        super().__init__()
        half = cout // 2
        self.one, self.two, self.three = silu(cin, half), silu(cin, half), silu(2 * half, cout)
        self.parts = nn.Sequential(*(Bottleneck(half, add, 1) for _ in range(count)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.three(torch.cat([self.parts(self.one(x)), self.two(x)], 1))


class Sppf(nn.Module):
    """Three poolings of 5x5, one after the other, joined."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = silu(channels, channels // 2)
        self.leave = silu(channels * 2, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = [self.enter(x)]
        for _ in range(3):
            y.append(functional.max_pool2d(y[-1], 5, 1, 2))
        return self.leave(torch.cat(y, 1))


class Backbone(nn.Module):
    """Five halvings with a block after each but the first, then the pyramid up and down again."""

    def __init__(self, block: type, widths: tuple[int, ...], counts: tuple[int, ...], first: int):
        super().__init__()
        w0, w1, w2, w3, w4 = widths
        ones, twos, threes, neck = counts[0], counts[1], counts[2], counts[3]
        self.stem = nn.Sequential(
            silu(3, w0, first, 2) if first == 3 else conv(3, w0, 6, 2, act=nn.SiLU),
            *(silu(w0, w1, 3, 2), block(w1, w1, ones, True)),
        )
        self.p3 = nn.Sequential(silu(w1, w2, 3, 2), block(w2, w2, twos, True))
        self.p4 = nn.Sequential(
            silu(w2, w3, 3, 2), block(w3, w3, twos if first == 3 else threes, True)
        )
        self.p5 = nn.Sequential(silu(w3, w4, 3, 2), block(w4, w4, ones, True), Sppf(w4))
        self.narrow = first != 3
        if self.narrow:
            self.side5, self.side4 = silu(w4, w3), silu(w3, w2)
            self.up4, self.up3 = block(2 * w3, w3, neck, False), block(2 * w2, w2, neck, False)
            self.down3, self.down4 = silu(w2, w2, 3, 2), silu(w3, w3, 3, 2)
            self.out4, self.out5 = block(2 * w2, w3, neck, False), block(2 * w3, w4, neck, False)
        else:
            self.up4 = block(w3 + w4, w3, neck, False)
            self.up3 = block(w2 + w3, w2, neck, False)
            self.down3, self.down4 = silu(w2, w2, 3, 2), silu(w3, w3, 3, 2)
            self.out4 = block(w2 + w3, w3, neck, False)
            self.out5 = block(w3 + w4, w4, neck, False)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        p3 = self.p3(self.stem(image))
        p4 = self.p4(p3)
        p5 = self.p5(p4)
        top = self.side5(p5) if self.narrow else p5
        middle = self.up4(torch.cat([twofold(top), p4], 1))
        side = self.side4(middle) if self.narrow else middle
        low = self.up3(torch.cat([twofold(side), p3], 1))
        four = self.out4(torch.cat([self.down3(low), side], 1))
        five = self.out5(torch.cat([self.down4(four), top], 1))
        return [low, four, five]


def scaled(depth: float, width: float, most: int = 1024) -> tuple[tuple[int, ...], float]:
    """Channels of the five maps at a width."""
    return tuple(int(min(c, most) * width + 7) // 8 * 8 for c in (64, 128, 256, 512, 1024)), depth


class Yolov8(nn.Module):
    """YOLOv8 with its anchor-free head; `masks` adds the prototypes and coefficients of masks."""

    def __init__(
        self, depth: float, width: float, most: int, classes: int = 80, masks: bool = False
    ) -> None:
        super().__init__()
        widths, _ = scaled(depth, width, most)
        short, long = max(round(3 * depth), 1), max(round(6 * depth), 1)
        self.features = Backbone(C2f, widths, (short, long, long, short), 3)
        maps = widths[2:]
        box, score = max(16, maps[0] // 4, 64), max(maps[0], min(classes, 100))
        self.boxes = nn.ModuleList(_head(c, box, 64) for c in maps)
        self.scores = nn.ModuleList(_head(c, score, classes) for c in maps)
        self.coefficients = self.prototypes = None
        if masks:
            wide = max(maps[0] // 4, 32)
            self.coefficients = nn.ModuleList(_head(c, wide, 32) for c in maps)
            kept = int(256 * width + 7) // 8 * 8
            self.prototypes = nn.Sequential(
                *(silu(maps[0], kept, 3), nn.ConvTranspose2d(kept, kept, 2, 2)),
                *(silu(kept, kept, 3), silu(kept, 32)),
            )
        self.register_buffer("bins", torch.arange(16.0))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = self.features(image)
        found = [_flat(h(m)) for h, m in zip(self.boxes, maps, strict=True)]
        boxes = torch.cat(found, 2).view(1, 4, 16, -1).transpose(1, 2).softmax(1)
        sides = (boxes * self.bins.view(1, 16, 1, 1)).sum(1)
        low, high = sides.chunk(2, 1)
        corners = torch.cat([(high - low) * 0.5, high + low], 1) * 8.0
        scores = [_flat(h(m)) for h, m in zip(self.scores, maps, strict=True)]
        best = torch.cat(scores, 2).sigmoid().transpose(1, 2).max(-1)
        more: list[torch.Tensor] = []
        if self.coefficients is not None and self.prototypes is not None:
            taken = [_flat(h(m)) for h, m in zip(self.coefficients, maps, strict=True)]
            more = [torch.cat(taken, 2), self.prototypes(maps[0])]
        return (corners.transpose(1, 2), best.values, best.indices, *more)


def _head(cin: int, between: int, cout: int) -> nn.Sequential:
    return nn.Sequential(
        silu(cin, between, 3), silu(between, between, 3), nn.Conv2d(between, cout, 1)
    )


def _flat(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2)


class Yolov5(nn.Module):
    """YOLOv5 with three anchors a cell; the boxes are scaled by sigmoids."""

    def __init__(self, depth: float, width: float, classes: int = 80) -> None:
        super().__init__()
        widths, _ = scaled(depth, width)
        counts = tuple(max(round(n * depth), 1) for n in (3, 6, 9, 3))
        self.features = Backbone(C3, widths, counts, 6)
        self.heads = nn.ModuleList(nn.Conv2d(c, 3 * (classes + 5), 1) for c in widths[2:])
        self.outputs = classes + 5

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = []
        for head, x in zip(self.heads, self.features(image), strict=True):
            y = head(x)
            y = y.view(1, 3, self.outputs, -1).permute(0, 1, 3, 2).sigmoid()
            place, size, score = y.split((2, 2, self.outputs - 4), 3)
            joined = torch.cat([place * 2.0 + 0.5, (size * 2) ** 2, score], 3)
            found.append(joined.reshape(1, -1, self.outputs))
        y = torch.cat(found, 1)
        best = (y[..., 5:] * y[..., 4:5]).max(-1)
        return y[..., :4], best.values, best.indices


class Yolox(nn.Module):
    """YOLOX (Ge et al. 2021, arXiv:2107.08430): the C3 backbone, heads with two branches."""

    def __init__(self, depth: float, width: float, classes: int = 80) -> None:
        super().__init__()
        widths, _ = scaled(depth, width)
        counts = tuple(max(round(n * depth), 1) for n in (3, 9, 9, 3))
        self.features = Backbone(C3, widths, counts, 6)
        wide = int(256 * width)
        self.stems = nn.ModuleList(silu(c, wide) for c in widths[2:])
        self.scores = nn.ModuleList(_head(wide, wide, classes) for _ in P)
        self.boxes = nn.ModuleList(
            nn.Sequential(silu(wide, wide, 3), silu(wide, wide, 3)) for _ in P
        )
        self.places = nn.ModuleList(nn.Conv2d(wide, 4, 1) for _ in P)
        self.objects = nn.ModuleList(nn.Conv2d(wide, 1, 1) for _ in P)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        boxes, scores = [], []
        for i, x in enumerate(self.features(image)):
            x = self.stems[i](x)
            y = self.boxes[i](x)
            boxes.append(self.places[i](y).flatten(2))
            score = self.scores[i](x).sigmoid() * self.objects[i](y).sigmoid()
            scores.append(score.flatten(2))
        best = torch.cat(scores, 2).transpose(1, 2).max(-1)
        return torch.cat(boxes, 2).transpose(1, 2), best.values, best.indices


def leaky(cin: int, cout: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """A convolution of YOLOv7-tiny."""
    return conv(cin, cout, kernel, stride, act=lambda: nn.LeakyReLU(0.1))


class Elan(nn.Module):
    """YOLOv7-tiny's block: two 1x1 convolutions beside a chain of two 3x3, joined."""

    def __init__(self, cin: int, half: int, cout: int) -> None:
        super().__init__()
        self.one, self.two = leaky(cin, half), leaky(cin, half)
        self.three, self.four = leaky(half, half, 3), leaky(half, half, 3)
        self.leave = leaky(4 * half, cout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.one(x), self.two(x)
        c = self.three(b)
        return self.leave(torch.cat([self.four(c), c, b, a], 1))


class TinySpp(nn.Module):
    """YOLOv7-tiny's pyramid pooling of 5, 9 and 13, beside a 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = leaky(512, 256), leaky(512, 256)
        self.joined, self.leave = leaky(1024, 256), leaky(512, 256)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.two(x)
        pooled = [functional.max_pool2d(a, k, 1, k // 2) for k in (13, 9, 5)]
        return self.leave(torch.cat([self.joined(torch.cat([*pooled, a], 1)), self.one(x)], 1))


class Yolov7Tiny(nn.Module):
    """YOLOv7-tiny (Wang et al. 2022, arXiv:2207.02696)."""

    def __init__(self, classes: int = 80) -> None:
        super().__init__()
        self.p2 = nn.Sequential(leaky(3, 32, 3, 2), leaky(32, 64, 3, 2), Elan(64, 32, 64))
        half = nn.MaxPool2d(2)
        self.p3 = nn.Sequential(half, Elan(64, 64, 128))
        self.p4 = nn.Sequential(half, Elan(128, 128, 256))
        self.p5 = nn.Sequential(half, Elan(256, 256, 512), TinySpp())
        self.side5, self.side4, self.route4, self.route3 = (
            *(leaky(256, 128), leaky(128, 64)),
            *(leaky(256, 128), leaky(128, 64)),
        )
        self.up4, self.up3 = Elan(256, 64, 128), Elan(128, 32, 64)
        self.down3, self.down4 = leaky(64, 128, 3, 2), leaky(128, 256, 3, 2)
        self.out4, self.out5 = Elan(256, 64, 128), Elan(512, 128, 256)
        self.last = nn.ModuleList(leaky(c, 2 * c, 3) for c in (64, 128, 256))
        self.heads = nn.ModuleList(nn.Conv2d(2 * c, 3 * (classes + 5), 1) for c in (64, 128, 256))
        self.outputs = classes + 5

    def features(self, image: torch.Tensor) -> list[torch.Tensor]:
        """The three maps before the heads."""
        p3 = self.p3(self.p2(image))
        p4 = self.p4(p3)
        top = self.p5(p4)
        four = self.up4(torch.cat([twofold(self.side5(top)), self.route4(p4)], 1))
        three = self.up3(torch.cat([twofold(self.side4(four)), self.route3(p3)], 1))
        middle = self.out4(torch.cat([self.down3(three), four], 1))
        low = self.out5(torch.cat([self.down4(middle), top], 1))
        return [m(x) for m, x in zip(self.last, (three, middle, low), strict=True)]

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return Yolov5.forward(self, image)
