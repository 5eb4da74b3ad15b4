"""Runs a command again and again, kills it at random moments, and looks at what is left.

    python tests/kills.py calibrate|validate|whatif|whatif-processes FOLDER KILLS SEED MARK

Prints one line of JSON: how many kills hit a run that had not ended. A round is a few kills and a
last run that is let alone; its results must be those of a run that was never killed. Every run is
a fork of this process, which has imported everything already: a command starts in milliseconds.
`MARK` stands in the environment of this process and of all that it starts, which is how processes
that outlive their command are found.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.calibration import from_host, host_fit
from perfmodel.calibration.from_host import calibrate_host
from perfmodel.cost_models.kernel_model import KernelModel
from perfmodel.devices.profile import write_profile
from perfmodel.experiments import host
from perfmodel.experiments.host_result import validation_to_dict
from perfmodel.explore.sweep import whatif
from perfmodel.files import write_atomically
from perfmodel.graph.ir import Graph
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.runners import litert_profiler, scaling
from perfmodel.runners.campaign import SetResult
from perfmodel.runners.host_bench import HostBench, RunConfig
from perfmodel.runners.runner import RawRuns
from perfmodel.zoo import build

ROOT = Path(__file__).resolve().parent.parent
KILLS_A_ROUND = 6
SCENARIO = """
[server]
replicas = 1
[task]
policy = "cloud"
[task.workload]
kind = "poisson"
rate_per_s = 20
requests = 100
[task.on_server]
compute_ms = 2
"""


def entry(latency_ms: float) -> dict[str, Any]:
    """What a journal keeps of a network of that time on a machine that stands still."""
    raw = RawRuns((), (latency_ms,) * 3, 0.0, 1.0, latency_ms)
    one = asdict(SetResult(raw, (1.0, 1.0), (1.0, 1.0)))
    return {"sets": [one, one], "load_1min": "0", "loads": [], "cold": False, "file_bytes": 1}


class ReplayedBench(HostBench):
    """A bench with a true worker process, whose times are arithmetic: the same in every run."""

    graph: Graph

    def write(self, graph: Graph, precision: str) -> Path:
        self.graph = graph
        path = self.folder / f"{graph.name}_{precision}.tflite"
        path.write_bytes(b"x")
        return path

    def kernel_ms(self, graph: Graph) -> np.ndarray:
        table = KernelTable.from_kernels(fuse(graph, "tflite-cpu"))
        moved = table["input_elements"] + table["output_elements"] + table["weight_elements"]
        times: np.ndarray = table["macs"] / 4e7 + moved / 2e6 + 0.002
        return times

    def measure(self, key: str, path: Path, setup: RunConfig, *_: Any, **__: Any) -> dict[str, Any]:
        self.worker.start()
        time.sleep(0.01)
        return entry(0.1 + float(self.kernel_ms(self.graph).sum()) / setup.threads)

    def measure_pieces(self, key: str, graph: Graph, setup: RunConfig) -> list[dict[str, Any]]:
        return [entry(float(ms)) for ms in self.kernel_ms(graph)]


def calibrate(folder: Path) -> None:
    """18 random networks, all of them measured."""
    from_host.CANDIDATES = 18
    from_host.HostBench = ReplayedBench  # type: ignore[misc]
    litert_profiler.profiler_available = lambda: False
    host_fit.model = lambda seed=0: KernelModel(trees=5, random_state=seed)
    done = calibrate_host(
        600.0,
        folder / "journal.jsonl",
        precisions=("fp32",),
        threads=(1,),
        interest=[build("squeezenet_1_1")],
    )
    write_profile(done.profile, folder / "host.json")


def validate(folder: Path) -> None:
    """Three networks in every setup of the committed profile, and its yardsticks."""
    host.HostBench = ReplayedBench  # type: ignore[misc]
    # how far the cores of this machine are shared differs from one probe to the next
    scaling.busy_scaling = lambda *_: 2.0
    done = host.validate_host(
        folder.parent / "profile.json",
        folder / "journal.jsonl",
        budget_s=600.0,
        models=("squeezenet_1_1", "mobilenet_v1@width=0.25", "mobilenet_v3_small"),
        predictions=folder / "predictions.json",
    )
    # what a run took and how busy the machine was are its own
    data = {k: v for k, v in validation_to_dict(done).items() if k not in ("spent_s", "machine")}
    write_atomically(folder / "result.json", json.dumps(data))


def sweep(folder: Path, workers: int = 1) -> None:
    """60 points of a simulation."""
    whatif(
        folder.parent / "scenario.toml",
        sets=["task.on_server.compute_ms=1:6:1"],
        samples=["task.workload.rate_per_s=uniform(5,20)"],
        n=10,
        seed=4,
        workers=workers,
        output=folder / "rows.csv",
    )


def sweep_in_processes(folder: Path) -> None:
    """The same in two further processes."""
    sweep(folder, workers=2)


RUNS: dict[str, tuple[Callable[[Path], None], frozenset[str]]] = {
    "calibrate": (calibrate, frozenset({"journal.jsonl", "host.json"})),
    "validate": (validate, frozenset({"journal.jsonl", "predictions.json", "result.json"})),
    "whatif": (sweep, frozenset({"rows.csv", "rows.csv.sweep.json"})),
    "whatif-processes": (sweep_in_processes, frozenset({"rows.csv", "rows.csv.sweep.json"})),
}
"""What is run, and the files that it leaves when it has ended."""


def started(run: Callable[[Path], None], folder: Path) -> int:
    """The number of a process that runs it in a folder."""
    pid = os.fork()
    if pid:
        return pid
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        run(folder)
        os._exit(0)
    except BaseException:
        (folder.parent / "error.txt").write_text(traceback.format_exc())
        os._exit(1)


def finished(run: Callable[[Path], None], folder: Path) -> float:
    """Seconds of a run that is let alone; it must end well."""
    began = time.monotonic()
    _, status = os.waitpid(started(run, folder), 0)
    if status:
        raise AssertionError((folder.parent / "error.txt").read_text())
    return time.monotonic() - began


def left_running(mark: str) -> list[int]:
    """Processes with our mark beside this one, after a while."""
    until = time.monotonic() + 20.0
    while (found := _marked(mark)) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def _marked(mark: str) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
                if mark.encode() in (process / "environ").read_bytes() and state != "Z":
                    found.append(int(process.name))
            except OSError:
                # it has ended meanwhile, or belongs to somebody else
                continue
    return found


def check_whole(folder: Path) -> None:
    """No file but a journal or a table that grows is there in part."""
    for path in folder.glob("*.json"):
        json.loads(path.read_text())
    journal = folder / "journal.jsonl"
    if journal.exists():
        for line in journal.read_bytes().split(b"\n")[:-1]:
            json.loads(line)


def results(folder: Path) -> dict[str, Any]:
    """What a run leaves, without how long it took."""
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        if path.name == "journal.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            # every run that goes on looks at the cores once more
            networks = [line for line in lines[1:] if not scaling.is_look(line["key"])]
            found |= {line["key"]: line | {"spent_s": 0} for line in networks}
        elif path.name != "host.json":
            # the order in which networks were measured decides who is left out with whom
            found[path.name] = path.read_bytes()
    return found


def kept(folder: Path) -> dict[str, Any]:
    """Everything that is left; of a profile its targets, beside which stands the machine's load."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir()}
    if "host.json" in found:
        found["host.json"] = json.loads(found["host.json"])["targets"]
    return found


