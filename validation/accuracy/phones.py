"""Phones, kernel by kernel: MNN and the Arm Compute Library on CPU and GPU.

A network is the sum of its kernels as measured; a left-out network (with its variants) is left out
on every phone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perfmodel.profile.kernel_build import phone_model
from perfmodel.profile.kernel_cv import left_out
from perfmodel.profile.kernel_sets import PHONE_SETS, KernelSet, phone_set, read_phone_rows
from validation.accuracy.common import Result, score
from validation.accuracy.kernels import (
    cross_conformal,
    network_cases,
    proportional,
    simple_columns,
)

REASONS = {
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
    return results


EXPERIMENTS = {"phones-networks": leave_network_out}
