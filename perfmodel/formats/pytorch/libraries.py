"""Networks by the names that PyTorch's libraries give them: `torchvision:resnet50`, `timm:...`.

Each library says how a module is made without weights and which inputs it takes. Licences of the
packages whose structures are read: torchvision BSD-3-Clause, timm and transformers Apache-2.0.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from perfmodel.errors import GraphError, UnknownModelError, nearest_names
from perfmodel.formats.pytorch.export import EXTRA, graph_of_module, import_torch
from perfmodel.graph.ir import Graph

FRAMES = 16
"""Frames of a video where the network's own description does not say (torchvision's recipes)."""

SEGMENTATION_SIZE = 520
"""Side in pixels to which torchvision's segmentation weights scale an image."""


@dataclass(frozen=True, kw_only=True)
class LibraryModule:
    """A module without weights, its inputs in order (shape, dtype), and inputs by name."""

    module: Any
    inputs: tuple[tuple[tuple[int, ...], str], ...]
    keywords: Mapping[str, tuple[tuple[int, ...], str]]


Maker = Callable[[str, int | None], LibraryModule]
"""Makes the module of a name, for images of the given side where one is given."""


def graph_of_name(library: str, name: str, resolution: int | None = None) -> Graph:
    """The network `name` of a library ("timm"), exported here and now, for a batch of one.

    `resolution` is the side of the image in pixels; the network's own by default. Raises
    `UnknownModelError` where the library is absent or has no such network.
    """
    maker = LIBRARIES.get(library)
    full = f"{library}:{name}"
    if maker is None:
        raise UnknownModelError(
            f"{full}: no library called {library!r}", f"known: {', '.join(LIBRARIES)}"
        )
    made = made_by(library, name, resolution)
    torch = import_torch()

    def tensor(shape: tuple[int, ...], dtype: str) -> Any:
        return torch.empty(shape, dtype=getattr(torch, dtype), device="meta")

    inputs = [tensor(*i) for i in made.inputs]
    keywords = {k: tensor(*i) for k, i in made.keywords.items()}
    spec = full if resolution is None else f"{full}@resolution={resolution}"
    return graph_of_module(made.module, inputs, name=spec, source=spec, keywords=keywords)


def made_by(library: str, name: str, resolution: int | None = None) -> LibraryModule:
    """The module and inputs of a network; raises `UnknownModelError` as `graph_of_name` does."""
    try:
        torch = importlib.import_module("torch")
        importlib.import_module(library)
    except ImportError:
        raise UnknownModelError(
            f"{library}:{name}: {library} is not installed, and the network is not among those "
            "that ship with this package",
            f"{EXTRA}, or take a network of `perfmodel models`",
        ) from None
    maker = LIBRARIES[library]
    try:
        with torch.device("meta"):
            return maker(name, resolution)
    except (NotImplementedError, RuntimeError):
        pass  # computes its own sizes or tables with tensors, which must hold numbers
    try:
        return maker(name, resolution)
    except (NotImplementedError, RuntimeError, TypeError, ValueError, AssertionError) as error:
        reason = str(error).partition("\n")[0][:300]
        raise GraphError(f"{library}:{name}: {library} cannot build it: {reason}") from error


def _unknown(library: str, name: str, known: list[str]) -> UnknownModelError:
    close = nearest_names(name, known)
    hint = "did you mean " + " or ".join(f"{library}:{c}" for c in close) + "?" if close else ""
    return UnknownModelError(f"{library} has no network named {name!r}", hint)


def _images(side: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], str], ...]:
    return (((1, *side), "float32"),)


def _torchvision(name: str, resolution: int | None) -> LibraryModule:
    models = importlib.import_module("torchvision.models")
    known = models.list_models()
    if name not in known or name.startswith("quantized_"):
        raise _unknown("torchvision", name, [n for n in known if "quantized" not in n])
    builder = models.get_model_builder(name)
    takes = inspect.signature(builder).parameters
    options: dict[str, Any] = {"weights": None}
    if "weights_backbone" in takes:
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # numbers that nobody needs, drawn for seconds
    weights = models.get_model_weights(name).DEFAULT
    transforms = weights.transforms()
    side = getattr(transforms, "crop_size", None) or getattr(transforms, "resize_size", None)
    side = list(side) if side else [_DETECTION_SIZES.get(name, SEGMENTATION_SIZE)]
    height, width = (side * 2)[:2] if resolution is None else (resolution, resolution)
    module = models.get_model(name, **options)
    if name.startswith("raft"):
        pair = ((1, 3, 520, 960) if resolution is None else (1, 3, height, width), "float32")
        return LibraryModule(module=module, inputs=(pair, pair), keywords={})
    if builder.__module__.startswith("torchvision.models.video"):
        frames = weights.meta.get("min_temporal_size", FRAMES)
        frames = FRAMES if frames < FRAMES else frames
        return LibraryModule(module=module, inputs=_images((3, frames, height, width)), keywords={})
    if name in _DETECTION_SIZES:
        module = _detector(module)
    return LibraryModule(module=module, inputs=_images((3, height, width)), keywords={})


