"""Published kernel tables as sets that `KernelModel` fits, with what is wrong in them put right.

Each correction is a fact about how a table was measured, found in the table itself; see the
functions that make them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.cost_models.kernel_model import KernelRows
from perfmodel.cost_models.kernel_population import TargetTraits
from perfmodel.cost_models.kernel_terms import Machine
from perfmodel.devices.gpu_specs import GpuSpec, spec_of, traits_of
from perfmodel.measurements.device_names import device_slug
from perfmodel.measurements.kernels import table_from_rows
from perfmodel.measurements.table import MeasurementTable, make_frame
from perfmodel.target import Target
from validation.data.kernel_rows import lookup_drift_us
from validation.data.network_tables import gpu_engine

SHAPE_COLUMNS = [
    "op",
    "batch",
    "cin",
    "hin",
    "win",
    "cout",
    "hout",
    "wout",
    "kh",
    "kw",
    "sh",
    "sw",
    "groups",
    "m",
    "n",
    "k",
    "elements",
]

FAMILIES = {
    "nasnet-large": "nasnet",
    "nasnet-mobile": "nasnet",
    "pnasnet-large": "pnasnet",
    "pnasnet-mobile": "pnasnet",
}
"""Networks that are variants of one; all others are their own family. MobileNet V1 and V2, and
Inception V3 and Inception-ResNet V2, are different published networks."""

PHONE_SETS = (("mnn", "cpu"), ("mnn", "gpu"), ("acl", "cpu"), ("acl", "gpu"))

_PNASNET_331 = {224: 331, 111: 165, 112: 166, 56: 83, 28: 42, 14: 21, 7: 11}


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelSet:
    """Kernel rows with their times, the network and family each belongs to, and its target.

    `extra_us` is time in `latency_us` that is not the kernel's (see `lookup_drift_us`). `raw` are
    the rows of the source's data frame, `targets` the profile target of each of `rows.targets`.
    """

    rows: KernelRows
    latency_us: np.ndarray
    network: np.ndarray
    family: np.ndarray
    extra_us: np.ndarray
    raw: Any
    targets: tuple[Target, ...]

    def __len__(self) -> int:
        return len(self.latency_us)

    @property
    def kernel_us(self) -> np.ndarray:
        """Time of the kernel alone, at least a quarter of what was measured."""
        alone: np.ndarray = np.maximum(self.latency_us - self.extra_us, 0.25 * self.latency_us)
        return alone

    def take(self, index: np.ndarray) -> KernelSet:
        """The rows at `index` (integers or a mask)."""
        return KernelSet(
            rows=self.rows.take(index),
            latency_us=self.latency_us[index],
            network=self.network[index],
            family=self.family[index],
            extra_us=self.extra_us[index],
            raw=self.raw[index] if np.asarray(index).dtype == bool else self.raw.iloc[index],
            targets=self.targets,
        )

    def measurements(self) -> MeasurementTable:
        """The kernels as a measurement table, as a user would give them, with corrected times."""
        own = [self.targets[t] for t in self.rows.target]
        columns: dict[str, Any] = {
            c: self.raw[c].to_numpy() for c in (*SHAPE_COLUMNS, "layer") if c in self.raw.columns
        }
        columns |= {
            "device": [t.device for t in own],
            "unit": [t.unit for t in own],
            "framework": [t.framework for t in own],
            "precision": [t.precision for t in own],
            "threads": [float(t.threads or np.nan) for t in own],
            "affinity": [t.cluster for t in own],
            "model": self.network.astype(str),
            "latency_us": self.kernel_us,
            "kind": "steady",
            "statistic": "median",
        }
        lines = np.arange(len(self)) + 2
        return MeasurementTable(make_frame(columns, "published kernels", lines))

    @property
    def target_names(self) -> np.ndarray:
        """Name of each row's target."""
        return np.array([t.name for t in self.rows.targets], dtype=object)[self.rows.target]


def _table(frame: Any) -> Any:
    columns = [c for c in (*SHAPE_COLUMNS, "layer") if c in frame.columns]
    return table_from_rows({c: frame[c].to_numpy() for c in columns})


def read_phone_rows(data: Path) -> Any:
    """layers_phones.csv.gz as a data frame, shapes corrected, broken runs left out."""
    import pandas as pd

    frame = pd.read_csv(data / "layers_phones.csv.gz")
    return _acl_pnasnet_mobile_at_331(_without_unpinned_runs(frame)).reset_index(drop=True)


