"""What the host experiment predicts and then runs: the zoo, and real files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perfmodel.devices.profile import DeviceProfile, TargetProfile
from perfmodel.devices.registry import Resolved
from perfmodel.errors import ModelFileError, PerfmodelError, ProfileError
from perfmodel.graph.ir import Graph
from perfmodel.graph.ops import Shape
from perfmodel.kernels.precisions import stored_precision
from perfmodel.latency_kinds import first_run_time
from perfmodel.prediction import Prediction, predict_workload
from perfmodel.runners.host_bench import RunConfig
from perfmodel.runners.host_frameworks import DEFAULT, FRAMEWORKS, HostFramework
from perfmodel.workload import Workload, workload


@dataclass(frozen=True)
class Predicted:
    """A network in a setup with its prediction; `path` is set for a real file.

    `shapes` are those of inputs whose size the file leaves open, by name.
    """

    key: str
    model: str
    setup: RunConfig
    path: Path | None
    prediction: Prediction
    first_ms: float | None
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        """The network itself."""
        return graph_of(self.model, self.path, self.shapes)


def setups_of(profile: DeviceProfile, framework: str = DEFAULT) -> tuple[RunConfig, ...]:
    """Setups that a profile of this host has targets for with a framework."""
    return tuple(map(_setup, _targets_of(profile, framework)))


def _targets_of(profile: DeviceProfile, framework: str) -> tuple[TargetProfile, ...]:
    mine = (t for t in profile.targets if t.target.unit == "cpu")
    return tuple(t for t in mine if t.target.framework == framework)


def _setup(profile: TargetProfile) -> RunConfig:
    return RunConfig(profile.target.precision, profile.target.threads)


def predict_cases(
    profile: DeviceProfile,
    models: Sequence[str],
    files: Sequence[Path],
    by: HostFramework = FRAMEWORKS[DEFAULT],
    shapes: Mapping[str, Shape] | None = None,
) -> tuple[tuple[Predicted, ...], dict[str, str]]:
    """Predictions of zoo networks in every setup and of files in those of their precision.

    `shapes` are of inputs by name, for files that leave the size of one open. The second result
    names what could not be predicted, and why.
    """
    found: list[Predicted] = []
    refused: dict[str, str] = {}
    targets = {_setup(t): Resolved(profile, t) for t in reversed(_targets_of(profile, by.name))}
    for name, path in _named(models, files):
        try:
            own = shapes if shapes and path is not None and _is_open(name, path) else {}
            graph = graph_of(name, path, own)
            work = workload(graph, by.rules, allow_uncovered=True)
            for setup in _setups_for(graph, path, profile, by):
                prediction, first_ms = _predicted(work, targets[setup])
                found.append(
                    Predicted(
                        key=f"{setup}/{name}",
                        model=name,
                        setup=setup,
                        path=path,
                        prediction=prediction,
                        first_ms=first_ms,
                        shapes=own,
                    )
                )
        except PerfmodelError as error:
            refused[name] = str(error)
    return tuple(found), refused


def _named(models: Sequence[str], files: Sequence[Path]) -> Iterator[tuple[str, Path | None]]:
    """Networks of the zoo, then files by their names, with the ending where one is taken."""
    taken = set(models)
    yield from ((model, None) for model in models)
    for path in files:
        name = path.name if path.stem in taken else path.stem
        taken.add(name)
        yield name, path


def _is_open(name: str, path: Path) -> bool:
    """Whether a file cannot be read without sizes of its inputs."""
    try:
        graph_of(name, path)
    except ModelFileError as error:
        return "--input-shape" in error.hint
    return False


def _setups_for(
    graph: Graph, path: Path | None, profile: DeviceProfile, by: HostFramework
) -> tuple[RunConfig, ...]:
    """The setups that a network is run in; raises `ProfileError` for a file that has none."""
    setups = setups_of(profile, by.name)
    if path is None:
        return tuple(s for s in setups if s.precision in by.zoo_precisions)
    own = by.precision_of(graph)
    fit = tuple(s for s in setups if s.precision == own)
    if not fit:
        have = ", ".join(map(str, setups))
        raise ProfileError(
            f"it is stored in {stored_precision(graph)}, and the profile has {have}",
            "calibrate this machine in that precision" if own else "",
        )
    return fit


def graph_of(name: str, path: Path | None, shapes: Mapping[str, Shape] | None = None) -> Graph:
    """The graph of a real file, or the zoo's of that name."""
    from perfmodel.formats.load import load

    return load(str(path), input_shape=shapes or None) if path else load(name)


def _predicted(work: Workload, resolved: Resolved) -> tuple[Prediction, float | None]:
    """A network's steady latency, and ms of its first run where the profile tells it."""
    prediction = predict_workload(work, resolved)
    first = first_run_time(work, resolved, prediction.latency_ms, prediction.interval_ms)
    return prediction, None if first is None else first.latency_ms