_DETECTION_SIZES = {
    "ssd300_vgg16": 300,
    "ssdlite320_mobilenet_v3_large": 320,
    "retinanet_resnet50_fpn": 800,
    "retinanet_resnet50_fpn_v2": 800,
    "fcos_resnet50_fpn": 800,
}
"""One-stage detectors of torchvision and the side of the image that their recipes scale to."""


def _detector(module: Any) -> Any:
    """The part of a detector that computes: its choice of boxes depends on their values."""
    torch = import_torch()

    class Detector(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = module.backbone, module.head

        def forward(self, image: Any) -> Any:
            return self.head(list(self.backbone(image).values()))

    return Detector()


def _timm(name: str, resolution: int | None) -> LibraryModule:
    timm = importlib.import_module("timm")
    plain = name.partition(".")[0]
    if not timm.is_model(plain):
        raise _unknown("timm", plain, timm.list_models())
    module = timm.create_model(name, pretrained=False)
    size = module.pretrained_cfg["input_size"]
    if resolution is not None and resolution != size[-1]:
        with contextlib.suppress(TypeError):  # without windows or positions: any size will do
            module = timm.create_model(name, pretrained=False, img_size=resolution)
        size = (size[0], resolution, resolution)
    return LibraryModule(module=module, inputs=_images(tuple(size)), keywords={})


@functools.cache
def transformers_table() -> dict[str, dict[str, str]]:
    """Rows of transformers.csv by name: class, settings of its configuration, and inputs."""
    path = resources.files("perfmodel.formats.pytorch").joinpath("transformers.csv")
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return {row["name"]: row for row in rows}


def _transformers(name: str, resolution: int | None) -> LibraryModule:
    """A class with a published configuration of the table, or a model type with its default one."""
    transformers = importlib.import_module("transformers")
    table = transformers_table()
    row = table.get(name)
    if row is None:
        raise _unknown("transformers", name, list(table))
    kind = getattr(transformers, row["class"])
    settings = json.loads(row["settings"] or "{}")
    inputs = json.loads(row["inputs"])
    if resolution is not None:
        inputs = {k: [_resized(v[0], resolution), v[1]] for k, v in inputs.items()}
        if "image_size" in settings or hasattr(kind.config_class(), "image_size"):
            settings["image_size"] = resolution
    config = kind.config_class(**settings)
    try:
        config._attn_implementation = "sdpa"
        module = kind(config)
    except ValueError:  # a class without the fused operator for attention
        config._attn_implementation = "eager"
        module = kind(config)
    keywords = {k: (tuple(shape), dtype) for k, (shape, dtype) in inputs.items()}
    if row["part"]:
        module = functools.reduce(getattr, row["part"].split("."), module)
    return LibraryModule(module=_plain_results(module), inputs=(), keywords=keywords)


def _resized(shape: list[int], resolution: int) -> list[int]:
    if len(shape) != 4:
        raise GraphError(f"an input of shape {shape} is no image", "leave the resolution out")
    return [*shape[:2], resolution, resolution]


def _plain_results(module: Any) -> Any:
    """A module that returns tensors in place of the library's own records, and keeps no cache."""
    torch = import_torch()

    class Tensors(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, **inputs: Any) -> Any:
            keep = {"use_cache": False} if _takes(module, "use_cache") else {}
            found = self.model(**inputs, **keep)
            values = found.values() if hasattr(found, "values") else found
            if hasattr(values, "dtype"):
                return values
            return tuple(v for v in values if hasattr(v, "dtype"))

    return Tensors()


def _takes(module: Any, argument: str) -> bool:
    return argument in inspect.signature(module.forward).parameters


LIBRARIES: dict[str, Maker] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
}
"""Libraries by the word before the colon."""
