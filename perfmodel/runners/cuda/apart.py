"""A GPU campaign in a worker process: a driver that takes it down costs a mode, not the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from perfmodel.runners.cuda.campaign_state import CampaignResult, Settings, files_of
from perfmodel.runners.worker import Worker, WorkerDied

MORE_S = 600.0
"""Beyond its budget a campaign may compile its kernels and end what it has begun, by judgement."""


def run_apart(folder: Path, settings: Settings, log: Callable[[str], None]) -> CampaignResult:
    """As `run_campaign`; where the worker dies, that is the last failure and the tables that it has
    written by then are what there is."""
    with Worker() as worker:
        try:
            found = worker.call(
                "cuda-campaign",
                note=log,
                more_s=settings.budget_s + MORE_S,
                folder=str(folder),
                settings=asdict(settings),
            )
        except WorkerDied as died:
            files = files_of(folder, settings.device_name) if settings.device_name else {}
            there = {name: path for name, path in files.items() if path.exists()}
            modes = ", ".join(settings.modes)
            return CampaignResult(folder, there, {}, (f"{modes}: {died}",), False, died=True)
    return replace(
        CampaignResult(**found),
        folder=folder,
        files={name: Path(path) for name, path in found["files"].items()},
        failures=tuple(found["failures"]),
    )


@dataclass(frozen=True)
class PlainResult:
    """A `CampaignResult` of text and numbers alone, as a worker answers."""

    folder: str
    files: dict[str, str]
    rows: dict[str, int]
    failures: tuple[str, ...]
    finished: bool


def run_here(
    folder: str, settings: dict[str, Any], note: Callable[[str], None] = print
) -> PlainResult:
    """`run_campaign` from plain data to plain data, for a worker."""
    from perfmodel.runners.cuda.campaign import run_campaign

    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()
    }
    done = run_campaign(Path(folder), Settings(**fields), note)
    return PlainResult(
        folder=folder,
        files={name: str(path) for name, path in done.files.items()},
        rows=dict(done.rows),
        failures=done.failures,
        finished=done.finished,
    )
