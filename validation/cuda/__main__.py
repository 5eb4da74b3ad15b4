"""CUDA validation: predict a GPU's networks first, measure them, compare; the cuDNN study.

    python -m validation.cuda predict                 the spec-sheet prediction, written down
    python -m validation.cuda validate [--measure]    compare it with measured tables
    python -m validation.cuda campaign --out FOLDER   predict, check and measure in nine minutes,
                                                      eager PyTorch beside (--dry-run: on a CPU)
    python -m validation.cuda study --data ../shared/data --write docs/cudnn-study.md

The prediction made before any measurement lies in `validation/results/h200_spec_prediction.json`.
`--measure` runs the campaign on this machine's GPU first.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from perfmodel.errors import PerfmodelError
from perfmodel.experiments.cuda import (
    profile_predictions,
    read_prediction,
    validate_cuda,
    validate_on_gpu,
)
from perfmodel.runners.cuda import tables
from perfmodel.runners.cuda.campaign_state import Settings
from validation.cuda.data_sheet import spec_prediction
from validation.cuda.summary import summary
from validation.cuda.tables import fill_tables, study_tables

RESULTS = Path(__file__).resolve().parents[1] / "results"


def _predict(a: argparse.Namespace) -> int:
    path = a.out or RESULTS / f"{a.device}_spec_prediction.json"
    tables.write_json(path, spec_prediction(a.device))
    print(f"wrote {path}")
    return 0


def _validate(a: argparse.Namespace) -> int:
    settings = Settings(budget_s=a.budget, device_name=a.device)
    if a.profile is not None:
        prediction = profile_predictions(a.device, settings, [a.profile])
    else:
        prediction = read_prediction(a.prediction or RESULTS / f"{a.device}_spec_prediction.json")
    if a.measure:
        result, _ = validate_on_gpu(a.results, settings, prediction)
    else:
        result = validate_cuda(a.results / f"{a.device}_networks.csv", prediction)
    print(json.dumps(result.to_json(), indent=1) if a.json else summary(result))
    return 0


def _study(a: argparse.Namespace) -> int:
    made = study_tables(a.data, a.results)
    if a.write is None:
        print("\n\n".join(made.values()))
        return 0
    text = a.write.read_text(encoding="utf-8")
    tables.write_atomically(a.write, fill_tables(text, made).encode())
    print(f"filled {', '.join(made)} in {a.write}")
    return 0


def _campaign(arguments: Sequence[str]) -> int:
    from validation.cuda import prepared

    return prepared.main(arguments)


def parser() -> argparse.ArgumentParser:
    """The options of the three commands."""
    options = argparse.ArgumentParser(prog="python -m validation.cuda", description=__doc__)
    commands = options.add_subparsers(required=True)
    one = commands.add_parser("predict", help="write the data-sheet prediction")
    one.add_argument("--device", default="h200")
    one.add_argument("-o", "--out", type=Path)
    one.set_defaults(run=_predict)
    two = commands.add_parser("validate", help="compare a prediction with measured tables")
    two.add_argument("--device", default="h200")
    two.add_argument("--results", type=Path, default=RESULTS)
    two.add_argument("--prediction", type=Path, help="a prediction file")
    two.add_argument("--profile", type=Path, help="predict with this profile instead")
    two.add_argument("--measure", action="store_true", help="run the campaign first")
    two.add_argument("--budget", type=float, default=3600.0, help="seconds for the campaign")
    two.add_argument("--json", action="store_true")
    two.set_defaults(run=_validate)
    three = commands.add_parser("study", help="tables of the cuDNN study")
    three.add_argument("--data", type=Path, help="folder with published_e2e.csv")
    three.add_argument("--results", type=Path, default=RESULTS)
    three.add_argument("--write", type=Path, help="fill the tables of this Markdown file")
    three.set_defaults(run=_study)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: exit code 0, 2 on bad input; those of the campaign for `campaign`."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["campaign"]:
        # its options are the campaign's own
        return _campaign(words[1:])
    a = parser().parse_args(words)
    try:
        return int(a.run(a))
    except PerfmodelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