def main(kind: str, home: Path, kills: int, seed: int, mark: str) -> None:
    """Rounds until so many kills have hit."""
    run, leaves = RUNS[kind]
    (home / "scenario.toml").write_text(SCENARIO)
    packed = ROOT / "validation" / "results" / "host" / "host_profile.json.gz"
    (home / "profile.json").write_bytes(gzip.decompress(packed.read_bytes()))
    moments = random.Random(seed)
    whole = home / "whole"
    whole.mkdir()
    took_s = finished(run, whole)
    expected, hits, rounds = results(whole), 0, 0
    while hits < kills:
        rounds += 1
        folder = home / f"round{rounds}"
        folder.mkdir()
        for _ in range(KILLS_A_ROUND):
            pid = started(run, folder)
            time.sleep(moments.uniform(0.0, took_s / 3))
            os.kill(pid, signal.SIGKILL)
            hits += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
            check_whole(folder)
        took_s = max(took_s / 2, finished(run, folder))
        left = {path.name for path in folder.iterdir()}
        assert left == leaves, f"round {rounds}: {sorted(left)}"
        assert results(folder) == expected, f"round {rounds} differs"
        before = kept(folder)
        finished(run, folder)
        assert kept(folder) == before, f"round {rounds} goes on"
        outlived = left_running(mark)
        assert not outlived, f"round {rounds}: processes {outlived} outlive their command"
    print(json.dumps({"kills": hits, "rounds": rounds}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
