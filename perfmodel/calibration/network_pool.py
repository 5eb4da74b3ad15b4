"""Networks that were measured on several targets of one kind of processor, fitted together.

All targets of a pool are fitted jointly, so that a target with two networks has its own scale and
the pool's idea of what kinds of work cost. A target borrows from those of its framework, and from
what other frameworks do on its device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from perfmodel.calibration.families import family_parts
from perfmodel.calibration.known_misfits import NetworkMisfits, misfits_of
from perfmodel.cost_models.likeness import descriptions
from perfmodel.cost_models.width_by_kind import KINDS_OF_WORK, risks, shares_by_kind
from perfmodel.cost_models.work_features import ALL_FEATURES, FEATURES, features_of
from perfmodel.cost_models.work_model import JointEfficiencyModel
from perfmodel.cost_models.work_predictor import work_matrix
from perfmodel.devices.gpu_sheets import sheets_by_device
from perfmodel.devices.gpu_specs import of_nvidia
from perfmodel.kernels import KernelTable
from perfmodel.target import Target

POOLS = ("cpu", "mobile-gpu", "npu", "cuda")
"""Kinds of processors whose targets borrow from one another (`pool_of`)."""

MOBILE_GPU_FRAMEWORKS = ("tflite", "tnn", "mace", "ncnn", "mnn", "acl")

POOL_PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "mobile-gpu": {"population_sd": 0.5, "hardware_sd": 0.6},
    "npu": {"population_sd": 1.0, "hardware_sd": 0.4, "hardware_shared_sd": 0.7},
    "cuda": {
        "population_sd": 0.8,
        "precision_sd": 0.4,
        "target_sd": 0.4,
        "device_sd": 0.5,
        "max_iter": 600,
    },
}
"""Prior spreads of the joint model where they differ from its defaults: unlike hardware differs,
and a GPU pays for kinds of work otherwise than the core that sets their equivalents.

Of half a dozen choices each the best for families left out in five parts: median error 22 % with
the defaults and 19 % with these on mobile GPUs (91 cases), 22 and 18 % on NVIDIA's (292), 39 and
32 % on NPUs (53). NVIDIA's GPUs under many frameworks settle late: 19.9, 16.5 and 15.6 % after 150,
300 and 600 steps, families left out in ten parts; the others within the 150 of the model."""


BY_SHEETS = ("cuda",)
"""Pools of which data sheets of GPUs are known."""

SAME_CHIP = {"jetson-tx2-nx": "jetson-tx2"}
"""Boards with the data sheet of another one, as far as it is used here."""

LONG_SUMS = ("mobile-gpu",)
"""Pools whose targets pay for the length of sums (`work_features.UNIT_FEATURES`): phones' GPUs miss
17.8 % with it and 19.7 without, NVIDIA's 16.4 with it and 15.6 without, families left out in ten
parts."""


def base_framework(framework: str) -> str:
    """A framework without its version or build: torch7-cudnn-5.1 is torch7-cudnn."""
    name = framework.removesuffix("-armv7")
    stem, _, last = name.rpartition("-")
    return stem if stem and last.replace(".", "").isdigit() else name


def work_precision(target: Target) -> str:
    """Which bytes of a weight a target's features count."""
    return "int8" if target.precision == "int8" else "fp32"


def pool_of(target: Target) -> str:
    """The pool that a target is fitted in; NVIDIA's GPUs are of one under whatever framework."""
    if target.unit == "gpu":
        mobile = base_framework(target.framework) in MOBILE_GPU_FRAMEWORKS
        return "mobile-gpu" if mobile and not of_nvidia(target.device) else "cuda"
    return "cpu" if target.unit == "cpu" else "npu"


@dataclass(frozen=True, kw_only=True)
class PooledNetwork:
    """One network's time on a target; `at_most` where the time only bounds the network's.

    `family` is what it is left out with, `kernels` what its target runs at the batch that was
    timed.
    """

    target: Target
    family: str
    kernels: KernelTable
    latency_ms: float
    at_most: bool = False


