"""Kernels of the transformer networks of e2e_gpu.csv as eager PyTorch and Hugging Face run them.

Every list follows the forward pass of the model's class in `transformers` 4.3x with attention
"eager" and fp32: one kernel a call, no fusion. Copies that `contiguous` and `reshape` make of
permuted tensors are element-wise kernels with one input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

EXPERTS = 4
EXPERT_CAPACITY = 64
SWITCH_HEAD_SIZE = 64
"""Size of one attention head in Switch Transformers (`d_kv`), whatever hidden / heads is."""


@dataclass
class KernelList:
    """Rows of kernels with how often each runs; columns as in the measurement tables."""

    rows: list[dict[str, float | str]] = field(default_factory=list)

    def linear(self, m: float, k: float, n: float, times: float = 1) -> None:
        """A product of `m` rows with a weight of k x n, bias included."""
        self.rows.append({"op": "linear", "m": m, "n": n, "k": k, "times": times})

    def bmm(self, batch: float, m: float, n: float, k: float, times: float = 1) -> None:
        """`batch` products of m x k with k x n."""
        self.rows.append({"op": "bmm", "batch": batch, "m": m, "n": n, "k": k, "times": times})

    def pointwise(self, op: str, m: float, n: float, times: float = 1) -> None:
        """An element-wise, softmax or normalisation kernel over m rows of n."""
        self.rows.append({"op": op, "m": m, "n": n, "elements": m * n, "times": times})

    def columns(self) -> dict[str, np.ndarray]:
        """Columns for `table_from_rows`."""
        names = ("batch", "m", "n", "k", "elements")
        out = {c: np.array([r.get(c, np.nan) for r in self.rows], dtype=float) for c in names}
        return {"op": np.array([r["op"] for r in self.rows], dtype=object), **out}

    def times(self) -> np.ndarray:
        """How often each row runs."""
        return np.array([r["times"] for r in self.rows], dtype=float)


@dataclass(frozen=True)
class Sizes:
    """Sizes of one network and run: b x s tokens, `layers` of `hidden`, `heads`, `ffn`, `vocab`."""

    model: str
    batch: int
    seq: int
    layers: int
    hidden: int
    heads: int
    ffn: int
    vocab: int

    @property
    def tokens(self) -> int:
        """Tokens of the batch."""
        return self.batch * self.seq


def sizes_of(row: Mapping[str, object]) -> Sizes:
    """Sizes from a row of e2e_gpu.csv."""
    names = ("batch", "seq_len", "layers", "hidden", "heads", "ffn", "vocab")
    return Sizes(str(row["model"]), *(int(str(row[n])) for n in names))


def _attention_products(
    out: KernelList, z: Sizes, head: int, keys: int, scores: tuple[str, ...], copies: int
) -> None:
    """Scores, what is done to them, softmax, and the weighted sum of values; per layer."""
    groups = z.batch * z.heads
    width = z.heads * head
    out.pointwise("add_scalar", z.tokens, width, copies * z.layers)
    out.bmm(groups, z.seq, keys, head, z.layers)
    for op in scores:
        out.pointwise(op, groups * z.seq, keys, z.layers)
    out.pointwise("softmax", groups * z.seq, keys, z.layers)
    out.bmm(groups, z.seq, head, keys, z.layers)
    out.pointwise("add_scalar", z.tokens, width, z.layers)


def _bert(z: Sizes) -> KernelList:
    """BertForSequenceClassification."""
    out, t, h = KernelList(), z.tokens, z.hidden
    out.pointwise("add_scalar", t, h, 3)
    out.pointwise("add", t, h, 2)
    out.pointwise("layernorm", t, h)
    out.linear(t, h, h, 3 * z.layers)
    _attention_products(out, z, h // z.heads, z.seq, ("div_scalar", "add"), 3)
    out.linear(t, h, h, z.layers)
    out.pointwise("add", t, h, 2 * z.layers)
    out.pointwise("layernorm", t, h, 2 * z.layers)
    out.linear(t, h, z.ffn, z.layers)
    out.pointwise("gelu", t, z.ffn, z.layers)
    out.linear(t, z.ffn, h, z.layers)
    out.linear(z.batch, h, h)
    out.pointwise("tanh", z.batch, h)
    return out


def _gpt2(z: Sizes) -> KernelList:
    """GPT2LMHeadModel; its NewGELU is eight element-wise kernels, its causal mask a `where`."""
    out, t, h = KernelList(), z.tokens, z.hidden
    out.pointwise("add_scalar", t, h, 2)
    out.pointwise("add", t, h)
    out.pointwise("layernorm", t, h, 2 * z.layers + 1)
    out.linear(t, h, 3 * h, z.layers)
    _attention_products(out, z, h // z.heads, z.seq, ("div_scalar", "add"), 3)
    out.linear(t, h, h, z.layers)
    out.pointwise("add", t, h, 2 * z.layers)
    out.linear(t, h, z.ffn, z.layers)
    for op in ("pow_scalar", "mul_scalar", "add", "mul_scalar", "tanh", "add_scalar"):
        out.pointwise(op, t, z.ffn, z.layers)
    out.pointwise("mul_scalar", t, z.ffn, z.layers)
    out.pointwise("mul", t, z.ffn, z.layers)
    out.linear(t, z.ffn, h, z.layers)
    out.linear(t, h, z.vocab)
    return out


def _opt(z: Sizes) -> KernelList:
    """OPTForCausalLM: queries scaled, mask added, scores bounded below."""
    out, t, h = KernelList(), z.tokens, z.hidden
    out.pointwise("add_scalar", t, h, 2)
    out.pointwise("add", t, h)
    out.pointwise("layernorm", t, h, 2 * z.layers + 1)
    out.linear(t, h, h, 3 * z.layers)
    out.pointwise("mul_scalar", t, h, z.layers)
    _attention_products(out, z, h // z.heads, z.seq, ("add", "relu"), 3)
    out.linear(t, h, h, z.layers)
    out.pointwise("add", t, h, 2 * z.layers)
    out.linear(t, h, z.ffn, z.layers)
    out.pointwise("relu", t, z.ffn, z.layers)
    out.linear(t, z.ffn, h, z.layers)
    out.linear(t, h, z.vocab)
    return out


def _switch(z: Sizes) -> KernelList:
    """SwitchTransformersForConditionalGeneration: encoder and decoder, half the layers sparse."""
    out, t, h = KernelList(), z.tokens, z.hidden
    width = z.heads * SWITCH_HEAD_SIZE
    for attentions in (1, 2):
        for _ in range(attentions):
            out.linear(t, h, width, 3 * z.layers)
            _attention_products(out, z, SWITCH_HEAD_SIZE, z.seq, ("add",), 3)
            out.linear(t, width, h, z.layers)
            _rms_norm(out, t, h, z.layers)
            out.pointwise("add", t, h, z.layers)
        _rms_norm(out, t, h, z.layers)
        out.pointwise("add", t, h, z.layers)
        dense = sparse = z.layers / 2
        out.linear(t, h, z.ffn, dense)
        out.pointwise("relu", t, z.ffn, dense)
        out.linear(t, z.ffn, h, dense)
        taken = min(EXPERT_CAPACITY * z.batch, t / EXPERTS)
        out.linear(t, h, EXPERTS, sparse)
        out.linear(taken, h, z.ffn, EXPERTS * sparse)
        out.pointwise("relu", taken, z.ffn, EXPERTS * sparse)
        out.linear(taken, z.ffn, h, EXPERTS * sparse)
        out.pointwise("add_scalar", t, h, (2 + EXPERTS) * sparse)
    out.linear(t, h, z.vocab)
    return out


def _rms_norm(out: KernelList, rows: float, width: float, times: float) -> None:
    """T5LayerNorm: square, mean, scale by the root, weigh."""
    for op in ("pow_scalar", "add_scalar", "mul", "mul"):
        out.pointwise(op, rows, width, times)


_BUILDERS = {
    "bert_large": _bert,
    "gpt2_large": _gpt2,
    "gpt3_xl": _gpt2,
    "gpt3_27": _gpt2,
    "opt_13": _opt,
    "switchxl4": _switch,
}


def forward_kernels(row: Mapping[str, object]) -> KernelList:
    """Kernels of one forward pass of a network of e2e_gpu.csv."""
    sizes = sizes_of(row)
    return _BUILDERS[sizes.model](sizes)
