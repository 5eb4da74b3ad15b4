"""What the host experiment predicts and then runs: the zoo, and real files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perfmodel.calibration.first_run import first_ms, load_fact
from perfmodel.devices.profile import DeviceProfile
from perfmodel.devices.registry import Resolved
from perfmodel.errors import PerfmodelError
from perfmodel.graph.ir import Graph
from perfmodel.kernels.loading import load_work
from perfmodel.kernels.precisions import stored_precision
from perfmodel.prediction import Prediction, predict_workload
from perfmodel.runners.host_bench import RunConfig
from perfmodel.runners.host_frameworks import DEFAULT, FRAMEWORKS, HostFramework
from perfmodel.workload import workload


@dataclass(frozen=True)
class Predicted:
    """A network in a setup with its prediction; `path` is set for a real file."""

    key: str
    model: str
    setup: RunConfig
    path: Path | None
    prediction: Prediction
    first_ms: float | None


def setups_of(profile: DeviceProfile, framework: str = DEFAULT) -> tuple[RunConfig, ...]:
    """Setups that a profile of this host has targets for with a framework."""
    return tuple(
        RunConfig(t.target.precision, t.target.threads)
        for t in profile.targets
        if t.target.unit == "cpu" and t.target.framework == framework
    )


def predict_cases(
    profile: DeviceProfile,
    models: Sequence[str],
    files: Sequence[Path],
    by: HostFramework = FRAMEWORKS[DEFAULT],
) -> tuple[tuple[Predicted, ...], dict[str, str]]:
    """Predictions of zoo networks in every setup and of files in those of their precision.

    The second result names what could not be predicted, and why.
    """
    found: list[Predicted] = []
    refused: dict[str, str] = {}
    for model in [*models, *files]:
        path = model if isinstance(model, Path) else None
        name = path.stem if path else str(model)
        try:
            graph = graph_of(name, path)
            own = stored_precision(graph) if path else None
            for setup in setups_of(profile, by.name):
                if setup.precision == own if own else setup.precision in by.zoo_precisions:
                    found.append(_predicted(profile, by, name, path, graph, setup))
        except PerfmodelError as error:
            refused[name] = str(error)
    return tuple(found), refused


def graph_of(name: str, path: Path | None) -> Graph:
    """The graph of a real file, or the zoo's of that name."""
    from perfmodel.formats.load import load

    return load(str(path)) if path else load(name)


def _predicted(
    profile: DeviceProfile,
    by: HostFramework,
    name: str,
    path: Path | None,
    graph: Graph,
    setup: RunConfig,
) -> Predicted:
    target = next(
        t
        for t in profile.targets
        if (t.target.framework, t.target.precision, t.target.threads)
        == (by.name, setup.precision, setup.threads)
    )
    work = workload(graph, by.rules, allow_uncovered=True)
    prediction = predict_workload(work, Resolved(profile, target))
    fact = load_fact(profile.traits, setup, by.name)
    first = None
    if fact is not None:
        first = first_ms(fact, load_work(work.table, setup.precision), prediction.latency_ms)
    return Predicted(f"{setup}/{name}", name, setup, path, prediction, first)
