"""Phones, kernel by kernel: MNN and the Arm Compute Library on CPU and GPU.

A network is the sum of its kernels as measured; a left-out network (with its variants) is left out
on every phone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perfmodel.calibration.kernel_settings import phone_model
from perfmodel.cost_models.kernel_model import KernelModel
from perfmodel.cost_models.kernel_terms import cells_of
from validation.accuracy.common import Result, score
from validation.accuracy.kernels import (
    cross_conformal,
    network_cases,
    proportional,
    simple_columns,
)
from validation.data.kernel_tables import (
    PHONE_SETS,
    KernelSet,
    phone_set,
    read_phone_rows,
    with_session_waits,
)
from validation.profiles.left_out import left_out

REASONS = {
    "oneplus5t//1": "the host waits 0.2 ms for a kernel in some sessions and 1.2 ms in others",
    "alexnet": "the only network with grouped convolutions; without it nothing shows their cost",
    "inception": "the only family with 3x3, 1x7 and 7x1 convolutions on this framework",
}


def _network_result(name: str, kind: str, kernels: KernelSet, seed: int) -> list[Result]:
    label = kernels.family
    predicted, known = left_out(kernels, label, lambda: phone_model(seed))
    cases = network_cases(kernels, predicted, label)
    simple = {
        baseline: network_cases(kernels, proportional(kernels, label, columns), label).predicted
        for baseline, columns in simple_columns(kernels).items()
    }
    networks = score(
        f"{name}, whole networks",
        kind,
        cases.predicted,
        cases.measured,
        cases.names,
        seed,
        groups=list(cases.target),
        intervals=cross_conformal(cases.predicted, cases.measured, cases.label),
        baselines=simple,
        reasons=REASONS,
    )
    rows = np.flatnonzero(known)
    layers = kernels.rows.table["name"]
    single = score(
        f"{name}, single kernels",
        kind,
        predicted[rows] / 1e3,
        kernels.kernel_us[rows] / 1e3,
        [f"{kernels.target_names[i]} {kernels.network[i]} {layers[i]}" for i in rows],
        seed,
        intervals=cross_conformal(predicted[rows], kernels.kernel_us[rows], label[rows]) / 1e3,
        worst=0,
    )
    return [networks, single]


def leave_network_out(data: Path, seed: int) -> list[Result]:
    """Whole-network and kernel error with one network family left out everywhere."""
    frame = read_phone_rows(data)
    results = []
    for framework, unit in PHONE_SETS:
        kernels = phone_set(frame, framework, unit)
        kind = f"{framework} {unit}"
        results += _network_result("phones, leave one network out", kind, kernels, seed)
        if (framework, unit) == ("mnn", "gpu"):
            kind, kernels = f"{kind}, wait of the session known", with_session_waits(kernels)
            results += _network_result("phones, leave one network out", kind, kernels, seed)[:1]
    return results


KERNELS = 30


def new_phone(data: Path, seed: int) -> list[Result]:
    """A phone never seen, from 30 of its kernels, or from its other whole networks (1 to 5)."""
    frame, results = read_phone_rows(data), []
    for framework, unit in PHONE_SETS:
        kernels = phone_set(frame, framework, unit)
        cases: dict[str, list[_Case]] = {f"{KERNELS} kernels": [], "its other networks": []}
        device = np.array([t.name.split("/")[0] for t in kernels.rows.targets], dtype=object)
        of_row = device[kernels.rows.target]
        for name in sorted(set(device)):
            train = np.flatnonzero(of_row != name)
            model = phone_model(seed).fit(kernels.rows.take(train), kernels.kernel_us[train])
            for target in np.flatnonzero(device == name):
                mine = kernels.take(np.flatnonzero(kernels.rows.target == target))
                cases[f"{KERNELS} kernels"] += _from_kernels(model, mine, kernels, of_row, seed)
                cases["its other networks"] += _from_networks(model, mine)
        for how, found in cases.items():
            predicted = np.array([c.predicted_us for c in found]) / 1e3
            measured = np.array([c.measured_us for c in found]) / 1e3
            label = np.array([c.name.split("/")[0] for c in found], dtype=object)
            neighbour = np.array([c.neighbour_us for c in found]) / 1e3
            simple = {"nearest scaled": neighbour} if np.isfinite(neighbour).any() else {}
            results.append(
                score(
                    "phones, new phone",
                    f"{framework} {unit}, {how}",
                    predicted,
                    measured,
                    [c.name for c in found],
                    seed,
                    groups=list(label),
                    intervals=cross_conformal(predicted, measured, label),
                    baselines=simple,
                    worst=3,
                )
            )
    return results


@dataclass(frozen=True)
class _Case:
    """A network on a phone: predicted, measured, and what the nearest phone scaled says."""

    name: str
    predicted_us: float
    measured_us: float
    neighbour_us: float = float("nan")


def _networks(kernels: KernelSet) -> dict[str, np.ndarray]:
    return {n: np.flatnonzero(kernels.network == n) for n in sorted(set(kernels.network))}


def _from_kernels(
    model: KernelModel, mine: KernelSet, everyone: KernelSet, of_row: np.ndarray, seed: int
) -> list[_Case]:
    """Calibrate on kernels drawn by the root of the time that the population expects of them."""
    traits = mine.rows.targets[mine.rows.target[0]]
    met = np.flatnonzero(np.isin(cells_of(mine.rows.table), model.cells_))
    expected = model.population().unmeasured(traits).parts_ms(mine.rows.table.take(met)).sum(axis=1)
    chance = np.sqrt(expected) / np.sqrt(expected).sum()
    count = min(KERNELS, len(met))
    chosen = met[np.random.default_rng(seed).choice(len(met), count, replace=False, p=chance)]
    made = model.population().calibrated(
        mine.rows.table.take(chosen), traits, mine.kernel_us[chosen]
    )
    times = made.parts_ms(mine.rows.table).sum(axis=1) * 1e3
    others = np.flatnonzero(of_row != traits.name.split("/")[0])
    near = _nearest_scaled(mine, chosen, everyone.take(others))
    return [
        _Case(
            f"{traits.name} {name}",
            float(times[rows].sum()),
            float(mine.kernel_us[rows].sum()),
            near.get(name, float("nan")),
        )
        for name, rows in _networks(mine).items()
    ]


def _nearest_scaled(mine: KernelSet, chosen: np.ndarray, others: KernelSet) -> dict[str, float]:
    """Baseline: sums of the target whose times of the chosen kernels differ most evenly, scaled."""
    layers, names = others.rows.table["name"], others.target_names
    keys = zip(names, others.network, layers, strict=True)
    time = dict(zip(keys, others.kernel_us, strict=True))
    asked = [(mine.network[i], mine.rows.table["name"][i], mine.kernel_us[i]) for i in chosen]
    best: tuple[float, str, float] | None = None
    for other in sorted(set(names)):
        logs = np.log([us / time[other, n, k] for n, k, us in asked if (other, n, k) in time])
        if len(logs) >= KERNELS // 2 and (best is None or logs.std() < best[0]):
            best = (float(logs.std()), str(other), float(np.exp(np.median(logs))))
    if best is None:
        return {}
    of_best = others.take(np.flatnonzero(names == best[1]))
    return {n: best[2] * of_best.kernel_us[r].sum() for n, r in _networks(of_best).items()}


def _from_networks(model: KernelModel, mine: KernelSet) -> list[_Case]:
    """Calibrate on the sums of the target's other networks, up to ten; variants count as one."""
    traits = mine.rows.targets[mine.rows.target[0]]
    met, out = np.isin(cells_of(mine.rows.table), model.cells_), []
    for name, rows in _networks(mine).items():
        other = np.flatnonzero((mine.family != mine.family[rows[0]]) & met)
        if not len(other):
            continue
        member = np.unique(mine.network[other], return_inverse=True)[1]
        totals = np.bincount(member, mine.kernel_us[other])
        made = model.population().calibrated(mine.rows.table.take(other), traits, totals, member)
        predicted = made.parts_ms(mine.rows.table.take(rows)).sum() * 1e3
        out.append(_Case(f"{traits.name} {name}", predicted, float(mine.kernel_us[rows].sum())))
    return out


EXPERIMENTS = {"phones-networks": leave_network_out, "phones-new": new_phone}
