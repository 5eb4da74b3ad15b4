"""Whole networks on ncnn: unseen networks, new devices from a few networks or from specs alone."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from perfmodel.calibration.adapt import Adaptation, Measured, adapt, network_name, suggest
from perfmodel.calibration.from_spec import prior_from_sheet
from perfmodel.calibration.population import Population
from perfmodel.devices.cpu_specs import CpuSheet, cpu_sheet
from perfmodel.formats.ncnn.reader import read_ncnn
from perfmodel.graph.ir import Graph
from perfmodel.measurements.table import read_measurements
from validation.accuracy.common import Result, score
from validation.data.network_tables import NetworkRows, TargetKey, network_rows
from validation.profiles.network_training import cross_conformal, leave_family_out, model_for
from validation.profiles.population import calibrate, population

DEVICE_FOLDS = 10
SHOTS = (1, 3, 5, 10)
REASONS = {
    "vision_transformer": "the only network with attention: its kernels are never seen",
    "alexnet": "the only one with normalisation across channels and 5x5 groups",
    "shufflenet": "the only one with grouped 1x1 convolutions",
    "efficientnetv2_b0": "the only one with reductions that a GPU hands back to the CPU",
}


@lru_cache(maxsize=2)
def rows_of(data: Path, unit: str) -> NetworkRows:
    """Rows of ncnn_e2e.csv of one unit, one a (target, network): the median of repeated runs."""
    table, _ = read_measurements([data / "ncnn_e2e.csv"])

    def load(model: str) -> Graph:
        path = data / model
        if not path.is_file():
            raise KeyError(model)
        return read_ncnn(path)

    return _one_a_case(network_rows(table, load, framework="ncnn", units=(unit,)))


def _one_a_case(rows: NetworkRows) -> NetworkRows:
    log_ms = rows.matrix()
    target, network = np.nonzero(np.isfinite(log_ms))
    shared = (rows.targets, rows.networks, rows.families, rows.kernels, rows.work)
    return NetworkRows(*shared, target, network, np.exp(log_ms[target, network]))


def _names(rows: NetworkRows, picked: np.ndarray) -> list[str]:
    return [
        f"{_short(rows.networks[n])} on {rows.targets[t]}"
        for t, n in zip(rows.target[picked], rows.network[picked], strict=True)
    ]


def _short(network: str) -> str:
    return network.rsplit("/", 1)[-1].removesuffix(".param")


def _simple_models(rows: NetworkRows) -> dict[str, np.ndarray]:
    """Baselines that leave the network out: time proportional to MACs, linear in MACs and bytes."""
    macs = np.array([k["macs"].sum() for k in rows.kernels])
    moved = np.array([(k["output_elements"] + k["weight_elements"]).sum() for k in rows.kernels])
    family = np.array(rows.families)
    flops, linear = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for row in range(len(rows)):
        t, n = rows.target[row], rows.network[row]
        other = (rows.target == t) & (family[rows.network] != family[n])
        if other.sum() < 3:
            continue
        seen, ms = rows.network[other], rows.latency_ms[other]
        flops[row] = np.exp(np.median(np.log(ms / macs[seen]))) * macs[n]
        linear[row] = _linear(np.column_stack([macs, moved])[seen], ms) @ [macs[n], moved[n], 1.0]
    return {"FLOPs": flops, "linear": np.maximum(linear, 1e-3)}


def _linear(inputs: np.ndarray, ms: np.ndarray) -> np.ndarray:
    """Non-negative least squares on relative error, with a constant."""
    from scipy.optimize import nnls

    design = np.column_stack([inputs, np.ones(len(ms))])
    size = design.max(axis=0)
    solution: np.ndarray = nnls(design / size / ms[:, None], np.ones(len(ms)))[0] / size
    return solution


def _kinds(rows: NetworkRows) -> dict[str, np.ndarray]:
    """Rows by kind of target."""
    unit = rows.targets[0].target.unit
    int8 = np.array([key.target.precision == "int8" for key in rows.targets])[rows.target]
    kinds = {f"{unit} float": ~int8}
    return kinds | ({f"{unit} int8": int8} if int8.any() else {})


def leave_one_network_out(data: Path, seed: int) -> list[Result]:
    """Each network with its 8-bit twin is unseen on every device."""
    results = []
    for unit in ("cpu", "gpu"):
        rows = rows_of(data, unit)
        left_out = leave_family_out(rows, model_for(unit))
        bounds, simple = cross_conformal(left_out, rows), _simple_models(rows)
        for kind, member in _kinds(rows).items():
            picked = np.flatnonzero(member & np.isfinite(left_out.predicted_ms))
            results.append(
                score(
                    "ncnn, leave one network out",
                    kind,
                    left_out.predicted_ms[picked],
                    rows.latency_ms[picked],
                    _names(rows, picked),
                    seed,
                    groups=rows.target[picked].tolist(),
                    intervals=bounds[picked],
                    baselines={n: v[picked] for n, v in simple.items()},
                    reasons=REASONS,
                )
            )
    return results


def device_folds(rows: NetworkRows, seed: int) -> np.ndarray:
    """Fold of every target; targets of one device (all its threads and units) share theirs."""
    devices = sorted({_one_device(key) for key in rows.targets})
    order = np.random.default_rng(seed).permutation(len(devices))
    fold = {devices[d]: place % DEVICE_FOLDS for place, d in enumerate(order)}
    return np.array([fold[_one_device(key)] for key in rows.targets])


def _one_device(key: TargetKey) -> str:
    """The device, however it was set up when it was measured."""
    device = key.target.device
    for suffix in ("-overclocked", "-vulkan", "-b"):
        device = device.removesuffix(suffix)
    return device


def _float_only(rows: NetworkRows) -> NetworkRows:
    float_target = np.array([key.target.precision != "int8" for key in rows.targets])
    return rows.where(float_target[rows.target])


def _priors(rows: NetworkRows, folds: np.ndarray, seed: int) -> dict[int, Population]:
    """By fold, the prior from the devices of all other folds."""
    priors = {}
    for fold in range(DEVICE_FOLDS):
        other = rows.where(folds[rows.target] != fold)
        fitted = model_for(rows.targets[0].target.unit).fit(other.inputs(), other.latency_ms)
        priors[fold] = calibrate(population(fitted, other), other, seed=seed)
    return priors


class _Cases:
    """Predictions gathered case by case."""

    def __init__(self) -> None:
        self.predicted: list[float] = []
        self.measured: list[float] = []
        self.names: list[str] = []
        self.groups: list[int] = []
        self.bounds: list[tuple[float, float]] = []
        self.nearest: list[float] = []

    def add(self, rows: NetworkRows, row: int, adapted: Adaptation, nearest: float) -> None:
        n, t = int(rows.network[row]), int(rows.target[row])
        self.predicted.append(adapted.latency_ms(rows.work[n], rows.networks[n]))
        self.measured.append(float(rows.latency_ms[row]))
        self.names.append(f"{_short(rows.networks[n])} on {rows.targets[t]}")
        self.groups.append(t)
        self.nearest.append(nearest)
        self.bounds.append(adapted.interval_ms(rows.work[n], rows.networks[n]))

    def result(self, experiment: str, kind: str, seed: int) -> Result:
        return score(
            experiment,
            kind,
            np.array(self.predicted),
            np.array(self.measured),
            self.names,
            seed,
            groups=self.groups,
            intervals=np.array(self.bounds),
            baselines={"nearest device": np.array(self.nearest)},
        )


def _nearest_device(log_ms: np.ndarray, known: np.ndarray, seen: np.ndarray, t: int) -> np.ndarray:
    """Log latencies of the known target most like `t` on the seen networks, scaled to it."""
    gap = log_ms[known][:, seen] - log_ms[t, seen]
    usable = np.isfinite(gap).all(axis=1)
    if not usable.any():
        return np.full(log_ms.shape[1], np.nan)
    scale = np.median(gap[usable], axis=1)
    distance = np.mean(np.abs(gap[usable] - scale[:, None]), axis=1)
    best = int(np.argmin(distance))
    nearest: np.ndarray = log_ms[known][usable][best] - scale[best]
    return nearest


def new_device(data: Path, seed: int, shots: int, active: bool = False) -> list[Result]:
    """A device unseen in every form; `shots` of its networks are measured, the rest predicted.

    The other networks are known from other devices. The measured ones are drawn at random, or
    chosen by `suggest` if `active`.
    """
    results = []
    for unit in ("cpu", "gpu"):
        rows = _float_only(rows_of(data, unit))
        folds, log_ms = device_folds(rows, seed), rows.matrix()
        priors, cases = _folded_priors(data, unit, seed), _Cases()
        rng = np.random.default_rng(seed)
        for t in np.unique(rows.target):
            own = np.flatnonzero(rows.target == t)
            if len(own) < shots + 3:
                continue
            prior = priors[folds[t]]
            first = _choice(rows, own, prior, shots, rng, active)
            measured = [_measured(rows, row) for row in first]
            adapted = prior.adapt(measured)
            known = np.unique(rows.target[folds[rows.target] != folds[t]])
            near = _nearest_device(log_ms, known, rows.network[first], int(t))
            for row in np.setdiff1d(own, first):
                cases.add(rows, int(row), adapted, float(np.exp(near[rows.network[row]])))
        how = "chosen" if active else "random"
        results.append(
            cases.result(f"ncnn, new device from {shots} networks ({how})", f"{unit} float", seed)
        )
    return results


@lru_cache(maxsize=4)
def _folded_priors(data: Path, unit: str, seed: int) -> dict[int, Population]:
    rows = _float_only(rows_of(data, unit))
    return _priors(rows, device_folds(rows, seed), seed)


def _measured(rows: NetworkRows, row: int) -> Measured:
    n = int(rows.network[row])
    return Measured(rows.work[n], float(rows.latency_ms[row]), rows.networks[n])


def _choice(
    rows: NetworkRows,
    own: np.ndarray,
    prior: Population,
    shots: int,
    rng: np.random.Generator,
    active: bool,
) -> np.ndarray:
    if not active:
        return rng.permutation(own)[:shots]
    by_name = {rows.networks[rows.network[row]]: row for row in own}
    tables = {name: rows.work[rows.network[row]] for name, row in by_name.items()}
    return np.array([by_name[s.name] for s in suggest(tables, prior.prior(), shots)])


@lru_cache(maxsize=1)
def _cores_of_devices() -> dict[str, str]:
    """Cores of each CPU device: from the title in the source, completed by vendors' sheets."""
    with (Path(__file__).parent / "ncnn_devices.csv").open(newline="") as file:
        return {row["device"]: row["cores"] for row in csv.DictReader(file)}


