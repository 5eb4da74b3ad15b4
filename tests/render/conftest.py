"""One page of every command that has pages, made once for all tests here."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from perfmodel.cli.app import run
from perfmodel.render.report import report

CASES = [
    {
        "model": f"network {i}",
        "target": "host/cpu",
        "predicted_ms": 10.0 * (i + 1),
        "low_ms": 8.0 * (i + 1),
        "high_ms": 12.0 * (i + 1),
        "measured_ms": 11.0 * (i + 1),
    }
    for i in range(5)
]
VALIDATION = {
    "experiment": "by hand",
    "cases": CASES,
    "mape": 0.0909,
    "within_10": 1.0,
    "within_20": 1.0,
    "spearman": 1.0,
    "coverage": 1.0,
    "machine": {"cpu": "<b>none</b>"},
}
PHONE = "snapdragon-855-plus"
SCENARIO = """
name = "camera"
seed = 1
replications = 2
compare = ["device", "cloud"]
[device]
gpu = { active_mw = 2000 }
[link]
name = "lte-loaded"
jitter_ms = { kind = "gamma", mean = 6, cv = 1 }
[server]
replicas = 1
[task]
name = "frame"
deadline_ms = 100
[task.workload]
kind = "periodic"
period_ms = 100.0
duration_s = 10
[task.on_device]
unit = "gpu"
model = "mobilenet_v2"
target = "snapdragon-855-plus/gpu"
[task.on_server]
upload_bytes = { kind = "lognormal", mean = 20_000, cv = 0.3 }
model = "mobilenet_v2"
target = "rtx-3090/gpu"
download_bytes = 1000
"""
COMMANDS = {
    "predict": ["predict", "mobilenet_v2", "--on", f"{PHONE}/cpu", "--per-layer"],
    "compare": ["compare", "mobilenet_v2", "alexnet", "--on", f"{PHONE}/cpu,gpu"],
    "suite": ["compare", "--suite", "ai-benchmark", "--on", PHONE],
    "minspec": ["minspec", "mobilenet_v2", "--max-latency-ms", "20"],
    "select": ["select", "mobilenet_v2", "--on", PHONE, "--max-latency-ms", "8"],
    "partition": [
        *("partition", "alexnet", "--on", f"{PHONE}/cpu", "--units", "gpu"),
        *("-k", "2"),
    ],
    "whatif": ["whatif", "--model", "mobilenet_v2", "--on", PHONE, "--set", "width=0.5,1.0,1.4"],
    "simulate": ["simulate", "scenario.toml"],
}


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of every command, made from what it prints with --json."""
    folder, made = tmp_path_factory.mktemp("pages"), {}
    scenario = folder / "scenario.toml"
    scenario.write_text(SCENARIO)
    results = {"validate": json.dumps(VALIDATION)}
    for name, arguments in COMMANDS.items():
        printed = io.StringIO()
        named = [str(scenario) if a == scenario.name else a for a in arguments]
        with contextlib.redirect_stdout(printed):
            assert run([*named, "--json"]) in (0, 1), printed.getvalue()
        results[name] = printed.getvalue()
    for name, text in results.items():
        path = folder / f"{name}.json"
        path.write_text(text)
        made[name] = Path(report(path).output)
    return made
