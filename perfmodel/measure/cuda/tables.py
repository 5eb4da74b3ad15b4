"""Rows of the canonical measurement table from steps and timings, and CSV files of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfmodel.measure.cuda.backends import Mode
from perfmodel.measure.cuda.steps import Step
from perfmodel.measure.cuda.timing import Timing

COMMON = (
    "device", "soc", "unit", "framework", "build", "precision", "threads", "affinity", "source",
    "model", "batch", "kind", "runs",
)  # fmt: skip
SHAPE = (
    "layer", "op", "cin", "hin", "win", "cout", "hout", "wout", "kh", "kw", "sh", "sw", "groups",
    "m", "n", "k", "elements",
)  # fmt: skip
KERNEL_COLUMNS = (
    *COMMON, *SHAPE, "latency_us", "min_us", "p90_us", "activation", "residual", "inputs",
    "layout", "algorithm", "weights_state", "relative_error", "values_us",
)  # fmt: skip
"""`weights_state` is cold (not in the L2 cache) or warm; `inputs` counts the tensors read."""
LAYER_COLUMNS = (
    *COMMON,
    *SHAPE,
    "latency_us",
    "activation",
    "residual",
    "inputs",
    "layout",
    "algorithm",
)
NETWORK_COLUMNS = (
    *COMMON, "latency_ms", "statistic", "min_ms", "p90_ms", "layout", "launch", "kernels",
    "weights_bytes", "relative_error", "values_ms",
)  # fmt: skip
"""`launch` is graph (one CUDA graph per run, the number that counts), stream, or eager."""


def shape_columns(step: Step) -> dict[str, int | str]:
    """The shape of a step as the canonical table has it."""
    m, n, k = step.matrix
    op = step.activation if step.op == "activation" else step.op
    row: dict[str, int | str] = {"layer": step.name, "op": op}
    if step.op == "fully_connected":
        row |= {"cin": k, "hin": 1, "win": 1, "cout": n, "hout": 1, "wout": 1}
    else:
        _, hin, win, cin = image_shape(step.input_shapes[0])
        _, hout, wout, cout = image_shape(step.output_shape)
        if step.op == "concat":
            cin = sum(s[3] for s in step.input_shapes)
        row |= {"cin": cin, "hin": hin, "win": win, "cout": cout, "hout": hout, "wout": wout}
    if step.window is not None:
        row |= dict(
            zip(("kh", "kw", "sh", "sw"), (*step.window.kernel, *step.window.stride), strict=True)
        )
    if step.op == "conv2d":
        row["groups"] = step.groups
    if m:
        row |= {"m": m, "n": n, "k": k}
    elements = 1
    for size in step.output_shape:
        elements *= size
    return row | {"elements": elements}


def image_shape(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """(batch, height, width, channels) of an image or of rows of features."""
    if len(shape) == 4:
        return (shape[0], shape[1], shape[2], shape[3])
    return (shape[0], 1, 1, shape[-1])


def fused_columns(step: Step) -> dict[str, int | str]:
    """What rides along with the main operator."""
    activation = "none" if step.op == "activation" else step.activation
    return {
        "activation": activation,
        "residual": int(bool(step.residual)),
        "inputs": len(step.inputs),
    }


def common_columns(
    device: str, mode: Mode, build: str, model: str, batch: int, runs: int
) -> dict[str, Any]:
    """Columns that every row has; what does not apply to a GPU stays empty."""
    return {
        "device": device, "soc": "", "unit": "gpu", "framework": mode.framework, "build": build,
        "precision": mode.precision, "threads": "", "affinity": "",
        "source": "perfmodel cuda runner", "model": model, "batch": batch, "kind": "steady",
        "runs": runs, "layout": mode.layout,
    }  # fmt: skip


def timing_columns_us(timing: Timing) -> dict[str, Any]:
    """Statistics and raw values of a kernel."""
    return {
        "latency_us": significant(timing.median_us),
        "min_us": significant(timing.minimum_us),
        "p90_us": significant(timing.p90_us),
        "values_us": " ".join(str(significant(v)) for v in timing.values_us),
    }


def timing_columns_ms(timing: Timing) -> dict[str, Any]:
    """Statistics and raw values of a network."""
    return {
        "latency_ms": significant(timing.median_us / 1e3),
        "statistic": "median",
        "min_ms": significant(timing.minimum_us / 1e3),
        "p90_ms": significant(timing.p90_us / 1e3),
        "values_ms": " ".join(str(significant(v / 1e3)) for v in timing.values_us),
    }


def significant(value: float) -> float:
    """Five significant digits: more than the clock gives."""
    return float(f"{value:.5g}")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV (gzip if the name ends so) atomically; the same rows give the same bytes."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = text.getvalue().encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    write_atomically(path, data)


def write_json(path: Path, value: object) -> None:
    """Write readable JSON atomically."""
    write_atomically(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside and rename, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV that `write_table` wrote."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return list(csv.DictReader(io.StringIO(data.decode())))
