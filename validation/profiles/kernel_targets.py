"""Profiles of all targets that published kernel tables cover, built from the data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from perfmodel.calibration.kernel_settings import (
    gpu_model,
    library_model,
    phone_model,
    small_model,
)
from perfmodel.calibration.learn_kernels import sheet_population
from perfmodel.cost_models.interval import (
    COVERAGE,
    FitError,
    Interval,
    bounds_of_units,
    conformal_interval,
    fit_error,
)
from perfmodel.cost_models.kernel_model import KernelModel
from perfmodel.cost_models.kernel_population import KernelPopulation
from perfmodel.cost_models.known_kernels import KnownKernels
from perfmodel.devices.gpu_sheets import gpu_profile
from perfmodel.devices.gpu_specs import GPU_CARDS, GPU_SPECS, gpu_family
from perfmodel.devices.kernel_populations import EAGER, LIBRARIES, population_name
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.measurements.device_names import device_slug
from perfmodel.target import Target
from validation.data.kernel_tables import (
    PHONE_SETS,
    KernelSet,
    deepbench_set,
    jetson_dla_blocks,
    jetson_gpu_set,
    mobile_set,
    neusight_set,
    phone_set,
    read_gpu_rows,
    read_phone_rows,
    shape_labels,
)
from validation.data.network_tables import read_jetson_rows
from validation.profiles.left_out import left_out, random_groups, sum_errors

ENOUGH_CASES = 40
"""Sums from which on a target's own errors give its interval: two lie beyond each 5 % side."""

KERNELS_OF_A_NETWORK = 30
"""Kernels in the random sums that stand for networks where a table names none."""

BY_OTHERS = ("GTX 1080", "RTX 2080", "RTX 3060 Ti")
"""Cards that other tables measured in other frameworks (ncnn, Torch7), which their owners would not
take for a network that PyTorch runs. Cards of which nothing was measured need no profile."""

LEAST_NETWORK_ERROR = 0.10
"""Half width that sums of measured kernels never go below: 5 to 95 % of the transformer networks on
known GPUs (`python -m validation.accuracy --only gpus-networks`), whose kernels are not in question
but what else a network costs."""


@dataclass(frozen=True)
class _Errors:
    """Left-out log errors of sums, with the target of each, for one set; `family` are labels of
    what was left out together, where that errs together."""

    experiment: str
    target: np.ndarray
    log_error: np.ndarray
    least: float = 0.02
    family: np.ndarray | None = None

    def of(self, target: int) -> np.ndarray:
        return self.log_error[self.target == target]

    def interval(self, target: int) -> Interval:
        """From the target's own errors where there are enough, else from all of the set."""
        mine = self.target == target
        if mine.sum() < ENOUGH_CASES:
            mine = np.ones(len(self.log_error), dtype=bool)
        if self.family is None:
            return conformal_interval(self.log_error[mine], least=self.least)
        low, high = bounds_of_units(self.log_error[mine], self.family[mine])
        return Interval(COVERAGE, max(-low, self.least), max(high, self.least))

    def error(self, target: int) -> FitError:
        """The target's own errors; those of the set where it has none."""
        own = self.of(target)
        if len(own):
            return fit_error(self.experiment, own)
        return fit_error(f"{self.experiment}, other devices", self.log_error)