def _without_unpinned_runs(frame: Any) -> Any:
    """Without the CPU runs of inception-v3 on huawei_mate_20.

    One thread takes 3.6 times, and four threads 2.4 times, as long as two: the runs were not
    pinned (data notes), so they are not times of any number of threads.
    """
    broken = (frame.device == "huawei_mate_20") & (frame.model == "inception-v3")
    return frame[~(broken & (frame.unit == "cpu"))]


def _acl_pnasnet_mobile_at_331(frame: Any) -> Any:
    """ACL's pnasnet-mobile with 331 x 331 input instead of 224 x 224.

    Its shapes were taken from MNN's model, but on all three phones, CPU and GPU, each of its
    operators takes (331 / 224)^2 = 2.2 times as long as the same shape elsewhere (the stem
    convolution, every depthwise size, pools, additions), while the fully connected layer, which
    does not depend on the image, takes what it should: the example ran on 331 x 331 images.
    """
    wrong = (frame.framework == "acl") & (frame.model == "pnasnet-mobile")
    for column in ("hin", "win", "hout", "wout"):
        frame.loc[wrong, column] = frame.loc[wrong, column].replace(_PNASNET_331)
    return frame


def phone_set(frame: Any, framework: str, unit: str) -> KernelSet:
    """The kernels of one framework on one unit; targets are named device/cluster/threads."""
    part = frame[(frame.framework == framework) & (frame.unit == unit)]
    cluster = part.core_cluster.fillna("")
    names = part.device + "/" + cluster + "/" + part.threads.astype(str)
    listed = sorted(names.unique())
    place = {name: i for i, name in enumerate(listed)}
    machine = Machine(
        precision="fp16" if (framework, unit) == ("mnn", "gpu") else "fp32",
        winograd="acl" if framework == "acl" else "best",
        overlap="launch" if unit == "gpu" else "none",
    )
    targets = tuple(_phone_traits(name, machine) for name in listed)
    rows = KernelRows(
        table=_table(part), target=np.array([place[n] for n in names]), targets=targets
    )
    network = part.model.to_numpy(dtype=object)
    family = np.array([FAMILIES.get(n, n) for n in network], dtype=object)
    return KernelSet(
        rows=rows,
        latency_us=part.latency_us.to_numpy(float),
        network=network,
        family=family,
        extra_us=np.zeros(len(part)),
        raw=part,
        targets=tuple(_phone_target(name, unit, framework, machine.precision) for name in listed),
    )


def _phone_target(name: str, unit: str, framework: str, precision: str) -> Target:
    device, cluster, threads = name.split("/")
    count = int(threads) if unit == "cpu" else 0
    return Target(device_slug(device), unit, framework, precision, count, cluster)


def _phone_traits(name: str, machine: Machine) -> TargetTraits:
    _, cluster, threads = name.split("/")
    return TargetTraits(name, machine, traits=(float(threads), float(cluster == "little")))


def read_gpu_rows(data: Path) -> Any:
    """layers_gpu.csv as a data frame."""
    import pandas as pd

    return pd.read_csv(data / "layers_gpu.csv")


def neusight_set(frame: Any) -> KernelSet:
    """Eager PyTorch kernels in fp32; targets are the cards, by data sheet."""
    part = frame[frame.source == "neusight"]
    listed = sorted(part.device.unique())
    targets = tuple(Target(device_slug(name), "gpu", "pytorch", "fp32") for name in listed)
    kernels = _gpu_set(part, part.device, [traits_of(spec_of(name)) for name in listed], targets)
    extra = np.zeros(len(kernels))
    is_conv = (part.op == "conv2d").to_numpy()
    for t, name in enumerate(listed):
        mine = is_conv & (kernels.rows.target == t)
        if mine.any():
            bound = _least_us(kernels.rows.table.take(mine), spec_of(name))
            extra[mine] = lookup_drift_us(kernels.latency_us[mine], bound)
    return replace(kernels, extra_us=extra)


def _least_us(table: Any, spec: GpuSpec) -> np.ndarray:
    """Lower bound of a convolution's time: Winograd's best at the peak, and the memory's."""
    elements = table["input_elements"] + table["output_elements"] + table["weight_elements"]
    arithmetic = 2 * table["macs"] / 2.25 / (spec.fp32_gflops * 1e3)
    least: np.ndarray = np.maximum(arithmetic, 4 * elements / (spec.bandwidth_gb_per_s * 1e3))
    return least


