"""Desktop and server GPUs: unseen shapes on a known card, unseen cards from their data sheets.

Kernel times are NeuSight's and DeepBench's; whole networks are the transformers of e2e_gpu.csv as
lists of eager kernels. The conv2d rows of NeuSight hold host time that grows over the series (see
`kernel_sets.lookup_drift_us`); errors are of the kernel's own time, without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.calibration.kernel_settings import gpu_model, library_model, spec_model
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.devices.gpu_specs import gpu_family, spec_of, traits_of
from perfmodel.measurements.kernels import table_from_rows
from validation.accuracy.common import Result, score
from validation.accuracy.kernels import cross_conformal, proportional, simple_columns
from validation.accuracy.transformers import forward_kernels
from validation.data.kernel_tables import (
    KernelSet,
    deepbench_set,
    neusight_set,
    read_gpu_rows,
    shape_labels,
)
from validation.profiles.left_out import left_out

PRODUCTS = ("conv2d", "fully_connected", "bmm")
FOLDS = 5

REASONS = {
    "switchxl4": "attention width and expert routing of this network are not published",
    "Tesla P4": "throttles: 0.11 to 0.80 of its peak for one and the same kind of kernel",
    "NVIDIA L4": "power limit of 72 W at 31 TFLOP/s; no kernel of such a card was measured",
}


def _case_names(kernels: KernelSet, rows: np.ndarray) -> list[str]:
    t, targets = kernels.rows.table, kernels.target_names
    shape = ("batch", "cin", "hin", "cout", "kh", "m", "n", "k")
    return [
        f"{targets[i]} {t['op'][i]} " + "x".join(f"{t[c][i]:g}" for c in shape if t[c][i] > 0)
        for i in rows
    ]


def _kernel_result(
    name: str,
    kind: str,
    kernels: KernelSet,
    predicted_us: np.ndarray,
    label: np.ndarray,
    rows: np.ndarray,
    seed: int,
    baselines: Mapping[str, np.ndarray],
) -> Result:
    measured = kernels.kernel_us[rows] / 1e3
    return score(
        name,
        kind,
        predicted_us[rows] / 1e3,
        measured,
        _case_names(kernels, rows),
        seed,
        groups=list(kernels.target_names[rows]),
        intervals=cross_conformal(predicted_us[rows] / 1e3, measured, label[rows]),
        baselines={k: v[rows] / 1e3 for k, v in baselines.items()},
        reasons=REASONS,
        worst=3,
    )


def unseen_shapes(data: Path, seed: int) -> list[Result]:
    """A known GPU: shapes left out on every card, in five folds."""
    frame, results = read_gpu_rows(data), []
    for title, kernels, make in (
        ("NeuSight, PyTorch fp32", neusight_set(frame), gpu_model),
        ("DeepBench, libraries", deepbench_set(frame), library_model),
    ):
        label = shape_labels(kernels, FOLDS, seed)
        predicted, known = left_out(kernels, label, partial(make, seed))
        simple = {n: proportional(kernels, label, c) for n, c in simple_columns(kernels).items()}
        kinds = {"all kernels": known}
        product = np.isin(kernels.rows.table["op"], PRODUCTS)
        if title.startswith("NeuSight"):
            kinds["conv2d, linear, bmm"] = known & product
        for kind, mask in kinds.items():
            results.append(
                _kernel_result(
                    "known GPU, unseen shapes",
                    f"{title}, {kind}",
                    kernels,
                    predicted,
                    label,
                    np.flatnonzero(mask),
                    seed,
                    simple,
                )
            )
    return results


def read_networks(data: Path) -> Any:
    """Rows of e2e_gpu.csv on a single GPU."""
    import pandas as pd

    frame = pd.read_csv(data / "e2e_gpu.csv")
    return frame[frame.parallel == "none"].reset_index(drop=True)


def forward_ms(predictor: KernelPredictor, row: Mapping[str, object]) -> float:
    """Predicted milliseconds of one forward pass."""
    kernels = forward_kernels(row)
    table = table_from_rows(kernels.columns())
    return float((predictor.parts_ms(table).sum(axis=1) * kernels.times()).sum())


def _spec_predictors(
    kernels: KernelSet, devices: list[str], seed: int
) -> tuple[dict[str, KernelPredictor], np.ndarray, np.ndarray]:
    """A predictor of every device that never saw its family; left-out times; families."""
    of_target = np.array([gpu_family(t.name) for t in kernels.rows.targets], dtype=object)
    label = of_target[kernels.rows.target]
    predicted = np.full(len(kernels), np.nan)
    made: dict[str, KernelPredictor] = {}
    for family in sorted({gpu_family(d) for d in devices}):
        train, test = np.flatnonzero(label != family), np.flatnonzero(label == family)
        model = spec_model(seed).fit(kernels.rows.take(train), kernels.kernel_us[train])
        if len(test):
            predicted[test] = model.predict(kernels.rows.take(test))
        for device in (d for d in devices if gpu_family(d) == family):
            made[device] = model.population().unmeasured(traits_of(spec_of(device)))
    return made, predicted, label


def _scaled_neighbour(kernels: KernelSet, label: np.ndarray) -> np.ndarray:
    """Baseline: the same shape on the card nearest in peak, scaled by the ratio of peaks."""
    table = kernels.rows.table
    key = [tuple(row) for row in zip(*(table[c] for c in _KEY), strict=True)]
    names = [t.name for t in kernels.rows.targets]
    peak = {n: spec_of(n).fp32_gflops for n in names}
    time = {
        (n, k): us for n, k, us in zip(kernels.target_names, key, kernels.kernel_us, strict=True)
    }
    near = {
        n: sorted(
            (o for o in names if gpu_family(o) != gpu_family(n)),
            key=lambda o: abs(np.log(peak[o] / peak[n])),
        )
        for n in names
    }
    out = np.full(len(kernels), np.nan)
    for i, (n, k) in enumerate(zip(kernels.target_names, key, strict=True)):
        other = next((o for o in near[n] if (o, k) in time), None)
        if other is not None:
            out[i] = time[other, k] * peak[other] / peak[n]
    return out


_KEY = ("op", "batch", "cin", "hin", "cout", "m", "n", "k", "elements")


def unseen_gpus(data: Path, seed: int) -> list[Result]:
    """A GPU never measured, from its data sheet: kernels, then whole networks."""
    kernels, networks = neusight_set(read_gpu_rows(data)), read_networks(data)
    devices = sorted(set(networks.device) | {t.name for t in kernels.rows.targets})
    made, predicted, label = _spec_predictors(kernels, devices, seed)
    product = np.isin(kernels.rows.table["op"], PRODUCTS)
    simple = {"nearest scaled": _scaled_neighbour(kernels, label)}
    results = []
    for kind, ops in (
        ("conv2d, linear, bmm", PRODUCTS),
        ("conv2d", ("conv2d",)),
        ("linear", ("fully_connected",)),
        ("bmm", ("bmm",)),
    ):
        rows = np.flatnonzero(product & np.isin(kernels.rows.table["op"], ops))
        name = "unseen GPU from its data sheet, kernels"
        results.append(_kernel_result(name, kind, kernels, predicted, label, rows, seed, simple))
    return results + _network_results("unseen GPU from its data sheet", networks, made, seed)


def _network_results(
    name: str, networks: Any, made: Mapping[str, KernelPredictor], seed: int
) -> list[Result]:
    known = networks[networks.device.isin(list(made))]
    inference = known[known["mode"] == "inference"]
    choices = {
        "transformers, eager inference": inference[inference.fused == 0],
        "transformers, training (forward x 3)": known[known["mode"] == "train"],
    }
    results = []
    for kind, rows in choices.items():
        if not len(rows):
            continue
        # the backward pass is two products of the forward's size each
        factor = 3.0 if "training" in kind else 1.0
        cases = rows.to_dict("records")
        predicted = np.array([factor * forward_ms(made[r["device"]], r) for r in cases])
        measured = rows.latency_ms.to_numpy(float)
        label = np.array([gpu_family(r["device"]) for r in cases], dtype=object)
        results.append(
            score(
                f"{name}, whole networks",
                kind,
                predicted,
                measured,
                [f"{r['device']} {r['model']} b{r['batch']} s{r['seq_len']}" for r in cases],
                seed,
                groups=list(label),
                intervals=cross_conformal(predicted, measured, label),
                baselines={"FLOPs": _flops_baseline(cases, measured, label)},
                reasons=REASONS,
            )
        )
    return results


def _flops_baseline(
    cases: list[dict[str, Any]], measured: np.ndarray, label: np.ndarray
) -> np.ndarray:
    """FLOPs over peak, times the median inefficiency of the other families."""
    flops = []
    for row in cases:
        kernels = forward_kernels(row)
        macs = table_from_rows(kernels.columns())["macs"]
        flops.append(2 * float((macs * kernels.times()).sum()))
    peak = np.array([spec_of(r["device"]).fp32_gflops for r in cases]) * 1e6
    ideal = np.array(flops) / peak
    ratio = measured / ideal
    return np.array([i * np.median(ratio[label != f]) for i, f in zip(ideal, label, strict=True)])


def known_gpus(data: Path, seed: int) -> list[Result]:
    """Whole networks on GPUs whose kernels were measured: how additive eager kernels are."""
    kernels, networks = neusight_set(read_gpu_rows(data)), read_networks(data)
    model = gpu_model(seed).fit(kernels.rows, kernels.kernel_us)
    made = {t.name: model.predictor(i) for i, t in enumerate(model.targets_)}
    return _network_results("known GPU", networks, made, seed)


EXPERIMENTS = {
    "gpus-shapes": unseen_shapes,
    "gpus-unseen": unseen_gpus,
    "gpus-networks": known_gpus,
}
