"""Export small PyTorch networks to ONNX with both exporters: `python export_with_torch.py FOLDER`.

Writes NAME.ts.onnx and NAME.dynamo.onnx, and truth.json with MACs by torch's own flop counter and
the number of parameters. Weights are random and lie in a file of their own that is deleted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class Volume(nn.Module):
    """A video network: convolutions and pools of volumes."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv3d(3, 8, 3, padding=1, stride=(1, 2, 2))
        self.b = nn.Conv3d(8, 16, (1, 3, 3), groups=2)
        self.up = nn.ConvTranspose3d(16, 4, 2, stride=2)

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.a(x))
        y = nn.functional.max_pool3d(y, 2)
        return self.up(self.b(y)).mean((2, 3, 4))


class Speech(nn.Module):
    """Convolutions of a sequence, a recurrent layer with a state that is given, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(40, 32, 5, stride=2, padding=2)
        self.lstm = nn.LSTM(32, 24, num_layers=2, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(48, 16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Any, state: Any) -> Any:
        y = nn.functional.gelu(self.conv(x)).transpose(1, 2)
        y, _ = self.lstm(y)
        y, last = self.gru(y.transpose(0, 1), state)
        return self.head(y), last


class Attention(nn.Module):
    """Two layers of a transformer over patches, with places learned and computed."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 64, 8, 8)
        self.place = nn.Parameter(torch.randn(1, 16, 64))
        layer = nn.TransformerEncoderLayer(64, 4, 96, batch_first=True, activation="gelu")
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Any) -> Any:
        y = self.patch(x).flatten(2).transpose(1, 2)
        steps = torch.arange(y.shape[1], dtype=torch.float32)
        waves = torch.sin(steps[:, None] * torch.linspace(0.1, 1.0, 64)[None])
        return self.layers(y + self.place + waves).mean(1)


class Warp(nn.Module):
    """A picture bent by a field of places, then resized and cut."""

    def __init__(self) -> None:
        super().__init__()
        self.field = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x: Any) -> Any:
        places = torch.tanh(self.field(x)).permute(0, 2, 3, 1)
        y = nn.functional.grid_sample(x, places, align_corners=False)
        y = nn.functional.interpolate(y, scale_factor=1.5, mode="bilinear")
        b, c, h, w = y.shape
        return y[:, :, : h // 2, w // 4 :].reshape(b, c, -1).softmax(-1)


def networks() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """By name: a module and its inputs."""
    picture = torch.randn(1, 3, 32, 32)
    found: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "volume": (Volume(), (torch.randn(1, 3, 8, 16, 16),)),
        "speech": (Speech(), (torch.randn(1, 40, 50), torch.zeros(1, 1, 16))),
        "attention": (Attention(), (picture,)),
        "warp": (Warp(), (picture,)),
    }
    try:
        import timm
    except ImportError:
        return found
    for name in (
        "mobilenetv4_conv_small",
        "edgenext_xx_small",
        "ghostnet_100",
        "vit_tiny_patch16_224",
    ):
        found[name] = (timm.create_model(name), (torch.randn(1, 3, 224, 224),))
    return found


def without_weights(path: Path) -> None:
    """Store the larger tensors beside the file, and drop them."""
    model = onnx.load(path)
    beside = path.with_suffix(".weights")
    onnx.save(model, path, save_as_external_data=True, location=beside.name, size_threshold=4096)
    beside.unlink(missing_ok=True)


def main(folder: Path) -> None:
    """Export all, and count."""
    torch.backends.mha.set_fastpath_enabled(False)  # exporters know its parts, not the whole
    truth: dict[str, Any] = {}
    for name, (module, inputs) in networks().items():
        module.eval()
        for parameter in module.parameters():
            nn.init.normal_(parameter)  # exporters store weights that are equal only once
        backend = torch.nn.attention.SDPBackend.MATH
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), torch.nn.attention.sdpa_kernel(backend), counter:
            module(*inputs)
        parameters = sum(p.numel() for p in module.parameters())
        truth[name] = {"macs": counter.get_total_flops() / 2, "params": parameters}
        for exporter in ("ts", "dynamo"):
            path = folder / f"{name}.{exporter}.onnx"
            with torch.no_grad():
                if exporter == "ts":
                    torch.onnx.export(module, inputs, str(path), dynamo=False, opset_version=17)
                else:
                    torch.onnx.export(module, inputs, str(path), dynamo=True, external_data=False)
            without_weights(path)
    (folder / "truth.json").write_text(json.dumps(truth))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
