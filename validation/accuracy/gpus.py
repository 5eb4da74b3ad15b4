"""Server GPUs: cards never seen from their data sheets, and transformers on cards of known kernels.

Kernel times are NeuSight's, in eager PyTorch; whole networks are the transformers of e2e_gpu.csv.
The conv2d rows of NeuSight hold host time that grows over the series (see
`kernel_rows.lookup_drift_us`); errors are of the kernel's own time, without it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import perfmodel
from perfmodel.devices.gpu_specs import GPU_SPECS, gpu_family
from perfmodel.devices.profile import DeviceProfile
from perfmodel.measurements.device_names import device_slug
from validation.accuracy.common import AccuracyRow, answered, columns_as_cases, score
from validation.accuracy.transformers import passes, read_networks, spec
from validation.data.kernel_rows import KernelTimes, read_eager_gpus

SHEETS = {device_slug(name): sheet for name, sheet in GPU_SPECS.items()}
PRODUCTS = {"conv2d": ("conv2d",), "linear": ("linear",), "bmm": ("bmm",)}
REASONS = {
    "switchxl4": "attention width and expert routing of this network are not published",
    "tesla-p4": "throttles: 0.11 to 0.80 of its peak for one and the same kind of kernel",
    "nvidia-l4": "power limit of 72 W at 31 TFLOP/s; no kernel of such a card was measured",
}


def read_kernels(data: Path) -> KernelTimes:
    """The eager kernels, each time the kernel's own."""
    peak = {name: (s.fp32_gflops, s.bandwidth_gb_per_s) for name, s in SHEETS.items()}
    return read_eager_gpus(data, peak)


def family_of(device: str) -> str:
    """The family of cards that are left out together, of a device of a profile."""
    return gpu_family(SHEETS[device].name)


def sheet_profiles(
    kernels: KernelTimes, devices: Sequence[str], seed: int
) -> dict[str, DeviceProfile]:
    """The profile of each device from its data sheet, learned from cards of other families."""
    label = np.array([family_of(d) for d in kernels.device], dtype=object)
    made = {}
    for family in sorted({family_of(d) for d in devices}):
        known = kernels.take(label != family).table
        shared = perfmodel.learn_kernels(known, seed=seed, shared_only=True).population
        for device in (d for d in devices if family_of(d) == family):
            made[device] = perfmodel.gpu_profile(device, population=shared)
    return made


def unseen_gpus(data: Path, seed: int) -> list[AccuracyRow]:
    """A GPU never measured, from its data sheet: kernels, then whole networks."""
    kernels, networks = read_kernels(data), read_networks(data)
    devices = sorted({device_slug(r["device"]) for r in networks} | set(kernels.device))
    profiles = sheet_profiles(kernels, devices, seed)
    name = "unseen GPU from its data sheet"
    return [
        *kernel_results(f"{name}, kernels", kernels, profiles, seed),
        *network_results(
            f"{name}, whole networks", networks, devices, list(profiles.values()), seed
        ),
    ]


def kernel_results(
    name: str, kernels: KernelTimes, profiles: Mapping[str, DeviceProfile], seed: int
) -> list[AccuracyRow]:
    """Convolutions and products together, then each kind."""
    ops = [op for kind in PRODUCTS.values() for op in kind]
    kernels = kernels.take(np.isin(kernels.table.column("op"), ops))
    predicted, bounds = np.empty(len(kernels)), np.empty((len(kernels), 2))
    for device in sorted(set(kernels.device)):
        rows = np.flatnonzero(kernels.device == device)
        asked = kernels.take(rows).table
        predicted[rows] = perfmodel.predict_kernels(asked, profiles[device])
        bounds[rows] = perfmodel.kernel_bounds(asked, profiles[device])
    neighbour, names = scaled_neighbour(kernels), case_names(kernels)
    op = kernels.table.column("op")
    results = []
    for kind, chosen in {"conv2d, linear, bmm": tuple(ops), **PRODUCTS}.items():
        rows = np.flatnonzero(np.isin(op, chosen))
        if not len(rows):
            continue
        results.append(
            score(
                name,
                kind,
                columns_as_cases(
                    [names[i] for i in rows],
                    predicted[rows] / 1e3,
                    kernels.latency_us[rows] / 1e3,
                    groups=list(kernels.device[rows]),
                    intervals_ms=bounds[rows] / 1e3,
                ),
                seed,
                baselines={"nearest scaled": neighbour[rows] / 1e3},
                reasons=REASONS,
                worst=3,
            )
        )
    return results


