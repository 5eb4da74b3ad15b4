"""`perfmodel validate partition`: every cut of a few networks predicted, then run on this CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfmodel.cli.output import print_json

if TYPE_CHECKING:
    from perfmodel.cli.validate import Request

DEFAULT_PROFILE = Path("host.json")
"""Used where it is there and --profile names none; without any, operators are timed first."""


def run_partition(request: Request) -> int:
    """Run the experiment and answer in text, JSON or a page."""
    from perfmodel.cli.calibrate_host import write_json
    from perfmodel.experiments.partition import NETWORKS
    from perfmodel.experiments.partition import run_partition as run
    from perfmodel.experiments.partition_result import partition_summary
    from perfmodel.files import write_atomically
    from perfmodel.render.cut_curve import validation_page

    own = request.profile or (DEFAULT_PROFILE if DEFAULT_PROFILE.is_file() else None)
    stem = request.output or Path("validate_partition.html")
    done = run(
        request.journal or stem.with_suffix(".journal.jsonl"),
        profile=own,
        models=request.models or NETWORKS,
        budget_s=request.budget_s,
        predictions=stem.with_suffix(".predictions.json"),
    )
    if request.output is not None:
        if request.output.suffix == ".json":
            write_json(done.to_json(), request.output)
        else:
            write_atomically(request.output, validation_page(done))
    if request.as_json:
        print_json(done.to_json())
    else:
        print(partition_summary(done))
    return 0
