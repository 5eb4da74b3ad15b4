"""Speed of the daily questions: `python -m benchmarks.whatif_speed`, on a quiet machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, best_s
from perfmodel.devices.registry import list_targets
from perfmodel.explore.compare import compare
from perfmodel.explore.minspec import minspec
from perfmodel.explore.sweep import whatif
from perfmodel.zoo.suites import AI_BENCHMARK

TWELVE = (
    *dict.fromkeys(spec for _, spec in AI_BENCHMARK if spec != "pynet"),
    *("vgg16", "resnet50"),
)
SCENARIO = """
name = "short"
[server]
replicas = 1
[task]
policy = "cloud"
[task.workload]
kind = "poisson"
rate_per_s = 50
requests = 1000
[task.on_server]
compute_ms = { kind = "exponential", mean = 10 }
"""


def figures() -> Iterator[Figure]:
    """Every figure of the floor."""
    minspec("alexnet", 50)  # profiles are read once
    seconds = best_s(lambda: minspec("mobilenet_v2", 50), 3)
    yield Figure("whatif", "minspec over all phones", seconds, "s")
    targets = [line.target for line in list_targets()][:100]
    seconds = best_s(lambda: compare(TWELVE, targets), 2)
    yield Figure("whatif", "compare, 12 networks x 100 targets", seconds, "s")
    seconds = best_s(analytic, 2)
    yield Figure("whatif", "100,000 analytic points", seconds, "s")
    one, two = (best_s(lambda w=w: simulated(w), 1) for w in (1, 2))  # type: ignore[misc]
    yield Figure("whatif", "1,000 simulations, one process", one, "s")
    yield Figure("whatif", "1,000 simulations, gain of two processes", one / two, "x")


def analytic() -> None:
    """A grid with uncertain inputs, 100,000 points."""
    answer = whatif(
        model="mobilenet_v2",
        target="snapdragon-888/cpu",
        sets=[
            "width=0.5,0.75,1.0,1.4",
            "resolution=128,160,192,224,256",
            "server=tesla-v100/gpu",
            "link.rtt_ms=40",
        ],
        samples=["link.uplink_mbps=lognormal(8,0.8)", "slowdown=uniform(1,2)"],
        n=5000,
    )
    assert answer.points == 100_000


def simulated(workers: int) -> None:
    """A thousand short simulations."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "short.toml"
        path.write_text(SCENARIO)
        sets = ["seed=0:499:1", "task.workload.rate_per_s=50,60"]
        assert whatif(path, sets=sets, workers=workers).points == 1000


if __name__ == "__main__":
    for figure in figures():
        print(figure)
