"""Profiles of all targets that published kernel tables cover, built from the data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perfmodel.cost_models.interval import (
    COVERAGE,
    FitError,
    Interval,
    conformal_interval,
    fit_error,
)
from perfmodel.cost_models.kernel_model import KernelModel
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.devices.gpu_specs import GPU_SPECS, GpuSpec, gpu_family, traits_of
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
    read_jetson_rows,
    read_phone_rows,
    shape_labels,
)
from validation.profiles.kernel_settings import (
    gpu_model,
    library_model,
    phone_model,
    small_model,
    spec_model,
)
from validation.profiles.left_out import left_out, random_groups, sum_errors

ENOUGH_CASES = 40
"""Sums from which on a target's own errors give its interval: two lie beyond each 5 % side."""

KERNELS_OF_A_NETWORK = 30
"""Kernels in the random sums that stand for networks where a table names none."""

LEAST_NETWORK_ERROR = 0.10
"""Half width that sums of measured kernels never go below: 5 to 95 % of the transformer networks on
known GPUs (`python -m validation.accuracy --only gpus-networks`), whose kernels are not in question
but what else a network costs."""

SPEC_INTERVAL = Interval(COVERAGE, 0.35, 0.35)
SPEC_ERROR = FitError("GPUs left out, data sheet alone, transformer networks", 62, 0.11, 0.12, 0.84)
"""Measured by `python -m validation.accuracy --only gpus-unseen`; wide, as few GPUs made it."""


