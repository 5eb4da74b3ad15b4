"""Options that several commands take, each said once; and what is refused before work starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from perfmodel.errors import PerfmodelError

MODEL_HELP = (
    "A name (mobilenet_v2@width=0.5, timm:resnet50) or a .tflite, .onnx, .param or .prototxt file."
)
TARGET_HELP = "device/unit/framework/precision/threads; trailing parts may be left out."

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON on stdout.")]
Profiles = Annotated[
    list[Path] | None,
    typer.Option("--profile", help="A further profile file; may be given several times."),
]
Model = Annotated[str, typer.Argument(help=MODEL_HELP)]
Target = Annotated[str, typer.Option("--on", help=TARGET_HELP)]
BatchSize = Annotated[
    int | None, typer.Option(min=1, max=65536, help="Inputs that are computed at once.")
]
Dims = Annotated[
    list[str] | None,
    typer.Option("--dim", help="Size of a symbolic ONNX dimension, NAME=SIZE; may be repeated."),
]
InputShapes = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        help="Sizes of a file's input, [NAME=]1x224x224x3, as in docs/formats.md; may be repeated.",
    ),
]
AllowUncovered = Annotated[
    bool, typer.Option(help="Predict without the operators that are not covered.")
]
MaxLatency = Annotated[float, typer.Option(help="Latency at the percentile, in ms.")]
Percentile = Annotated[
    float, typer.Option(help="Of the prediction's uncertainty, in percent (1 to 99.99).")
]
MaxMemory = Annotated[float | None, typer.Option(help="Weights and activations, in MB.")]
MaxEnergy = Annotated[float | None, typer.Option(help="Energy of one inference, in mJ.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Also to a file, by its ending: rows .csv or .parquet, a page .html, all .json.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Write over files that this command did not make.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of everything random: the same gives the same.")]
Journal = Annotated[
    Path | None, typer.Option(help="Where measurements are kept, so that a run can go on.")
]
OnlyModels = Annotated[
    list[str] | None, typer.Option("--model", help="Only these networks; may be repeated.")
]
Files = Annotated[
    Path | None, typer.Option(help="Folder of real model files, in the format of what runs them.")
]
BenchmarkModel = Annotated[
    Path | None,
    typer.Option(
        envvar="PERFMODEL_BENCHMARK_MODEL", help="TFLite's benchmark_model, built for the phone."
    ),
]
Serial = Annotated[
    str, typer.Option(envvar="ANDROID_SERIAL", help="The phone, where several are attached.")
]
Cores = Annotated[
    str, typer.Option(help="Cores of the phone to run on, as a hexadecimal mask such as f0.")
]
Trtexec = Annotated[str, typer.Option(help="Path of trtexec on the board.")]

OF_ADB, OF_SSH = ("benchmark_model", "serial", "cores"), ("trtexec",)
"""Parameters of the devices' options above, by how the device is reached."""

LARGEST_SIZE = 1_000_000
"""Of a symbolic dimension: tensors beyond it would not fit any device."""


def sizes(pairs: Sequence[str] | None) -> dict[str, int]:
    """`["batch=4"]` as {"batch": 4}; raises `PerfmodelError` naming what is wrong."""
    found: dict[str, int] = {}
    for text in pairs or ():
        name, _, size = text.partition("=")
        if not name or not (size.isascii() and size.isdigit()) or not 0 < int(size) <= LARGEST_SIZE:
            raise PerfmodelError(
                f"--dim {text!r} is not NAME=SIZE", "for example --dim sequence=128"
            )
        if name in found:
            raise PerfmodelError(f"--dim {name} is given twice", "name each dimension once")
        found[name] = int(size)
    return found


def input_shapes(texts: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """`["image=1x224x224x3"]` as {"image": (1, 224, 224, 3)}; "" names the only input.

    Raises `PerfmodelError` naming what is wrong.
    """
    from perfmodel.formats.sizes import parse_shape

    found: dict[str, tuple[int, ...]] = {}
    for text in texts or ():
        name, _, sizes_text = text.rpartition("=")
        one_axis = sizes_text.isascii() and sizes_text.isdigit() and bool(name)
        shape = parse_shape(f"[{sizes_text}]" if one_axis else sizes_text)
        if shape is None:
            raise PerfmodelError(
                f"--input-shape {text!r} is not [NAME=]SIZExSIZE...",
                "for example --input-shape 1x224x224x3, or --input-shape tokens=1x128",
            )
        if name in found:
            raise PerfmodelError(
                f"--input-shape {name or text} is given twice", "name each input once"
            )
        found[name] = shape
    return found


def duration_s(budget: str) -> float:
    """Seconds of a --budget such as 10min; raises `PerfmodelError` for anything else."""
    from perfmodel.units import parse_duration_s

    try:
        return parse_duration_s(budget)
    except ValueError as error:
        raise PerfmodelError(f"--budget: {error}", "for example --budget 10min") from None


def files_in(folder: Path | None, pattern: str) -> list[Path]:
    """The model files of a folder; none if no folder is given, an error if it holds none."""
    if folder is None:
        return []
    found = sorted(folder.glob(pattern))
    if not found:
        raise PerfmodelError(f"{folder}: holds no {pattern} file")
    return found


def given(context: typer.Context, name: str) -> bool:
    """Whether an option or argument (by its parameter's name) stands on the command line."""
    source: Any = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_idle(context: typer.Context, why: str, *names: str) -> None:
    """Raise `PerfmodelError` for the first of the named parameters that is given.

    An option that would do nothing is an error: `why` says when it does nothing.
    """
    flags = {p.name: max(p.opts, key=len) for p in context.command.params}
    for name in names:
        if given(context, name):
            flag = flags[name]
            shown = flag if flag.startswith("-") else flag.upper()
            raise PerfmodelError(f"{shown} does nothing {why}", "leave it out")
