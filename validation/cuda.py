"""CUDA validation: predict a GPU's networks first, measure them, compare; the cuDNN study.

    python -m validation.cuda predict                 the spec-sheet prediction, written down
    python -m validation.cuda validate [--measure]    compare it with measured tables
    python -m validation.cuda study --data ../shared/data --write docs/cudnn-study.md

The prediction made before any measurement lies in `validation/results/h200_spec_prediction.json`.
`--measure` runs the campaign on this machine's GPU first.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import MeasurementError, PerfmodelError
from perfmodel.measure.cuda import tables
from perfmodel.measure.cuda.backends import MODES
from perfmodel.measure.cuda.campaign import run_campaign
from perfmodel.measure.cuda.campaign_state import Settings
from validation.cuda_study import fill_tables, study_tables
from validation.gpu_roofline import spec_prediction

RESULTS = Path(__file__).resolve().parent / "results"
Predict = Callable[[str, int, str], tuple[float, float, float]]
"""(network, batch, "framework/precision") to (ms, low ms, high ms)."""


@dataclass(frozen=True)
class Case:
    """One network on one target: predicted (with its interval) and measured, in ms."""

    model: str
    batch: int
    target: str
    predicted_ms: float
    low_ms: float
    high_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted_ms / self.measured_ms - 1


@dataclass(frozen=True)
class CudaValidation:
    """Predictions against measurements, and our runner against eager PyTorch.

    `slower_than_eager` names the cases in which PyTorch was faster than our runner.
    """

    device: str
    cases: tuple[Case, ...]
    eager_compared: int
    slower_than_eager: tuple[str, ...]

    @property
    def mape(self) -> float:
        """Mean absolute relative error."""
        return sum(abs(c.error) for c in self.cases) / len(self.cases)

    def within(self, share: float) -> float:
        """Share of cases whose error is at most `share`."""
        return sum(abs(c.error) <= share for c in self.cases) / len(self.cases)

    @property
    def coverage(self) -> float:
        """Share of measurements inside their interval."""
        inside = sum(c.low_ms <= c.measured_ms <= c.high_ms for c in self.cases)
        return inside / len(self.cases)

    @property
    def spearman(self) -> float:
        """Rank correlation of predicted and measured; NaN for fewer than two cases."""
        if len(self.cases) < 2:
            return math.nan
        from scipy.stats import spearmanr

        ranks = spearmanr([c.predicted_ms for c in self.cases], [c.measured_ms for c in self.cases])
        return float(ranks.statistic)

    def of(self, target: str) -> CudaValidation:
        """The cases of one target only."""
        mine = tuple(c for c in self.cases if c.target == target)
        return CudaValidation(self.device, mine, self.eager_compared, self.slower_than_eager)

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the keys of `validate --json`."""
        return {
            "experiment": "cuda",
            "cases": [asdict(c) for c in self.cases],
            "mape": self.mape,
            "within_10": self.within(0.10),
            "within_20": self.within(0.20),
            "spearman": self.spearman,
            "coverage": self.coverage,
            "machine": {"device": self.device},
            "eager_compared": self.eager_compared,
            "slower_than_eager": list(self.slower_than_eager),
        }


# -- the prediction from the data sheet


def predictor_of(prediction: Mapping[str, Any], factor: float = 2.0) -> Predict:
    """A prediction file as a function; its interval is a factor either way, for want of data."""
    known = {
        (r["model"], r["batch"], r["target"]): float(r["latency_ms"])
        for r in prediction["predictions"]
    }

    def predict(model: str, batch: int, target: str) -> tuple[float, float, float]:
        latency_ms = known[(model, batch, target)]
        return latency_ms, latency_ms / factor, latency_ms * factor

    return predict


