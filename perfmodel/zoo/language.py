"""Language models as PyTorch code publishes them: BERT, GPT-2, GPT-3, OPT, Switch Transformers.

The operators are those of the forward pass of the model's class in Hugging Face `transformers`
4.3x with attention "eager": one operator a call that computes. GPT-2's GELU is the eight
element-wise operators of its code, and a permuted tensor is copied before a product (`transpose`).
LanguageSizes are parameters; each entry names the public configuration that its defaults are from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from perfmodel.errors import GraphError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.registry import BATCH, Parameter, ZooEntry
from perfmodel.zoo.transformer import attention, layer_norm, linear

SWITCH = "https://arxiv.org/abs/2101.03961"

SEGMENTS = 2
"""Sentences that BERT tells apart, and classes of its classification head by default."""

OPT_POSITIONS = 2048 + 2
"""Rows of OPT's table of positions; two are for padding (OPTLearnedPositionalEmbedding)."""

SWITCH_HEAD_SIZE = 64
"""Numbers of one attention head in Switch Transformers (`d_kv`), whatever hidden / heads is."""

SWITCH_BUCKETS = 32
"""Distances between tokens told apart there (`relative_attention_num_buckets`)."""

EXPERT_CAPACITY = 64
"""Tokens of one sequence that an expert takes at most (`expert_capacity`)."""


@dataclass(frozen=True, kw_only=True)
class LanguageSizes:
    """Sizes of one network and run: `batch` x `sequence` tokens through `layers` of `hidden`."""

    layers: int
    hidden: int
    heads: int
    ffn: int
    vocabulary: int
    sequence: int
    batch: int

    def __post_init__(self) -> None:
        if self.hidden % self.heads:
            raise GraphError(
                f"hidden {self.hidden} does not divide into {self.heads} heads",
                "take a multiple of the heads",
            )


def bert(g: GraphBuilder, **sizes: int) -> str:
    """BertForSequenceClassification (arXiv:1810.04805): logits of the classes.

    Inputs: token ids, segment ids, and what is added to the attention scores (0, or very negative
    where there is no token).
    """
    z = LanguageSizes(**sizes)
    x = _embed(g, z, 512)
    bias = g.input((z.batch, 1, 1, z.sequence), "attention_bias")
    segments = g.input((z.batch, z.sequence), "segment_ids", "int32")
    x = g.binary("add", x, _rows(g, g.constant((SEGMENTS, z.hidden)), segments))
    x = layer_norm(g, x)
    for _ in range(z.layers):
        q, k, v = (linear(g, x, z.hidden) for _ in range(3))
        y = attention(g, q, k, v, z.heads, lambda s: g.binary("add", _scaled(g, s), bias))
        x = layer_norm(g, g.binary("add", linear(g, y, z.hidden), x))
        y = g.op("gelu", linear(g, x, z.ffn))
        x = layer_norm(g, g.binary("add", linear(g, y, z.hidden), x))
    first = g.op("slice", x, begin=(0, 0, 0), size=(z.batch, 1, z.hidden))
    pooled = g.op("tanh", g.fc(first, z.hidden))
    return g.fc(pooled, SEGMENTS)


def gpt(g: GraphBuilder, *, positions: int, **sizes: int) -> str:
    """GPT2LMHeadModel, of GPT-2 and GPT-3: logits of the next token at every position.

    The head shares the table of token embeddings. GPT-3's sparse attention is not in this class.
    """
    z = LanguageSizes(**sizes)
    table = g.constant((z.vocabulary, z.hidden), "token_embeddings")
    x = _embed(g, z, positions, table)
    causal = g.constant((1, 1, z.sequence, z.sequence), "causal_mask", "bool")
    lowest = g.constant((1,), "lowest")
    for _ in range(z.layers):
        projected = linear(g, layer_norm(g, x), 3 * z.hidden)
        q, k, v = g.add_op("split", [projected], {"axis": 2, "sizes": (z.hidden,) * 3})
        y = attention(g, q, k, v, z.heads, lambda s: _where(g, causal, _scaled(g, s), lowest))
        x = g.binary("add", linear(g, y, z.hidden), x)
        y = _new_gelu(g, linear(g, layer_norm(g, x), z.ffn))
        x = g.binary("add", x, linear(g, y, z.hidden))
    return _head(g, layer_norm(g, x), table)


def opt(g: GraphBuilder, **sizes: int) -> str:
    """OPTForCausalLM (arXiv:2205.01068): logits of the next token at every position.

    Queries are scaled, the causal mask is an input that is added, scores are bounded below.
    """
    z = LanguageSizes(**sizes)
    table = g.constant((z.vocabulary, z.hidden), "token_embeddings")
    x = _embed(g, z, OPT_POSITIONS, table)
    mask = g.input((z.batch, 1, z.sequence, z.sequence), "causal_mask")
    lowest = g.constant((1,), "lowest")

    def masked(scores: str) -> str:
        return g.binary("maximum", g.binary("add", scores, mask), lowest)

    for _ in range(z.layers):
        normal = layer_norm(g, x)
        q, k, v = (linear(g, normal, z.hidden) for _ in range(3))
        q = g.binary("mul", q, g.constant((1,)))
        x = g.binary("add", x, linear(g, attention(g, q, k, v, z.heads, masked), z.hidden))
        y = linear(g, layer_norm(g, x), z.ffn, "relu")
        x = g.binary("add", x, linear(g, y, z.hidden))
    return _head(g, layer_norm(g, x), table)


