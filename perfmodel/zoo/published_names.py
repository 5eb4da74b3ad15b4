"""The network that a publication, a tool's log or a user names in a way of its own.

Only what is obvious is found: the same network under another spelling, with its width multiplier
and resolution as zoo parameters. What no rule finds stands in aliases.csv with who calls it so.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterator
from importlib import resources

from perfmodel.errors import bare_name
from perfmodel.zoo.modules import entry_named, names

_FILE_ENDING = re.compile(r"\.(tflite|mnn|onnx|param|prototxt|engine|plan|pt)$", re.IGNORECASE)
_FRAMEWORK = re.compile(r"_(bn|tf|tensorflow|tflite|keras|torch|pytorch|torchvision|caffe|onnx)$")
"""Endings that do not change the network: here normalisation is folded into the convolutions."""

_MARKS = (
    "full_integer_quant|integer_quant|dynamic_range_quant|quantized|quant|int8|int4|uint8|float32"
    "|float16|float|fp32|fp16|fp8|bf16|w8a8|w8a16|w4a16"
)
_PRECISION_AT_END = re.compile(rf"_({_MARKS})$")
_PRECISION = re.compile(rf"(?:^|_)({_MARKS})(?=_|$)")
_SIZED = (
    # stem, width, resolution, variant: as TensorFlow, torchvision and timm write them
    re.compile(r"(.+?)_(\d)[p_](\d{1,2})(?:_([1-9]\d{1,3}))?(_minimalistic)?"),
    re.compile(r"(.+?)_x(\d)_(\d{1,2})()()"),
    re.compile(r"([a-z]+)(\d)_(\d{1,2})()()"),
    re.compile(r"(.+?)_(0)(\d\d)()()"),
    re.compile(r"(.+?)()()_([1-9]\d{1,3})(_minimalistic)?"),
    re.compile(r"(.+?)()()()(_minimalistic)"),
)


def model_name(source_model: str, resolution: int | None = None, *, tool: str = "") -> str:
    """The name of a published network here: `Mobilenet_V1_0.25_128_quant` is
    `mobilenet_v1@width=0.25,resolution=128`; a name that is not known is returned as it is.

    `resolution` is the input size in pixels where the source gives it beside the name; `tool`
    (ncnn, torch2trt) is who calls it so, where others mean another network by it.
    """
    return network_called(source_model, resolution, tool=tool) or source_model


def network_called(published: str, resolution: int | None = None, *, tool: str = "") -> str | None:
    """As `model_name`; None for a name that is not known.

    A precision in the name ("_quant") does not change the network: ask `precision_in` for it.
    """
    key = _PRECISION_AT_END.sub("", _key(published))
    found = _called(key, tool) or _called(_PRECISION.sub("", key).strip("_"), tool)
    return None if found is None else _with_resolution(found, resolution)


def _called(key: str, tool: str) -> str | None:
    while _FRAMEWORK.search(key):
        key = _FRAMEWORK.sub("", key)
    return _exact(key, tool) or next(_sized(key, tool), None)


def precision_in(published: str) -> str:
    """The precision that a name states ("quant" in `mobilenet_v1_1.0_224_quant`).

    "" where it states none; several, joined by +, where it states more than one.
    """
    return "+".join(dict.fromkeys(_PRECISION.findall(_key(published))))


def _key(published: str) -> str:
    """Lower case, _ for every mark, without the ending of a file."""
    plain = _FILE_ENDING.sub("", published.strip()).lower().replace("+", "_plus")
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


@functools.cache
def _table() -> dict[tuple[str, str], str]:
    """Network by (tool, letters and digits of the published name); tool "" is everyone."""
    text = resources.files("perfmodel.zoo").joinpath("aliases.csv").read_text(encoding="utf-8")
    table = {("", bare_name(name)): name for name in names()}
    for row in csv.DictReader(text.splitlines()):
        table[row["tool"], bare_name(row["published"])] = row["network"]
    return table


def names_in_libraries() -> list[str]:
    """Names that stand for a network of the zoo with the library before a colon."""
    text = resources.files("perfmodel.zoo").joinpath("aliases.csv").read_text(encoding="utf-8")
    published = (row["published"] for row in csv.DictReader(text.splitlines()))
    return [name for name in published if ":" in name]


def _exact(key: str, tool: str) -> str | None:
    """A name that differs from a known one in its marks only: ResNet-18, squeezenet1_1."""
    table, letters = _table(), bare_name(key)
    return table.get((tool, letters)) or table.get(("", letters))


def _sized(key: str, tool: str) -> Iterator[str]:
    """A name with width multiplier, resolution or variant behind it."""
    for pattern in _SIZED:
        match = pattern.fullmatch(key)
        if match is None:
            continue
        stem, whole, fraction, size, variant = match.groups()
        name = _exact(stem, tool)
        if name is None or "@" in name:
            continue
        given = {"width": f"{float(f'{whole}.{fraction}'):g}"} if whole else {}
        given |= {"variant": "minimalistic"} if variant else {}
        given |= {"resolution": size} if size else {}
        takes = set(_defaults(name)) if name in names() else {"resolution"}
        if takes.issuperset(given):
            yield _spec(name, given)


def _with_resolution(spec: str, resolution: int | None) -> str:
    name, _, rest = spec.partition("@")
    given = dict(item.split("=") for item in rest.split(",") if item)
    if resolution and "resolution" not in given:
        given["resolution"] = str(resolution)
    return _spec(name, given)


def _spec(name: str, given: dict[str, str]) -> str:
    """The shortest spec: what the zoo takes without being told is left out."""
    usual = _defaults(name) if name in names() else {}
    stated = [f"{k}={v}" for k, v in given.items() if not _same(v, usual.get(k))]
    return name + ("@" + ",".join(stated) if stated else "")


def _same(text: str, usual: object) -> bool:
    if isinstance(usual, (int, float)):
        return float(text) == usual
    return text == usual


@functools.cache
def _defaults(name: str) -> dict[str, object]:
    return dict(entry_named(name).defaults)
