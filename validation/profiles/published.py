"""Profiles from published whole-network latencies: few rows a target, much borrowed.

All targets of a pool are fitted jointly, so that a target with two rows has its own scale and the
pool's idea of what kinds of work cost. Errors come from leaving network families out of the pool;
networks that were measured on a target are known there (`known_networks`).
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
from validation.data.published_sources import FILES
from validation.data.soc_facts import SocFacts, facts_of, soc_facts
from validation.profiles.common import BuiltTarget, DeviceInfo
from validation.profiles.known_networks import NetworkMisfits, known_networks, split_interval
from validation.profiles.sheet_twins import sheet_twins

EXPERIMENT = "network family left out on every target"
UNTESTED = "one network family measured, nothing to leave out: error of its framework's targets"

POOL_PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "mobile-gpu": {"hardware_sd": 1.0},
    "npu": {"hardware_sd": 0.4, "hardware_shared_sd": 0.7, "population_sd": 0.5},
    "cuda": {"target_sd": 0.4},
}
"""Prior spreads of the joint model where they differ from its defaults: unlike hardware differs."""

LEFT_OUT_STEPS = 300
"""Steps of the fits that only judge: predictions have settled long before the costs have."""

UNTESTED_FACTOR = 1.5
"""How much wider than its pool's an interval is of a target of which nothing could be left out.

Tested targets that keep one family alone have 91, 89, 93 and 91 % of their other networks within it
(the pools in their order, 544, 143, 104 and 480 cases); 82, 76, 86 and 78 % without the factor."""

ENOUGH = 30
"""Left-out errors of one framework from which on other frameworks of the pool need not speak."""

_SERVERS = ("xeon", "epyc")
_DESKTOPS = ("gtx", "titan", "rtx", "core-i", "tesla", "radeon")
_BOARDS = ("rk3399", "firefly", "raspberry", "dragonwing", "qcs", "qrd", "kirin-", "snapdragon-")


def build_published(data: Path) -> list[BuiltTarget]:
    """Every target of the published tables whose networks are known."""
    rows, _ = published_rows(data)
    rows += anchor_rows(data)
    facts = soc_facts(data)
    built = [
        target
        for name in POOLS
        for target in _built(make_pool(name, rows, data), facts, titles(data))
    ]
    return [*built, *sheet_twins(built, UNTESTED_FACTOR)]


def titles(data: Path) -> dict[str, tuple[str, str]]:
    """Name and chip of every device of the tables as its source writes them."""
    import csv

    from perfmodel.measurements.device_names import device_slug

    found = {}
    for name in reversed(FILES):
        with open(data / name, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                title = row["device"] or row["soc"]
                found[device_slug(row["device"], row["soc"])] = (title, row["soc"])
    return found


def pool_model(pool: Pool, **more: Any) -> JointEfficiencyModel:
    """The joint model with the pool's spreads."""
    parameters: dict[str, Any] = {**POOL_PARAMETERS.get(pool.name, {}), **more}
    return JointEfficiencyModel(**parameters)


def fitted(pool: Pool, learn: np.ndarray, **more: Any) -> JointEfficiencyModel:
    """The joint model of the rows of a mask.

    A row that only bounds a time from above teaches nothing where the fit keeps to it; the bounds
    that a first fit breaks are learned as times.
    """
    inputs, latency = pool.inputs(), pool.latency_ms
    timed = learn & ~pool.bounds
    model = pool_model(pool, **more).fit(inputs[timed], latency[timed])
    bounds = np.flatnonzero(learn & pool.bounds)
    broken = bounds[model.predict(inputs[bounds]) > latency[bounds]] if len(bounds) else bounds
    if not len(broken):
        return model
    timed[broken] = True
    return pool_model(pool, **more).fit(inputs[timed], latency[timed])