def switch(g: GraphBuilder, *, experts: int, **sizes: int) -> str:
    """SwitchTransformersForConditionalGeneration: logits of the decoder's tokens.

    As many layers in the encoder as in the decoder; every second has `experts` in place of its
    feed-forward network, and each expert takes an equal share of the tokens, at most
    `EXPERT_CAPACITY` of a sequence (which tokens it takes depends on their values).
    """
    z = LanguageSizes(**sizes)
    table = g.constant((z.vocabulary, z.hidden), "token_embeddings")
    x = _rows(g, table, g.input((z.batch, z.sequence), "input_ids", "int32"))
    mask = g.input((z.batch, 1, 1, z.sequence), "attention_bias")
    causal = g.input((z.batch, 1, z.sequence, z.sequence), "causal_mask")
    near = g.binary("add", _distances(g, z), mask)
    for layer in range(z.layers):
        x = _t5_attention(g, z, x, "", near)
        x = _switch_ffn(g, z, x, experts if layer % 2 else 0)
    encoded = _rms_norm(g, x)
    x = _rows(g, table, g.input((z.batch, z.sequence), "decoder_input_ids", "int32"))
    near = g.binary("add", _distances(g, z), causal)
    for layer in range(z.layers):
        x = _t5_attention(g, z, x, "", near)
        x = _t5_attention(g, z, x, encoded, mask)
        x = _switch_ffn(g, z, x, experts if layer % 2 else 0)
    return g.fc(_rms_norm(g, x), z.vocabulary, bias=False, keep_dims=True)


def _rows(g: GraphBuilder, table: str, ids: str) -> str:
    return g.op("gather", table, ids, axis=0)


def _embed(g: GraphBuilder, z: LanguageSizes, positions: int, table: str = "") -> str:
    """Token embeddings plus those of the positions 0, 1, ...: (batch, sequence, hidden)."""
    if z.sequence > positions:
        raise GraphError(
            f"sequence {z.sequence} is longer than the {positions} positions it has",
            f"take at most {positions}",
        )
    table = table or g.constant((z.vocabulary, z.hidden), "token_embeddings")
    x = _rows(g, table, g.input((z.batch, z.sequence), "input_ids", "int32"))
    counted = g.constant((1, z.sequence), "position_ids", "int32")
    places = g.constant((positions, z.hidden), "position_embeddings")
    return g.binary("add", x, _rows(g, places, counted))


def _scaled(g: GraphBuilder, scores: str) -> str:
    """Scores over the root of a head's size."""
    return g.binary("div", scores, g.constant((1,)))


def _where(g: GraphBuilder, mask: str, scores: str, lowest: str) -> str:
    return g.add_op("select", [mask, scores, lowest], dtype="float32")[0]


