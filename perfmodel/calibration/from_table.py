"""Calibration: a measurement table in, the profile of a device out; from one row to thousands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.calibration.adapt import Adaptation, Suggestion, adapt, suggest, work_of
from perfmodel.calibration.borrow import Borrowed, Known, MeasuredNetwork, borrow, known_targets
from perfmodel.calibration.from_kernels import MeasuredKernels, fit_kernels
from perfmodel.cost_models.interval import (
    NORMAL_90,
    FitError,
    Interval,
    expected_error,
    expected_interval,
    fit_error,
)
from perfmodel.cost_models.kernel_population import KernelPopulation
from perfmodel.cost_models.work_predictor import EfficiencyPredictor, size_ranges
from perfmodel.devices.profile import (
    LATENCY_KINDS,
    DeviceProfile,
    Provenance,
    TargetProfile,
)
from perfmodel.devices.registry import ProfileFolder
from perfmodel.errors import MeasurementError, PerfmodelError
from perfmodel.kernels import KernelTable, fuse
from perfmodel.measurements.table import BadRow, MeasurementTable
from perfmodel.target import PRECISIONS, SLUG, Target, parse_target

MAX_FOLDS = 40
MAX_NETWORKS = 1200
"""Networks beyond this number teach nothing that a sample of them does not."""

NOVELTY_SLOPE = 0.5
CROSS_VALIDATED = "each network family left out in turn"
NOT_TESTED = "too few networks to leave any out: spread that the model expects"

REFERENCE_NETWORKS = ("mobilenet_v1", "mobilenet_v2", "resnet18", "squeezenet_1_1", "inception_v3")
"""Networks whose expected spread sets the interval where few were measured."""


@dataclass(frozen=True)
class CalibratedTarget:
    """One target of a new profile, what it borrowed and why."""

    profile: TargetProfile
    borrowed_from: str
    reason: str
    networks: int
    kernels: int


@dataclass(frozen=True)
class Calibration:
    """A device's new profile with what was borrowed, and the rows that were not used."""

    device: DeviceProfile
    targets: tuple[CalibratedTarget, ...]
    unused: tuple[BadRow, ...]


def calibrate(
    table: MeasurementTable,
    *,
    device: str,
    like: str = "",
    kernels: KernelPopulation | None = None,
) -> DeviceProfile:
    """The profile of `device` from its measurements; see `calibrate_device`."""
    return calibrate_device(table, device=device, like=like, kernels=kernels).device


def calibrate_device(
    table: MeasurementTable,
    *,
    device: str,
    like: str = "",
    kind: str = "phone",
    title: str = "",
    skip_bad: bool = False,
    profiles: Sequence[Path] = (),
    kernels: KernelPopulation | None = None,
) -> Calibration:
    """Fit every target that `table` measures, borrowing from known targets what it cannot show.

    `like` names a known device to start from; otherwise the average of the nearest kin and the
    known target that explains the measurements best are compared by cross-validation. `kernels`
    replaces what ships of the targets whose kernels were measured (`learn_kernels`). Raises
    `MeasurementError` (file, line, reason) for rows that cannot be used, unless `skip_bad`.
    """
    if not SLUG.fullmatch(device):
        raise MeasurementError(
            f"--device {device!r} is no device name", "use a-z, 0-9, - and ., such as my-phone"
        )
    folder = ProfileFolder(tuple(profiles))
    groups, unused = _groups(table, device, skip_bad)
    if not groups:
        raise MeasurementError(
            "no row of the table can be used", "see the reasons above, or docs/calibrate.md"
        )
    known = known_targets(folder, skip=device)
    made = tuple(_fit_group(group, known, folder, like, kernels) for group in groups)
    ranked = tuple(sorted(made, key=_rank))
    profile = DeviceProfile(device, title or device, kind, tuple(m.profile for m in ranked))
    return Calibration(profile, ranked, tuple(unused))


def _rank(made: CalibratedTarget) -> tuple[object, ...]:
    t = made.profile.target
    units = ("cpu", "gpu", "npu", "nnapi", "dsp", "dla")
    return units.index(t.unit), t.precision == "int8", -(made.networks + made.kernels), -t.threads


