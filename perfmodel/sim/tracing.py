"""A run as a trace for ui.perfetto.dev: one track per unit, link and replica, requests as flows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_SLICES = 200_000
US_PER_MS = 1000.0


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
        lanes = self._lanes()
        events: list[dict[str, Any]] = []
        for (process, track), (pid, tid) in lanes.items():
            events.append(_name("process_name", pid, tid, process))
            events.append(_name("thread_name", pid, tid, track))
        by_request: dict[int, list[dict[str, Any]]] = {}
        for event, request in self._events(lanes):
            events.append(event)
            if request >= 0:
                by_request.setdefault(request, []).append(event)
        for request, slices in by_request.items():
            events.extend(_flow(request, slices))
        return {
            "traceEvents": events,
            "displayTimeUnit": "ms",
            "otherData": {"slices_left_out": self.left_out},
        }

    def write(self, path: str | Path) -> None:
        """Write the trace as JSON, atomically."""
        path = Path(path)
        part = path.with_name(f"{path.name}.part")
        part.write_text(json.dumps(self.to_json()), encoding="utf-8")
        part.replace(path)

    def _lanes(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Number processes and tracks in order of appearance."""
        processes: dict[str, int] = {}
        lanes: dict[tuple[str, str], tuple[int, int]] = {}
        for process, track, *_ in self._slices:
            pid = processes.setdefault(process, len(processes) + 1)
            lanes.setdefault((process, track), (pid, len(lanes) + 1))
        return lanes

    def _events(
        self, lanes: dict[tuple[str, str], tuple[int, int]]
    ) -> list[tuple[dict[str, Any], int]]:
        """Return slices as complete events; slices that overlap on a track get tracks of their own.

        A batch is several requests in one slice of time: the first carries the slice, the others
        their flows through it.
        """
        events: list[tuple[dict[str, Any], int]] = []
        same: dict[tuple[str, str, float, float], dict[str, Any]] = {}
        for process, track, name, start_ms, end_ms, request in self._slices:
            key = (process, track, start_ms, end_ms)
            if key in same:
                same[key]["args"]["requests"].append(request)
                events.append((same[key], request))
                continue
            pid, tid = lanes[process, track]
            event = {
                "ph": "X",
                "name": name,
                "cat": "work",
                "pid": pid,
                "tid": tid,
                "ts": start_ms * US_PER_MS,
                "dur": (end_ms - start_ms) * US_PER_MS,
                "args": {"requests": [request] if request >= 0 else []},
            }
            same[key] = event
            events.append((event, request))
        return events


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
