"""Classifiers, poses, faces, segmentation and depth."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from validation.aihub.layers import (
    Residual,
    SqueezeExcite,
    Sum,
    basic_block,
    conv,
    resized,
    twofold,
)

MOBILENET = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5)
"""Channels and strides of MobileNet V1's separable convolutions, up to the last halving."""


def mobilenet_v1(channels: int, last: tuple[tuple[int, int], ...]) -> nn.Sequential:
    """MobileNet V1's features on images of so many channels, ending as `last` says."""
    layers: list[nn.Module] = [conv(channels, 32, 3, 2, act=nn.ReLU6)]
    cin = 32
    for cout, stride in (*MOBILENET, *last):
        layers += [
            conv(cin, cin, 3, stride, groups=cin, act=nn.ReLU6),
            conv(cin, cout, 1, act=nn.ReLU6),
        ]
        cin = cout
    return nn.Sequential(*layers)


def yamnet() -> nn.Module:
    """YAMNet: MobileNet V1 on a spectrogram of 96 x 64, 521 classes."""
    features = mobilenet_v1(1, ((1024, 2), (1024, 1)))
    return nn.Sequential(
        features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 521), nn.Sigmoid()
    )


class Posenet(nn.Module):
    """PoseNet: MobileNet V1 at a stride of 16 with four heads for 17 joints."""

    def __init__(self) -> None:
        super().__init__()
        self.features = mobilenet_v1(3, ((1024, 1), (1024, 1)))
        self.heads = nn.ModuleList(nn.Conv2d(1024, n, 1) for n in (17, 34, 32, 32))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.features(image)
        heat, *offsets = (head(x) for head in self.heads)
        heat = heat.sigmoid()
        return (heat, *offsets, functional.max_pool2d(heat, 3, 1, 1))


