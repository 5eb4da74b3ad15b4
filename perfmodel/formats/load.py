"""One way in: a network by file or by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfmodel.errors import GraphError, ModelFileError, UnknownModelError
from perfmodel.graph.ir import Graph

MAX_FILE_BYTES = 8 * 2**30
"""Files beyond this size are refused: no mobile network comes near, and .onnx and .tflite files
without external weights end at 2 GiB."""


@dataclass(frozen=True)
class Sizes:
    """Sizes that a file leaves open, as the caller gives them."""

    dims: Mapping[str, int] | None
    input_shape: Sequence[int] | None

    def refuse(self, path: Path, *names: str) -> None:
        """Raise where a size is given that this kind of file has no use for."""
        reasons = {
            "dims": "only .onnx files have named dimensions",
            "input_shape": "only .param and .prototxt files leave the input's shape open",
        }
        for name in names:
            if getattr(self, name):
                raise ModelFileError(path, name, reasons[name])


Reader = Callable[[Path, Sizes], Graph]


def _tflite(path: Path, sizes: Sizes) -> Graph:
    from perfmodel.formats.tflite.reader import read_tflite

    sizes.refuse(path, "dims", "input_shape")
    return read_tflite(path)


def _onnx(path: Path, sizes: Sizes) -> Graph:
    from perfmodel.formats.onnx.reader import read_onnx

    sizes.refuse(path, "input_shape")
    return read_onnx(path, dims=sizes.dims)


def _ncnn(path: Path, sizes: Sizes) -> Graph:
    from perfmodel.formats.ncnn.reader import read_ncnn

    sizes.refuse(path, "dims")
    return read_ncnn(path, input_shape=sizes.input_shape)


def _caffe(path: Path, sizes: Sizes) -> Graph:
    from perfmodel.formats.caffe.reader import read_caffe

    sizes.refuse(path, "dims")
    return read_caffe(path, input_shape=sizes.input_shape)


READERS: dict[str, Reader] = {
    ".tflite": _tflite,
    ".lite": _tflite,
    ".onnx": _onnx,
    ".param": _ncnn,
    ".prototxt": _caffe,
}
"""Readers by file name ending."""


def load(
    path_or_name: Path | str,
    *,
    batch_size: int | None = None,
    dims: Mapping[str, int] | None = None,
    input_shape: Sequence[int] | None = None,
) -> Graph:
    """The network of a file (.tflite, .onnx, .param, .prototxt) or of the zoo.

    A zoo name may carry parameters: `mobilenet_v2@width=0.5,resolution=160`. `batch_size` replaces
    the network's own; `dims` gives sizes to the named dimensions of an .onnx file, `input_shape`
    (batch, height, width, channels) to the input of a .param or .prototxt file. Raises
    `ModelFileError` for a bad file, `UnknownModelError` for a name that is neither, `GraphError`
    where the batch cannot be changed.
    """
    text = str(path_or_name)
    reader = READERS.get(Path(text).suffix.lower()) if "@" not in text else None
    path = Path(text)
    if isinstance(path_or_name, Path) or reader is not None or _is_file(path):
        graph = _load_file(path, reader, Sizes(dims, input_shape))
    else:
        if dims or input_shape:
            raise GraphError(
                f"{text}: dims and input_shape are for files",
                "sizes of a network by name are its parameters, as in NAME@resolution=160",
            )
        graph = _load_named(text)
    if batch_size is None:
        return graph
    from perfmodel.graph.rebatch import rebatch

    return rebatch(graph, batch_size)


def _is_file(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False  # a text that no file could be called


def _load_named(text: str) -> Graph:
    from perfmodel import zoo

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
    raise ModelFileError(
        path,
        "byte 0",
        f"unknown kind of file (it starts with {head!r})",
        f"readable are {', '.join(sorted(READERS))}",
    )
