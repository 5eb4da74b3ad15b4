"""Profiles from published whole-network latencies: few rows a target, much borrowed.

All targets of a pool are fitted jointly, so that a target with two rows has its own scale and the
pool's idea of what kinds of work cost. Errors come from leaving network families out of the pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.cost_models.interval import FitError, Interval, borrowed_interval, fit_error
from perfmodel.cost_models.work_model import JointEfficiencyModel
from perfmodel.cost_models.work_predictor import EfficiencyPredictor, size_ranges
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.target import Target
from validation.data.published_networks import (
    POOLS,
    Pool,
    PooledRow,
    anchor_rows,
    base_framework,
    make_pool,
    precision_of,
    published_rows,
)
from validation.data.soc_facts import SocFacts, facts_of, soc_facts
from validation.profiles.common import BuiltTarget, DeviceInfo

EXPERIMENT = "network family left out on every target"
UNTESTED = "one network family measured, nothing to leave out: error of its pool's targets"

POOL_PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "mobile-gpu": {"hardware_sd": 1.0},
    "npu": {"hardware_sd": 0.4, "hardware_shared_sd": 0.7, "population_sd": 0.5},
    "cuda": {"target_sd": 0.4},
}
"""Prior spreads of the joint model where they differ from its defaults: unlike hardware differs."""

LEFT_OUT_STEPS = 300
"""Steps of the fits that only judge: predictions have settled long before the costs have."""

_SERVERS = ("xeon", "epyc")
_DESKTOPS = ("gtx", "titan", "rtx", "core-i", "tesla", "radeon")
_BOARDS = ("rk3399", "firefly", "raspberry", "dragonwing", "qcs", "qrd", "kirin-", "snapdragon-")


def build_published(data: Path) -> list[BuiltTarget]:
    """Every target of published_e2e.csv whose networks the zoo has."""
    rows, _ = published_rows(data)
    rows += anchor_rows(data)
    facts = soc_facts(data)
    return [
        built
        for name in POOLS
        for built in _built(make_pool(name, rows, data), facts, titles(data))
    ]


def titles(data: Path) -> dict[str, tuple[str, str]]:
    """Name and chip of every device of the table as its source writes them."""
    import csv

    from perfmodel.measurements.device_names import device_slug

    with open(data / "published_e2e.csv", encoding="utf-8", newline="") as file:
        return {
            device_slug(row["device"], row["soc"]): (row["device"] or row["soc"], row["soc"])
            for row in csv.DictReader(file)
        }


def pool_model(pool: Pool, **more: Any) -> JointEfficiencyModel:
    """The joint model with the pool's spreads."""
    parameters: dict[str, Any] = {**POOL_PARAMETERS.get(pool.name, {}), **more}
    return JointEfficiencyModel(**parameters)


def left_out_log_ratio(pool: Pool) -> np.ndarray:
    """log(predicted / measured) of rows, their family left out everywhere; NaN if none is left."""
    inputs, latency, families, target = pool.inputs(), pool.latency_ms, pool.families, pool.target
    out = np.full(len(latency), np.nan)
    for family in sorted(set(families)):
        held = families == family
        asked = held & ~pool.anchors & np.isin(target, np.unique(target[~held]))
        if asked.any():
            model = pool_model(pool, max_iter=LEFT_OUT_STEPS).fit(inputs[~held], latency[~held])
            out[asked] = np.log(model.predict(inputs[asked]) / latency[asked])
    return out


def _built(
    pool: Pool, facts: Mapping[str, SocFacts], names: Mapping[str, tuple[str, str]]
) -> list[BuiltTarget]:
    model = pool_model(pool).fit(pool.inputs(), pool.latency_ms)
    left_out = left_out_log_ratio(pool)
    tested = left_out[np.isfinite(left_out)]
    built = []
    for number, target in enumerate(pool.targets):
        mine = pool.target == number
        rows = [r for r, chosen in zip(pool.rows, mine, strict=True) if chosen]
        if rows[0].anchor:
            continue
        own = left_out[mine & np.isfinite(left_out)]
        place = int(np.searchsorted(model.targets_, number))
        profile = TargetProfile(
            target,
            "steady",
            EfficiencyPredictor(
                log_cost=tuple(float(v) for v in model.log_cost_[place]),
                precision=precision_of(target),
                ranges=size_ranges(
                    [pool.tables[n] for n in sorted(set(pool.network[mine].tolist()))]
                ),
            ),
            _interval(own, tested),
            _error(own, tested),
            _provenance(rows),
        )
        info = device_info(target.device, facts, names)
        built.append(BuiltTarget(info, profile, _rank(target, len(rows))))
    return built


def _interval(own: np.ndarray, pool: np.ndarray) -> Interval:
    interval = borrowed_interval(-own, -pool)
    if len(own):
        return interval
    # nothing but a scale of its own: the pool's spread, and room for not knowing better
    return replace(interval, low_log=1.5 * interval.low_log, high_log=1.5 * interval.high_log)


def _error(own: np.ndarray, pool: np.ndarray) -> FitError:
    if len(own):
        return fit_error(EXPERIMENT, -own)
    return replace(fit_error(UNTESTED, -pool), cases=0)


def _provenance(rows: list[PooledRow]) -> Provenance:
    sources = sorted({r.source for r in rows})
    shown = "; ".join(sources[:3]) + (f" and {len(sources) - 3} more" if len(sources) > 3 else "")
    return Provenance(
        f"published_e2e.csv: {shown}"[:1900],
        len(rows),
        build=", ".join(sorted({r.build for r in rows} - {""})),
        note="shape of the costs borrowed from the targets of its pool",
    )


def device_info(
    device: str, facts: Mapping[str, SocFacts], names: Mapping[str, tuple[str, str]]
) -> DeviceInfo:
    """Title, kind and hardware facts of a device."""
    title, soc = names.get(device, (device, ""))
    known = facts_of(device, soc, facts)
    if known is None:
        return DeviceInfo(device, title, device_kind(device), soc)
    return DeviceInfo(
        device, title, device_kind(device), soc or known.soc, known.year, known.hardware
    )


def device_kind(device: str) -> str:
    """The kind of a device by its name; phones are the rest."""
    if device.startswith("jetson"):
        return "jetson"
    if any(part in device for part in _SERVERS):
        return "server"
    if device.startswith(_DESKTOPS):
        return "desktop"
    if device.startswith("snapdragon-x-elite"):
        return "laptop"
    if device.startswith(("snapdragon-", "kirin-")) and "qrd" not in device:
        return "phone"
    return "board" if any(part in device for part in _BOARDS) else "phone"


def _rank(target: Target, rows: int) -> tuple[int, ...]:
    """CPU first, then GPU; float before int8; the framework with most rows; most threads."""
    units = ("cpu", "gpu", "npu", "nnapi", "dsp", "dla")
    armv7 = target.framework != base_framework(target.framework)
    return (
        units.index(target.unit),
        int(target.precision == "int8"),
        int(armv7),
        -rows,
        -target.threads,
    )
