"""Fused operators of transformers: onnxruntime's, and those that ONNX took over since set 23.

Each becomes the products, sums and normalisations that it computes, so that MACs and bytes are
those of the network before fusion. Semantics: docs/ContribOperators.md in github
microsoft/onnxruntime, docs/Operators.md in github onnx/onnx.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.call import Call, common_layout, converts, same_layout
from perfmodel.formats.onnx.net import Value
from perfmodel.formats.onnx.products import product
from perfmodel.graph.ops import Shape

MS = "com.microsoft"


@dataclass(frozen=True, kw_only=True)
class Heads:
    """Queries, keys and values, each (batch, heads, tokens, size) in the graph."""

    q: str
    k: str
    v: str


def _emit(call: Call, kind: str, names: list[str], suffix: str, **attrs: object) -> str:
    """An inner operator's tensor."""
    return call.emit(kind, names, attrs, suffix=suffix)[0].tensor


def split_heads(call: Call, name: str, heads: int, suffix: str) -> str:
    """(batch, tokens, heads x size) as (batch, heads, tokens, size)."""
    shape = call.net.builder.shape(name)
    if len(shape) == 4:
        return name
    if len(shape) != 3 or heads < 1 or shape[2] % heads:
        raise GraphError(f"{heads} heads of a tensor {shape}")
    parts = (shape[0], shape[1], heads, shape[2] // heads)
    apart = _emit(call, "reshape", [name], f"{suffix}_heads", shape=parts)
    return _emit(call, "transpose", [apart], suffix, perm=(0, 2, 1, 3))


def with_past(call: Call, now: str, past: Value | None, suffix: str) -> str:
    """Keys or values of earlier tokens before those of now."""
    if past is None or len(past.shape) != 4 or past.shape[2] == 0:
        return now
    names = [call.net.plain(past), now]
    return _emit(call, "concat", names, suffix, axis=2, activation="none")


def attend(call: Call, heads: Heads, extra: list[Value]) -> tuple[str, str]:
    """softmax(q k^T + extra) v as (batch, heads, tokens, size), and the scores.

    Groups of heads of queries may share keys; what does not lie over the scores is no sum.

    A causal mask changes no work: runtimes multiply the whole square, or skip at most half of it.
    """
    shape = call.net.builder.shape
    (batch, count, tokens, size), q = shape(heads.q), heads.q
    shared, k, v = shape(heads.k)[1], heads.k, heads.v
    if shared < 1 or count % shared:
        raise GraphError(f"{count} heads of queries, {shared} of keys")
    groups = count // shared
    if groups > 1:
        q = _emit(call, "reshape", [q], "groups", shape=(batch, shared, groups, tokens, size))
        k = _emit(call, "reshape", [k], "shared_keys", shape=_with_axis(shape(k)))
        v = _emit(call, "reshape", [v], "shared_values", shape=_with_axis(shape(v)))
    scores = _emit(call, "matmul", [q, k], "scores", transpose_b=True)
    for i, value in enumerate(extra):
        if groups == 1 and _lies_over(value.shape, shape(scores)):
            names = [scores, call.net.plain(value)]
            scores = _emit(call, "add", names, f"bias{i}", activation="none")
    weights = _emit(call, "softmax", [scores], "weights", axis=len(shape(scores)) - 1)
    made = _emit(call, "matmul", [weights, v], "mixed")
    if groups > 1:
        *_, width = shape(made)
        made = _emit(call, "reshape", [made], "ungrouped", shape=(batch, count, tokens, width))
    return made, scores


def _lies_over(small: Shape, large: Shape) -> bool:
    pairs = zip(reversed(small), reversed(large), strict=False)
    return len(small) <= len(large) and all(a in (1, b) for a, b in pairs)


def _with_axis(shape: Shape) -> Shape:
    return (*shape[:2], 1, *shape[2:])


def joined(call: Call, name: str) -> list[Value]:
    """(batch, heads, tokens, size) as the node's result (batch, tokens, heads x size)."""
    back = _emit(call, "transpose", [name], "joined", perm=(0, 2, 1, 3))
    batch, tokens, heads, size = call.net.builder.shape(back)
    return call.emit("reshape", [back], {"shape": (batch, tokens, heads * size)})


def _held(call: Call, name: str) -> Value:
    """A tensor of the graph as a further result."""
    tensor = call.net.builder.tensors[name]
    return Value(name, tensor.shape, tensor.dtype, name)


def _masks(values: list[Value | None], rank: int = 4) -> list[Value]:
    """Masks and biases that are added to the scores; lengths and places are no sums."""
    return [v for v in values if v is not None and len(v.shape) == rank]


@converts(f"{MS}.Attention {MS}.DecoderMaskedSelfAttention")
def _packed_attention(call: Call) -> list[Value]:
    """Input (batch, tokens, width) times packed weights of queries, keys and values."""
    masks = [call.optional(3), call.optional(5)]
    return _from_packed(call, call.optional(4), _masks(masks))


@converts("QAttention")
def _quantised_attention(call: Call) -> list[Value]:
    return _from_packed(call, call.optional(8), _masks([call.optional(5)]))


def _from_packed(call: Call, past: Value | None, extra: list[Value]) -> list[Value]:
    """Attention behind one product that makes queries, keys and values; `past` holds both."""
    inner = replace(call, node=replace(call.node, outputs=(f"{call.op_name}/packed",)))
    packed = product(inner, call.value(0), call.value(1), bias=call.optional(2))[0]
    width = packed.shape[-1]
    sizes = call.integers("qkv_hidden_sizes") or (width // 3,) * 3
    q, k, v = _parts(call, packed.tensor, sizes)
    heads = call.integer("num_heads", 0)
    q, k, v = (split_heads(call, n, heads, s) for n, s in ((q, "q"), (k, "k"), (v, "v")))
    k, v = _after_both(call, past, k, v)
    made = joined(call, attend(call, Heads(q=q, k=k, v=v), extra)[0])
    if len(call.node.outputs) > 1 and call.node.outputs[1]:
        shape = (1, *call.net.builder.shape(k))
        stack = [_emit(call, "reshape", [n], "stacked", shape=shape) for n in (k, v)]
        both = _emit(call, "concat", stack, "present", axis=0, activation="none")
        made.append(_held(call, both))
    return made


def _parts(call: Call, name: str, sizes: tuple[int, ...]) -> tuple[str, ...]:
    """A tensor cut along its last axis."""
    axis = len(call.net.builder.shape(name)) - 1
    attrs = {"axis": axis, "sizes": sizes}
    place = call.net.fresh(f"{call.op_name}/parts")
    return call.net.builder.add_op("split", [name], attrs, place)


def _after_both(call: Call, past: Value | None, k: str, v: str) -> tuple[str, str]:
    """Keys and values behind those in (2, batch, heads, tokens, size)."""
    if past is None or len(past.shape) != 5 or past.shape[3] == 0:
        return k, v
    name, shape, found = call.net.plain(past), past.shape[1:], []
    for now, suffix in ((k, "keys"), (v, "values")):
        attrs = {"output_shape": shape}
        half = call.emit("strided_slice", [name], attrs, suffix=f"past_{suffix}")[0]
        found.append(with_past(call, now, half, suffix))
    return found[0], found[1]


@converts("MultiHeadAttention DecoderMaskedMultiHeadAttention")
def _multi_head(call: Call) -> list[Value]:
    """Queries (batch, tokens, width), keys and values likewise, or (batch, heads, tokens, size)."""
    masked = call.node.op_type.startswith("Decoder")
    bias_at, extra_at, past_at = (10, 4, 5) if masked else (3, 5, 6)
    count, query, key = call.integer("num_heads", 0), call.value(0), call.optional(1)
    bias, extra = call.optional(bias_at), _masks([call.optional(extra_at)])
    names = [call.net.plain(query)]
    if key is None:
        names = _unpacked(call, names[0], 3)
    elif len(key.shape) == 5:
        names += _unpacked(call, call.net.plain(key), 2)
    else:
        names += [call.net.plain(key), call.net.plain(call.value(2))]
    if bias is not None:
        names[0] = _biased(call, names[0], bias)
    q, k, v = (split_heads(call, n, count, s) for n, s in zip(names, "qkv", strict=True))
    return _attended(call, Heads(q=q, k=k, v=v), extra, past_at)


def _unpacked(call: Call, name: str, count: int) -> list[str]:
    """(batch, tokens, heads, parts, size) as each part (batch, tokens, heads x size)."""
    shape = call.net.builder.shape(name)
    if len(shape) != 5 or shape[3] != count:
        raise GraphError(f"{count} tensors packed in {shape}")
    batch, tokens, heads, _, size = shape
    attrs = {"output_shape": (batch, tokens, heads * size)}
    return [_emit(call, "strided_slice", [name], f"part{i}", **attrs) for i in range(count)]


def _biased(call: Call, name: str, bias: Value) -> str:
    """A sum with the part of a bias that is for a tensor of this width."""
    width = call.net.builder.shape(name)[-1]
    part = call.net.plain(bias)
    if bias.shape != (width,):
        part = _emit(call, "strided_slice", [part], "bias_part", output_shape=(width,))
    return _emit(call, "add", [name, part], "biased", activation="none")


def _attended(call: Call, heads: Heads, extra: list[Value], past_at: int) -> list[Value]:
    """The result, and keys and values with those of earlier tokens."""
    k = with_past(call, heads.k, call.optional(past_at), "all_keys")
    v = with_past(call, heads.v, call.optional(past_at + 1), "all_values")
    mixed, scores = attend(call, replace(heads, k=k, v=v), extra)
    made = joined(call, mixed)
    return [*made, _held(call, k), _held(call, v), _held(call, scores)][
        : max(1, len(call.node.outputs))
    ]


@converts("GroupQueryAttention SparseAttention")
def _group_query(call: Call) -> list[Value]:
    """As MultiHeadAttention, where several heads of queries share one of keys and values."""
    count, shared = call.integer("num_heads", 0), call.integer("kv_num_heads", 0)
    query, key = call.value(0), call.optional(1)
    names = [call.net.plain(query)]
    if count < 1 or shared < 1 or len(query.shape) != 3:
        raise GraphError(f"{count} heads of queries, {shared} of keys, queries {query.shape}")
    if key is None:
        size = query.shape[2] // (count + 2 * shared)
        names = list(_parts(call, names[0], (count * size, shared * size, shared * size)))
    else:
        names += [call.net.plain(key), call.net.plain(call.value(2))]
    if call.integer("do_rotary", 0):
        names[:2] = [_emit(call, "scale", [n], "rotary") for n in names[:2]]
    counts = zip(names, (count, shared, shared), "qkv", strict=True)
    q, k, v = (split_heads(call, n, c, s) for n, c, s in counts)
    extra = _masks([call.optional(10)]) if call.node.op_type == "GroupQueryAttention" else []
    return _attended(call, Heads(q=q, k=k, v=v), extra, 3)


@converts("Attention")
def _standard_attention(call: Call) -> list[Value]:
    """ONNX's own since set 23: each (batch, tokens, width) or (batch, heads, tokens, size)."""
    counts = call.integer("q_num_heads", 0), call.integer("kv_num_heads", 0)
    names = [call.net.plain(call.value(i)) for i in range(3)]
    pairs = zip(names, (counts[0], counts[1], counts[1]), "qkv", strict=True)
    q, k, v = (split_heads(call, n, c, s) for n, c, s in pairs)
    mask = call.optional(3)
    k = with_past(call, k, call.optional(4), "all_keys")
    v = with_past(call, v, call.optional(5), "all_values")
    mixed, scores = attend(call, Heads(q=q, k=k, v=v), [mask] if mask is not None else [])
    apart = len(call.value(0).shape) == 4
    made = call.emit("identity", [mixed]) if apart else joined(call, mixed)
    scores = _over_heads(call, scores, call.net.builder.shape(q)[1])
    held = [_held(call, name) for name in (k, v, scores)]
    return [*made, *held][: max(1, len(call.node.outputs))]


def _over_heads(call: Call, scores: str, heads: int) -> str:
    """Scores (batch, heads, tokens, tokens), where they are grouped."""
    shape = call.net.builder.shape(scores)
    if len(shape) == 4 or len(call.node.outputs) < 4:
        return scores
    return _emit(call, "reshape", [scores], "all_scores", shape=(shape[0], heads, *shape[3:]))


@converts("RotaryEmbedding GemmaRotaryEmbedding")
def _rotary(call: Call) -> list[Value]:
    """Pairs of elements turned by an angle of their place: read, multiplied, written."""
    return same_layout(call, "scale", call.value(0))


@converts("SkipLayerNormalization SkipSimplifiedLayerNormalization")
def _skip_norm(call: Call) -> list[Value]:
    """A sum of two tensors and perhaps a bias, then a normalisation; the sum may be a result."""
    simple = call.node.op_type != "SkipLayerNormalization"
    names, last = common_layout(call, [call.value(0), call.value(1)])
    total = call.emit("add", names, {"activation": "none"}, last=last, suffix="sum")[0]
    bias = call.optional(3 if simple else 4)
    if bias is not None:
        with_bias = [total.tensor, call.net.plain(bias)]
        attrs = {"activation": "none"}
        total = call.emit("add", with_bias, attrs, last=last, suffix="biased")[0]
    learned = [v for v in call.inputs[2 : 3 if simple else 4] if v is not None]
    constants = [call.net.plain(v) for v in learned]
    made = call.emit("layer_norm", [total.tensor, *constants], last=last)
    unused = Value("", (), "float32", constant=True)
    return [*made, unused, unused, total][: max(1, len(call.node.outputs))]


@converts("EmbedLayerNormalization QEmbedLayerNormalization")
def _embed_norm(call: Call) -> list[Value]:
    """Rows of words, places and segments, their sum, and a normalisation."""
    ids, segments = call.value(0), call.optional(1)
    rows = [_rows(call, call.value(2), ids, "words")]
    place = call.value(3)
    rows.append(_emit(call, "strided_slice", [call.net.plain(place)], "places",
                      output_shape=(1, ids.shape[-1], *place.shape[1:])))  # fmt: skip
    if segments is not None:
        rows.append(_rows(call, call.value(4), segments, "segments"))
    total = rows[0]
    for i, row in enumerate(rows[1:]):
        total = _emit(call, "add", [total, row], f"sum{i}", activation="none")
    learned = [call.net.plain(call.value(i)) for i in (5, 6)]
    made = call.emit("layer_norm", [total, *learned], dtype="float32")
    lengths = Value(f"{call.op_name}/lengths", (ids.shape[0],), "int32", constant=True)
    return [*made, lengths, _held(call, total)][: max(1, len(call.node.outputs))]


def _rows(call: Call, table: Value, ids: Value, suffix: str) -> str:
    names = [call.net.plain(table), call.net.plain(ids)]
    return call.emit("gather", names, {"axis": 0}, suffix=suffix, dtype="float32")[0].tensor


@converts("TorchEmbedding")
def _embedding(call: Call) -> list[Value]:
    names = [call.net.plain(call.value(0)), call.net.plain(call.value(1))]
    return call.emit("gather", names, {"axis": 0})


@converts("GemmFastGelu")
def _gemm_gelu(call: Call) -> list[Value]:
    inner = replace(call, node=replace(call.node, outputs=(f"{call.op_name}/product",)))
    made = product(inner, call.value(0), call.value(1), bias=call.optional(2))[0]
    return call.emit("gelu", [made.tensor])


@converts("BiasSoftmax")
def _biased_softmax(call: Call) -> list[Value]:
    names, last = common_layout(call, [call.value(0), call.value(1)])
    total = call.emit("add", names, {"activation": "none"}, last=last, suffix="biased")[0]
    axis = call.integer("axis", 1)
    return call.emit("softmax", [total.tensor], {"axis": axis % len(total.shape)}, last=last)


@converts("GroupNorm SkipGroupNorm")
def _group_norm(call: Call) -> list[Value]:
    """Images are channels last; a skip is added before, a SiLU may follow."""
    x, name = call.value(0), call.net.plain(call.value(0))
    if call.node.op_type == "SkipGroupNorm":
        for i in (3, 4):
            value = call.optional(i)
            if value is not None:
                names = [name, call.net.plain(value)]
                name = _emit(call, "add", names, f"skip{i}", activation="none")
    learned = [call.net.plain(call.value(i)) for i in (1, 2)]
    attrs = {"groups": call.integer("groups", 1)}
    total = _held(call, name)
    if call.integer("activation", 0):
        inner = call.emit("group_norm", [name, *learned], attrs, suffix="norm", dtype=x.dtype)
        made = call.emit("swish", [inner[0].tensor])
    else:
        made = call.emit("group_norm", [name, *learned], attrs, dtype=x.dtype)
    return [*made, total][: max(1, len(call.node.outputs))]
