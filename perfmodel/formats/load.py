"""One way in: a network by file or by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfmodel.errors import GraphError, ModelFileError, UnknownModelError
from perfmodel.formats.limits import shorten
from perfmodel.formats.sizes import NO_SIZES, InputShape, Sizes, parse_sizes, written
from perfmodel.graph.ir import Graph

MAX_FILE_BYTES = 8 * 2**30
"""Files beyond this size are refused: no mobile network comes near, and .onnx and .tflite files
without external weights end at 2 GiB."""

MAX_PATH = 4_096
"""Characters of a path that are looked at: no file system takes longer ones."""


Reader = Callable[[Path, Sizes], Graph]


def _tflite(path: Path, sizes: Sizes) -> Graph:
    from perfmodel.formats.tflite.reader import read_tflite

    sizes.refuse(path, "dims")
    return read_tflite(path, input_shapes=sizes.shapes, signature=sizes.signature or None)


def _onnx(path: Path, sizes: Sizes) -> Graph:
    from perfmodel.formats.onnx.reader import read_onnx

    sizes.refuse(path, "signature")
    return read_onnx(path, dims=sizes.dims, input_shape=sizes.shapes)


def _ncnn(path: Path, sizes: Sizes) -> Graph:
    from perfmodel.formats.ncnn.reader import read_ncnn

    sizes.refuse(path, "dims", "signature")
    return read_ncnn(path, input_shape=sizes.shapes)


def _caffe(path: Path, sizes: Sizes) -> Graph:
    from perfmodel.formats.caffe.reader import read_caffe

    sizes.refuse(path, "dims", "signature")
    return read_caffe(path, input_shape=sizes.shapes)


def _structure(path: Path, sizes: Sizes) -> Graph:
    from perfmodel.formats.structure import read_structure

    if sizes:
        raise ModelFileError(path, "sizes", "a structure file leaves no size open")
    return read_structure(path)


READERS: dict[str, Reader] = {
    ".tflite": _tflite,
    ".lite": _tflite,
    ".onnx": _onnx,
    ".param": _ncnn,
    ".prototxt": _caffe,
    ".json": _structure,
    ".gz": _structure,
}
"""Readers by file name ending."""

_EXPORT = "export it to .onnx with torch.onnx.export and give that file"
_CONVERT = "convert it to .tflite with tf.lite.TFLiteConverter and give that file"
_BUILT = "give the .onnx or .tflite file that it was built of"
INSTEAD: dict[str, str] = {
    **dict.fromkeys((".pt", ".pth", ".pt2", ".ckpt", ".safetensors"), _EXPORT),
    **dict.fromkeys((".pb", ".h5", ".keras"), _CONVERT),
    **dict.fromkeys((".mlmodel", ".mlpackage", ".engine", ".plan", ".trt"), _BUILT),
    **dict.fromkeys((".mnn", ".pte", ".dlc", ".rknn", ".hef", ".om", ".nb", ".xml"), _BUILT),
    ".gguf": "language models are known by name, such as transformers:llama-3.2-1b",
    ".caffemodel": "give its .prototxt",
}
"""What to give instead of a file that is not read, by its ending: weights without a network, and
files made for one device."""


def load(
    network: Path | str | Any,
    example_inputs: Any = None,
    *,
    batch_size: int | None = None,
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
) -> Graph:
    """The network of a file (.tflite, .onnx, .param, .prototxt, .json), a name or a module.

    `example_inputs` are those of a PyTorch module, in order: tensors or their shapes; one alone
    needs no list (perfmodel.formats.pytorch.export). A name is one of the zoo or of a library of
    PyTorch, `timm:mobilenetv4_conv_small` (perfmodel.formats.named).
    A zoo name may carry parameters: `mobilenet_v2@width=0.5,resolution=160`. `batch_size` replaces
    the network's own. `input_shape` gives the sizes of the only input, or of several by name,
    which a file leaves open (perfmodel.formats.sizes: the order of the axes); `dims` those of the
    named dimensions of an .onnx file. A text may carry both: `net.onnx@image=1x3x224x224,batch=4`,
    and which network of a .tflite file is meant: `net.tflite@signature=decode`.
    Raises `ModelFileError` for a bad file, `UnknownModelError` for a name that is neither,
    `GraphError` where the batch cannot be changed.
    """
    if isinstance(network, (str, Path)):
        graph = _load_text(network, example_inputs, Sizes.of(dims, input_shape))
    else:
        from perfmodel.formats.pytorch.export import graph_of_module

        if dims or input_shape:
            raise _for_files(type(network).__name__)
        graph = graph_of_module(network, example_inputs)
    if batch_size is None:
        return graph
    from perfmodel.graph.rebatch import rebatch

    return rebatch(graph, batch_size)


def _load_text(text: Path | str, example_inputs: Any, given: Sizes) -> Graph:
    """The network of a path or name."""
    if example_inputs is not None:
        raise GraphError(
            f"{shorten(text)}: example inputs are for PyTorch modules",
            "give sizes of a file with input_shape, those of a name as NAME@resolution=160",
        )
    file, carried = file_and_sizes(text)
    sizes = given.joined(carried)
    if file is not None:
        return _load_file(file, READERS.get(file.suffix.lower()), sizes)
    if sizes:
        raise _for_files(str(text))
    return _load_named(str(text))


def file_and_sizes(path_or_name: Path | str) -> tuple[Path | None, Sizes]:
    """The file that a text means, and the sizes that stand behind its name; None for a zoo name.

    A text that a file is called by is that file, whatever it holds.
    """
    path = Path(path_or_name)
    if isinstance(path_or_name, Path) or _is_file(path):
        return path, NO_SIZES
    for at in re.finditer("@", path_or_name[:MAX_PATH]):
        file = Path(path_or_name[: at.start()])
        if _reads(file) or (_is_file(file) and file.is_file()):
            items = path_or_name[at.end() :].split(",")
            return file, parse_sizes(items, path_or_name)
    return (path if _reads(path) else None), NO_SIZES


def named_from(model: str, folder: Path) -> str:
    """A network's name or path in a file of `folder`, to which paths there are relative.

    A file beside it without an ending is none that is meant: logs are often called by a network.
    """
    beside = str(folder / model)
    file, _ = file_and_sizes(beside)
    found = file is not None and file.suffix and _is_file(file) and file.is_file()
    return beside if found else model


def with_sizes(
    models: Sequence[Graph | str],
    *,
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
) -> list[Graph | str]:
    """Networks as a function takes them, with sizes behind the name of every file among them.

    Sizes that stand there already count. Raises `GraphError` where none of the networks is a file,
    so that the sizes would mean nothing.
    """
    sizes = Sizes.of(dims, input_shape)
    if not sizes:
        return list(models)
    found: list[Graph | str] = []
    for model in models:
        file, carried = file_and_sizes(model) if isinstance(model, str) else (None, NO_SIZES)
        found.append(model if file is None else f"{file}@{written(sizes.joined(carried))}")
    if all(new is old for new, old in zip(found, models, strict=True)):
        raise _for_files(", ".join(m if isinstance(m, str) else m.name for m in models))
    return found


def _for_files(name: str) -> GraphError:
    return GraphError(
        f"{shorten(name)}: --input-shape and --dim are for files of networks",
        "sizes of a network by name are its parameters, as in NAME@resolution=160",
    )


def _reads(path: Path) -> bool:
    return path.suffix.lower() in READERS


def _is_file(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False  # a text that no file could be called


def _load_named(text: str) -> Graph:
    from perfmodel import zoo
    from perfmodel.zoo.pack import library_of

    if library_of(text):
        if zoo.knows(text):
            return zoo.build(text)
        from perfmodel.formats.named import load_packed

        return load_packed(text)
    if (instead := INSTEAD.get(Path(text).suffix.lower())) and not zoo.knows(text):
        raise ModelFileError(text, "file", "no such file, and this kind is not read", instead)
    if "/" in text or "\\" in text:
        raise UnknownModelError(
            f"{text}: no such file, and not a network's name",
            "`perfmodel models` lists the networks by name",
        )
    return zoo.build(text)


def _load_file(path: Path, reader: Reader | None, sizes: Sizes) -> Graph:
    _check_file(path)
    reader = reader or _reader_by_content(path)
    return reader(path, sizes)


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise ModelFileError(path, "file", "this is a folder", "give a network's file")
        if not path.is_file() and path.exists():
            raise ModelFileError(path, "file", "this is a pipe or device, not a file")
        size = path.stat().st_size
    except FileNotFoundError:
        hint = "check the path; `perfmodel models` lists the networks by name"
        raise ModelFileError(path, "file", "no such file", hint) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(path, "file", reason) from error
    if size == 0:
        raise ModelFileError(path, "byte 0", "the file is empty")
    if size > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // 2**30
        raise ModelFileError(path, "file", f"{size} bytes, at most {limit} GiB are read")


def _reader_by_content(path: Path) -> Reader:
    """The reader for a file without a telling name, by its first bytes."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise ModelFileError(path, "file", error.strerror or str(error)) from error
    if head[4:8] == b"TFL3":
        return _tflite
    if head.startswith(b"7767517"):
        return _ncnn
    if head.startswith(b"\x1f\x8b"):
        return _structure
    raise ModelFileError(
        path,
        "byte 0",
        f"unknown kind of file (it starts with {head!r})",
        INSTEAD.get(path.suffix.lower()) or f"readable are {', '.join(sorted(READERS))}",
    )