@dataclass(frozen=True, eq=False)
class Pool:
    """Rows of one pool, each a network on a target."""

    name: str
    rows: tuple[PooledNetwork, ...]

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Targets in the order of their codes."""
        return tuple(sorted({r.target for r in self.rows}, key=str))

    @cached_property
    def target(self) -> np.ndarray:
        """Target code of each row."""
        place = {t: i for i, t in enumerate(self.targets)}
        return np.array([place[r.target] for r in self.rows])

    @cached_property
    def families(self) -> np.ndarray:
        """Family of each row's network."""
        return np.array([r.family for r in self.rows], dtype=object)

    @cached_property
    def latency_ms(self) -> np.ndarray:
        """Latency of each row."""
        return np.array([r.latency_ms for r in self.rows])

    @cached_property
    def bounds(self) -> np.ndarray:
        """Rows whose latency is only known not to be exceeded."""
        return np.array([r.at_most for r in self.rows])

    @cached_property
    def work(self) -> np.ndarray:
        """Work of each row's network by feature, shape (rows, features)."""
        paid = len(features_of("gpu") if self.name in LONG_SUMS else FEATURES)
        works = [work_matrix(r.kernels, work_precision(r.target), paid) for r in self.rows]
        return np.array([work.sum(axis=0) for work in works])

    @cached_property
    def described(self) -> np.ndarray:
        """What the rows' networks are like (`likeness.described`), shape (rows, features)."""
        return descriptions([r.kernels for r in self.rows])

    @cached_property
    def inputs(self) -> np.ndarray:
        """Input of the joint model: target, hardware with framework, framework with precision."""
        hardware: dict[object, int] = {}
        style: dict[object, int] = {}
        codes = [
            (
                hardware.setdefault((place_of(t), t.framework), len(hardware)),
                style.setdefault((base_framework(t.framework), t.precision == "int8"), len(style)),
            )
            for t in self.targets
        ]
        return np.hstack([self.target[:, None], np.array(codes)[self.target], self.work])

    @cached_property
    def sheet_log(self) -> np.ndarray:
        """How much longer each kind of work takes a target by its data sheet than one of 1 TFLOP/s
        and 100 GB/s, in log units, shape (targets, features); 0 where no sheet is known."""
        return np.array([_by_sheet(t, self.work.shape[1]) for t in self.targets])

    @cached_property
    def device(self) -> np.ndarray:
        """Code of each row's processor, whatever framework runs on it."""
        place: dict[object, int] = {}
        codes = [place.setdefault(place_of(t), len(place)) for t in self.targets]
        return np.array(codes)[self.target]


def place_of(target: Target) -> tuple[object, ...]:
    """What executes: the device's unit, on a CPU with its threads and cluster."""
    return target.device, target.unit, target.threads, target.cluster


def _by_sheet(target: Target, features: int) -> np.ndarray:
    sheet = sheets_by_device().get(SAME_CHIP.get(target.device, target.device))
    if target.unit != "gpu" or sheet is None:
        return np.zeros(features)
    # ncnn's floats are fp16 on GPUs, and TensorRT's fp32 is tf32 on those that have it
    fp32 = "tf32" if target.framework == "tensorrt" else "fp32"
    precision = {"float": "fp16", "fp32": fp32}.get(target.precision, target.precision)
    longer = {
        "compute": -np.log(sheet.peak_gflops(precision) / 1e3),
        "memory": -np.log(sheet.bandwidth_gb_per_s / 1e2),
        "overhead": 0.0,
    }
    return np.array([longer[f.part] for f in ALL_FEATURES[:features]])


def fitted(pool: Pool, learn: np.ndarray, *, by_sheets: bool = False) -> JointEfficiencyModel:
    """The joint model of the rows of a mask.

    `by_sheets`: what kinds of work cost beside the targets' data sheets is learned, so that a
    target starts with the ratio of its arithmetic to its memory. Of one family on a target this
    tells other families better: TensorRT's boards and cards that kept the residual networks alone
    miss the others by 14 % (median) and 22 % (mean), and by 18 and 24 % without (63 cases). Of
    several families it does not: 16.9 beside 15.6 %, families left out in ten parts.

    A row that only bounds a time from above teaches nothing where the fit keeps to it; the bounds
    that a first fit breaks are learned as times.
    """
    timed = learn & ~pool.bounds
    model = _fitted(pool, timed, by_sheets)
    bounds = np.flatnonzero(learn & pool.bounds)
    broken = bounds
    if len(bounds):
        broken = bounds[model.predict(pool.inputs[bounds]) > pool.latency_ms[bounds]]
    if not len(broken):
        return model
    timed[broken] = True
    return _fitted(pool, timed, by_sheets)


