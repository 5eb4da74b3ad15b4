"""Detectors beside those of `yolo` (YOLOv3-tiny, v6, v10, boxes in space), and GPUNet."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from validation.aihub.layers import Sum, conv, silu, twofold
from validation.aihub.yolo import C2f, Sppf


class Distances(nn.Module):
    """YOLOv8's head: sides of boxes as distributions over 16 bins, and scores.

    `light` is v10's: scores by separable convolutions.
    """

    def __init__(self, channels: Sequence[int], classes: int = 80, light: bool = False) -> None:
        super().__init__()
        box, score = max(16, channels[0] // 4, 64), max(channels[0], min(classes, 100))
        self.boxes = nn.ModuleList(
            nn.Sequential(silu(c, box, 3), silu(box, box, 3), nn.Conv2d(box, 64, 1))
            for c in channels
        )
        self.scores = nn.ModuleList(self._scores(c, score, classes, light) for c in channels)
        self.register_buffer("bins", torch.arange(16.0))

    @staticmethod
    def _scores(cin: int, wide: int, classes: int, light: bool) -> nn.Sequential:
        if not light:
            return nn.Sequential(
                silu(cin, wide, 3), silu(wide, wide, 3), nn.Conv2d(wide, classes, 1)
            )
        return nn.Sequential(
            *(silu(cin, cin, 3, groups=cin), silu(cin, wide)),
            *(silu(wide, wide, 3, groups=wide), silu(wide, wide), nn.Conv2d(wide, classes, 1)),
        )

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        found = [h(m).flatten(2) for h, m in zip(self.boxes, maps, strict=True)]
        boxes = torch.cat(found, 2).view(1, 4, 16, -1).transpose(1, 2).softmax(1)
        sides = (boxes * self.bins.view(1, 16, 1, 1)).sum(1)
        low, high = sides.chunk(2, 1)
        corners = torch.cat([(high - low) * 0.5, high + low], 1) * 8.0
        scores = [h(m).flatten(2) for h, m in zip(self.scores, maps, strict=True)]
        best = torch.cat(scores, 2).sigmoid().transpose(1, 2).max(-1)
        return corners.transpose(1, 2), best.values, best.indices


class Yolov3Tiny(nn.Module):
    """YOLOv3-tiny with YOLOv8's head."""

    def __init__(self) -> None:
        super().__init__()
        wide, layers = (3, 16, 32, 64, 128, 256), []
        for a, b in itertools.pairwise(wide):
            layers += [silu(a, b, 3), nn.MaxPool2d(2)]
        self.fine = nn.Sequential(*layers[:-1])
        self.coarse = nn.Sequential(
            *(nn.MaxPool2d(2), silu(256, 512, 3), nn.ZeroPad2d((0, 1, 0, 1))),
            *(nn.MaxPool2d(2, 1), silu(512, 1024, 3), silu(1024, 256)),
        )
        self.out5, self.side, self.out4 = silu(256, 512, 3), silu(256, 128), silu(384, 256, 3)
        self.head = Distances((256, 512))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        fine = self.fine(image)
        coarse = self.coarse(fine)
        middle = self.out4(torch.cat([twofold(self.side(coarse)), fine], 1))
        return self.head([middle, self.out5(coarse)])


def _reps(channels: int, count: int) -> nn.Sequential:
    """RepVGG's blocks as they run: plain convolutions."""
    return nn.Sequential(*(conv(channels, channels) for _ in range(count)))