def _sheet(key: TargetKey) -> CpuSheet | None:
    cores = _cores_of_devices().get(key.target.device)
    if cores is None:
        return None
    return cpu_sheet(cores, key.target.threads, key.target.cluster)


def from_sheet_alone(data: Path, seed: int) -> list[Result]:
    """A CPU target of an unseen device by its cores, clocks and threads only."""
    rows = _float_only(rows_of(data, "cpu"))
    folds, priors, cases = device_folds(rows, seed), _folded_priors(data, "cpu", seed), _Cases()
    sheets = {str(key): _sheet(key) for key in rows.targets}
    for t in np.unique(rows.target):
        known = priors[folds[t]]
        sheet = sheets[str(rows.targets[t])]
        if sheet is None:
            continue
        prior = prior_from_sheet(sheet, known, [sheets[name] for name in known.names])
        peers = np.array([_peak(sheets[name]) for name in known.names])
        nearest = int(np.nanargmin(np.abs(peers - _peak(sheet))))
        near = known.log_ms()[nearest] + peers[nearest] - _peak(sheet)
        place = {n: i for i, n in enumerate(known.networks)}
        adapted = adapt([], prior)
        for row in np.flatnonzero(rows.target == t):
            name = network_name(rows.networks[rows.network[row]])
            simple = float(np.exp(near[place[name]])) if name in place else float("nan")
            cases.add(rows, int(row), adapted, simple)
    return [cases.result("ncnn, new device from its spec sheet", "cpu float", seed)]


def _peak(sheet: CpuSheet | None) -> float:
    return float("nan") if sheet is None else float(np.log(sheet.peak_gflops))


def _few_shot(shots: int, active: bool = False) -> Callable[[Path, int], list[Result]]:
    def run(data: Path, seed: int) -> list[Result]:
        return new_device(data, seed, shots, active)

    return run


EXPERIMENTS: dict[str, Callable[[Path, int], list[Result]]] = {
    "ncnn-network": leave_one_network_out,
    **{f"ncnn-device-{n}": _few_shot(n) for n in SHOTS},
    "ncnn-device-specs": from_sheet_alone,
    "ncnn-device-10-chosen": _few_shot(10, active=True),
}
"""Experiments by name."""