SHAPE = ("op", "batch", "cin", "hin", "cout", "kh", "m", "n", "k")


def case_names(kernels: KernelTimes) -> list[str]:
    """Device, operator and the sizes that a row states."""
    columns = [kernels.table.column(name).tolist() for name in SHAPE]
    return [
        f"{device} {op} " + "x".join(f"{size:g}" for size in sizes if size > 0)
        for device, (op, *sizes) in zip(kernels.device, zip(*columns, strict=True), strict=True)
    ]


def scaled_neighbour(kernels: KernelTimes) -> np.ndarray:
    """Baseline: the same shape on the card nearest in peak, scaled by the ratio of peaks.

    A shape that no card of another family ran has NaN.
    """
    names = [name.split(" ", 1)[1] for name in case_names(kernels)]
    time = dict(zip(zip(kernels.device, names, strict=True), kernels.latency_us, strict=True))
    devices = sorted(set(kernels.device))
    peak = {d: SHEETS[d].fp32_gflops for d in devices}
    out = np.full(len(kernels), np.nan)
    for device in devices:
        others = [d for d in devices if family_of(d) != family_of(device)]
        near = sorted(others, key=lambda o: abs(np.log(peak[o] / peak[device])))
        for i in np.flatnonzero(kernels.device == device):
            other = next((o for o in near if (o, names[i]) in time), None)
            if other is not None:
                out[i] = time[other, names[i]] * peak[other] / peak[device]
    return out


def network_results(
    name: str,
    networks: Sequence[Mapping[str, Any]],
    devices: Collection[str],
    profiles: Sequence[DeviceProfile],
    seed: int,
) -> list[AccuracyRow]:
    """Inference, then training, of the networks that ran on `devices`."""
    on_devices = [r for r in networks if device_slug(r["device"]) in devices]
    kinds = {
        "inference": "transformers, eager inference",
        "train": "transformers, training (forward x 3)",
    }
    return [
        _networks(name, kind, rows, profiles, seed)
        for mode, kind in kinds.items()
        if (rows := [r for r in on_devices if r["mode"] == mode])
    ]


def _networks(
    name: str,
    kind: str,
    rows: Sequence[Mapping[str, Any]],
    profiles: Sequence[DeviceProfile],
    seed: int,
) -> AccuracyRow:
    devices = [device_slug(r["device"]) for r in rows]
    asked = [(spec(r), d, int(r["batch"])) for r, d in zip(rows, devices, strict=True)]
    answers = predicted(asked, profiles)
    factor = np.array([passes(r) for r in rows])
    measured = np.array([float(r["latency_ms"]) for r in rows])
    label = np.array([family_of(d) for d in devices], dtype=object)
    flops = 2 * factor * [a.macs for a in answers]
    return score(
        name,
        kind,
        columns_as_cases(
            [
                f"{d} {r['model']} b{r['batch']} s{r['seq_len']}"
                for r, d in zip(rows, devices, strict=True)
            ],
            factor * [a.latency_ms for a in answers],
            measured,
            groups=list(label),
            intervals_ms=factor[:, None] * np.array([a.interval_ms for a in answers]),
        ),
        seed,
        baselines={"FLOPs": flops_baseline(flops, devices, measured, label)},
        reasons=REASONS,
    )


def predicted(
    asked: Sequence[tuple[str, str, int]], profiles: Sequence[DeviceProfile]
) -> list[Any]:
    """Predictions of (network, device, batch size) in eager PyTorch; raises the first error."""
    queries = [(network, f"{device}/gpu/pytorch/fp32", batch) for network, device, batch in asked]
    return answered(queries, profiles)


def flops_baseline(
    flops: np.ndarray, devices: Sequence[str], measured: np.ndarray, label: np.ndarray
) -> np.ndarray:
    """FLOPs over peak, times the median inefficiency of the other families; NaN without any."""
    peak = np.array([SHEETS[d].fp32_gflops for d in devices]) * 1e6
    ideal = flops / peak
    ratio = measured / ideal
    others = [ratio[label != family] for family in label]
    return ideal * [np.median(o) if len(o) else np.nan for o in others]


def known_gpus(data: Path, seed: int) -> list[AccuracyRow]:
    """Whole networks on GPUs whose kernels were measured, by the profiles that ship."""
    devices = set(read_kernels(data).device)
    return network_results("known GPU, whole networks", read_networks(data), devices, (), seed)


EXPERIMENTS = {"gpus-unseen": unseen_gpus, "gpus-networks": known_gpus}