@dataclass(frozen=True)
class _Group:
    """Rows of one target: networks as measured, single kernels, and where they come from."""

    target: Target
    kind: str
    measured: tuple[MeasuredNetwork, ...]
    kernels: MeasuredKernels | None
    source: str
    build: str


def _groups(
    table: MeasurementTable, device: str, skip_bad: bool
) -> tuple[list[_Group], list[BadRow]]:
    """Rows by target; rows of a latency kind other than the target's main one are listed."""
    found: dict[Target, list[dict[str, object]]] = {}
    unused: list[BadRow] = []
    records: list[dict[str, Any]] = [*table.frame.to_dict("records")]  # type: ignore[list-item]
    for row in records:
        try:
            found.setdefault(target_of(row, device), []).append(dict(row))
        except MeasurementError as error:
            _refuse(row, error, skip_bad, unused)
    networks = _Networks()
    groups = []
    for target, rows in found.items():
        kinds = {str(r["kind"] or "steady") for r in rows}
        kind = next(k for k in ("steady", *LATENCY_KINDS) if k in kinds)
        chosen = [r for r in rows if str(r["kind"] or "steady") == kind]
        for r in rows:
            if str(r["kind"] or "steady") != kind:
                reason = f"left out: kind {r['kind']} beside {kind} rows of {target}"
                unused.append(BadRow(str(r["origin_file"]), int(str(r["origin_line"])), reason))
        measured = _measured(chosen, target, networks, skip_bad, unused)
        kernels = MeasuredKernels.of([r for r in chosen if r["latency_us"] == r["latency_us"]])
        if measured or kernels:
            builds = sorted({str(r["build"]) for r in chosen} - {""})
            sources = sorted({str(r["source"]) for r in chosen} - {""})
            files = sorted({Path(str(r["origin_file"])).name for r in chosen})
            source = "; ".join(sources[:3]) or ", ".join(files)
            build = ", ".join(builds)[:500]
            groups.append(_Group(target, kind, measured, kernels, source[:1900], build))
    return groups, unused


def _refuse(row: Mapping[str, object], error: PerfmodelError, skip: bool, to: list[BadRow]) -> None:
    bad = BadRow(str(row["origin_file"]), int(str(row["origin_line"])), error.message)
    if not skip:
        raise MeasurementError(str(bad), error.hint or "--skip-bad leaves such rows out") from error
    to.append(bad)


def target_of(row: Mapping[str, object], device: str) -> Target:
    """The target that a row measured on `device`; raises `MeasurementError`."""
    precision = str(row["precision"] or "float")
    if precision not in PRECISIONS:
        raise MeasurementError(
            f"precision {precision!r} has no target", f"known: {', '.join(PRECISIONS)}"
        )
    framework, unit = str(row["framework"]), str(row["unit"])
    if not SLUG.fullmatch(framework):
        raise MeasurementError(f"framework {framework!r} is no framework name")
    threads = float(str(row["threads"]))
    cpu = unit == "cpu"
    count = int(threads) if cpu and threads == threads else 0
    return Target(device, unit, framework, precision, count, str(row["affinity"]) if cpu else "")


def rules_of(target: Target) -> str:
    """Fusion rules of a target's framework."""
    if target.framework == "tflite":
        return "tflite-cpu" if target.unit == "cpu" else "tflite-gpu"
    return target.framework


class _Networks:
    """Fused networks by name, batch and rules, each made once."""

    def __init__(self) -> None:
        self.tables: dict[tuple[str, int, str], KernelTable] = {}

    def get(self, model: str, batch: int, rules: str) -> KernelTable:
        from perfmodel.workload import load_at_batch, workload

        key = (model, batch, rules)
        if key not in self.tables:
            self.tables[key] = workload(load_at_batch(model, batch), rules).table
        return self.tables[key]


def model_of(row: Mapping[str, object]) -> str:
    """The zoo name of a row's model, or its path beside the table."""
    model = str(row["model"])
    beside = Path(str(row["origin_file"])).parent / model
    return str(beside) if Path(model).suffix and beside.is_file() else model


