"""The four kinds of latency of one network, measured: first, steady, sustained, in_app.

All but `first` are ratios to the reference network around them. `sustained` is the last third of
a minute or more without a pause; `in_app` is steady while another process works like an app that
draws: `COMPETITOR_MS` of every `FRAME_MS`, on as many processes as asked.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from perfmodel.devices.profile import read_profile
from perfmodel.errors import RunnerError
from perfmodel.experiments.host import discipline_for, usual_reference_of
from perfmodel.experiments.host_cases import Predicted, graph_of, predict_cases
from perfmodel.kernels.kernel import KernelTable
from perfmodel.runners.campaign import result_from_entry
from perfmodel.runners.host_bench import HostBench
from perfmodel.runners.progress import ProgressBar
from perfmodel.runners.samples import first_run, whole_ms

FRAME_MS = 1000 / 60
COMPETITOR_MS = 6.0
"""Drawing takes about a third of a frame, by judgement: an app that takes more drops frames."""
SUSTAINED_S = 60.0
FIRST_RUNS = 5
"""Cold starts of which the median counts: files on disk are read at varying speed."""

_COMPETITOR = """
import sys, time
busy, frame = float(sys.argv[1]) / 1e3, float(sys.argv[2]) / 1e3
while True:
    started = time.perf_counter()
    while time.perf_counter() - started < busy:
        sum(range(500))
    time.sleep(max(0.0, frame - (time.perf_counter() - started)))
"""


@contextmanager
def competing_load(processes: int = 1) -> Iterator[None]:
    """Processes that draw 60 frames a second, until the block ends."""
    command = [sys.executable, "-c", _COMPETITOR, str(COMPETITOR_MS), str(FRAME_MS)]
    running = [subprocess.Popen(command) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measure_kinds(profile_path: Path, budget_s: float, models: Sequence[str]) -> dict[str, Any]:
    """Measure the four kinds of each network in fp32 and int8 on one thread.

    `sustained` takes `SUSTAINED_S` a network, or less where the budget does not allow it; what was
    used is in the result.
    """
    profile = read_profile(profile_path)
    predicted = [p for p in predict_cases(profile, models, ())[0] if p.setup.threads == 1]
    each_s = min(SUSTAINED_S, 0.7 * budget_s / max(1, len(predicted)))
    rows, left_out = [], {}
    with HostBench(profile=False) as bench, ProgressBar("latency kinds", budget_s) as bar:
        began = time.monotonic()
        for p in predicted:
            bar.show(time.monotonic() - began, f"{p.setup} {p.model}")
            usual_ms = usual_reference_of(profile, p.setup)
            try:
                rows.append(_kinds(bench, p, usual_ms, each_s))
            except RunnerError as error:
                left_out[p.key] = str(error)
        machine = bench.runner.describe()
    return {
        "experiment": "kinds",
        "rows": rows,
        "left_out": left_out,
        "sustained_s": each_s,
        "competing_load": f"1 process, {COMPETITOR_MS:g} ms of every {FRAME_MS:.1f} ms",
        "machine": {"runner": machine.runner, "facts": dict(machine.facts)},
    }


def _kinds(bench: HostBench, p: Predicted, usual_ms: float, sustained_s: float) -> dict[str, Any]:
    graph = graph_of(p.model, p.path)
    table = KernelTable.from_kernels(bench.framework.fused(graph))
    path = bench.write(graph, p.setup.precision)
    plan = replace(discipline_for(p.prediction.latency_ms), sets=5)
    firsts = []
    for _ in range(FIRST_RUNS):
        entry = bench.measure(p.key, path, p.setup, replace(plan, sets=1))
        result = result_from_entry(p.key, entry)
        firsts.append(first_run(table, p.setup, result, entry, usual_ms))
    steady = whole_ms(result_from_entry(p.key, bench.measure(p.key, path, p.setup, plan)), usual_ms)
    with competing_load():
        entry = bench.measure(p.key, path, p.setup, plan)
    loaded = [s.median_ms for s in result_from_entry(p.key, entry).sets]
    sustained, drift = _sustained(bench, p, path, usual_ms, sustained_s)
    return {
        "model": p.model,
        "target": p.prediction.target,
        "predicted_steady_ms": p.prediction.latency_ms,
        "predicted_first_ms": p.first_ms,
        "first_ms": statistics.median(f.first_ms for f in firsts),
        "first_cold": all(f.cold for f in firsts),
        "steady_ms": steady,
        "sustained_ms": sustained,
        "sustained_reference_drift": drift,
        "in_app_ms": statistics.median(loaded),
    }


def _sustained(
    bench: HostBench, p: Predicted, path: Path, usual_ms: float, seconds: float
) -> tuple[float, float]:
    """(ms of the last third of a run without pause, how the reference moved meanwhile).

    Nothing runs in between, the reference neither: it would be a pause. What is reported is in
    plain ms, with the change of the reference from before to after.
    """
    from perfmodel.runners.runner import Job

    loaded_reference = bench.reference(p.setup)
    before = statistics.median(loaded_reference.times_ms(20, 3))
    loaded = bench.runner.prepare(Job(p.key, path, p.setup.threads, p.setup.precision))
    times: list[float] = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        times.extend(loaded.run_set(10, 0).runs_ms)
    after = statistics.median(loaded_reference.times_ms(20, 0))
    loaded.close()
    scale = usual_ms / statistics.mean([before, after])
    return statistics.median(times[-max(1, len(times) // 3) :]) * scale, after / before - 1