@dataclass(frozen=True)
class _Errors:
    """Left-out log errors of sums, with the target of each, for one set."""

    experiment: str
    target: np.ndarray
    log_error: np.ndarray
    least: float = 0.02

    def of(self, target: int) -> np.ndarray:
        return self.log_error[self.target == target]

    def interval(self, target: int) -> Interval:
        """From the target's own errors where there are enough, else from all of the set."""
        own = self.of(target)
        cases = own if len(own) >= ENOUGH_CASES else self.log_error
        return conformal_interval(cases, least=self.least)

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
    return _Errors("one network left out on every device", names // 1000, log_error)


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
    name: Callable[[str], Target],
    provenance: Provenance,
) -> list[TargetProfile]:
    model = make().fit(kernels.rows, kernels.kernel_us)
    out = []
    for t, traits in enumerate(kernels.rows.targets):
        rows = int((kernels.rows.target == t).sum())
        if rows:
            made = Provenance(
                provenance.source,
                rows,
                provenance.build,
                provenance.affinity,
                provenance.date,
                provenance.note,
            )
            out.append(
                TargetProfile(
                    name(traits.name),
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
        precision = kernels.rows.targets[0].machine.precision

        def named(text: str, how: tuple[str, str, str] = (unit, framework, precision)) -> Target:
            device, cluster, threads = text.split("/")
            count = int(threads) if how[0] == "cpu" else 0
            return Target(device_slug(device), *how, count, cluster)

        source = Provenance(
            "layers_phones.csv.gz (summerspringwei/DAG-Scheduler)",
            0,
            "patched MNN" if framework == "mnn" else "Arm Compute Library graph examples",
            note="sum of kernels, each waited for; network times agree within 5 % mostly",
        )
        out += _profiles(kernels, lambda: phone_model(seed), errors, named, source)
    return out


def _gpu_target(text: str, framework: str, precision: str = "") -> Target:
    device, _, stated = text.partition("/")
    plain = {"fp16_tc": "fp16"}.get(stated, stated) or precision
    return Target(device_slug(device), "gpu", framework, plain)


def build_gpu_profiles(data: Path, seed: int = 0, folds: int = 3) -> list[TargetProfile]:
    """Every GPU of layers_gpu.csv: eager PyTorch fp32 and the libraries' own calls."""
    frame = read_gpu_rows(data)
    kernels = neusight_set(frame)
    errors = _shape_errors(kernels, lambda: gpu_model(seed), folds, seed)
    out = _profiles(
        kernels,
        lambda: gpu_model(seed),
        errors,
        lambda text: _gpu_target(text, "pytorch", "fp32"),
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
        lambda text: _gpu_target(text, "miopen" if "Radeon" in text else "cudnn"),
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
    known = np.flatnonzero(np.isfinite(predicted))
    _, log_error = sum_errors(predicted[known], kernels.kernel_us[known], kernels.family[known])
    errors = _Errors("one block of GoogleNet left out", np.zeros(len(log_error), int), log_error)
    source = "layers_jetson.csv (ismetdagli/HaX-CoNN)"
    build = "TensorRT 7.1.3, JetPack 4.5.1"
    out = _profiles(
        kernels,
        lambda: small_model(seed),
        errors,
        lambda text: Target(device_slug(text.split("/")[0]), "gpu", "tensorrt", "fp16"),
        Provenance(source, 0, build, note="MAXN; one network"),
    )
    model = small_model(seed).fit(kernels.rows, kernels.kernel_us)
    model.forests_ = {}  # the GPU's corrections are not the DLA's
    blocks, traits = jetson_dla_blocks(frame), kernels.rows.targets[0]
    ratios = []
    for left in range(len(blocks.names)):
        rows = np.flatnonzero(blocks.member != left)
        member = np.unique(blocks.member[rows], return_inverse=True)[1]
        others = np.delete(blocks.latency_us, left)
        made = model.calibrate(blocks.table.take(rows), traits, others, member)
        asked = blocks.table.take(np.flatnonzero(blocks.member == left))
        ratios.append(blocks.latency_us[left] / (1e3 * made.parts_ms(asked).sum()))
    errors = _Errors("one stretch left out (stretches overlap)", np.zeros(10, int), np.log(ratios))
    predictor = model.calibrate(blocks.table, traits, blocks.latency_us, blocks.member)
    dla = Target(device_slug(kernels.target_names[0].split("/")[0]), "dla", "tensorrt", "fp16")
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
        lambda text: Target(device_slug(text.split("/")[0]), "cpu", "gemmlowp", "int8"),
        Provenance(
            "layers_deepbench_mobile.csv (baidu-research/DeepBench)",
            0,
            note="matrix products only: other kernels are extrapolated",
        ),
    )


@dataclass(frozen=True)
class SpecModels:
    """What predicts a GPU from its data sheet: eager PyTorch in fp32, library calls in the rest."""

    eager: KernelModel
    library: KernelModel

    def predictor(self, spec: GpuSpec, precision: str = "fp32") -> KernelPredictor:
        """A predictor of a card that was never measured.

        fp16 is that of tensor cores where the data sheet has them (V100 and T4 show what they
        reach), int8 that of the integer dot product units.
        """
        if precision == "fp32":
            return self.eager.spec_predictor(traits_of(spec))
        stated = "fp16_tc" if precision == "fp16" else precision
        sheet = traits_of(spec, stated)
        tensor = float(precision == "fp16" and spec.fp16_gflops > 4 * spec.fp32_gflops)
        return self.library.spec_predictor(
            type(sheet)(sheet.name, sheet.machine, sheet.known_log, (*sheet.traits, tensor))
        )


def fit_spec_models(data: Path, seed: int = 0) -> SpecModels:
    """Fit the data-sheet models on every GPU of layers_gpu.csv."""
    frame = read_gpu_rows(data)
    eager, library = neusight_set(frame), deepbench_set(frame)
    return SpecModels(
        spec_model(seed).fit(eager.rows, eager.kernel_us),
        spec_model(seed).fit(library.rows, library.kernel_us),
    )


def spec_predictor(spec: GpuSpec, models: SpecModels, precision: str = "fp32") -> KernelPredictor:
    """A predictor of a GPU with no measurement, from its data sheet."""
    return models.predictor(spec, precision)


def build_spec_profiles(
    data: Path, seed: int = 0, measured: Iterable[str] = ()
) -> list[TargetProfile]:
    """PyTorch fp32 and fp16 targets of the cards in `GPU_SPECS` whose family is not `measured`."""
    models, known = fit_spec_models(data, seed), set(measured)
    out = []
    for name, spec in GPU_SPECS.items():
        if name in known or gpu_family(name) in known:
            continue
        for precision in ("fp32", "fp16") if spec.fp16_gflops else ("fp32",):
            note = "data sheet only; no kernel of this card was measured"
            out.append(
                TargetProfile(
                    Target(device_slug(name), "gpu", "pytorch", precision),
                    "steady",
                    models.predictor(spec, precision),
                    SPEC_INTERVAL,
                    SPEC_ERROR,
                    Provenance("data sheet; model of layers_gpu.csv", 0, note=note),
                )
            )
    return out
