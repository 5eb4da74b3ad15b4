"""Profiles of the phones with kernel tables: MNN and the Arm Compute Library, CPU and GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perfmodel.profile.device_names import device_slug
from perfmodel.profile.kernel_build import phone_model
from perfmodel.profile.kernel_sets import (
    PHONE_SETS,
    KernelSet,
    phone_set,
    read_phone_rows,
    with_session_waits,
)
from perfmodel.profile.profile_file import Interval, Provenance, TargetProfile
from perfmodel.profile.target import Target
from validation.accuracy.kernels import left_out, network_cases
from validation.profiles_common import BuiltTarget, DeviceInfo, conformal_interval, fit_error

SOURCE = "summerspringwei/DAG-Scheduler, per-layer latencies, commit 9acc93f27b4f"
EXPERIMENT = "network left out on every phone, sum of its kernels"
_NO_CASE = "no second network on this target; errors of its like (network left out)"


def build_phones(data: Path) -> list[BuiltTarget]:
    """Every target of layers_phones.csv.gz as a profile's target."""
    frame = read_phone_rows(data)
    titles = {
        d: (d.replace("_", " ").title(), s)
        for d, s in zip(frame["device"], frame["soc"], strict=True)
    }
    built = []
    for framework, unit in PHONE_SETS:
        kernels = phone_set(frame, framework, unit)
        if unit == "gpu":
            kernels = with_session_waits(kernels)
        built += _set_targets(kernels, framework, unit, titles)
    return built


def _set_targets(
    kernels: KernelSet, framework: str, unit: str, titles: dict[str, tuple[str, str]]
) -> list[BuiltTarget]:
    model = phone_model().fit(kernels.rows, kernels.kernel_us)
    predicted, _ = left_out(kernels, kernels.family, phone_model, session_known=False)
    cases = network_cases(kernels, predicted, kernels.family)
    ratio = np.log(cases.predicted / cases.measured)
    built = []
    for number, traits in enumerate(kernels.rows.targets):
        device, cluster, threads = traits.name.split("/")
        title, soc = titles[device]
        own = ratio[cases.target == traits.name]
        judged = own if len(own) else ratio
        profile = TargetProfile(
            Target(
                device_slug(device),
                unit,
                framework,
                "fp16" if kernels.rows.targets[number].machine.precision == "fp16" else "fp32",
                int(threads) if unit == "cpu" else 0,
                cluster if unit == "cpu" else "",
            ),
            "steady",
            model.predictor(number),
            _interval(own, ratio),
            fit_error(EXPERIMENT if len(own) else _NO_CASE, judged),
            Provenance(
                SOURCE,
                int((kernels.rows.target == number).sum()),
                build=f"{framework}, versions of 2020 and 2021",
                affinity={"big": "cores 4-7", "little": "cores 0-3"}.get(cluster, ""),
                note="kernels; each was waited for" if unit == "gpu" else "kernels",
            ),
        )
        info = DeviceInfo(device_slug(device), title, "phone", soc)
        built.append(BuiltTarget(info, profile, _rank(profile.target)))
    return built


def _interval(own: np.ndarray, pool: np.ndarray) -> Interval:
    return conformal_interval(-own, -pool, weight=5.0)


def _rank(target: Target) -> tuple[int, ...]:
    """CPU before GPU, MNN before ACL, big cores, then 4 threads and fewer."""
    return (
        ("cpu", "gpu").index(target.unit),
        ("mnn", "acl").index(target.framework),
        int(target.cluster == "little"),
        -target.threads,
    )
