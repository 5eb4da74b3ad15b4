"""Whole-network measurements as the joint model's input: which target, which network, how long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models.work_predictor import work_matrix
from perfmodel.errors import MeasurementError
from perfmodel.graph.ir import Graph
from perfmodel.kernels import KernelTable, fuse
from perfmodel.measurements.table import MeasurementTable
from perfmodel.target import Target

_VENDOR_PREFIXES = ("NVIDIA ", "Microsoft Direct3D12 ")


@dataclass(frozen=True)
class TargetKey:
    """A target that was measured; `processor` tells two GPUs of one device apart."""

    target: Target
    processor: str = ""

    @property
    def hardware(self) -> tuple[str, str, str, int, str]:
        """What float and 8-bit runs of the same cores and threads have in common."""
        t = self.target
        return (t.device, self.processor, t.unit, t.threads, t.cluster)

    def __str__(self) -> str:
        return f"{self.target} ({self.processor})" if self.processor else str(self.target)


@dataclass(frozen=True, eq=False)
class NetworkRows:
    """Latencies by target and network: `target[i]` and `network[i]` index the two lists.

    Several runs of one target are several rows. `work` has shape (networks, features);
    `families` names what must be left out together: a network with its 8-bit twin, its widths and
    resolutions.
    """

    targets: tuple[TargetKey, ...]
    networks: tuple[str, ...]
    families: tuple[str, ...]
    kernels: tuple[KernelTable, ...]
    work: np.ndarray
    target: np.ndarray
    network: np.ndarray
    latency_ms: np.ndarray

    def __len__(self) -> int:
        return len(self.latency_ms)

    def where(self, rows: np.ndarray) -> NetworkRows:
        """The chosen rows (a mask or indices); targets and networks keep their numbers."""
        picked = (self.target[rows], self.network[rows], self.latency_ms[rows])
        shared = (self.targets, self.networks, self.families, self.kernels, self.work)
        return NetworkRows(*shared, *picked)

    def codes(self) -> np.ndarray:
        """Columns `perfmodel.cost_models.work_model.CODES` of every target, shape (targets, 3)."""
        hardware = _numbered(key.hardware for key in self.targets)
        precision = [int(key.target.precision == "int8") for key in self.targets]
        return np.column_stack([np.arange(len(self.targets)), hardware, precision])

    def inputs(self) -> np.ndarray:
        """Input of `JointEfficiencyModel`, one row a measurement."""
        return np.hstack([self.codes()[self.target], self.work[self.network]])

    def matrix(self) -> np.ndarray:
        """Median log latency by target and network, NaN where it was not measured."""
        out = np.full((len(self.targets), len(self.networks)), np.nan)
        for t, n in {*zip(self.target.tolist(), self.network.tolist(), strict=True)}:
            rows = (self.target == t) & (self.network == n)
            out[t, n] = np.median(np.log(self.latency_ms[rows]))
        return out


def family_of(model: str) -> str:
    """What a model must be left out with: its name without precision, width and resolution."""
    name = model.rsplit("/", 1)[-1].split("@", 1)[0].removesuffix(".param")
    return name.replace("_int8", "").replace("-int8", "")


def network_rows(
    table: MeasurementTable,
    load: Callable[[str], Graph],
    *,
    framework: str,
    units: Sequence[str] = ("cpu", "gpu"),
    min_networks: int = 3,
) -> NetworkRows:
    """Rows of steady whole-network latency of one framework; `load` gives the graph of a model.

    Models that `load` does not know (it raises `KeyError`) are left out, and so are targets with
    fewer than `min_networks` networks. Raises `MeasurementError` if nothing is left.
    """
    frame = table.networks.frame
    frame = frame[(frame["framework"] == framework) & frame["unit"].isin(list(units))]
    frame = frame[frame["kind"].isin(["", "steady"])]
    columns = {c: frame[c].tolist() for c in _READ}
    keys = [_key(dict(zip(_READ, row, strict=True))) for row in zip(*columns.values(), strict=True)]
    graphs = _graphs(columns["model"], load)
    counts: dict[TargetKey, set[str]] = {}
    for key, model in zip(keys, columns["model"], strict=True):
        if model in graphs:
            counts.setdefault(key, set()).add(model)
    enough = {key for key, models in counts.items() if len(models) >= min_networks}
    keep = [k in enough and m in graphs for k, m in zip(keys, columns["model"], strict=True)]
    if not any(keep):
        raise MeasurementError(f"no whole-network rows of {framework} with a known model")
    return _assemble(
        [k for k, kept in zip(keys, keep, strict=True) if kept],
        [m for m, kept in zip(columns["model"], keep, strict=True) if kept],
        np.array(columns["latency_ms"], dtype=float)[np.array(keep)],
        graphs,
        framework,
    )


_READ = (
    "device",
    "unit",
    "framework",
    "precision",
    "threads",
    "affinity",
    "processor",
    "model",
    "latency_ms",
)


def _key(row: Mapping[str, object]) -> TargetKey:
    cpu = row["unit"] == "cpu"
    threads = float(str(row["threads"]))
    processor = str(row["processor"])
    for prefix in _VENDOR_PREFIXES:
        processor = processor.removeprefix(prefix)
    model_precision = "int8" if "int8" in str(row["model"]).replace("-", "_") else ""
    target = Target(
        str(row["device"]),
        str(row["unit"]),
        str(row["framework"]),
        model_precision or str(row["precision"]) or "float",
        int(threads) if cpu and threads == threads else 0,
        str(row["affinity"]) if cpu else "",
    )
    return TargetKey(target, "" if cpu else processor)


def _graphs(models: Iterable[str], load: Callable[[str], Graph]) -> dict[str, Graph]:
    graphs = {}
    for model in sorted(set(models)):
        try:
            graphs[model] = load(model)
        except KeyError:
            continue
    return graphs


def _assemble(
    keys: Sequence[TargetKey],
    models: Sequence[str],
    latency_ms: np.ndarray,
    graphs: Mapping[str, Graph],
    framework: str,
) -> NetworkRows:
    targets, networks = tuple(sorted(set(keys), key=str)), tuple(sorted(set(models)))
    place = {key: i for i, key in enumerate(targets)}
    column = {model: i for i, model in enumerate(networks)}
    tables = tuple(KernelTable.from_kernels(fuse(graphs[m], framework)) for m in networks)
    precisions = ["int8" if "int8" in m else "fp32" for m in networks]
    work = [
        work_matrix(table, precision).sum(axis=0)
        for table, precision in zip(tables, precisions, strict=True)
    ]
    return NetworkRows(
        targets,
        networks,
        tuple(family_of(m) for m in networks),
        tables,
        np.array(work),
        np.array([place[k] for k in keys]),
        np.array([column[m] for m in models]),
        latency_ms,
    )


def _numbered(items: Iterable[object]) -> np.ndarray:
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(item, len(seen)) for item in items])