def read_prediction(path: Path) -> dict[str, Any]:
    """A file that `predict` wrote; raises `MeasurementError` if it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        assert found["format"] == 1
        assert all(
            {"model", "batch", "target", "latency_ms"} <= set(r) for r in found["predictions"]
        )
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise MeasurementError(
            f"{path} is no prediction file: {error}", "make one: python -m validation.cuda predict"
        ) from error
    return dict(found)


# -- the comparison


def validate_cuda(networks: Path, predict: Predict) -> CudaValidation:
    """Compare predictions with a campaign's table of networks (its CUDA graph rows).

    Networks that `predict` does not know (KeyError) are left out. Raises `MeasurementError` if
    nothing can be compared.
    """
    try:
        rows = tables.read_table(networks)
    except OSError as error:
        raise MeasurementError(
            f"{networks}: {error}",
            "measure first: python -m perfmodel.measure.cuda.campaign --out validation/results",
        ) from error
    measured = {_key(r): float(r["latency_ms"]) for r in rows if _launch(r) == "graph"}
    cases = []
    for (model, batch, target), latency_ms in measured.items():
        try:
            predicted = predict(model, batch, target)
        except KeyError:
            continue
        cases.append(Case(model, batch, target, *predicted, latency_ms))
    if not cases:
        raise MeasurementError(f"{networks}: no measured network has a prediction")
    eager = {_key(r): float(r["latency_ms"]) for r in rows if _launch(r) == "eager"}
    compared, slower = _against_eager(measured, eager)
    return CudaValidation(rows[0]["device"], tuple(cases), compared, slower)


def _key(row: Mapping[str, str]) -> tuple[str, int, str]:
    return (row["model"], int(row["batch"]), f"{row['framework']}/{row['precision']}")


def _launch(row: Mapping[str, str]) -> str:
    return tables.parse_variant(row["variant"]).get("launch", "")


def _against_eager(
    measured: Mapping[tuple[str, int, str], float], eager: Mapping[tuple[str, int, str], float]
) -> tuple[int, tuple[str, ...]]:
    """How many cases both ran, and those in which PyTorch was faster."""
    compared, slower = 0, []
    for (model, batch, target), theirs_ms in eager.items():
        ours_ms = measured.get((model, batch, target.replace("pytorch", "cudnn")))
        if ours_ms is None:
            continue
        compared += 1
        if ours_ms > theirs_ms:
            slower.append(
                f"{model} batch {batch} {target}: {ours_ms:.3f} against {theirs_ms:.3f} ms"
            )
    return compared, tuple(slower)


# -- command line


def _predict(a: argparse.Namespace) -> int:
    path = a.out or RESULTS / f"{a.device}_spec_prediction.json"
    tables.write_json(path, spec_prediction(a.device))
    print(f"wrote {path}")
    return 0


def _validate(a: argparse.Namespace) -> int:
    folder: Path = a.results
    if a.measure:
        run_campaign(folder, Settings(budget_s=a.budget, device_name=a.device))
    prediction = read_prediction(a.prediction or RESULTS / f"{a.device}_spec_prediction.json")
    result = validate_cuda(folder / f"{a.device}_networks.csv", predictor_of(prediction))
    if a.json:
        print(json.dumps(result.to_json(), indent=1))
        return 0
    print(
        f"{a.device}: {len(result.cases)} networks, mean error {result.mape:.1%}, within 10 % "
        f"{result.within(0.1):.0%}, within 20 % {result.within(0.2):.0%}, "
        f"Spearman {result.spearman:.2f}"
    )
    for mode in MODES:
        mine = result.of(mode)
        if mine.cases:
            print(f"  {mode}: mean error {mine.mape:.1%} over {len(mine.cases)}")
    print(
        f"eager PyTorch: {result.eager_compared} compared, "
        f"{len(result.slower_than_eager)} of ours slower"
    )
    for line in result.slower_than_eager:
        print(f"  {line}")
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
    two.add_argument("--prediction", type=Path)
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
    """Command line: exit code 0, 2 on bad input."""
    a = parser().parse_args(sys.argv[1:] if argv is None else argv)
    try:
        return int(a.run(a))
    except PerfmodelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
