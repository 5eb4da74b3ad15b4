"""CUDA validation: predict a GPU's networks first, measure them, compare; the cuDNN study.

    python -m validation.cuda predict                 the spec-sheet prediction, written down
    python -m validation.cuda validate [--measure]    compare it with measured tables
    python -m validation.cuda study --data ../shared/data
                                                      tables of docs/cudnn-study.md

The prediction made before any measurement lies in `validation/results/h200_spec_prediction.json`.
`--measure` runs the campaign on this machine's GPU first.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import MeasurementError, PerfmodelError
from perfmodel.graph import zoo
from perfmodel.measure.cuda import tables
from perfmodel.measure.cuda.backends import MODES
from perfmodel.measure.cuda.campaign import run_campaign
from perfmodel.measure.cuda.campaign_state import STUDY, Settings, with_batch
from perfmodel.measure.cuda.steps import plan_graph
from validation.gpu_roofline import Assumptions, gpu_spec, plan_seconds

RESULTS = Path(__file__).resolve().parent / "results"
BATCHES = (1, 8, 32)
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


def spec_prediction(
    device: str, networks: Sequence[str] = STUDY, batches: Sequence[int] = BATCHES
) -> dict[str, Any]:
    """Latency in ms of every network, batch and mode from the data sheet alone, as plain data."""
    spec, assume = gpu_spec(device), Assumptions()
    rows = []
    for name in networks:
        for batch in batches:
            graph = zoo.build(with_batch(name, batch))
            for mode in MODES.values():
                plan = plan_graph(graph, mode.framework != "vanilla")
                latency_ms = plan_seconds(plan, spec, mode, assume) * 1e3
                rows.append(
                    {
                        "model": name,
                        "batch": batch,
                        "target": mode.name,
                        "latency_ms": tables.significant(latency_ms),
                    }
                )
    return {
        "format": 1,
        "method": "data sheet only: roofline with wave quantisation, validation/gpu_roofline.py",
        "spec": asdict(spec),
        "assumptions": asdict(assume),
        "predictions": rows,
    }


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


# -- the study's tables


def relative_speed(latency_ms: Mapping[str, float]) -> dict[str, float]:
    """Speed relative to vanilla = 1, as in the study's figure."""
    return {mode: latency_ms["vanilla/fp32"] / ms for mode, ms in latency_ms.items()}


def study_predictions(
    devices: Iterable[str], networks: Iterable[str], batches: Iterable[int]
) -> list[dict[str, Any]]:
    """Data-sheet latencies and relative speeds of the study's three ways, as rows."""
    rows = []
    wanted = ("vanilla/fp32", "cudnn/fp32", "cudnn/fp16")
    for device in devices:
        for network in networks:
            for batch in batches:
                found = spec_prediction(device, (network,), (batch,))["predictions"]
                times = {r["target"]: r["latency_ms"] for r in found if r["target"] in wanted}
                speed = relative_speed(times)
                rows.append(
                    {"device": device, "model": network, "batch": batch}
                    | {f"{m} ms": f"{times[m]:.3g}" for m in wanted}
                    | {f"{m} x": f"{speed[m]:.1f}" for m in wanted[1:]}
                )
    return rows


PUBLISHED_NAMES = {
    "alexnet": "alexnet_owt",
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet_v1_50": "resnet50",
    "resnet_v1_101": "resnet101",
    "squeezenet1_0": "squeezenet_1_0",
    "squeezenet1_1": "squeezenet_1_1",
    "densenet121": "densenet121",
    "vgg16": "vgg16",
    "vgg_16": "vgg16",
    "inception_v3": "inception_v3",
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v1_1p0_224": "mobilenet_v1",
}
"""Names in the published Jetson tables, and the network of the zoo that is meant."""
PUBLISHED_DEVICES = {
    "Jetson TX2": "jetson-tx2",
    "Jetson Nano": "jetson-nano",
    "Jetson AGX Xavier": "jetson-agx-xavier",
}


def published_jetson_rows(data: Path) -> list[dict[str, Any]]:
    """Published TensorRT latencies on Jetson boards beside the data-sheet prediction."""
    import csv

    with (data / "published_e2e.csv").open(newline="", encoding="utf-8") as file:
        published = list(csv.DictReader(file))
    rows = []
    for row in published:
        device, network = PUBLISHED_DEVICES.get(row["device"]), PUBLISHED_NAMES.get(row["model"])
        if device is None or network is None or not row["framework"].startswith("TensorRT"):
            continue
        target = f"cudnn/{row['precision']}"
        if target not in MODES:
            continue
        found = spec_prediction(device, (network,), (int(row["batch"]),))["predictions"]
        predicted = next(r["latency_ms"] for r in found if r["target"] == target)
        measured = float(row["latency_ms"])
        rows.append(
            {
                "device": device,
                "model": network,
                "precision": row["precision"],
                "published ms": f"{measured:.3g}",
                "data sheet ms": f"{predicted:.3g}",
                "ratio": f"{predicted / measured:.2f}",
            }
        )
    return rows


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of rows with the same keys."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *[[str(r[h]) for h in heads] for r in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


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
    devices = ("titan-v", "jetson-tx2", "h200")
    print(markdown(study_predictions(devices, ("alexnet", "vgg16", "resnet50"), (1, 32))))
    if a.data is not None:
        print()
        print(markdown(published_jetson_rows(a.data)))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: exit code 0, 2 on bad input."""
    parser = argparse.ArgumentParser(prog="python -m validation.cuda", description=__doc__)
    commands = parser.add_subparsers(required=True)
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
    three.set_defaults(run=_study)
    a = parser.parse_args(sys.argv[1:] if argv is None else argv)
    try:
        return int(a.run(a))
    except PerfmodelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