class _CspSppf(nn.Module):
    """Poolings one after the other beside a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter = nn.Sequential(conv(channels, half, 1), conv(half, half), conv(half, half, 1))
        self.beside = conv(channels, half, 1)
        self.leave = nn.Sequential(conv(4 * half, half, 1), conv(half, half))
        self.last = conv(2 * half, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = [self.enter(x)]
        for _ in range(3):
            y.append(functional.max_pool2d(y[-1], 5, 1, 2))
        return self.last(torch.cat([self.beside(x), self.leave(torch.cat(y, 1))], 1))


class _BiFusion(nn.Module):
    """A coarse map, one of the size and a fine one, joined."""

    def __init__(self, coarse: int, middle: int, fine: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(coarse, coarse, 2, 2)
        self.side = conv(middle, coarse, 1)
        self.down = nn.Sequential(conv(fine, coarse, 1), conv(coarse, coarse, 3, 2))
        self.last = conv(3 * coarse, coarse, 1)

    def forward(self, x: torch.Tensor, middle: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        return self.last(torch.cat([self.up(x), self.side(middle), self.down(fine)], 1))


class Yolov6(nn.Module):
    """YOLOv6-N 3.0 as it runs (Li et al. 2023, arXiv:2301.05586)."""

    def __init__(self, classes: int = 80) -> None:
        super().__init__()
        wide, counts = (16, 32, 64, 128, 256), (2, 4, 6, 2)
        self.stem = conv(3, 16, 3, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(conv(a, b, 3, 2), _reps(b, n))
            for a, b, n in zip(wide, wide[1:], counts, strict=False)
        )
        self.pyramid = _CspSppf(256)
        self.narrow0, self.join0, self.rep4 = conv(256, 64, 1), _BiFusion(64, 128, 64), _reps(64, 4)
        self.narrow1, self.join1, self.rep3 = conv(64, 32, 1), _BiFusion(32, 64, 32), _reps(32, 4)
        self.down2, self.rep_n3 = conv(32, 32, 3, 2), _reps(64, 4)
        self.down1, self.rep_n4 = conv(64, 64, 3, 2), _reps(128, 4)
        sizes = (32, 64, 128)
        self.stems = nn.ModuleList(silu(c, c) for c in sizes)
        self.scores = nn.ModuleList(
            nn.Sequential(silu(c, c, 3), nn.Conv2d(c, classes, 1), nn.Sigmoid()) for c in sizes
        )
        self.boxes = nn.ModuleList(nn.Sequential(silu(c, c, 3), nn.Conv2d(c, 4, 1)) for c in sizes)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps, x = [], self.stem(image)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        p2, p3, p4, _ = maps
        top = self.narrow0(self.pyramid(x))
        four = self.rep4(self.join0(top, p4, p3))
        side = self.narrow1(four)
        low = self.rep3(self.join1(side, p3, p2))
        middle = self.rep_n3(torch.cat([self.down2(low), side], 1))
        high = self.rep_n4(torch.cat([self.down1(middle), top], 1))
        boxes, scores = [], []
        for i, m in enumerate((low, middle, high)):
            y = self.stems[i](m)
            boxes.append(self.boxes[i](y).flatten(2))
            scores.append(self.scores[i](y).flatten(2))
        near, far = torch.cat(boxes, 2).transpose(1, 2).chunk(2, 2)
        best = torch.cat(scores, 2).transpose(1, 2).max(-1)
        return torch.cat([-near, far], 2) * 8.0, best.values, best.indices


def _halving(cin: int, cout: int) -> nn.Sequential:
    """YOLOv10's halving: a 1x1 convolution, then one by channel."""
    return nn.Sequential(silu(cin, cout), conv(cout, cout, 3, 2, groups=cout, act=None))


