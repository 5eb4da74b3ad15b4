"""Networks that pnnx exports for ncnn: small modules of each operator, timm's and torchvision's.

`python tests/formats/ncnn_networks.py` makes samples/ncnn_networks.json.gz anew, from packages that
no test needs: torch, torchvision (BSD-3), timm (Apache-2.0) and pnnx. The file holds structure
only; weights were random and are left out.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

torch.manual_seed(0)
torch.backends.mha.set_fastpath_enabled(False)

Case = tuple[Callable[[], nn.Module], Sequence[tuple[int, ...]]]


class Wrapped(nn.Module):
    """A function of tensors as a module, with the modules that it uses."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleDict(parts)

    def forward(self, *tensors: Tensor) -> Any:
        return self.function(*tensors, **self.parts)


def of(function: Callable[..., Any], **parts: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Wrapped(function, **parts)


def pictures(function: Callable[..., Any], **parts: nn.Module) -> Callable[[], nn.Module]:
    """A function behind a convolution, which tells the exporter where the batch is."""
    return lambda: _Led(function, nn.Conv2d(8, 8, 1), parts)


def rows(function: Callable[..., Any], **parts: nn.Module) -> Callable[[], nn.Module]:
    return lambda: _Led(function, nn.Conv1d(8, 8, 1), parts)


def volumes(function: Callable[..., Any], **parts: nn.Module) -> Callable[[], nn.Module]:
    return lambda: _Led(function, nn.Conv3d(4, 4, 1), parts)


class _Led(nn.Module):
    def __init__(
        self, function: Callable[..., Any], lead: nn.Module, parts: dict[str, nn.Module]
    ) -> None:
        super().__init__()
        self.lead = lead
        self.inner = Wrapped(function, **parts)

    def forward(self, x: Tensor, *others: Tensor) -> Any:
        return self.inner(self.lead(x), *others)


def attention(x: Tensor, q: nn.Module, k: nn.Module, v: nn.Module, o: nn.Module) -> Tensor:
    """Attention as timm writes it, four heads of 16."""
    n, length, width = x.shape
    split = [f(x).reshape(n, length, 4, width // 4).transpose(1, 2) for f in (q, k, v)]
    scores = (split[0] @ split[1].transpose(-2, -1)) * 0.25
    mixed = scores.softmax(-1) @ split[2]
    return o(mixed.transpose(1, 2).reshape(n, length, width))


IMAGE, ROWS, VOLUME = (1, 8, 20, 24), (1, 8, 20), (1, 4, 6, 10, 12)
LINEAR = {name: nn.Linear(64, 64) for name in "qkvo"}
MODULES: dict[str, Case] = {
    "conv1d": (lambda: nn.Conv1d(8, 16, 3, stride=2, padding=1), [ROWS]),
    "conv1d_dilated": (lambda: nn.Conv1d(8, 16, 3, dilation=2), [ROWS]),
    "conv1d_same": (lambda: nn.Conv1d(8, 16, 4, padding="same"), [ROWS]),
    "conv1d_depthwise": (lambda: nn.Conv1d(8, 8, 5, padding=2, groups=8), [ROWS]),
    "conv1d_grouped": (lambda: nn.Conv1d(8, 16, 3, groups=2), [ROWS]),
    "conv3d": (lambda: nn.Conv3d(4, 8, 3, stride=(1, 2, 2), padding=1), [VOLUME]),
    "conv3d_depthwise": (lambda: nn.Conv3d(4, 4, (1, 3, 3), groups=4), [VOLUME]),
    "conv3d_grouped": (lambda: nn.Conv3d(4, 8, 3, groups=2), [VOLUME]),
    "deconv1d": (lambda: nn.ConvTranspose1d(8, 6, 4, stride=2, padding=1), [ROWS]),
    "deconv1d_grouped": (
        lambda: nn.ConvTranspose1d(8, 6, 3, stride=2, groups=2, output_padding=1),
        [ROWS],
    ),
    "deconv2d": (
        lambda: nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1),
        [IMAGE],
    ),
    "deconv2d_depthwise": (lambda: nn.ConvTranspose2d(8, 8, 4, stride=2, groups=8), [IMAGE]),
    "deconv3d": (lambda: nn.ConvTranspose3d(4, 6, 3, stride=2, padding=1), [VOLUME]),
    "pool1d": (of(lambda x: F.max_pool1d(x, 3, 2, 1) + F.avg_pool1d(x, 3, 2, 1)), [ROWS]),
    "pool2d_ceil": (
        of(lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True)),
        [(1, 8, 21, 24)],
    ),
    "pool3d": (of(lambda x: F.max_pool3d(x, 2) + F.avg_pool3d(x, 2)), [VOLUME]),
    "adaptive_pools": (
        of(lambda x, y: (F.adaptive_avg_pool2d(x, (5, 7)), F.adaptive_avg_pool1d(y, 3))),
        [IMAGE, ROWS],
    ),
    "global_pools": (
        of(lambda x, y: (F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool1d(y, 1))),
        [IMAGE, ROWS],
    ),
    "group_norm": (lambda: nn.GroupNorm(4, 8), [IMAGE]),
    "group_norm_rows": (lambda: nn.GroupNorm(4, 8), [ROWS]),
    "instance_norm": (lambda: nn.InstanceNorm2d(8, affine=True), [IMAGE]),
    "layer_norm": (lambda: nn.LayerNorm(24), [IMAGE]),
    "layer_norm_rows": (lambda: nn.LayerNorm(20), [ROWS]),
    "rms_norm": (lambda: nn.RMSNorm(20), [ROWS]),
    "layer_norm_channels": (
        pictures(lambda x, n: n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), n=nn.LayerNorm(8)),
        [IMAGE],
    ),
    "batch_norms": (
        of(
            lambda x, y, z, a, b, c: (a(x), b(y), c(z)),
            a=nn.BatchNorm2d(8),
            b=nn.BatchNorm1d(8),
            c=nn.BatchNorm3d(4),
        ),
        [IMAGE, ROWS, VOLUME],
    ),
    "attention": (of(attention, **LINEAR), [(1, 10, 64)]),
    "sdpa_masked": (
        of(lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m)),
        [(1, 4, 6, 16), (1, 4, 9, 16), (1, 4, 9, 16), (1, 4, 6, 9)],
    ),
    "multi_head": (
        of(
            lambda x, a: a(x, x, x, need_weights=False)[0],
            a=nn.MultiheadAttention(64, 4, batch_first=True),
        ),
        [(1, 10, 64)],
    ),
    "multi_head_cross": (
        of(
            lambda x, y, a: a(x, y, y, need_weights=False)[0],
            a=nn.MultiheadAttention(64, 4, kdim=32, vdim=32, batch_first=True),
        ),
        [(1, 10, 64), (1, 7, 32)],
    ),
    "transformer_layer": (
        lambda: nn.TransformerEncoderLayer(64, 4, 128, batch_first=True),
        [(1, 10, 64)],
    ),
    "lstm": (of(lambda x, r: r(x)[0], r=nn.LSTM(20, 12, batch_first=True)), [(1, 9, 20)]),
    "lstm_both_ways": (
        of(lambda x, r: r(x)[0], r=nn.LSTM(20, 12, bidirectional=True, batch_first=True)),
        [(1, 9, 20)],
    ),
    "lstm_projected": (
        of(lambda x, r: r(x)[0], r=nn.LSTM(20, 12, proj_size=5, batch_first=True)),
        [(1, 9, 20)],
    ),
    "lstm_states": (
        of(lambda x, h, c, r: r(x, (h, c)), r=nn.LSTM(20, 12, batch_first=True)),
        [(1, 9, 20), (1, 1, 12), (1, 1, 12)],
    ),
    "gru_states": (
        of(lambda x, h, r: r(x, h), r=nn.GRU(20, 12, batch_first=True)),
        [(1, 9, 20), (1, 1, 12)],
    ),
    "rnn": (of(lambda x, r: r(x)[0], r=nn.RNN(20, 12, batch_first=True)), [(1, 9, 20)]),
    "gru_layers": (
        of(lambda x, r: r(x)[0], r=nn.GRU(20, 12, 2, bidirectional=True, batch_first=True)),
        [(1, 9, 20)],
    ),
    "matmul_2d": (of(lambda a, b: a @ b), [(1, 6, 8), (1, 8, 5)]),
    "matmul_3d": (of(lambda a, b: a @ b), [(1, 3, 6, 8), (1, 3, 8, 5)]),
    "matmul_4d": (of(lambda a, b: a @ b), [(1, 2, 3, 6, 8), (1, 2, 3, 8, 5)]),
    "matmul_weights": (
        of(lambda a, w: a @ w.weight, w=nn.Linear(5, 8)),
        [(1, 3, 6, 8)],
    ),
    "linear_of_pictures": (lambda: nn.Linear(24, 7), [IMAGE]),
    "permute_3d": (pictures(lambda x: x.permute(0, 2, 3, 1)), [IMAGE]),
    "permute_4d": (volumes(lambda x: x.permute(0, 4, 2, 1, 3)), [VOLUME]),
    "squeezes": (pictures(lambda x: x.mean(2, keepdim=True).squeeze(2).unsqueeze(2)), [IMAGE]),
    "chunks": (pictures(lambda x: torch.chunk(x, 4, 1) + torch.split(x, [5, 15], 2)), [IMAGE]),
    "concatenations": (
        pictures(lambda x, y: (torch.cat([x, y], 1), torch.stack([x, x], 1))),
        [IMAGE, (1, 3, 20, 24)],
    ),
    "reductions": (
        pictures(lambda x: (x.mean((2, 3)), x.sum(1), x.amax(3, keepdim=True), x.norm(dim=1))),
        [IMAGE],
    ),
    "reductions_of_volumes": (
        volumes(lambda x: (x.mean((2, 3, 4)), x.mean(1), x.sum(2))),
        [VOLUME],
    ),
    "grid_sample": (
        of(lambda x, g: F.grid_sample(x, g, align_corners=True)),
        [IMAGE, (1, 10, 11, 2)],
    ),
    "fold": (
        of(lambda x: F.fold(F.unfold(x, 3, padding=1), (20, 24), 3, padding=1)),
        [IMAGE],
    ),
    "pads": (
        of(lambda x: (F.pad(x, (1, 2, 3, 4)), F.pad(x, (1, 1, 1, 1), mode="reflect"))),
        [IMAGE],
    ),
    "pads_of_rows": (of(lambda x: F.pad(x, (2, 3), mode="replicate")), [ROWS]),
    "upsamples": (
        of(
            lambda x: (
                F.interpolate(x, scale_factor=2.0),
                F.interpolate(x, (30, 31), mode="bilinear"),
                F.interpolate(x, scale_factor=1.5, mode="bicubic"),
            )
        ),
        [IMAGE],
    ),
    "upsample_rows": (of(lambda x: F.interpolate(x, scale_factor=2.0)), [ROWS]),
    "activations": (
        pictures(
            lambda x: (
                F.glu(x, 1) + 0 * F.celu(F.gelu(F.silu(x)))[:, :4],
                torch.erf(F.hardswish(F.mish(x))),
                F.selu(F.elu(F.softplus(F.logsigmoid(x)))),
                F.hardtanh(F.hardsigmoid(F.relu6(x))),
                F.log_softmax(x, 1),
            )
        ),
        [IMAGE],
    ),
    "prelu": (lambda: nn.PReLU(8), [IMAGE]),
    "arithmetic": (
        of(lambda x, y: (x * y + x.sqrt(), x / 2, 3 - y, torch.maximum(x, y), x**2, x.exp())),
        [IMAGE, IMAGE],
    ),
    "broadcasts": (
        pictures(
            lambda x, r: (
                x * x.mean((2, 3), keepdim=True),
                x + r,
                x - x.mean(1, keepdim=True),
            )
        ),
        [IMAGE, (1, 1, 1, 24)],
    ),
    "tiles": (pictures(lambda x: (x.repeat(1, 2, 1, 3), x[:, :1].expand(1, 5, 20, 24))), [IMAGE]),
    "flips": (pictures(lambda x: torch.flip(x, [2]) + x.roll(3, 3)), [IMAGE]),
    "cumsum": (pictures(lambda x: torch.cumsum(x, 2)), [IMAGE]),
    "normalize": (pictures(lambda x: F.normalize(x, dim=1)), [IMAGE]),
    "flatten": (of(lambda x: (x.flatten(1), x.flatten(2), x.flatten(2).transpose(1, 2))), [IMAGE]),
    "local_response": (lambda: nn.LocalResponseNorm(5), [IMAGE]),
    "squeeze_excite": (
        of(
            lambda x, a, b: x * torch.sigmoid(b(F.relu(a(x.mean((2, 3), keepdim=True))))),
            a=nn.Conv2d(8, 2, 1),
            b=nn.Conv2d(2, 8, 1),
        ),
        [IMAGE],
    ),
    "spectrogram": (
        of(
            lambda x: torch.view_as_real(
                torch.stft(x, 64, 16, window=torch.hann_window(64), return_complex=True)
            )
        ),
        [(1, 400)],
    ),
}

