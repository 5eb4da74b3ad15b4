"""The questions of AI-Benchmark: twelve tests on CPU and accelerator, float and integer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from perfmodel.answer import Answer
from perfmodel.devices.market import chip
from perfmodel.devices.market_profiles import chip_of
from perfmodel.devices.registry import (
    ProfileFolder,
    ProfileSource,
    Resolved,
    list_targets,
)
from perfmodel.errors import PerfmodelError, TargetError
from perfmodel.explore.candidates import Networks, PredictedNetwork
from perfmodel.target import QUANTISED, parse_target
from perfmodel.units import MS_PER_S
from perfmodel.zoo.suites import AI_BENCHMARK

CONFIGURATIONS = ("CPU float", "CPU int", "accelerator float", "accelerator int")
INCEPTION = "inception_v3"

GENERATIONS = (
    ("Exynos 8895", 2017, 121.0),
    ("Exynos 990", 2020, 58.0),
    ("Kirin 990", 2019, 13.0),
)
"""(processor, year of its phone, ms) of Inception V3 as an article on AI-Benchmark prints them,
after Ignatov et al. 2019 (arXiv:1910.06663); unit and precision are not stated for the Exynos,
Kirin's is its NPU. The year of Kirin 990 is that of its release."""

PUBLISHED_RATES = (("Kirin 990", 55.0), ("GTX 1060", 140.0))
"""(processor, images a second) of Inception V3 in the same article; batch sizes differ there."""

NOTE = "'Several networks at once' is one of them alone; the benchmark runs up to eight instances"


@dataclass(frozen=True, kw_only=True)
class TestRow:
    """One test on one device in one configuration; None where the device has no such target."""

    test: str
    model: str
    device: str
    configuration: str
    latency_ms: float | None = None
    per_second: float | None = None
    target: str = ""
    extrapolated: bool = False


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Inception V3 on a device, images per second: its fastest target, the GPU's where it is a
    desktop or server."""

    device: str
    kind: str
    target: str
    latency_ms: float
    per_second: float


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A processor's published Inception V3 latency and ours; no target means none is known."""

    soc: str
    year: int
    published_ms: float
    target: str
    latency_ms: float | None
    interval_ms: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class AiBenchmark(Answer, command="suite"):
    """The tables of AI-Benchmark, predicted."""

    devices: tuple[str, ...]
    tests: tuple[TestRow, ...]
    rates: tuple[Rate, ...]
    generations: tuple[Generation, ...]
    published_rates: tuple[tuple[str, float], ...] = PUBLISHED_RATES
    note: str = NOTE


def configuration_of(resolved: Resolved) -> str:
    """Which of `CONFIGURATIONS` a target belongs to."""
    target = resolved.target.target
    place = "CPU" if target.unit == "cpu" else "accelerator"
    return f"{place} {'int' if target.precision in QUANTISED else 'float'}"


def ai_benchmark(targets: Sequence[str], *, profiles: Sequence[ProfileSource] = ()) -> AiBenchmark:
    """AI-Benchmark's twelve tests on the devices of `targets`; the fastest target of each kind.

    A target narrows its device: `pixel-4/cpu` leaves the accelerators out. Raises `PerfmodelError`s
    for unknown devices.
    """
    folder = ProfileFolder(tuple(profiles))
    if not targets:
        raise TargetError("the suite needs devices", "for example --on snapdragon-888")
    specs = tuple(dict.fromkeys(spec for _, spec in AI_BENCHMARK))
    networks = Networks(specs)
    rows: list[TestRow] = []
    for text in targets:
        rows += _device_rows(networks, specs, _all_of(folder, text))
    inception = Networks([INCEPTION])
    kinds = {line.device: line.kind for line in list_targets(profiles)}
    everyone = {d: _all_of(folder, d) for d in kinds}
    asked = dict.fromkeys(r.device for r in rows)
    gpus = {d: _gpus(everyone[d]) for d, k in kinds.items() if k in ("desktop", "server")}
    shown = {d: targets for d, targets in gpus.items() if targets} | {d: everyone[d] for d in asked}
    fastest = {d: _fastest(inception, targets) for d, targets in shown.items()}
    rates = [_rate(answer, kinds[d]) for d, answer in fastest.items() if answer is not None]
    return AiBenchmark(
        devices=tuple(asked),
        tests=tuple(rows),
        rates=tuple(sorted(rates, key=lambda r: -r.per_second)),
        generations=tuple(_generation(inception, everyone, *g) for g in GENERATIONS),
    )


def _all_of(folder: ProfileFolder, text: str) -> list[Resolved]:
    """Every steady target of a device that agrees with `text`."""
    query = parse_target(text)
    profile = folder.device(query.device)
    found = [Resolved(profile, t) for t in profile.targets if query.matches(t.target)]
    return [r for r in found if r.target.latency_kind == "steady"]


def _device_rows(
    networks: Networks, specs: Sequence[str], targets: Sequence[Resolved]
) -> list[TestRow]:
    """The twelve tests of one device; each configuration by the fastest of its targets."""
    if not targets:
        return []
    device = targets[0].device.device
    best: dict[tuple[str, str], PredictedNetwork] = {}
    for resolved in targets:
        configuration = configuration_of(resolved)
        for spec, answer in zip(specs, networks.on(resolved), strict=True):
            key = spec, configuration
            if not _has_time(answer):
                continue
            if key not in best or answer.latency_ms < best[key].latency_ms:
                best[key] = answer
    return [
        _row(test, spec, device, configuration, best.get((spec, configuration)))
        for test, spec in AI_BENCHMARK
        for configuration in CONFIGURATIONS
    ]


def _row(
    test: str, spec: str, device: str, configuration: str, answer: PredictedNetwork | None
) -> TestRow:
    row = TestRow(test=test, model=spec, device=device, configuration=configuration)
    if answer is None:
        return row
    return replace(
        row,
        latency_ms=answer.latency_ms,
        per_second=MS_PER_S / answer.latency_ms,
        target=str(answer.resolved.target.target),
        extrapolated=answer.extrapolated,
    )


def _has_time(answer: PredictedNetwork | PerfmodelError) -> TypeGuard[PredictedNetwork]:
    """Whether a network is predicted on a target, closely enough to be an answer."""
    return isinstance(answer, PredictedNetwork) and not answer.unknown


def _fastest(network: Networks, targets: Sequence[Resolved]) -> PredictedNetwork | None:
    """The first network on the fastest of some targets; None where none has a time."""
    answers = [a for r in targets if _has_time(a := network.on(r)[0])]
    return min(answers, key=lambda a: a.latency_ms, default=None)


def _gpus(targets: Sequence[Resolved]) -> list[Resolved]:
    return [r for r in targets if r.target.target.unit == "gpu"]


def _rate(answer: PredictedNetwork, kind: str) -> Rate:
    """Images per second of a device's fastest target."""
    return Rate(
        device=answer.resolved.device.device,
        kind=kind,
        target=str(answer.resolved.target.target),
        latency_ms=answer.latency_ms,
        per_second=MS_PER_S / answer.latency_ms,
    )


def _generation(
    inception: Networks,
    everyone: dict[str, list[Resolved]],
    soc: str,
    year: int,
    published_ms: float,
) -> Generation:
    made = chip(soc)
    mine = [r for targets in everyone.values() for r in targets if chip_of(r.device) is made]
    best = _fastest(inception, mine)
    return Generation(
        soc=soc,
        year=year,
        published_ms=published_ms,
        target="" if best is None else str(best.resolved.target.target),
        latency_ms=None if best is None else best.latency_ms,
        interval_ms=None if best is None else best.interval_ms,
    )