def _fitted(pool: Pool, rows: np.ndarray, by_sheets: bool) -> JointEfficiencyModel:
    parameters: dict[str, Any] = dict(POOL_PARAMETERS.get(pool.name, {}))
    model = JointEfficiencyModel(**parameters)
    inputs = pool.inputs[rows]
    if by_sheets:
        # work in the time that a data sheet gives it; costs are what is paid for each of these
        inputs = inputs.copy()
        inputs[:, -pool.work.shape[1] :] *= np.exp(pool.sheet_log[pool.target[rows]])
    model.fit(inputs, pool.latency_ms[rows], device=pool.device[rows])
    if by_sheets:
        model.log_cost_ = model.log_cost_ + pool.sheet_log[model.targets_]
    return model


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What a pool says of its rows with their family left out everywhere; NaN if none is left.

    `log_ratio` (rows,) is log(predicted / measured), `at_risk` (rows, risks) what the predicted
    time is at risk of (`width_by_kind.risks`).
    """

    log_ratio: np.ndarray
    at_risk: np.ndarray


def left_out(pool: Pool, folds: int = 0) -> LeftOut:
    """The rows of a pool, each predicted without its family.

    Families are left out one at a time, or in `folds` parts where it is above 0.
    """
    target, parts = pool.target, family_parts(pool.families.tolist(), folds)
    out = np.full(len(target), np.nan)
    at_risk = np.full((len(target), 2 * len(KINDS_OF_WORK)), np.nan)
    for number in range(parts.max() + 1):
        held = parts == number
        known = np.unique(target[~held & ~pool.bounds])
        asked = held & ~pool.bounds & np.isin(target, known)
        if not asked.any():
            continue
        model = fitted(pool, ~held & np.isin(target, known))
        for t in np.unique(target[asked]):
            mine = np.flatnonzero(asked & (target == t))
            rows = np.flatnonzero(~held & ~pool.bounds & (target == t))
            networks, log_cost = known_on(pool, model, rows)
            factor, _ = networks.correction(log_cost).of_described(pool.described[mine])
            log_ms = np.log(model.predict(pool.inputs[mine])) + factor
            out[mine] = log_ms - np.log(pool.latency_ms[mine])
            shares = shares_by_kind(pool.work[mine] * np.exp(log_cost))
            at_risk[mine] = risks(shares, measured_shares(networks, log_cost))
    return LeftOut(out, at_risk)


def measured_shares(networks: NetworkMisfits, log_cost: np.ndarray) -> np.ndarray:
    """The largest share of its time that a measured network spends on each kind, (kinds,)."""
    return np.asarray(shares_by_kind(networks.work * np.exp(log_cost)).max(axis=0))


def known_on(
    pool: Pool, model: JointEfficiencyModel, rows: np.ndarray
) -> tuple[NetworkMisfits, np.ndarray]:
    """The networks of some rows (indices) of one target, and the target's log costs."""
    log_cost = model.log_cost_[int(np.searchsorted(model.targets_, pool.target[rows[0]]))]
    misfit = np.log(pool.latency_ms[rows]) - np.log(model.predict(pool.inputs[rows]))
    return misfits_of(pool.described[rows], pool.work[rows], misfit), log_cost


def pools(rows: Sequence[PooledNetwork]) -> list[Pool]:
    """The rows by pool. Bounds alone say nothing of how long anything takes: they are left out."""
    timed = {r.target for r in rows if not r.at_most}
    kept = [r for r in rows if r.target in timed]
    made = (Pool(name, tuple(r for r in kept if pool_of(r.target) == name)) for name in POOLS)
    return [pool for pool in made if pool.rows]
