"""Files as large, costly or damaged as they may be: `python -m benchmarks.limit_speed`.

What such a file costs must stay small, whoever sent it. With the folder of published measurements
beside the checkout the largest of its tables is read too.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figures import Figure, best_s
from perfmodel.errors import PerfmodelError
from perfmodel.formats.load import load
from perfmodel.measurements.read import read_measurements

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

BRACKETS = "Run Order\nnode type, start, first, avg_ms, name" + "[" * 90_000 + "\n"
"""The heading of an operator profile whose names of columns never end."""


def figures() -> Iterator[Figure]:
    """Every figure of the floor."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text, suffix in networks():
            path = Path(folder) / f"network{suffix}"
            path.write_text(text)
            seconds = best_s(lambda p=path: answered(load, p), 3)  # type: ignore[misc]
            yield Figure("limits", name, seconds, "s")
        log = Path(folder) / "measured.txt"
        log.write_text("x min = " + " " * 10**6 + "1 max = 2 avg =")
        seconds = best_s(lambda: answered(read_measurements, log), 3)
        yield Figure("limits", "refusing a megabyte of blanks as a log", seconds, "s")
        log.write_text(BRACKETS)
        seconds = best_s(lambda: answered(read_measurements, log), 3)
        yield Figure("limits", "refusing 90 kB of brackets as a profile", seconds, "s")
    table = DATA / "layers_gpu.csv"
    if table.is_file():
        seconds = best_s(lambda: read_measurements(table), 3)
        yield Figure("limits", "reading 60,000 rows of kernels", seconds, "s")


def networks() -> Iterator[tuple[str, str, str]]:
    """(name, file, suffix) of networks at the limits of what is read."""
    chain = [f"Convolution c{i} 1 1 b{i} b{i + 1} 0=3 1=1 5=1 6=9" for i in range(9_999)]
    largest = ncnn(["Input d 0 1 b0 0=8 1=8 2=3", *chain], 10_000)
    yield "reading 9,999 layers of ncnn", largest, ".param"
    attention = [f"MultiHeadAttention m{i} 1 1 d m{i} 0=64 1=4 2=4096" for i in range(9_000)]
    costliest = ncnn(["Input d 0 1 d 0=64 1=10", *attention], 9_001)
    yield "refusing 9,000 attentions of ncnn", costliest, ".param"
    yield "refusing a deep prototxt", "layer { " * 100_000, ".prototxt"


def ncnn(layers: list[str], blobs: int) -> str:
    """An ncnn network file of these layers."""
    return "\n".join(["7767517", f"{len(layers)} {blobs}", *layers]) + "\n"


def answered(read: Callable[[Path], object], path: Path) -> None:
    """Read a file or be refused; any other end is a fault."""
    with contextlib.suppress(PerfmodelError):
        read(path)


if __name__ == "__main__":
    for figure in figures():
        print(figure)
