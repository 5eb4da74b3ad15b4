"""A campaign on a CPU in the place of a GPU: the same script, so that only the GPU is new to it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perfmodel.runners.cuda import campaign, kernel_bench, sweep, timing
from validation.cuda.cuda_on_cpu import FakeGpu

NETWORKS = (
    "mobilenet_v1@resolution=32,width=0.25,classes=10",
    "squeezenet_1_1@resolution=64,classes=10",
)
"""Networks of the study that a CPU runs thread by thread within seconds."""

MOST_MACS, MOST_ELEMENTS, BATCHES = 3e5, 3e4, (1, 2)
SHORT_MS = 0.01


@contextmanager
def on_cpu(batches: tuple[int, ...] = BATCHES) -> Iterator[FakeGpu]:
    """A stand-in for this machine's GPU, small kernels to run on it and hardly any waiting.

    Raises `AssertionError` where a campaign leaves memory behind.
    """
    large = [
        *("conv_first", "conv_7x7", "fully_connected", "mean", "conv_depthwise"),
        *("conv_grouped", "conv_1xn", "conv_5x5", "conv_3x3"),
    ]
    small = {k: v for k, v in sweep.COUNTS.items() if k not in large}
    with tempfile.TemporaryDirectory(prefix="perfmodel-") as folder:
        gpu = FakeGpu(Path(folder))
        with (
            _changed(campaign, CudaDevice=lambda index: gpu),
            _changed(
                sweep,
                MOST_MACS=MOST_MACS,
                MOST_ELEMENTS=MOST_ELEMENTS,
                BATCHES=batches,
                COUNTS=small,
            ),
            _changed(kernel_bench, TARGET_GRAPH_MS=SHORT_MS),
            _changed(timing, SAMPLE_MS=SHORT_MS),
        ):
            yield gpu
    if gpu.allocations:
        raise AssertionError(f"{gpu.allocations} blocks of memory were not given back")


@contextmanager
def _changed(module: Any, **values: object) -> Iterator[None]:
    """Names of a module with other values, and their own again afterwards."""
    own = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in own.items():
            setattr(module, name, value)
