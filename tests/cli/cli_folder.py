"""What tests of commands share: small files, and what a command did."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

UNCOVERED = """7767517
3 3
Input data 0 1 data 0=224 1=224 2=3
Convolution conv 1 1 data conv 0=64 1=3 5=1 6=1728
Mystery odd 1 1 conv odd -23330=4,3,222,222,64
"""
"""A network of ncnn with a layer that nobody knows."""

OPEN_SIZE = """7767517
2 2
Input data 0 1 data
Convolution conv 1 1 data conv 0=64 1=3 5=1 6=1728
"""
"""A network of ncnn whose file does not say how large its input is."""


def small_queue() -> str:
    """The textbook's queue with few requests."""
    text = (ROOT / "examples" / "mm1.toml").read_text()
    for long, short in (
        ("requests = 305_000", "requests = 300"),
        ("warmup_requests = 5000", "warmup_requests = 10"),
        ("replications = 8", "replications = 2"),
    ):
        assert long in text
        text = text.replace(long, short)
    return text


@dataclass(frozen=True)
class Done:
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """What it printed, read as JSON."""
        return json.loads(self.out)


Perform = Callable[..., Done]

SERVING = ("ui",)
"""Commands that serve until Ctrl-C instead of answering: tests/ui holds what they do."""


CASE = {
    "model": "one",
    "target": "a/cpu",
    "predicted_ms": 11.0,
    "low_ms": 9.0,
    "high_ms": 12.0,
    "measured_ms": 10.0,
}
VALIDATION = {
    "experiment": "by hand",
    "cases": [CASE],
    "mape": 0.1,
    "within_10": 1.0,
    "within_20": 1.0,
    "spearman": float("nan"),
    "coverage": 1.0,
    "machine": {"cpu": "none"},
}

RUNS: dict[str, tuple[str, set[str]]] = {
    "models": ("models", {"name", "title", "family", "parameters"}),
    "devices": ("devices --match pixel-4", {"target", "device", "kind", "median_error", "source"}),
    "inspect": (
        "inspect alexnet",
        {"model", "macs", "params", "weights_bytes", "peak_activation_bytes", "ops", "batch_size"},
    ),
    "predict": (
        "predict alexnet --on snapdragon-888/cpu",
        {"model", "target", "kind", "batch_size", "latency_ms", "interval_ms"}
        | {"interval_coverage", "extrapolated", "macs", "params", "weights_bytes"}
        | {"peak_activation_bytes", "uncovered_ops"},
    ),
    "compare": (
        "compare alexnet --on snapdragon-888/cpu,gpu",
        {"answer", "models", "targets", "cells", "relative"},
    ),
    "calibrate": (
        "calibrate --from examples/ten_rows.csv --device my-phone",
        {"device", "profile", "targets", "left_out_rows"},
    ),
    "partition": (
        "partition alexnet --on snapdragon-888/gpu -k 2 --by layer-count",
        {"model", "criterion", "k", "latency_ms", "segments", "boundaries", "unpartitioned_ms"},
    ),
    "simulate": (
        "simulate queue.toml",
        {"requests", "latency_ms", "wait_ms", "deadline_miss_rate", "energy_mj", "utilization"}
        | {"steps_ms", "replications", "seed", "elapsed_s"},
    ),
    "minspec": (
        "minspec alexnet --max-latency-ms 50",
        {"requirement", "minimum", "passing", "failing", "fleet_share", "answer"},
    ),
    "whatif": (
        "whatif --model alexnet --on snapdragon-888/cpu --set slowdown=1,2",
        {"answer", "metric", "points", "rows", "effects", "front", "summary"},
    ),
    "select": (
        "select mobilenet_v1 --on snapdragon-888 --max-latency-ms 8",
        {"answer", "chosen", "candidates", "budget", "front", "emitted"},
    ),
    "report": ("report result.json", {"output", "kind", "answer", "size_bytes"}),
    "completion": ("completion bash", {"shell", "script", "written"}),
    "doctor": ("doctor", {"answer", "checks"}),
    "validate": (
        "validate host",
        {"experiment", "cases", "mape", "within_10", "within_20", "spearman", "coverage"}
        | {"machine"},
    ),
}
"""By command: an invocation and the keys of its answer (of each item, where it is a list)."""

OUTPUTS = {
    "predict --queries": "predict --queries queries.csv -o",
    "predict --per-layer": "predict alexnet --on snapdragon-888/cpu --per-layer -o",
    "predict trace": "predict alexnet --on snapdragon-888/cpu --trace",
    "predict explorer": "predict alexnet --on snapdragon-888/cpu --export-model-explorer",
    "compare": "compare alexnet --on snapdragon-888/cpu --plot",
    "calibrate": "calibrate --from examples/ten_rows.csv --device my-phone -o",
    "calibrate host": "calibrate --from host --budget 1s -o",
    "partition plot": "partition alexnet --on snapdragon-888/gpu --plot",
    "partition emit": "partition alexnet --on snapdragon-888/gpu --emit",
    "simulate trace": "simulate queue.toml --trace",
    "simulate records": "simulate queue.toml --records",
    "whatif": "whatif --model alexnet --on snapdragon-888/cpu --set slowdown=1,2 -o",
    "select": "select mobilenet_v1 --on snapdragon-888 --emit",
    "report": "report result.json -o",
    "validate": "validate host -o",
    "validate journal": "validate host --journal",
}
"""By output: an invocation that ends with the option which names it."""
