"""A campaign mode by mode, each finished one noted in a journal, so that a call can go on later."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from perfmodel.runners.cuda.apart import run_apart
from perfmodel.runners.cuda.campaign_state import CampaignResult, Settings
from perfmodel.runners.journal import Journal, raw_folder


def campaigns_by_mode(
    journal: Path, settings: Settings, log: Callable[[str], None]
) -> tuple[CampaignResult, ...]:
    """Run each mode's campaign; those that the journal holds are not run again.

    The tables lie in the journal's raw folder. What is left of the budget is shared evenly by the
    modes that are left; a mode that its share cuts short is run again by the next call, one that
    took its process down is not. Raises `RunnerError` where there is no GPU or no pycuda.
    """
    header = {
        "calibrate": "cuda",
        "device": settings.device_name,
        "networks": list(settings.networks),
        "batches": list(settings.batches),
        "sweep_scale": settings.sweep_scale,
        "seed": settings.seed,
    }
    results = []
    with Journal(journal, header) as book:
        left_s = settings.budget_s - sum(float(e["spent_s"]) for e in book.entries.values())
        for number, mode in enumerate(settings.modes):
            kept = _kept(book.entries.get(mode), raw_folder(journal))
            if kept is not None:
                results.append(kept)
                continue
            share_s = max(0.0, left_s) / (len(settings.modes) - number)
            began = time.monotonic()
            folder = raw_folder(journal) / mode.replace("/", "-")
            done = run_apart(folder, replace(settings, modes=(mode,), budget_s=share_s), log)
            left_s -= time.monotonic() - began
            results.append(done)
            if done.died or (done.finished and done.files):
                book.add(mode, _entry(done, raw_folder(journal), time.monotonic() - began))
    return tuple(results)


def _entry(done: CampaignResult, raw: Path, spent_s: float) -> dict[str, Any]:
    return {
        "folder": str(done.folder.relative_to(raw)),
        "files": {name: path.name for name, path in done.files.items()},
        "rows": dict(done.rows),
        "failures": list(done.failures),
        "spent_s": spent_s,
    }


def _kept(entry: Mapping[str, Any] | None, raw: Path) -> CampaignResult | None:
    """The finished campaign of an entry; None where there is none or a table of it is gone."""
    if entry is None:
        return None
    folder = raw / entry["folder"]
    files = {name: folder / file for name, file in entry["files"].items()}
    if not all(path.is_file() for path in files.values()):
        return None
    return CampaignResult(folder, files, entry["rows"], tuple(entry["failures"]), True)