def _measured(
    rows: Sequence[Mapping[str, object]],
    target: Target,
    networks: _Networks,
    skip_bad: bool,
    unused: list[BadRow],
) -> tuple[MeasuredNetwork, ...]:
    """Median latency of each network; several runs of one network are one measurement."""
    times: dict[tuple[str, int], list[float]] = {}
    tables: dict[tuple[str, int], KernelTable] = {}
    for row in rows:
        latency, batch = float(str(row["latency_ms"])), float(str(row["batch"]))
        if latency != latency:
            continue
        key = (model_of(row), int(batch) if batch == batch else 1)
        try:
            tables[key] = networks.get(*key, rules_of(target))
        except PerfmodelError as error:
            _refuse(row, error, skip_bad, unused)
            continue
        times.setdefault(key, []).append(latency)
    made = [MeasuredNetwork(k[0], tables[k], float(np.median(v))) for k, v in times.items()]
    if len(made) > MAX_NETWORKS:
        order = np.argsort([m.latency_ms for m in made])
        kept = order[np.linspace(0, len(order) - 1, MAX_NETWORKS).astype(int)]
        made = [made[i] for i in sorted(set(kept.tolist()))]
    return tuple(made)


def _fit_group(
    group: _Group,
    known: Sequence[Known],
    folder: ProfileFolder,
    like: str,
    kernels: KernelPopulation | None,
) -> CalibratedTarget:
    if group.kernels is not None:
        made = fit_kernels(group.kernels, group.target, folder, like, group.measured, kernels)
        count = len(group.kernels.latency_us)
        profile = TargetProfile(
            group.target,
            group.kind,
            made.predictor,
            made.interval,
            made.error,
            _origin(group, count),
        )
        return CalibratedTarget(
            profile, made.borrowed_from, made.reason, len(group.measured), count
        )
    options = [
        (_left_out(group.measured, option), option)
        for option in borrow(known, group.target, group.measured, like)
    ]
    ratios, chosen = min(options, key=_misfit)
    result = adapted(group.measured, chosen)
    profile = TargetProfile(
        group.target,
        group.kind,
        _predictor(result, group.measured),
        network_interval(result, ratios, rules_of(group.target)),
        _error(result, ratios, rules_of(group.target)),
        replace(_origin(group, len(group.measured)), note=f"borrowed from {chosen.source}"),
    )
    return CalibratedTarget(profile, chosen.source, chosen.reason, len(group.measured), 0)


def _origin(group: _Group, count: int) -> Provenance:
    cores = f"{group.target.cluster} cores" if group.target.cluster else ""
    return Provenance(group.source, count, group.build, cores)


def _misfit(option: tuple[np.ndarray, Borrowed]) -> float:
    """Size of the left-out errors; a single measurement decides for what lies nearest."""
    ratios, borrowed = option
    return (
        float(np.mean(np.abs(ratios))) if len(ratios) else -float("target" not in borrowed.source)
    )


def family_of_model(model: str) -> str:
    """What a measured network is left out with: its zoo family, else its file's name."""
    from perfmodel import zoo

    name = model.partition("@")[0]
    return zoo.entry(name).family if name in zoo.names() else Path(model).stem


def adapted(measured: Sequence[MeasuredNetwork], borrowed: Borrowed) -> Adaptation:
    """The target after its measurements."""
    return adapt([m.for_prior(borrowed.prior) for m in measured], borrowed.prior)


def _left_out(measured: Sequence[MeasuredNetwork], borrowed: Borrowed) -> np.ndarray:
    """log(measured / predicted) of networks whose family the adaptation did not see."""
    families = np.array([family_of_model(m.name) for m in measured], dtype=object)
    names = sorted(set(families))
    if len(names) < 3:
        return np.zeros(0)
    folds = np.array([names.index(f) % MAX_FOLDS for f in families])
    ratios = np.zeros(len(measured))
    for fold in sorted(set(folds.tolist())):
        held = [int(i) for i in np.flatnonzero(folds == fold)]
        kept = [m for m, f in zip(measured, folds, strict=True) if f != fold]
        result = adapted(kept, borrowed)
        for i in held:
            m = measured[i]
            work = m.for_prior(borrowed.prior).work
            ratios[i] = np.log(m.latency_ms / result.latency_ms(work))
    return ratios


