"""CUDA: predict networks first, measure them on the GPU, compare.

`validate_on_gpu` writes the predictions to disk before it measures anything; `validate_cuda`
compares a prediction with the tables of a campaign that ran earlier, here or elsewhere.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perfmodel.answer import Answer
from perfmodel.errors import MeasurementError
from perfmodel.experiments.scores import Case, scores
from perfmodel.runners.cuda import tables
from perfmodel.runners.cuda.apart import run_apart
from perfmodel.runners.cuda.campaign_state import CampaignResult, Settings, with_batch

DATA_SHEET_FACTOR = 2.0
"""How far, either way, an interval reaches where a prediction comes without one: predictions from
data sheets alone are within 1.6 times of half the published Jetson times, and within 3 times of
nearly all (docs/cudnn-study.md)."""


@dataclass(frozen=True, kw_only=True)
class CudaValidation(Answer, command="validate"):
    """Predictions against measurements, and our runner against eager PyTorch.

    A case's model is a zoo spec with its batch, its target the mode, its group the target too:
    modes are ranked apart. `slower_than_eager` names the cases in which PyTorch was faster.
    """

    device: str
    cases: tuple[Case, ...]
    eager_compared: int
    slower_than_eager: tuple[str, ...]

    def of(self, target: str) -> tuple[Case, ...]:
        """The cases of one target only."""
        return tuple(c for c in self.cases if c.target == target)

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the keys of `validate --json`."""
        return {
            "experiment": "cuda",
            "cases": [c.to_dict() for c in self.cases],
            **scores(self.cases).summary(),
            "machine": {"device": self.device},
            "eager_compared": self.eager_compared,
            "slower_than_eager": list(self.slower_than_eager),
        }


def profile_predictions(
    device: str, settings: Settings, profiles: Sequence[Path] = ()
) -> dict[str, Any]:
    """What a profile predicts for every network, batch and mode of a campaign, as plain data.

    `device` is the device part of the targets, `profiles` are further profile files. Raises
    `TargetError` if the profile has none of the modes.
    """
    from perfmodel.many_queries import predict_many

    wanted = list(itertools.product(settings.networks, settings.batches, settings.modes))
    queries = [(with_batch(n, b), f"{device}/gpu/{m}", None) for n, b, m in wanted]
    rows = []
    for (model, batch, mode), answer in zip(
        wanted, predict_many(queries, profiles=profiles), strict=True
    ):
        if isinstance(answer, Exception):
            raise answer
        low_ms, high_ms = answer.interval_ms
        row = {"model": model, "batch": batch, "target": mode, "latency_ms": answer.latency_ms}
        rows.append(row | {"low_ms": low_ms, "high_ms": high_ms})
    return {"format": 1, "method": f"profile of {device}", "predictions": rows}


def read_prediction(path: Path) -> dict[str, Any]:
    """A prediction file; raises `MeasurementError` if it is none."""
    needed = {"model", "batch", "target", "latency_ms"}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        sound = found["format"] == 1 and all(needed <= set(r) for r in found["predictions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MeasurementError(f"{path} is no prediction file: {error}") from error
    if not sound:
        raise MeasurementError(f"{path} is no prediction file: rows need {sorted(needed)}")
    return dict(found)


def validate_on_gpu(
    folder: Path,
    settings: Settings,
    prediction: Mapping[str, Any],
    log: Callable[[str], None] = print,
) -> tuple[CudaValidation, CampaignResult]:
    """Write `prediction` into `folder`, run the campaign's networks on this GPU, compare.

    The kernels of the sweep are left out: they belong to calibration. Raises `RunnerError` where
    there is no GPU, `MeasurementError` if nothing could be compared.
    """
    stages = tuple(s for s in settings.stages if s != "sweep")
    tables.write_json(folder / "prediction.json", prediction)
    campaign = run_apart(folder, replace(settings, stages=stages), log)
    if "networks" not in campaign.files:
        reasons = "; ".join(campaign.failures[:3]) or "the budget was spent"
        raise MeasurementError(f"no network was measured: {reasons}")
    return validate_cuda(campaign.files["networks"], prediction), campaign


def validate_cuda(networks: Path, prediction: Mapping[str, Any]) -> CudaValidation:
    """Compare predictions with a campaign's table of networks (its CUDA graph rows).

    `networks` is the table, `prediction` the content of a prediction file. Networks without a
    prediction are left out. Raises `MeasurementError` if nothing can be compared.
    """
    try:
        rows = tables.read_table(networks)
    except OSError as error:
        raise MeasurementError(
            f"{networks}: {error}",
            "measure first: python -m perfmodel.runners.cuda.campaign --out FOLDER",
        ) from error
    measured = {_key(r): float(r["latency_ms"]) for r in rows if _launch(r) == "graph"}
    predicted = {(r["model"], r["batch"], r["target"]): r for r in prediction["predictions"]}
    cases = tuple(
        _case(key, predicted[key], latency_ms)
        for key, latency_ms in measured.items()
        if key in predicted
    )
    if not cases:
        raise MeasurementError(f"{networks}: no measured network has a prediction")
    eager = {_key(r): float(r["latency_ms"]) for r in rows if _launch(r) == "eager"}
    compared, slower = _against_eager(measured, eager)
    return CudaValidation(
        device=rows[0]["device"],
        cases=cases,
        eager_compared=compared,
        slower_than_eager=slower,
    )


def _case(key: tuple[str, int, str], row: Mapping[str, Any], measured_ms: float) -> Case:
    model, batch, target = key
    latency_ms = float(row["latency_ms"])
    return Case(
        model=with_batch(model, batch),
        target=target,
        predicted_ms=latency_ms,
        low_ms=float(row.get("low_ms", latency_ms / DATA_SHEET_FACTOR)),
        high_ms=float(row.get("high_ms", latency_ms * DATA_SHEET_FACTOR)),
        measured_ms=measured_ms,
        group=target,
    )


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
