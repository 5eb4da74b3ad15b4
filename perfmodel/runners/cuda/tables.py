"""Rows of the canonical measurement table from steps and timings, and CSV files of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfmodel.files import write_atomically
from perfmodel.runners.cuda.backends import Mode
from perfmodel.runners.cuda.steps import GpuStep
from perfmodel.runners.cuda.timing import Timing

COMMON = (
    "device", "unit", "framework", "build", "precision", "source", "model", "batch", "kind",
    "runs", "statistic", "variant", "note",
)  # fmt: skip
SHAPE = (
    "layer", "op", "cin", "hin", "win", "cout", "hout", "wout", "kh", "kw", "sh", "sw", "groups",
    "m", "n", "k", "elements",
)  # fmt: skip
KERNEL_COLUMNS = (*COMMON, *SHAPE, "latency_us")
NETWORK_COLUMNS = (*COMMON, "latency_ms", "min_ms", "max_ms", "p90_ms")
"""Columns of `perfmodel.measurements.columns`; what has none there is in `variant` and `note`.

`variant` tells rows apart: `layout` (nchw, nhwc), `activation` and `residual` (fused into the
kernel), `inputs` (tensors read), `weights` (cold: not in the L2 cache, or warm), `algorithm` (what
ran), and for networks `launch`: graph (one CUDA graph per run, the number that counts), stream
or eager. `note` keeps the raw values and the error of the answer.
"""


def variant_text(**parts: object) -> str:
    """ "key=value;..." of everything that tells two rows apart."""
    return ";".join(f"{key}={value}" for key, value in parts.items())


def parse_variant(text: str) -> dict[str, str]:
    """The parts of a `variant` or `note` cell."""
    return dict(part.split("=", 1) for part in text.split(";") if "=" in part)


def shape_columns(step: GpuStep) -> dict[str, int | str]:
    """The shape of a step as the canonical table has it: that of its kernel."""
    kernel = step.kernel
    names = ["cin", "hin", "win", "cout", "hout", "wout"]
    names += ["kh", "kw", "sh", "sw"] if step.window is not None else []
    names += ["groups"] if step.op == "conv2d" else []
    names += ["m", "n", "k"] if kernel.m else []
    sizes = {name: getattr(kernel, name) for name in (*names, "elements")}
    return {"layer": step.name, "op": kernel.op, **sizes}


def kernel_variant(step: GpuStep, mode: Mode, algorithm: str, **more: object) -> str:
    """The `variant` of a kernel: layout, what is fused, what ran."""
    activation = "none" if step.op == "activation" else step.activation
    return variant_text(
        layout=mode.layout,
        activation=activation,
        residual=int(bool(step.residual)),
        inputs=len(step.inputs),
        **more,
        algorithm=algorithm,
    )


def common_columns(
    device: str, mode: Mode, build: str, model: str, batch: int, runs: int
) -> dict[str, Any]:
    """Columns that every row has."""
    return {
        "device": device,
        "unit": "gpu",
        "framework": mode.framework,
        "build": build,
        "precision": mode.precision,
        "source": "perfmodel cuda runner",
        "model": model,
        "batch": batch,
        "kind": "steady",
        "runs": runs,
        "statistic": "median",
    }


def kernel_timing(timing: Timing, **notes: object) -> dict[str, Any]:
    """Median of a kernel, and its raw values as a note."""
    values = " ".join(str(significant(v)) for v in timing.values_us)
    note = variant_text(**notes, graph=int(timing.graph), values_us=values)
    return {"latency_us": significant(timing.median_us), "note": note}


def network_timing(timing: Timing, **notes: object) -> dict[str, Any]:
    """Statistics of a network, and its raw values as a note."""
    values = " ".join(str(significant(v / 1e3)) for v in timing.values_us)
    return {
        "latency_ms": significant(timing.median_us / 1e3),
        "min_ms": significant(timing.minimum_us / 1e3),
        "max_ms": significant(max(timing.values_us) / 1e3),
        "p90_ms": significant(timing.p90_us / 1e3),
        "note": variant_text(**notes, values_ms=values),
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


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV that `write_table` wrote."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return list(csv.DictReader(io.StringIO(data.decode())))