def _new_gelu(g: GraphBuilder, x: str) -> str:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x ** 3))), operator by operator."""

    def by(kind: str, y: str) -> str:
        return g.binary(kind, y, g.constant((1,)))

    inner = by("mul", g.binary("add", x, by("mul", by("pow", x))))
    return g.binary("mul", by("mul", x), by("add", g.op("tanh", inner)))


def _head(g: GraphBuilder, x: str, table: str) -> str:
    """Logits: the product with the transposed table of token embeddings."""
    attrs = {"activation": "none", "keep_dims": True}
    return g.add_op("fully_connected", [x, table], attrs)[0]


def _rms_norm(g: GraphBuilder, x: str) -> str:
    """T5LayerNorm: over the root of the mean square, times a weight."""
    mean = g.op("reduce_mean", g.op("square", x), axes=(2,), keep_dims=True)
    root = g.op("rsqrt", g.binary("add", mean, g.constant((1,))))
    return g.binary("mul", g.binary("mul", x, root), g.constant((g.shape(x)[2],)))


def _distances(g: GraphBuilder, z: LanguageSizes) -> str:
    """What the distance between two tokens adds to their scores: (1, heads, sequence, sequence)."""
    buckets = g.constant((z.sequence, z.sequence), dtype="int32")
    near = _rows(g, g.constant((SWITCH_BUCKETS, z.heads)), buckets)
    near = g.op("transpose", near, perm=(2, 0, 1))
    return g.reshape(near, (1, z.heads, z.sequence, z.sequence))


def _t5_attention(g: GraphBuilder, z: LanguageSizes, x: str, encoded: str, bias: str) -> str:
    """Attention to the tokens themselves, or to `encoded`, with its normalisation and addition."""
    width = z.heads * SWITCH_HEAD_SIZE
    normal = _rms_norm(g, x)
    other = encoded or normal
    q, k, v = (linear(g, y, width, bias=False) for y in (normal, other, other))
    y = attention(g, q, k, v, z.heads, lambda s: g.binary("add", s, bias))
    return g.binary("add", x, linear(g, y, z.hidden, bias=False))


def _switch_ffn(g: GraphBuilder, z: LanguageSizes, x: str, experts: int) -> str:
    normal = _rms_norm(g, x)
    y = _experts(g, z, normal, experts) if experts else _t5_ffn(g, z, normal)
    return g.binary("add", x, y)


def _t5_ffn(g: GraphBuilder, z: LanguageSizes, x: str) -> str:
    inner = linear(g, x, z.ffn, "relu", bias=False)
    return linear(g, inner, z.hidden, bias=False)


def _experts(g: GraphBuilder, z: LanguageSizes, x: str, experts: int) -> str:
    """A router, and experts that each take rows of `x` and put their results in their place."""
    taken = max(1, min(EXPERT_CAPACITY, z.sequence // experts))
    chances = g.op("softmax", linear(g, x, experts, bias=False))
    best = g.op("reduce_max", chances, axes=(2,), keep_dims=True)
    chosen = g.add_op("arg_max", [chances], {"axis": 2}, dtype="int32")[0]
    mixed = x
    for _ in range(experts):
        mine = g.op("slice", chosen, begin=(0, 0), size=(z.batch, taken))
        result = _t5_ffn(g, z, g.op("gather", x, mine, axis=1, batch_dims=1))
        shapes = {"output_shapes": (g.shape(x),)}
        mixed = g.add_op("scatter", [mixed, mine, result], shapes)[0]
    return g.binary("mul", mixed, best)


def _sizes(
    *, layers: int, hidden: int, heads: int, ffn: int, vocabulary: int, sequence: tuple[int, int]
) -> tuple[Parameter, ...]:
    """The parameters of a network of these sizes; `sequence` is the default and the longest."""
    return (
        Parameter("sequence", sequence[0], 2, sequence[1]),
        Parameter("layers", layers, 1, 512),
        Parameter("hidden", hidden, 8, 65_536),
        Parameter("heads", heads, 1, 512),
        Parameter("ffn", ffn, 8, 262_144),
        Parameter("vocabulary", vocabulary, 2, 1_000_000),
        BATCH,
    )


ENTRIES = (
    ZooEntry(
        name="bert_large",
        title="BERT large",
        family="bert",
        task="text classification",
        input_shape=(512,),
        parameters=_sizes(
            layers=24, hidden=1024, heads=16, ffn=4096, vocabulary=30_522, sequence=(512, 512)
        ),
        builder=bert,
    ),
    ZooEntry(
        name="gpt2_large",
        title="GPT-2 large",
        family="gpt2",
        task="text generation",
        input_shape=(1024,),
        parameters=_sizes(
            layers=36, hidden=1280, heads=20, ffn=5120, vocabulary=50_257, sequence=(1024, 1024)
        ),
        builder=partial(gpt, positions=1024),
    ),
    ZooEntry(
        name="gpt3_xl",
        title="GPT-3 XL",
        family="gpt3",
        task="text generation",
        input_shape=(2048,),
        parameters=_sizes(
            layers=24, hidden=3072, heads=24, ffn=12_288, vocabulary=50_257, sequence=(2048, 2048)
        ),
        builder=partial(gpt, positions=2048),
        note="Its paper has 24 heads of 128 numbers in a model of 2048; by default hidden is 3072, "
        "heads times their size, as the published latencies of e2e_gpu.csv have it.",
    ),
    ZooEntry(
        name="gpt3_2_7b",
        title="GPT-3 2.7B",
        family="gpt3",
        task="text generation",
        input_shape=(2048,),
        parameters=_sizes(
            layers=32, hidden=2560, heads=32, ffn=10_240, vocabulary=50_257, sequence=(2048, 2048)
        ),
        builder=partial(gpt, positions=2048),
    ),
    ZooEntry(
        name="opt_1_3b",
        title="OPT 1.3B",
        family="opt",
        task="text generation",
        input_shape=(2048,),
        parameters=_sizes(
            layers=24, hidden=2048, heads=32, ffn=8192, vocabulary=50_272, sequence=(2048, 2048)
        ),
        builder=opt,
    ),
    ZooEntry(
        name="switch_xl4",
        title="Switch Transformer, 4 experts",
        family="switch",
        task="text to text",
        input_shape=(512,),
        parameters=(
            *_sizes(
                layers=24,
                hidden=1024,
                heads=32,
                ffn=16_384,
                vocabulary=32_128,
                sequence=(512, 4096),
            ),
            Parameter("experts", 4, 1, 4096),
        ),
        builder=switch,
        note="Sizes as published latencies of e2e_gpu.csv have them; "
        f"the network is that of {SWITCH}.",
    ),
)