def deepbench_set(frame: Any) -> KernelSet:
    """Library calls of DeepBench (inference and training kernels); targets device/precision."""
    part = frame[frame.source.str.startswith("deepbench")]
    names = part.device + "/" + part.precision
    listed = sorted(names.unique())
    traits = []
    for name in listed:
        device, precision = name.split("/")
        # plain fp16 is storage alone there: products run at the rate of fp32
        arithmetic = "fp32" if precision == "fp16" else precision
        sheet = traits_of(spec_of(device), arithmetic, name)
        machine = replace(sheet.machine, precision=precision)
        sheet = replace(sheet, machine=machine)
        traits.append(replace(sheet, traits=(*sheet.traits, float(precision == "fp16_tc"))))
    return _gpu_set(part, names, traits, tuple(_library_target(name) for name in listed))


def _library_target(name: str) -> Target:
    device, precision = name.split("/")
    framework = "miopen" if "Radeon" in device else "cudnn"
    return Target(device_slug(device), "gpu", framework, precision.removesuffix("_tc"))


def _gpu_set(
    part: Any, names: Any, traits: list[TargetTraits], targets: tuple[Target, ...]
) -> KernelSet:
    place = {t.name: i for i, t in enumerate(traits)}
    target = np.array([place[n] for n in names])
    rows = KernelRows(table=_table(part), target=target, targets=tuple(traits))
    source = part.source.to_numpy(dtype=object)
    return KernelSet(
        rows=rows,
        latency_us=part.latency_us.to_numpy(float),
        network=source,
        family=source.copy(),
        extra_us=np.zeros(len(part)),
        raw=part,
        targets=targets,
    )


def shape_labels(kernels: KernelSet, folds: int, seed: int) -> np.ndarray:
    """A fold for each distinct shape, the same on every target."""
    table = kernels.rows.table
    columns = [table[c] for c in SHAPE_COLUMNS if c != "op"]
    key = np.column_stack([*columns, np.unique(table["op"], return_inverse=True)[1]])
    _, shape = np.unique(key, axis=0, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(int(shape.max()) + 1) % folds
    labels: np.ndarray = fold[shape.ravel()]
    return labels


def jetson_gpu_set(frame: Any) -> KernelSet:
    """The kernels of the GPU-only engine; one target."""
    part = gpu_engine(frame)
    names = part.device + "/" + part.precision
    traits = replace(traits_of(spec_of("Jetson AGX Xavier"), "fp16", names.iloc[0]), traits=())
    target = Target(device_slug(names.iloc[0].split("/")[0]), "gpu", "tensorrt", "fp16")
    kernels = _gpu_set(part, names, [traits], (target,))
    first = [str(layer).split("/")[0] for layer in part.layer]
    block = np.array([name.split(" ")[0] for name in first], dtype=object)
    return replace(kernels, family=block)


@dataclass(frozen=True)
class BlockTimes:
    """Times of stretches of a network: kernel i of `table` belongs to stretch `member[i]`."""

    table: Any
    member: np.ndarray
    latency_us: np.ndarray
    names: tuple[str, ...]


def jetson_dla_blocks(frame: Any) -> BlockTimes:
    """Stretches of GoogleNet on the DLA, from a layer to the classifier, with their kernels.

    The kernels are those that the GPU engine lists from that layer on, without its layout changes
    and copies, which the DLA does not make.
    """
    moves = ("reformat", "reformat_to_dla", "copy", "softmax")
    layers = frame[(frame.unit == "gpu") & ~frame.op.isin(moves)].reset_index(drop=True)
    blocks = frame[frame.op == "fused_block"]
    rows, member, names = [], [], []
    for i, name in enumerate(blocks.layer):
        first = name.strip("{}").split("..")[0]
        start = next(j for j, layer in enumerate(layers.layer) if first in layer)
        rows += list(range(start, len(layers)))
        member += [i] * (len(layers) - start)
        names.append(name)
    table = _table(layers.iloc[rows])
    return BlockTimes(table, np.array(member), blocks.latency_us.to_numpy(float), tuple(names))


def mobile_set(data: Path) -> KernelSet:
    """layers_deepbench_mobile.csv; targets device/framework/precision, as many as listed."""
    import pandas as pd

    part = pd.read_csv(data / "layers_deepbench_mobile.csv")
    library = part.framework.str.extract(r"^([a-z]+(?:-[a-z]+)*)", expand=False)
    names = part.device + "/" + library + "/" + part.precision
    listed = sorted(names.unique())
    traits = [TargetTraits(name, Machine(precision=name.rsplit("/", 1)[1])) for name in listed]
    return _gpu_set(part, names, traits, tuple(_board_target(name) for name in listed))


def _board_target(name: str) -> Target:
    device, library, precision = name.split("/")
    return Target(device_slug(device), "cpu", library, precision)
