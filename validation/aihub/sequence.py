"""One step of a decoder with its caches, and a text encoder with rotary positions."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    """Attention of one new token over keys and values that are kept."""

    def __init__(self, size: int, heads: int, grows: bool) -> None:
        super().__init__()
        self.query, self.out = nn.Linear(size, size), nn.Linear(size, size)
        self.heads, self.grows = heads, grows
        if grows:
            self.key, self.value = nn.Linear(size, size), nn.Linear(size, size)

    def forward(
        self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        def split(y: torch.Tensor) -> torch.Tensor:
            return y.view(1, 1, self.heads, -1).transpose(1, 2)

        if self.grows:
            keys = torch.cat([keys, split(self.key(x)).transpose(2, 3)], 3)
            values = torch.cat([values, split(self.value(x))], 2)
        weights = (split(self.query(x)) @ keys).softmax(-1)
        joined = (weights @ values).transpose(1, 2).reshape(1, 1, -1)
        return self.out(joined), keys, values


class DecoderLayer(nn.Module):
    """Self-attention, attention to what was encoded, two dense layers."""

    def __init__(self, size: int, heads: int, wide: int, gelu: bool) -> None:
        super().__init__()
        self.own, self.other = Attention(size, heads, True), Attention(size, heads, False)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(3))
        act = nn.GELU() if gelu else nn.SiLU()
        self.dense = nn.Sequential(nn.Linear(size, wide), act, nn.Linear(wide, size))

    def forward(self, x: torch.Tensor, kept: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        y, keys, values = self.own(self.norms[0](x), kept[0], kept[1])
        x = x + y
        x = x + self.other(self.norms[1](x), kept[2], kept[3])[0]
        return x + self.dense(self.norms[2](x)), keys, values


class Decoder(nn.Module):
    """One token of a decoder: its embedding, layers with caches, scores of the vocabulary."""

    def __init__(
        self, size: int, layers: int, heads: int, wide: int, words: int, gelu: bool = True
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(words, size)
        self.layers = nn.ModuleList(DecoderLayer(size, heads, wide, gelu) for _ in range(layers))
        self.norm, self.scores = nn.LayerNorm(size), nn.Linear(size, words, bias=False)

    def forward(self, token: torch.Tensor, *kept: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, grown = self.words(token), []
        for i, layer in enumerate(self.layers):
            x, keys, values = layer(x, list(kept[4 * i : 4 * i + 4]))
            grown += [keys, values]
        return (self.scores(self.norm(x)), *grown)


def decoder_inputs(
    layers: int, heads: int, head: int, own: int, other: int
) -> list[tuple[tuple[int, ...], str]]:
    """Shapes of the token and the caches of every layer: own keys, values, then the encoder's."""
    sizes = [(head, own), (own, head), (head, other), (other, head)]
    caches = [((1, heads, *size), "float32") for size in sizes]
    return [((1, 1), "int64"), *(caches * layers)]


class RotaryLayer(nn.Module):
    """A layer of NomicBERT (Nussbaum et al. 2024, arXiv:2402.01613): rotary, gated dense layers."""

    def __init__(self, size: int = 768, heads: int = 12, wide: int = 3072) -> None:
        super().__init__()
        self.heads = heads
        self.three, self.out = nn.Linear(size, 3 * size, False), nn.Linear(size, size, False)
        self.gate, self.up = nn.Linear(size, wide, False), nn.Linear(size, wide, False)
        self.down = nn.Linear(wide, size, False)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(2))
        self.cosines = nn.Parameter(torch.zeros(128, size // heads))

    def turned(self, x: torch.Tensor) -> torch.Tensor:
        """Rotary positions: halves of each head turned against one another."""
        low, high = x.chunk(2, -1)
        return x * self.cosines + torch.cat([-high, low], -1) * self.cosines

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.three(x).view(1, x.shape[1], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        weights = (self.turned(query) @ self.turned(key).transpose(2, 3) * 0.125).softmax(-1)
        joined = (weights @ value).transpose(1, 2).reshape(1, x.shape[1], -1)
        x = self.norms[0](x + self.out(joined))
        return self.norms[1](x + self.down(self.up(x) * functional.silu(self.gate(x))))


def nomic() -> nn.Module:
    """NomicBERT's encoder for 128 tokens."""
    return nn.Sequential(
        nn.Embedding(30528, 768), nn.LayerNorm(768), *(RotaryLayer() for _ in range(12))
    )