def left_out_log_ratio(pool: Pool) -> np.ndarray:
    """log(predicted / measured) of rows, their family left out everywhere; NaN if none is left."""
    families, target = pool.families, pool.target
    out = np.full(len(target), np.nan)
    for family in sorted(set(families)):
        held = families == family
        known = np.unique(target[~held & ~pool.bounds])
        asked = held & ~pool.anchors & ~pool.bounds & np.isin(target, known)
        if asked.any():
            model = fitted(pool, ~held & np.isin(target, known), max_iter=LEFT_OUT_STEPS)
            for t in np.unique(target[asked]):
                mine = np.flatnonzero(asked & (target == t))
                rows = np.flatnonzero(~held & ~pool.bounds & (target == t))
                networks, log_cost = known_on(pool, model, rows)
                factor, _ = networks.correction(log_cost).of_described(pool.described(mine))
                log_ms = np.log(model.predict(pool.inputs()[mine])) + factor
                out[mine] = log_ms - np.log(pool.latency_ms[mine])
    return out


def known_on(
    pool: Pool, model: JointEfficiencyModel, rows: np.ndarray
) -> tuple[NetworkMisfits, np.ndarray]:
    """The networks of some rows (indices) of one target, and the target's log costs."""
    log_cost = model.log_cost_[int(np.searchsorted(model.targets_, pool.target[rows[0]]))]
    return known_networks(pool, rows, np.log(model.predict(pool.inputs()[rows]))), log_cost


def _built(
    pool: Pool, facts: Mapping[str, SocFacts], names: Mapping[str, tuple[str, str]]
) -> list[BuiltTarget]:
    model = fitted(pool, np.ones(len(pool.rows), dtype=bool))
    left_out = left_out_log_ratio(pool)
    framework = np.array([base_framework(r.target.framework) for r in pool.rows])
    built = []
    for number, target in enumerate(pool.targets):
        mine = (pool.target == number) & ~pool.bounds
        rows = [r for r, chosen in zip(pool.rows, mine, strict=True) if chosen]
        if rows[0].anchor:
            continue
        own = left_out[mine & np.isfinite(left_out)]
        tested = errors_for(left_out, framework == base_framework(target.framework))
        networks, log_cost = known_on(pool, model, np.flatnonzero(mine))
        interval, strange_log = split_interval(_interval(own, tested), networks.left(log_cost))
        profile = TargetProfile(
            target,
            "steady",
            EfficiencyPredictor(
                log_cost=tuple(float(v) for v in log_cost),
                correction=networks.correction(log_cost, strange_log),
                precision=precision_of(target),
                ranges=size_ranges(
                    [pool.tables[n] for n in sorted(set(pool.network[mine].tolist()))]
                ),
            ),
            interval,
            _error(own, tested),
            _provenance(rows),
        )
        info = device_info(target.device, facts, names)
        built.append(BuiltTarget(info, profile, _rank(target, len(rows))))
    return built


def errors_for(left_out: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Errors that speak for a target: those of its framework if they are many, else its pool's."""
    known = np.isfinite(left_out)
    return left_out[known & alike] if (known & alike).sum() >= ENOUGH else left_out[known]


def _interval(own: np.ndarray, pool: np.ndarray) -> Interval:
    interval = borrowed_interval(-own, -pool)
    if len(own):
        return interval
    # nothing but a scale of its own: the pool's spread, and room for not knowing better
    low, high = UNTESTED_FACTOR * interval.low_log, UNTESTED_FACTOR * interval.high_log
    return replace(interval, low_log=low, high_log=high)


def _error(own: np.ndarray, pool: np.ndarray) -> FitError:
    if len(own):
        return fit_error(EXPERIMENT, -own)
    return replace(fit_error(UNTESTED, -pool), cases=0)


def _provenance(rows: list[PooledRow]) -> Provenance:
    sources = sorted({r.source for r in rows})
    shown = "; ".join(sources[:3]) + (f" and {len(sources) - 3} more" if len(sources) > 3 else "")
    return Provenance(
        f"published: {shown}"[:1900],
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
    if device.startswith(("snapdragon-x-elite", "m3-max", "m1-max", "macbook")):
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