def cavaface() -> nn.Module:
    """IR-SE-100 for faces (Deng et al. 2019, arXiv:1801.07698), 112 x 112 to 512 numbers."""
    layers: list[nn.Module] = [conv(3, 64, act=lambda: nn.PReLU(64))]
    cin = 64
    for cout, count in ((64, 3), (128, 13), (256, 30), (512, 3)):
        for i in range(count):
            stride = 2 if i == 0 else 1
            body = nn.Sequential(
                nn.BatchNorm2d(cin),
                conv(cin, cout, norm=False, act=lambda c=cout: nn.PReLU(c)),
                conv(cout, cout, 3, stride, act=None),
                SqueezeExcite(cout, cout // 16),
            )
            pooled = (
                nn.MaxPool2d(1, stride) if cin == cout else conv(cin, cout, 1, stride, act=None)
            )
            layers.append(Residual(body, pooled, last=False))
            cin = cout
    return nn.Sequential(
        *layers, nn.BatchNorm2d(512), nn.Flatten(), nn.Linear(512 * 49, 512), nn.BatchNorm1d(512)
    )


class Pspnet(nn.Module):
    """PSPNet on a dilated ResNet-101 with three stem convolutions (Zhao 2017, arXiv:1612.01105).

    As in its authors' test (and AI Hub's model.py) the mirrored image runs beside the image.
    """

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet101

        body = resnet101(weights=None, replace_stride_with_dilation=[False, True, True])
        body.layer1[0].conv1 = nn.Conv2d(128, 64, 1, bias=False)
        body.layer1[0].downsample[0] = nn.Conv2d(128, 256, 1, bias=False)
        stem = nn.Sequential(conv(3, 64, 3, 2), conv(64, 64), conv(64, 128), nn.MaxPool2d(3, 2, 1))
        self.features = nn.Sequential(stem, body.layer1, body.layer2, body.layer3, body.layer4)
        self.bins = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(b), conv(2048, 512, 1)) for b in (1, 2, 3, 6)
        )
        self.last = nn.Sequential(conv(4096, 512), nn.Conv2d(512, 150, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.features(torch.cat([image, image.flip(3)], 0))
        size = (x.shape[2], x.shape[3])
        joined = torch.cat([x, *(resized(b(x), size) for b in self.bins)], 1)
        return resized(self.last(joined), (image.shape[2], image.shape[3]))[:1]


class Hrnet(nn.Module):
    """HRNet's features (timm) with a 1x1 convolution on the finest map, or on all joined."""

    def __init__(self, name: str, outputs: int, joined: bool) -> None:
        super().__init__()
        import timm

        self.net, self.joined = timm.create_model(name), joined
        channels = {"hrnet_w32": 32, "hrnet_w18": 270}[name]
        head: list[nn.Module] = [conv(channels, channels, 1)] if joined else []
        self.head = nn.Sequential(*head, nn.Conv2d(channels, outputs, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        net: Any = self.net
        x = net.act1(net.bn1(net.conv1(image)))
        x = net.act2(net.bn2(net.conv2(x)))
        maps = net.stages(x)
        if not self.joined:
            return self.head(maps[0])
        size = (maps[0].shape[2], maps[0].shape[3])
        return self.head(torch.cat([maps[0], *(resized(m, size) for m in maps[1:])], 1))


def _unit(channels: int) -> nn.Module:
    return Sum(
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, 1, 1),
    )


class Midas(nn.Module):
    """MiDaS v2.1 small: EfficientNet-Lite3's maps joined from coarse to fine (arXiv:1907.01341)."""

    def __init__(self) -> None:
        super().__init__()
        import timm

        self.features = timm.create_model(
            "tf_efficientnet_lite3", features_only=True, out_indices=(1, 2, 3, 4)
        )
        wide = (64, 128, 256, 512)
        channels = self.features.feature_info.channels()
        self.sides = nn.ModuleList(
            nn.Conv2d(c, w, 3, 1, 1, bias=False) for c, w in zip(channels, wide, strict=True)
        )
        self.units = nn.ModuleList(nn.ModuleList([_unit(w), _unit(w)]) for w in wide)
        self.narrow = nn.ModuleList(nn.Conv2d(w, max(w // 2, 64), 1) for w in wide)
        self.last = nn.Sequential(
            *(nn.Conv2d(64, 32, 3, 1, 1), nn.Upsample(scale_factor=2, mode="bilinear")),
            *(nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 1, 1), nn.ReLU()),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = [side(m) for side, m in zip(self.sides, self.features(image), strict=True)]
        x = torch.zeros(0)
        for level in (3, 2, 1, 0):
            one, two = self.units[level]
            y = maps[level] if level == 3 else x + one(maps[level])
            x = self.narrow[level](twofold(two(y), "bilinear"))
        return self.last(x)


class Bisenet(nn.Module):
    """BiSeNet on ResNet-18 (Yu et al. 2018, arXiv:1808.00897)."""

    def __init__(self, classes: int = 12) -> None:
        super().__init__()
        from torchvision.models import resnet18

        body = resnet18(weights=None)
        self.spatial = nn.Sequential(conv(3, 64, 3, 2), conv(64, 128, 3, 2), conv(128, 256, 3, 2))
        stem = nn.Sequential(body.conv1, body.bn1, body.relu, body.maxpool)
        self.low = nn.Sequential(stem, body.layer1, body.layer2, body.layer3)
        self.high = body.layer4
        self.gates = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(1), conv(c, c, 1, act=nn.Sigmoid))
            for c in (256, 512)
        )
        self.joined = conv(1024, classes)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            *(nn.Conv2d(classes, classes, 1), nn.ReLU(), nn.Conv2d(classes, classes, 1)),
            nn.Sigmoid(),
        )
        self.last = nn.Conv2d(classes, classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        low = self.low(image)
        high = self.high(low)
        low = low * self.gates[0](low)
        high = high * self.gates[1](high) * high.mean((2, 3), keepdim=True)
        fine = self.spatial(image)
        size = (fine.shape[2], fine.shape[3])
        x = self.joined(torch.cat([fine, resized(low, size), resized(high, size)], 1))
        x = x + x * self.gate(x)
        return self.last(resized(x, (image.shape[2], image.shape[3])))


class Craft(nn.Module):
    """CRAFT for text (Baek et al. 2019, arXiv:1904.01941): VGG-16 and a pyramid up."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import vgg16_bn

        layers = vgg16_bn(weights=None).features
        ends = (12, 19, 29, 39)
        self.parts = nn.ModuleList(layers[a:b] for a, b in zip((0, *ends[:-1]), ends, strict=True))
        self.last = nn.Sequential(
            nn.MaxPool2d(3, 1, 1), nn.Conv2d(512, 1024, 3, 1, 6, 6), nn.Conv2d(1024, 1024, 1)
        )
        sizes = [(1024 + 512, 512, 256), (256 + 512, 256, 128), (128 + 256, 128, 64)]
        sizes.append((64 + 128, 64, 32))
        self.ups = nn.ModuleList(nn.Sequential(conv(a, b, 1), conv(b, c)) for a, b, c in sizes)
        self.head = nn.Sequential(
            *(nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU()),
            *(nn.Conv2d(32, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU()),
            nn.Conv2d(16, 2, 1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps, x = [], image
        for part in self.parts:
            x = part(x)
            maps.append(x)
        x = self.ups[0](torch.cat([self.last(x), maps[3]], 1))
        for up, side in zip(self.ups[1:], reversed(maps[:3]), strict=True):
            x = up(torch.cat([resized(x, (side.shape[2], side.shape[3])), side], 1))
        return self.head(x).permute(0, 2, 3, 1)


class Dappm(nn.Module):
    """The pyramid pooling of DDRNet (Hong et al. 2021, arXiv:2101.06085)."""

    def __init__(self, cin: int, between: int, cout: int) -> None:
        super().__init__()

        def before(a: int, b: int, kernel: int = 1) -> nn.Module:
            return nn.Sequential(
                nn.BatchNorm2d(a), nn.ReLU(), nn.Conv2d(a, b, kernel, 1, kernel // 2, bias=False)
            )

        self.pools = nn.ModuleList(
            nn.Sequential(nn.AvgPool2d(k, s, k // 2), before(cin, between))
            for k, s in ((5, 2), (9, 4), (17, 8))
        )
        self.pools.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), before(cin, between)))
        self.first = before(cin, between)
        self.mixed = nn.ModuleList(before(between, between, 3) for _ in range(4))
        self.leave, self.shortcut = before(5 * between, cout), before(cin, cout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = (x.shape[2], x.shape[3])
        found = [self.first(x)]
        for pool, mixed in zip(self.pools, self.mixed, strict=True):
            found.append(mixed(resized(pool(x), size) + found[-1]))
        return self.leave(torch.cat(found, 1)) + self.shortcut(x)


class Ddrnet(nn.Module):
    """DDRNet-23-slim: a fine and a coarse branch that exchange twice."""

    def __init__(self, classes: int = 19, p: int = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *(conv(3, p, 3, 2), conv(p, p, 3, 2), basic_block(p, p), basic_block(p, p)),
            *(basic_block(p, 2 * p, 2), basic_block(2 * p, 2 * p)),
        )
        self.low3 = nn.Sequential(basic_block(2 * p, 4 * p, 2), basic_block(4 * p, 4 * p))
        self.high3 = nn.Sequential(basic_block(2 * p, 2 * p), basic_block(2 * p, 2 * p))
        self.low4 = nn.Sequential(basic_block(4 * p, 8 * p, 2), basic_block(8 * p, 8 * p))
        self.high4 = nn.Sequential(basic_block(2 * p, 2 * p), basic_block(2 * p, 2 * p))
        self.up3, self.up4 = conv(4 * p, 2 * p, 1, act=None), conv(8 * p, 2 * p, 1, act=None)
        self.down3 = conv(2 * p, 4 * p, 3, 2, act=None)
        self.down4 = nn.Sequential(conv(2 * p, 4 * p, 3, 2), conv(4 * p, 8 * p, 3, 2, act=None))
        self.high5, self.low5 = _wide_block(2 * p, 2 * p), _wide_block(8 * p, 8 * p, 2)
        self.pyramid = Dappm(16 * p, 4 * p, 4 * p)
        self.head = nn.Sequential(
            nn.BatchNorm2d(4 * p), nn.ReLU(), conv(4 * p, 2 * p), nn.Conv2d(2 * p, classes, 1)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image)
        size = (x.shape[2], x.shape[3])
        low, high = self.low3(x), self.high3(x)
        low, high = low + self.down3(high), high + resized(self.up3(low), size)
        low, high = self.low4(functional.relu(low)), self.high4(functional.relu(high))
        low, high = low + self.down4(high), high + resized(self.up4(low), size)
        high = self.high5(functional.relu(high))
        low = self.pyramid(self.low5(functional.relu(low)))
        return self.head(high + resized(low, size))


def _wide_block(cin: int, half: int, stride: int = 1) -> Residual:
    body = nn.Sequential(
        conv(cin, half, 1), conv(half, half, 3, stride), conv(half, 2 * half, 1, act=None)
    )
    return Residual(body, conv(cin, 2 * half, 1, stride, act=None), last=False)
