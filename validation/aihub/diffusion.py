"""Stable Diffusion's parts as the library diffusers (which pip installs) describes them.

Attention is left as products and a softmax: AI Hub splits it by heads, which does the same work.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

TEXT: dict[str, dict[str, Any]] = {
    "v1": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12},
    "v2": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "hidden_act": "gelu",
    },
}
"""Sizes of CLIP's text encoders in versions 1.5 and 2.1; heads have 64 channels."""

NETWORK: dict[str, dict[str, Any]] = {
    "v1": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "v2": {
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
}
"""What tells the networks of the two versions apart: width of the text and numbers of heads."""


class _First(nn.Module):
    """The first result of a module of the libraries."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        return self.inner(*values, return_dict=False)[0]


def text_encoder(version: str) -> nn.Module:
    """77 tokens to 77 vectors."""
    from transformers import CLIPTextConfig, CLIPTextModel

    sizes = TEXT[version]
    config = CLIPTextConfig(
        **sizes, vocab_size=49408, num_attention_heads=sizes["hidden_size"] // 64
    )
    return _First(CLIPTextModel(config))


def denoiser(version: str) -> nn.Module:
    """A step of denoising a latent image of 64 x 64."""
    from diffusers import UNet2DConditionModel

    return _First(UNet2DConditionModel(sample_size=64, **NETWORK[version]))


class LatentDecoder(nn.Module):
    """A latent image of 64 x 64 to one of 512 x 512."""

    def __init__(self) -> None:
        super().__init__()
        from diffusers import AutoencoderKL

        wide = (128, 256, 512, 512)
        whole = AutoencoderKL(
            block_out_channels=wide,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
        )
        self.first, self.body = whole.post_quant_conv, whole.decoder

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        image = self.body(self.first(latent / 0.18215))
        return (image / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