def _predictor(result: Adaptation, measured: Sequence[MeasuredNetwork]) -> EfficiencyPredictor:
    """The adapted costs; what was borrowed and what was measured both count as known sizes."""
    ranges = dict(result.prior.ranges)
    for name, (low, high) in size_ranges([m.kernels for m in measured]).items():
        if name in ranges:
            a, b = ranges[name]
            low = tuple(min(x, y) for x, y in zip(a, low, strict=True))
            high = tuple(max(x, y) for x, y in zip(b, high, strict=True))
        ranges[name] = (low, high)
    return replace(result.predictor, ranges=dict(sorted(ranges.items())))


def expected_sd(result: Adaptation, rules: str) -> float:
    """Standard deviation of log latency that the model expects of networks of all kinds."""
    from perfmodel import zoo

    tables = [KernelTable.from_kernels(fuse(zoo.build(n), rules)) for n in REFERENCE_NETWORKS]
    works = [work_of(t, result.prior.precision) for t in tables]
    return float(np.sqrt(np.mean([result.log_sd(w) ** 2 for w in works])))


def network_interval(result: Adaptation, ratios: np.ndarray, rules: str) -> Interval:
    """90 % interval: the spread that the model expects, and more and more that of left-out rows."""
    return expected_interval(ratios, NORMAL_90 * expected_sd(result, rules), NOVELTY_SLOPE)


def _error(result: Adaptation, ratios: np.ndarray, rules: str) -> FitError:
    if not len(ratios):
        return expected_error(NOT_TESTED, NORMAL_90 * expected_sd(result, rules))
    return fit_error(CROSS_VALIDATED, ratios)


LARGEST_CANDIDATE_MACS = 30e9


@dataclass(frozen=True)
class NextMeasurements:
    """Networks worth measuring next on a target, and what is assumed before them."""

    target: str
    borrowed_from: str
    suggestions: tuple[Suggestion, ...]


def next_measurements(
    count: int,
    on: str,
    *,
    like: str = "",
    table: MeasurementTable | None = None,
    profiles: Sequence[Path] = (),
) -> NextMeasurements:
    """The `count` networks of the zoo that teach most about target `on`, in order.

    `on` is a target of a device that may be new; unit, framework and precision default to cpu,
    ncnn and float. `table` holds what was measured already. No latency is looked at that is not in
    it: the choice follows from the networks' work and from how known targets differ.
    """
    query = parse_target(on)
    target = Target(
        query.device,
        query.unit or "cpu",
        query.framework or "ncnn",
        query.precision or "float",
        query.threads,
        query.cluster,
    )
    measured: tuple[MeasuredNetwork, ...] = ()
    if table is not None:
        groups, _ = _groups(table, target.device, True)
        measured = next((g.measured for g in groups if query.matches(g.target)), ())
    known = known_targets(ProfileFolder(tuple(profiles)), skip=target.device)
    chosen = borrow(known, target, measured, like)[-1]
    prior = chosen.prior
    works = {
        name: work_of(table, prior.precision)
        for name, table in _candidates(rules_of(target)).items()
    }
    seen = [m.for_prior(prior) for m in measured]
    return NextMeasurements(str(target), chosen.source, suggest(works, prior, count, seen))


def _candidates(rules: str) -> dict[str, KernelTable]:
    """Networks of the zoo that every device can run in seconds."""
    from perfmodel import zoo
    from perfmodel.kernels import uncovered_ops

    found = {}
    for name in zoo.mobile_names():
        graph = zoo.build(name)
        if uncovered_ops(graph):
            continue
        table = KernelTable.from_kernels(fuse(graph, rules))
        if table["macs"].sum() <= LARGEST_CANDIDATE_MACS:
            found[name] = table
    return found


__all__ = [
    "CalibratedTarget",
    "Calibration",
    "NextMeasurements",
    "calibrate",
    "calibrate_device",
    "next_measurements",
]
