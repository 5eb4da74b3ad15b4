"""Transformers: ViT-B (arXiv:2010.11929) and MobileBERT (arXiv:2004.02984)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from perfmodel.errors import GraphError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import affine, image
from perfmodel.zoo.registry import (
    BATCH,
    Parameter,
    ZooEntry,
    image_parameters,
)


def layer_norm(g: GraphBuilder, x: str) -> str:
    """Normalise over the last axis, with scale and shift."""
    width = g.shape(x)[-1]
    return g.op("layer_norm", x, g.constant((width,)), g.constant((width,)), axes=(-1,))


def attention(
    g: GraphBuilder,
    q: str,
    k: str,
    v: str,
    heads: int,
    on_scores: Callable[[str], str] = lambda scores: scores,
) -> str:
    """Dot-product attention of (batch, tokens, width) tensors.

    `on_scores` adds what is done to the scores before the softmax: by default nothing, where their
    scale is folded into the projection of the queries.
    """
    scores = g.op("matmul", _split(g, q, heads), _split(g, k, heads), transpose_b=True)
    scores = on_scores(scores)
    mixed = g.op("matmul", g.op("softmax", scores), _split(g, v, heads))
    batch, _, tokens, size = g.shape(mixed)
    mixed = g.op("transpose", mixed, perm=(0, 2, 1, 3))
    return g.reshape(mixed, (batch, tokens, heads * size))


def _split(g: GraphBuilder, x: str, heads: int) -> str:
    batch, tokens, width = g.shape(x)
    x = g.reshape(x, (batch, tokens, heads, width // heads))
    return g.op("transpose", x, perm=(0, 2, 1, 3))


def linear(
    g: GraphBuilder, x: str, out: int, activation: str = "none", *, bias: bool = True
) -> str:
    """A product of the last axis with weights: (batch, tokens, `out`)."""
    return g.fc(x, out, activation=activation, bias=bias, keep_dims=True)


def vit(g: GraphBuilder, resolution: int, classes: int, batch: int, *, patch: int) -> str:
    """ViT-Base: 12 layers of width 768 with 12 heads; the resolution must divide by the patch."""
    if resolution % patch:
        raise GraphError(
            f"resolution {resolution} is no multiple of the patch size {patch}",
            f"take a multiple of {patch}",
        )
    x = g.conv(image(g, batch, resolution), 768, patch, patch, "valid")
    x = g.reshape(x, (batch, (resolution // patch) ** 2, 768))
    token = g.constant((1, 1, 768), "class_token")
    if batch > 1:
        token = g.op("tile", token, multiples=(batch, 1, 1))
    x = g.concat([token, x], axis=1)
    x = g.binary("add", x, g.constant((1, *g.shape(x)[1:]), "positions"))
    for _ in range(12):
        x = _vit_layer(g, x)
    x = g.op("slice", layer_norm(g, x), begin=(0, 0, 0), size=(batch, 1, 768))
    return g.op("softmax", g.fc(x, classes))


def _vit_layer(g: GraphBuilder, x: str) -> str:
    projected = linear(g, layer_norm(g, x), 3 * 768)
    q, k, v = g.add_op("split", [projected], {"axis": 2, "sizes": (768,) * 3})
    x = g.binary("add", x, linear(g, attention(g, q, k, v, 12), 768))
    y = g.op("gelu", linear(g, layer_norm(g, x), 4 * 768))
    return g.binary("add", x, linear(g, y, 768))


def mobilebert(g: GraphBuilder, sequence: int, batch: int) -> str:
    """MobileBERT for question answering: 24 layers with 128 channels inside, 512 between.

    Inputs: token and segment ids, and what is added to the attention scores (0, or very negative
    where there is no token). Its normalisation is a multiply and an add. Output: start and end
    logits of every token.
    """
    ids = g.input((batch, sequence), "input_ids", "int32")
    segments = g.input((batch, sequence), "segment_ids", "int32")
    bias = g.input((batch, 1, 1, sequence), "attention_bias")
    x = g.op("gather", g.constant((30_522, 128), "word_embeddings"), ids, axis=0)
    x = linear(g, _trigram(g, x), 512)
    positions = g.constant((512, 512), "position_embeddings")
    used = g.op("slice", positions, begin=(0, 0), size=(sequence, 512))
    x = g.binary("add", x, used)
    kind = g.op("gather", g.constant((2, 512), "segment_embeddings"), segments, axis=0)
    x = affine(g, g.binary("add", x, kind))
    for _ in range(24):
        x = _mobilebert_layer(g, x, bias)
    return linear(g, x, 2)


def _trigram(g: GraphBuilder, x: str) -> str:
    """Each token's embedding between those of its neighbours."""
    batch, tokens, width = g.shape(x)
    size = (batch, tokens - 1, width)
    later = g.op("slice", x, begin=(0, 1, 0), size=size)
    earlier = g.op("slice", x, begin=(0, 0, 0), size=size)
    later = g.op("pad", later, paddings=((0, 0), (0, 1), (0, 0)))
    earlier = g.op("pad", earlier, paddings=((0, 0), (1, 0), (0, 0)))
    return g.concat([later, x, earlier])


def _mobilebert_layer(g: GraphBuilder, x: str, bias: str) -> str:
    narrow = affine(g, linear(g, x, 128))
    shared = affine(g, linear(g, x, 128))
    q, k, v = linear(g, shared, 128), linear(g, shared, 128), linear(g, x, 128)
    y = linear(g, attention(g, q, k, v, 4, lambda s: g.binary("add", s, bias)), 128)
    y = affine(g, g.binary("add", y, narrow))
    for _ in range(4):
        inner = linear(g, y, 512, "relu")
        y = affine(g, g.binary("add", linear(g, inner, 128), y))
    return affine(g, g.binary("add", linear(g, y, 512), x))


ENTRIES = (
    *(
        ZooEntry(
            name=f"vit_b{patch}",
            title=f"ViT-B/{patch}",
            family="vit",
            task="classification",
            input_shape=(224, 224, 3),
            parameters=image_parameters(224, 1000),
            builder=partial(vit, patch=patch),
            note="The accuracy at 384 is of weights trained on billions of other images (SWAG, "
            "arXiv:2201.08371) first; do not compare it with the rest."
            if patch == 16
            else "",
        )
        for patch in (16, 32)
    ),
    ZooEntry(
        name="mobilebert",
        title="MobileBERT",
        family="mobilebert",
        task="question answering",
        input_shape=(384,),
        parameters=(Parameter("sequence", 384, 2, 512), BATCH),
        builder=mobilebert,
    ),
)