def _network_errors(kernels: KernelSet, make: Callable[[], KernelModel]) -> _Errors:
    """Whole networks, each family left out everywhere."""
    predicted, known = left_out(kernels, kernels.family, make)
    rows = np.flatnonzero(known)
    group = (
        kernels.rows.target[rows] * 1000 + np.unique(kernels.network, return_inverse=True)[1][rows]
    )
    names, log_error = sum_errors(predicted[rows], kernels.kernel_us[rows], group)
    family = kernels.family[rows[np.unique(group, return_index=True)[1]]]
    title = "one network left out on every device"
    return _Errors(title, names // 1000, log_error, family=family)


def _shape_errors(
    kernels: KernelSet, make: Callable[[], KernelModel], folds: int, seed: int
) -> _Errors:
    """Sums of random kernels of unseen shapes."""
    predicted, _ = left_out(kernels, shape_labels(kernels, folds, seed), make)
    group = np.zeros(len(kernels), dtype=np.int64)
    for t in np.unique(kernels.rows.target):
        rows = np.flatnonzero((kernels.rows.target == t) & np.isfinite(predicted))
        group[rows] = t * 10_000 + random_groups(len(rows), KERNELS_OF_A_NETWORK, seed)
    rows = np.flatnonzero(np.isfinite(predicted))
    names, log_error = sum_errors(predicted[rows], kernels.kernel_us[rows], group[rows])
    title = f"unseen shapes, sums of {KERNELS_OF_A_NETWORK} kernels"
    return _Errors(title, names // 10_000, log_error, LEAST_NETWORK_ERROR)


def _profiles(
    kernels: KernelSet,
    make: Callable[[], KernelModel],
    errors: _Errors,
    provenance: Provenance,
) -> list[TargetProfile]:
    model = make().fit(kernels.rows, kernels.kernel_us)
    out = []
    for t in range(len(kernels.targets)):
        rows = int((kernels.rows.target == t).sum())
        if rows:
            made = replace(provenance, measurements=rows)
            out.append(
                TargetProfile(
                    kernels.targets[t],
                    "steady",
                    model.predictor(t),
                    errors.interval(t),
                    errors.error(t),
                    made,
                )
            )
    return out


def build_phone_profiles(data: Path, seed: int = 0) -> list[TargetProfile]:
    """MNN and Arm Compute Library on every phone of layers_phones.csv.gz."""
    frame, out = read_phone_rows(data), []
    for framework, unit in PHONE_SETS:
        kernels = phone_set(frame, framework, unit)
        errors = _network_errors(kernels, lambda: phone_model(seed))
        source = Provenance(
            "layers_phones.csv.gz (summerspringwei/DAG-Scheduler)",
            0,
            "patched MNN" if framework == "mnn" else "Arm Compute Library graph examples",
            note="sum of kernels, each waited for; network times agree within 5 % mostly",
        )
        out += _profiles(kernels, lambda: phone_model(seed), errors, source)
    return out


def build_gpu_profiles(data: Path, seed: int = 0, folds: int = 3) -> list[TargetProfile]:
    """Every GPU of layers_gpu.csv: eager PyTorch fp32 and the libraries' own calls."""
    frame = read_gpu_rows(data)
    kernels = neusight_set(frame)
    errors = _shape_errors(kernels, lambda: gpu_model(seed), folds, seed)
    out = _profiles(
        kernels,
        lambda: gpu_model(seed),
        errors,
        Provenance(
            "layers_gpu.csv (sitar-lab/NeuSight)",
            0,
            "PyTorch 2.1.0, CUDA 12.1; AMD 2.4.1",
            note="launch included; growing plan lookups of conv2d rows taken out",
        ),
    )
    library = deepbench_set(frame)
    errors = _shape_errors(library, lambda: library_model(seed), folds, seed)
    out += _profiles(
        library,
        lambda: library_model(seed),
        errors,
        Provenance(
            "layers_gpu.csv (baidu-research/DeepBench)",
            0,
            note="back-to-back library calls: no launch floor, small data stays in the cache; "
            "fp16 of V100 and T4 runs on tensor cores",
        ),
    )
    return out


def build_jetson_profiles(data: Path, seed: int = 0) -> list[TargetProfile]:
    """Jetson AGX Xavier with TensorRT FP16: GPU kernels, and the DLA from stretches of layers."""
    frame = read_jetson_rows(data)
    kernels = jetson_gpu_set(frame)
    predicted, _ = left_out(kernels, kernels.family, lambda: small_model(seed))
    # GoogleNet is the only network: each of its blocks is left out in turn
    asked = np.flatnonzero(np.isfinite(predicted))
    _, log_error = sum_errors(predicted[asked], kernels.kernel_us[asked], kernels.family[asked])
    errors = _Errors("one block of GoogleNet left out", np.zeros(len(log_error), int), log_error)
    source = "layers_jetson.csv (ismetdagli/HaX-CoNN)"
    build = "TensorRT 7.1.3, JetPack 4.5.1"
    out = _profiles(
        kernels,
        lambda: small_model(seed),
        errors,
        Provenance(source, 0, build, note="MAXN; one network"),
    )
    fitted = small_model(seed).fit(kernels.rows, kernels.kernel_us)
    # the GPU's corrections are not the DLA's
    known = replace(fitted.population(), forests={})
    blocks, traits = jetson_dla_blocks(frame), kernels.rows.targets[0]
    ratios = []
    for left in range(len(blocks.names)):
        rows = np.flatnonzero(blocks.member != left)
        member = np.unique(blocks.member[rows], return_inverse=True)[1]
        others = np.delete(blocks.latency_us, left)
        made = known.calibrated(blocks.table.take(rows), traits, others, member)
        asked = blocks.table.take(np.flatnonzero(blocks.member == left))
        ratios.append(blocks.latency_us[left] / (1e3 * made.parts_ms(asked).sum()))
    errors = _Errors("one stretch left out (stretches overlap)", np.zeros(10, int), np.log(ratios))
    predictor = known.calibrated(blocks.table, traits, blocks.latency_us, blocks.member)
    dla = replace(kernels.targets[0], unit="dla")
    note = "whole stretches only; no layer of the DLA was measured alone"
    origin = Provenance(source, len(blocks.names), build, note=note)
    return [
        *out,
        TargetProfile(dla, "steady", predictor, errors.interval(0), errors.error(0), origin),
    ]


def build_board_profiles(data: Path, seed: int = 0) -> list[TargetProfile]:
    """int8 matrix products of gemmlowp on iPhone 6 and Raspberry Pi 3.

    The Eigen rows are a reference, not an optimised path, and the convolutions of the Raspberry
    Pi ran with the channel count as the batch, so neither makes a profile.
    """
    kernels = mobile_set(data)
    lowp = np.array(["gemmlowp" in n for n in kernels.target_names])
    kernels = kernels.take(np.flatnonzero(lowp))
    label = np.arange(len(kernels)) % 5
    predicted, _ = left_out(kernels, label, lambda: small_model(seed))
    known = np.isfinite(predicted)
    log_error = np.log(kernels.kernel_us[known] / predicted[known])
    errors = _Errors("products left out in five folds", kernels.rows.target[known], log_error)
    return _profiles(
        kernels,
        lambda: small_model(seed),
        errors,
        Provenance(
            "layers_deepbench_mobile.csv (baidu-research/DeepBench)",
            0,
            note="matrix products only: other kernels are extrapolated",
        ),
    )


@lru_cache(maxsize=1)
def spec_populations(data: Path, seed: int = 0) -> Mapping[str, KernelPopulation]:
    """What data sheets leave open of eager kernels and library calls, by population file."""
    frame, eager = read_gpu_rows(data), Target("", "gpu", EAGER, "fp32")
    sets = {
        population_name(eager): neusight_set(frame),
        population_name(replace(eager, framework=LIBRARIES[0])): deepbench_set(frame),
    }
    return {
        name: sheet_population(kernels.rows, kernels.kernel_us, kernels.targets, seed)
        for name, kernels in sets.items()
    }


def phone_populations(data: Path, seed: int = 0) -> dict[str, KernelPopulation]:
    """What phones share in each framework on each unit, by population file."""
    frame = read_phone_rows(data)
    found = {}
    for framework, unit in PHONE_SETS:
        kernels = phone_set(frame, framework, unit)
        name = population_name(Target("", unit, framework, "fp32"))
        population = phone_model(seed).fit(kernels.rows, kernels.kernel_us).population()
        names = [str(t) for t in kernels.targets]
        known = KnownKernels.of(kernels.rows.table, kernels.rows.target, names, kernels.kernel_us)
        found[name] = replace(population, known=known)
    return found


def build_spec_profiles(
    data: Path, seed: int = 0, measured: Iterable[str] = ()
) -> list[TargetProfile]:
    """PyTorch fp32 and fp16 targets of the cards in `GPU_SPECS` whose family is not `measured`, and
    of `BY_OTHERS`."""
    known, populations = set(measured), spec_populations(data, seed)
    out: list[TargetProfile] = []
    for name, spec in {**GPU_SPECS, **{n: GPU_CARDS[n] for n in BY_OTHERS}}.items():
        if name in known or gpu_family(name) in known:
            continue
        for precision in ("fp32", "fp16") if spec.fp16_gflops else ("fp32",):
            device = device_slug(name)
            used = populations[population_name(Target(device, "gpu", EAGER, precision))]
            profile = gpu_profile(device, spec, precisions=(precision,), population=used)
            out += profile.targets
    return out
