"""Published partition studies against the planner: `python -m validation.partition --data DATA`.

Writes what they find to validation/results/partition.json, from which `python docs/generate.py
partition` makes the tables of docs/partition.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from perfmodel.experiments.scores import scores_of
from perfmodel.files import write_atomically
from validation.partition.exynos import fit_study, read_rows, study_cuts, vgg16_layers
from validation.partition.jetson import BlockSplit, every_other, predict_splits
from validation.partition.phones import CoExecution, co_execution
from validation.partition.transfers import fit_transfers

RESULTS = Path(__file__).resolve().parents[1] / "results" / "partition.json"


def results(data: Path) -> dict[str, Any]:
    """What the studies find, as plain data; figures to six digits."""
    found = {
        "exynos": _exynos(data),
        "transfers": [asdict(fit) for fit in fit_transfers(data)],
        "jetson": _jetson(data),
        "phones": [_phone(one) for one in co_execution(data)],
    }
    return {name: rounded(value) for name, value in found.items()}


def rounded(value: Any) -> Any:
    """Plain data with every number to six digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: rounded(v) for key, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list | tuple) else value


def _exynos(data: Path) -> dict[str, Any]:
    """The study's rows, and what each reading of it predicts, learned on three rows and on all."""
    layers, _ = vgg16_layers()
    rows = read_rows(data)
    readings = [
        {
            "layers": 22 if pools_alone else 16,
            "free": free,
            "on_three": asdict(fit_study(data, on_all=False, pools_alone=pools_alone, free=free)),
            "on_all": asdict(fit_study(data, on_all=True, pools_alone=pools_alone, free=free)),
        }
        for pools_alone in (True, False)
        for free in ("dispatch_ms", "move")
    ]
    measured = [asdict(row) | {"pieces": len(study_cuts(layers, row)) + 1} for row in rows]
    return {"rows": measured, "readings": readings}


def _jetson(data: Path) -> dict[str, Any]:
    """Every split from blocks that are not its own, and from half of the blocks."""
    splits = predict_splits(data)
    halves = predict_splits(data, every_other(len(splits)))
    return {
        "splits": [asdict(split) | {"error": split.error} for split in splits],
        "own_left_out": _errors(splits),
        "half_left_out": _errors(halves),
    }


def _errors(splits: Sequence[BlockSplit]) -> dict[str, float]:
    total = scores_of([s.predicted_ms for s in splits], [s.measured_ms for s in splits])
    return {"mean": total.mape, "worst": max(abs(s.error) for s in splits)}


def _phone(one: CoExecution) -> dict[str, Any]:
    return {
        "model": one.model,
        "device": one.device,
        "cpu_ms": one.cpu_ms,
        "threads": one.threads,
        "gpu_ms": one.gpu_ms,
        "best_ms": one.plan.latency_ms,
        "pieces": one.plan.k,
        "off_gpu": len(one.off_gpu),
        "operators": len(one.plan.op_order),
        "free_ms": one.free_ms,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the results of all studies."""
    parser = argparse.ArgumentParser(prog="python -m validation.partition", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of published measurements")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    write_atomically(options.output, json.dumps(results(options.data), indent=1) + "\n")
    print(f"wrote {options.output}; `python docs/generate.py partition` prints it")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
