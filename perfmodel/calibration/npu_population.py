"""The file of measured NPU targets that ships (hw_profiles/populations/npu.json)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.calibration.npu import PRECISIONS, NpuPopulation
from perfmodel.cost_models.interval import WIDEST_LOG
from perfmodel.cost_models.npu_model import NpuPlace
from perfmodel.cost_models.npu_predictor import COST_NAMES
from perfmodel.cost_models.plain_data import names, number, only, table
from perfmodel.cost_models.plain_file import FileKind
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.cost_models.work_predictor import ranges_from_dict
from perfmodel.devices.profile_files import POPULATIONS, builtin_folder
from perfmodel.errors import ProfileError

KIND = FileKind(
    what="a population of NPUs",
    format="perfmodel-npu-population",
    version=3,
    most_bytes=8_000_000,
)
FILE = "npu.json"
MOST_COUNTS, MOST_NETWORKS = 20, 1000
"""Bounds of a file: widths by numbers of networks, and these numbers."""
FIELDS = (
    *("names", "places", "networks", "anchors", "described_by", "work", "work_ran"),
    *("log_cost", "log_ms", "measured", "ranges", "strange_width", "new_widths"),
)


def to_dict(population: NpuPopulation) -> dict[str, Any]:
    """Plain JSON data."""
    return {
        "names": list(population.names),
        "places": [[p.chip, p.runtime, p.precision] for p in population.places],
        "networks": list(population.networks),
        "anchors": _rounded(population.anchors, 5),
        "described_by": _significant(population.described_by),
        "work": {p: _significant(population.work[p]) for p in PRECISIONS},
        "work_ran": {p: _significant(population.work_ran[p]) for p in PRECISIONS},
        "log_cost": _rounded(population.log_cost, 4),
        "log_ms": _rounded(population.log_ms, 4),
        "measured": population.measured.astype(int).tolist(),
        "ranges": {n: [list(low), list(high)] for n, (low, high) in population.ranges.items()},
        "strange_width": dict(population.strange_width),
        "new_widths": {str(count): width for count, width in population.new_widths.items()},
    }


def _rounded(values: np.ndarray, digits: int) -> list[Any]:
    return [[round(float(v), digits) or 0 for v in row] for row in values]


def _significant(values: np.ndarray) -> list[Any]:
    return [[float(f"{v:.6g}") if v else 0 for v in row] for row in values]


def from_dict(data: Mapping[str, Any]) -> NpuPopulation:
    """Read and check plain data; raises `ProfileError` that names the field."""
    only(data, FIELDS, FIELDS)
    targets, networks = names(data["names"], "names"), names(data["networks"], "networks")
    features, costs = len(FEATURE_NAMES), len(COST_NAMES)
    places = data["places"]
    if not isinstance(places, list) or not all(
        isinstance(p, list) and len(p) == 3 and all(isinstance(x, str) for x in p) for p in places
    ):
        raise ProfileError("places: must be chip, runtime and precision of each target")
    work = {
        name: {p: _array(given.get(p), f"{name}.{p}", (len(networks), costs)) for p in PRECISIONS}
        for name in ("work", "work_ran")
        if (given := table(data[name], name, len(PRECISIONS))) is not None
    }
    return NpuPopulation(
        names=tuple(targets),
        places=tuple(NpuPlace(chip=c, runtime=r, precision=p) for c, r, p in places),
        networks=tuple(networks),
        anchors=_array(data["anchors"], "anchors", (len(networks), features)),
        described_by=_array(data["described_by"], "described_by", (len(networks), features)),
        work=work["work"],
        work_ran=work["work_ran"],
        log_cost=_array(data["log_cost"], "log_cost", (len(targets), costs)),
        log_ms=_array(data["log_ms"], "log_ms", (len(targets), len(networks))),
        measured=_array(data["measured"], "measured", (len(targets), len(networks))) > 0,
        ranges=ranges_from_dict(data["ranges"]),
        strange_width={
            str(k): float(v) for k, v in table(data["strange_width"], "strange_width", 3).items()
        },
        new_widths=_widths(data["new_widths"]),
    )


def _widths(data: Any) -> dict[int, float]:
    """Half widths by the number of measured networks."""
    found = {}
    for count, width in table(data, "new_widths", MOST_COUNTS).items():
        if not count.isdecimal() or not 1 <= int(count) <= MOST_NETWORKS:
            raise ProfileError(f"new_widths: {count!r} is no number of networks")
        found[int(count)] = number(width, f"new_widths.{count}", 1e-3, WIDEST_LOG)
    return found


def _array(data: Any, name: str, shape: tuple[int, int]) -> np.ndarray:
    try:
        found = np.array(data, dtype=float)
    except (TypeError, ValueError):
        raise ProfileError(f"{name}: must hold numbers, rows of one length") from None
    if found.shape != shape or not np.isfinite(found).all():
        raise ProfileError(f"{name}: must hold {shape[0]} rows of {shape[1]} finite numbers")
    return found


def write_npus(population: NpuPopulation, folder: Path) -> Path:
    """Write the file; `folder` is that of the populations."""
    path = folder / FILE
    KIND.write(path, to_dict(population))
    return path


def read_npus(path: Path) -> NpuPopulation:
    """Read and check a population's file; raises `ProfileError`."""
    return KIND.read(path, from_dict)


@lru_cache(maxsize=1)
def shipped_npus() -> NpuPopulation:
    """The population that ships; raises `ProfileError` where the file is missing."""
    return read_npus(builtin_folder() / POPULATIONS / FILE)
