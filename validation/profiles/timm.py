"""Profiles of RTX cards and a Core i9 under PyTorch, from timm's benchmarks of whole networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perfmodel.calibration.learn_speeds import TimedNetwork, learn_speeds
from perfmodel.cost_models.interval import borrowed_interval, fit_error
from perfmodel.cost_models.kernel_population import TargetTraits
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import Machine
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.target import Target
from validation.data.timm_times import (
    CPU_RUNS,
    GPU_RUNS,
    OLDER,
    TimmRow,
    families,
    kernels_of,
    read_rows,
)
from validation.profiles.common import BuiltTarget, DeviceInfo

EXPERIMENT = "network family left out on every card and mode"
FOLDS = 6
"""Parts of the families, each left out in turn."""

SOURCE = "huggingface/pytorch-image-models@aa4b5850c154 results/"

_TITLES = {
    "core-i9-10940x": ("Intel Core i9-10940X", "desktop"),
    "rtx-3090": ("NVIDIA GeForce RTX 3090", "desktop"),
    "rtx-4090": ("NVIDIA GeForce RTX 4090", "desktop"),
    "rtx-5090": ("NVIDIA GeForce RTX 5090", "desktop"),
}


def build_timm(data: Path) -> list[BuiltTarget]:
    """Every card, mode and the CPU, with what leaving families out tells of the error."""
    return [*_built(read_rows(data, GPU_RUNS)), *_built(read_rows(data, CPU_RUNS))]


def traits_of(target: Target) -> TargetTraits:
    """A GPU polls its queue, so the start of a kernel hides behind the one before it."""
    gpu = target.unit == "gpu"
    machine = Machine(
        precision=target.precision,
        winograd="none" if gpu else "best",
        overlap="launch" if gpu else "none",
    )
    return TargetTraits(str(target), machine)


def left_out_ms(rows: Sequence[TimmRow]) -> np.ndarray:
    """Predicted latency of every row from the rows of other families, shape (rows,)."""
    fold, predicted = families(rows, FOLDS), np.full(len(rows), np.nan)
    for left in range(FOLDS):
        learned = fit([r for r, f in zip(rows, fold, strict=True) if f != left])
        for i in np.flatnonzero(fold == left).tolist():
            model = learned.get(rows[i].target)
            if model is not None:
                kernels = kernels_of(rows[i].model, rows[i].batch)
                predicted[i] = model.parts_ms(kernels).sum()
    return predicted


def fit(rows: Sequence[TimmRow]) -> dict[Target, KernelPredictor]:
    """A predictor of each target that the rows are of."""
    targets = list(dict.fromkeys(r.target for r in rows))
    timed = [
        TimedNetwork(
            kernels=kernels_of(r.model, r.batch),
            target=targets.index(r.target),
            latency_ms=r.latency_ms,
        )
        for r in rows
    ]
    return dict(zip(targets, learn_speeds(timed, [traits_of(t) for t in targets]), strict=True))


def _built(rows: list[TimmRow]) -> list[BuiltTarget]:
    models = fit(rows)
    log_error = np.log([r.latency_ms for r in rows]) - np.log(left_out_ms(rows))
    known = np.isfinite(log_error)
    built = []
    for place, (target, model) in enumerate(models.items()):
        if target.framework in OLDER:
            continue
        mine = np.array([r.target == target for r in rows])
        own = log_error[mine & known]
        batches = sorted({r.batch for r in rows if r.target == target})
        profile = TargetProfile(
            target,
            "steady",
            model,
            borrowed_interval(own, log_error[known]),
            fit_error(EXPERIMENT, own),
            Provenance(
                f"timm: {SOURCE}",
                int(mine.sum()),
                build=next(r.build for r in rows if r.target == target),
                note=f"batches of {batches[0]} to {batches[-1]}; small batches are extrapolated"
                if batches[-1] > 1
                else "",
            ),
        )
        title, kind = _TITLES[target.device]
        built.append(BuiltTarget(DeviceInfo(target.device, title, kind), profile, (place,)))
    return built