class _Attention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.value = heads, channels // heads
        self.key = self.value // 2
        self.mixed = conv(channels, channels + 2 * heads * self.key, 1, act=None)
        self.place = conv(channels, channels, groups=channels, act=None)
        self.leave = conv(channels, channels, 1, act=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = x.shape
        flat = self.mixed(x).view(1, self.heads, 2 * self.key + self.value, -1)
        q, k, v = flat.split((self.key, self.key, self.value), 2)
        seen = v @ (q.transpose(2, 3) @ k * self.key**-0.5).softmax(-1).transpose(2, 3)
        return self.leave(seen.reshape(shape) + self.place(v.reshape(shape)))


class _Psa(nn.Module):
    """Attention over half of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter, self.leave, self.half = silu(channels, channels), silu(channels, channels), half
        self.body = nn.Sequential(
            Sum(_Attention(half, max(half // 64, 1))),
            Sum(silu(half, 2 * half), conv(2 * half, half, 1, act=None)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.enter(x).split((self.half, self.half), 1)
        return self.leave(torch.cat([a, self.body(b)], 1))


class _C2fCib(C2f):
    """C2f of one inverted block with a window of 7x7."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, 1, True)
        half = cout // 2
        body = [silu(half, half, 3, groups=half), silu(half, 2 * half)]
        body += [silu(2 * half, 2 * half, 7, groups=2 * half), silu(2 * half, half)]
        self.parts = nn.ModuleList([Sum(*body, silu(half, half, 3, groups=half))])


class Yolov10(nn.Module):
    """YOLOv10-N (Wang et al. 2024, arXiv:2405.14458)."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            *(silu(3, 16, 3, 2), silu(16, 32, 3, 2), C2f(32, 32, 1, True)),
            *(silu(32, 64, 3, 2), C2f(64, 64, 2, True)),
        )
        self.middle = nn.Sequential(_halving(64, 128), C2f(128, 128, 2, True))
        self.coarse = nn.Sequential(
            _halving(128, 256), C2f(256, 256, 1, True), Sppf(256), _Psa(256)
        )
        self.up4, self.up3 = C2f(384, 128, 1, False), C2f(192, 64, 1, False)
        self.down3, self.out4 = silu(64, 64, 3, 2), C2f(192, 128, 1, False)
        self.down4, self.out5 = _halving(128, 128), _C2fCib(384, 256)
        self.head = Distances((64, 128, 256), light=True)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        fine = self.fine(image)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        four = self.up4(torch.cat([twofold(coarse), middle], 1))
        low = self.up3(torch.cat([twofold(four), fine], 1))
        four = self.out4(torch.cat([self.down3(low), four], 1))
        return self.head([low, four, self.out5(torch.cat([self.down4(four), coarse], 1))])


class BoxInSpace(nn.Module):
    """Size and direction of what a box holds (Mousavian et al. 2017, arXiv:1612.00496): VGG-19."""

    def __init__(self, bins: int = 2) -> None:
        super().__init__()
        from torchvision.models import vgg19_bn

        self.features, self.bins = vgg19_bn(weights=None).features, bins
        self.heads = nn.ModuleList(
            nn.Sequential(
                *(nn.Linear(512 * 49, n), nn.ReLU(), nn.Linear(n, n), nn.ReLU()), nn.Linear(n, out)
            )
            for n, out in ((256, 2 * bins), (256, bins), (512, 3))
        )

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.features(image).flatten(1)
        turn, sure, size = (head(x) for head in self.heads)
        return functional.normalize(turn.view(-1, self.bins, 2), dim=2), sure, size


def _expanding(cin: int, cout: int, stride: int, act: type[nn.Module]) -> nn.Module:
    """Inverted residual of five times the channels."""
    wide = 5 * cin
    body = [conv(cin, wide, 1, act=act), conv(wide, wide, 3, stride, groups=wide, act=act)]
    body.append(conv(wide, cout, 1, act=None))
    return Sum(*body) if cin == cout and stride == 1 else nn.Sequential(*body)


def _dense_expanding(cin: int, cout: int, stride: int) -> nn.Module:
    body = [conv(cin, 5 * cin, 3, stride), conv(5 * cin, cout, 1, act=None)]
    return Sum(*body) if cin == cout and stride == 1 else nn.Sequential(*body)


def gpunet() -> nn.Module:
    """GPUNet-0 (Wang et al. 2022, arXiv:2205.00841) without gates: the parameters AI Hub states."""
    return nn.Sequential(
        *(conv(3, 32, 3, 2, act=nn.SiLU), conv(32, 32), conv(32, 32)),
        *(_dense_expanding(32, 32, 2), _dense_expanding(32, 32, 1)),
        *(_dense_expanding(32, 64, 2), _dense_expanding(64, 64, 1), _dense_expanding(64, 64, 1)),
        _expanding(64, 256, 2, nn.SiLU),
        *(_expanding(256, 256, 1, nn.SiLU) for _ in range(2)),
        *(_expanding(256, 704, 2, nn.ReLU), _expanding(704, 704, 1, nn.ReLU)),
        *(conv(704, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)),
    )
