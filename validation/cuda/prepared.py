"""The campaign that is ready for the day a GPU is at hand: one command, under nine minutes.

    python -m validation.cuda campaign --out FOLDER
    python -m validation.cuda campaign --out FOLDER --dry-run     the same on a CPU

In this order, each stage with its share of the budget, so that a day that ends early has the best:
predictions are written before anything is measured; every kernel is checked against float64;
kernels are swept in every precision at batch 1, 8 and 32; the networks of the study run by our
kernels and by cuDNN; the same in eager PyTorch, and the products that our runner has no mode for
(bfloat16, int8) in PyTorch alone. Tables are written as they grow. Clocks are read, never set.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from perfmodel.errors import MeasurementError, PerfmodelError
from perfmodel.experiments.cuda import profile_predictions, validate_cuda
from perfmodel.runners.cuda import campaign, tables
from perfmodel.runners.cuda.campaign_state import STAGES, Settings, device_slug
from validation.cuda.data_sheet import BATCHES, spec_prediction
from validation.cuda.summary import summary

BUDGET_S = 520.0
"""Nine minutes less what starting and writing take."""
DRY_BUDGET_S = 60.0


def parser() -> argparse.ArgumentParser:
    """The options of the prepared campaign; all others are those of the plain one."""
    options = argparse.ArgumentParser(
        prog="python -m validation.cuda campaign",
        description="Predict, check, measure: everything a GPU is asked, in one run.",
        epilog="Further options: python -m perfmodel.runners.cuda.campaign --help",
    )
    options.add_argument("--out", type=Path, required=True, help="folder for everything")
    options.add_argument("--budget", type=float, help=f"seconds in all (default {BUDGET_S:.0f})")
    options.add_argument("--dry-run", action="store_true", help="on this CPU instead of a GPU")
    options.add_argument("--profile", type=Path, action="append", default=[], metavar="FILE")
    options.add_argument("--data-sheet", default="", metavar="NAME", help="such as h200")
    return options


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 where all was measured, 1 where something failed or was cut short, 2 on bad
    input or without a GPU."""
    a, rest = parser().parse_known_args(arguments)
    budget_s = a.budget or (DRY_BUDGET_S if a.dry_run else BUDGET_S)
    try:
        _, settings = campaign.parse_arguments(["--out", str(a.out), *rest])
        settings = replace(_usual(settings, rest), budget_s=budget_s)
        with _gpu(a.dry_run) as (settings_for, eager):
            sheet = a.data_sheet or ("h200" if a.dry_run else "")
            return _run(a.out, settings_for(settings), a.profile, sheet, eager, dry=a.dry_run)
    except PerfmodelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _usual(settings: Settings, given: Sequence[str]) -> Settings:
    """The batches and stages of this campaign where none were given."""
    batches = settings.batches if "--batches" in given else BATCHES
    stages = settings.stages if "--stages" in given else STAGES
    return replace(settings, batches=batches, stages=stages)


Made = tuple[Callable[[Settings], Settings], Callable[[], Any]]


@contextlib.contextmanager
def _gpu(dry: bool) -> Iterator[Made]:
    """(what a campaign is cut down to, eager PyTorch) on a GPU, or on the CPU in its place."""
    from validation.cuda.eager_pytorch import EagerTorch

    if not dry:
        yield (lambda settings: settings), EagerTorch
        return
    from validation.cuda.dry_run import BATCHES as DRY_BATCHES
    from validation.cuda.dry_run import NETWORKS, on_cpu

    def small(settings: Settings) -> Settings:
        return replace(
            settings, networks=NETWORKS, batches=DRY_BATCHES, sweep_scale=0.03, samples=3
        )

    with on_cpu():
        yield small, lambda: EagerTorch("cpu")


def _run(
    folder: Path,
    settings: Settings,
    profiles: Sequence[Path],
    sheet: str,
    eager: Callable[[], Any],
    *,
    dry: bool,
) -> int:
    with campaign.CudaDevice(settings.device_index) as device:
        name = settings.device_name or device_slug(device.facts.name)
    settings = replace(settings, device_name=name)
    predicted = _predictions(folder, settings, profiles, sheet or name)
    done = campaign.run_campaign(folder, settings, eager=eager)
    failures = [f for f in done.failures if not (dry and _expected_of_a_cpu(f))]
    lacking = len(done.failures) - len(failures)
    also = f", beside {lacking} that only say what this machine lacks" if lacking else ""
    print(f"rows: {dict(done.rows)}; {len(failures)} failures{also}")
    print("\n".join(f"  {failure}" for failure in failures[:40]))
    for path in predicted:
        _compare(path, done.files.get("networks"))
    return 0 if done.finished and not failures else 1


def _expected_of_a_cpu(failure: str) -> bool:
    """Whether a CPU has to fail so: no library of NVIDIA's, and times that jitter."""
    absent = failure.startswith("cudnn/") or "PyTorch is not installed" in failure
    return absent or "unstable" in failure


def _predictions(
    folder: Path, settings: Settings, profiles: Sequence[Path], sheet: str
) -> list[Path]:
    """Files of predictions, written before anything is measured: from the data sheet of that name,
    and from a profile that has the modes."""
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "sheet": lambda: spec_prediction(sheet, settings.networks, settings.batches),
        "profile": lambda: profile_predictions(settings.device_name, settings, profiles),
    }
    written = []
    for name, make in makers.items():
        try:
            made = make()
        except PerfmodelError as error:
            print(f"no prediction from a {name}: {error.message}")
            continue
        written.append(folder / f"prediction_{name}.json")
        tables.write_json(written[-1], made)
    return written


def _compare(prediction: Path, networks: Path | None) -> None:
    """Print how far off a prediction was; a reason where nothing can be compared."""
    if networks is None:
        print(f"{prediction.name}: no network was measured")
        return
    try:
        found = validate_cuda(networks, json.loads(prediction.read_text(encoding="utf-8")))
    except MeasurementError as error:
        print(f"{prediction.name}: {error.message}")
        return
    print(f"{prediction.name}: {summary(found)}")