TIMM = {
    "convnext_atto": 64,
    "efficientnet_lite0": 64,
    "poolformer_s12": 64,
    "mixer_s32_224": 224,
    "ghostnet_100": 64,
    "mobilenetv4_conv_small": 64,
    "repvit_m0_9": 64,
    "tinynet_e": 64,
    "gmlp_s16_224": 224,
}
"""timm's networks by name, and the side of the picture; those with larger ones allow no smaller."""

TORCHVISION = {
    "shufflenet_v2_x0_5": 64,
    "mobilenet_v3_small": 64,
    "mnasnet0_5": 64,
    "regnet_y_400mf": 64,
    "squeezenet1_1": 64,
    "r3d_18": 0,
    "lraspp_mobilenet_v3_large": 64,
}
"""torchvision's; 0 is a clip of 16 pictures of 64 x 64."""


class _Output(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        made = self.network(x)
        return next(iter(made.values())) if isinstance(made, dict) else made


def _timm(name: str, side: int) -> nn.Module:
    import timm

    options = {"img_size": side} if side < 224 and "it_" in name and "mobile" not in name else {}
    with contextlib.suppress(TypeError):
        return timm.create_model(name, **options)
    return timm.create_model(name)


def _torchvision(name: str) -> nn.Module:
    import torchvision

    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    backbone = {"weights_backbone": None} if name.startswith(("lraspp", "deeplab")) else {}
    return _Output(torchvision.models.get_model(name, weights=None, **options, **backbone))


CASES: dict[str, Case] = {
    **MODULES,
    **{n: (lambda n=n, s=s: _timm(n, s), [(1, 3, s, s)]) for n, s in TIMM.items()},
    **{
        n: (lambda n=n: _torchvision(n), [(1, 3, s, s) if s else (1, 3, 16, 64, 64)])
        for n, s in TORCHVISION.items()
    },
}


def export(name: str, folder: Path) -> None:
    """Write NAME.ncnn.param into the folder."""
    import pnnx

    make, shapes = CASES[name]
    os.chdir(folder)
    with torch.no_grad():
        module = make().eval()
        inputs = tuple(torch.rand(shape) for shape in shapes)
        pnnx.export(module, f"{name}.pt", inputs, check_trace=False, fp16=False)


def pack(folder: Path, path: Path) -> None:
    """The exported files as one: by name, sizes of the inputs without the batch, and the text."""
    networks = {
        name: [[list(shape[1:]) for shape in shapes], file.read_text()]
        for name, (_, shapes) in sorted(CASES.items())
        if (file := folder / f"{name}.ncnn.param").is_file()
    }
    text = json.dumps(networks, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(text, mtime=0))


if __name__ == "__main__":
    target = Path(__file__).resolve().parent / "samples" / "ncnn_networks.json.gz"
    with tempfile.TemporaryDirectory() as made:
        for case in CASES:
            child = multiprocessing.Process(target=export, args=(case, Path(made)))
            child.start()
            child.join()
        pack(Path(made), target)
