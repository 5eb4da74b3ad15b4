"""Traces for ui.perfetto.dev: runs, with a track per unit, link and replica, and kernels."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from perfmodel.files import write_atomically
from perfmodel.units import US_PER_MS

LEFT_OUT = "slices_left_out"
TRACE_MARK = f'"otherData": {{"{LEFT_OUT}": '.encode()
"""Stands at the end of every trace that perfmodel wrote."""
MOST_SLICES = 200_000  # some 50 MB of JSON, which the viewer still opens
ROUNDING_MS = 1e-9


class Tracer:
    """Collects slices of work; `to_json` makes them a Chrome trace (the format Perfetto reads)."""

    def __init__(self, most_slices: int = MOST_SLICES) -> None:
        self._most = most_slices
        self._slices: list[tuple[str, str, str, float, float, int]] = []
        self.left_out = 0

    def slice(
        self, process: str, track: str, name: str, start_ms: float, end_ms: float, request: int
    ) -> None:
        """Add work between two times; `request` is its number, or -1 for work of no request."""
        if len(self._slices) >= self._most:
            self.left_out += 1
        else:
            self._slices.append((process, track, name, start_ms, end_ms, request))

    def to_json(self) -> dict[str, Any]:
        """Return the trace: slices on named tracks, one flow per request, times in microseconds."""
        slices = sorted(self._merged().items(), key=lambda item: item[0][3])
        processes: dict[str, int] = {}
        lanes: dict[tuple[str, str], list[float]] = {}
        threads: dict[tuple[str, str, int], int] = {}
        events: list[dict[str, Any]] = []
        by_request: dict[int, list[dict[str, Any]]] = {}
        for (process, track, name, start_ms, end_ms), requests in slices:
            pid = processes.setdefault(process, len(processes) + 1)
            lane = _free_lane(lanes.setdefault((process, track), []), start_ms, end_ms)
            place = (process, track, lane)
            if place not in threads:
                threads[place] = tid = len(threads) + 1
                label = track if lane == 0 else f"{track} ({lane + 1})"
                events.append(_name("process_name", pid, tid, process))
                events.append(_name("thread_name", pid, tid, label))
            event = _slice(pid, threads[place], name, start_ms, end_ms, requests)
            events.append(event)
            for request in requests:
                by_request.setdefault(request, []).append(event)
        for request, steps in by_request.items():
            events.extend(_flow(request, steps))
        return {
            "traceEvents": events,
            "displayTimeUnit": "ms",
            "otherData": {LEFT_OUT: self.left_out},
        }

    def _merged(self) -> dict[tuple[str, str, str, float, float], list[int]]:
        """Return the requests of every slice: a batch is one slice of several requests."""
        merged: dict[tuple[str, str, str, float, float], list[int]] = {}
        for process, track, name, start_ms, end_ms, request in self._slices:
            requests = merged.setdefault((process, track, name, start_ms, end_ms), [])
            if request >= 0:
                requests.append(request)
        return merged

    def write(self, path: str | Path) -> None:
        """Write the trace as JSON, atomically."""
        write_atomically(Path(path), json.dumps(self.to_json()))


def _free_lane(ends_ms: list[float], start_ms: float, end_ms: float) -> int:
    """Return the first lane free at `start_ms` and take it: slices of a lane never overlap."""
    for lane, busy_until_ms in enumerate(ends_ms):
        if busy_until_ms <= start_ms + ROUNDING_MS:
            ends_ms[lane] = end_ms
            return lane
    ends_ms.append(end_ms)
    return len(ends_ms) - 1


def _slice(
    pid: int, tid: int, name: str, start_ms: float, end_ms: float, requests: list[int]
) -> dict[str, Any]:
    return {
        "ph": "X",
        "name": name,
        "cat": "work",
        "pid": pid,
        "tid": tid,
        "ts": start_ms * US_PER_MS,
        "dur": (end_ms - start_ms) * US_PER_MS,
        "args": {"requests": requests},
    }


def _name(kind: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}


def _flow(request: int, slices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the arrows from slice to slice of one request."""
    if len(slices) < 2:
        return []
    ordered = sorted(slices, key=lambda event: event["ts"])
    flow = []
    for place, event in enumerate(ordered):
        phase = "s" if place == 0 else "f" if place == len(ordered) - 1 else "t"
        flow.append(
            {
                "ph": phase,
                "bp": "e",
                "id": request,
                "name": "request",
                "cat": "request",
                "pid": event["pid"],
                "tid": event["tid"],
                "ts": event["ts"] + event["dur"] / 2,
            }
        )
    return flow


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
