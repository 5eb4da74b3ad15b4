"""A network's kernels one after the other as a Chrome trace, for ui.perfetto.dev."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from perfmodel.sim.tracing import Tracer


def kernel_tracer(target: str, kernels: Iterable[tuple[str, float]]) -> Tracer:
    """The trace of kernels given as (name, latency in ms) in order of execution on `target`."""
    tracer = Tracer()
    start_ms = 0.0
    for name, latency_ms in kernels:
        end_ms = start_ms + latency_ms
        tracer.slice(target, "kernels", name, start_ms, end_ms, request=-1)
        start_ms = end_ms
    return tracer


def write_kernel_trace(path: str | Path, target: str, kernels: Iterable[tuple[str, float]]) -> None:
    """Write the trace of `kernel_tracer` as JSON."""
    kernel_tracer(target, kernels).write(path)
