"""The questions of AI-Benchmark: twelve tests on CPU and accelerator, float and integer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.devices.processors import soc_of
from perfmodel.devices.registry import ProfileFolder, ProfileSource, Resolved, list_targets
from perfmodel.errors import TargetError
from perfmodel.explore.networks import Networks
from perfmodel.target import parse_target
from perfmodel.zoo.suites import AI_BENCHMARK

MS_PER_S = 1e3
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


@dataclass(frozen=True)
class TestRow:
    """One test on one device in one configuration; None where the device has no such target."""

    test: str
    model: str
    device: str
    configuration: str
    latency_ms: float | None
    per_second: float | None
    target: str
    extrapolated: bool


@dataclass(frozen=True)
class Rate:
    """Inception V3 on a device, images per second: its fastest target, the GPU's where it is a
    desktop or server."""

    device: str
    kind: str
    target: str
    latency_ms: float
    per_second: float


@dataclass(frozen=True)
class Generation:
    """A processor's published Inception V3 latency and ours; no target means none is known."""

    soc: str
    year: int
    published_ms: float
    target: str
    latency_ms: float | None
    interval_ms: tuple[float, float] | None


@dataclass(frozen=True)
class AiBenchmark:
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
    return f"{place} {'int' if target.precision == 'int8' else 'float'}"


def ai_benchmark(targets: Sequence[str], *, profiles: Sequence[ProfileSource] = ()) -> AiBenchmark:
    """AI-Benchmark's twelve tests on the devices of `targets`; the fastest target of each kind.

    A target narrows its device: `pixel-4/cpu` leaves the accelerators out. Raises `PerfmodelError`s
    for unknown devices.
    """
    folder = ProfileFolder(tuple(profiles))
    if not targets:
        raise TargetError("the suite needs devices", "for example --on snapdragon-888")
    specs = tuple(dict.fromkeys(spec for _, spec in AI_BENCHMARK))
    networks = Networks(specs, allow_uncovered=True)
    rows: list[TestRow] = []
    for text in targets:
        rows += _device_rows(networks, specs, _all_of(folder, text))
    inception = Networks([INCEPTION])
    kinds = {line.device: line.kind for line in list_targets(profiles)}
    everyone = {d: _all_of(folder, d) for d in kinds}
    asked = dict.fromkeys(r.device for r in rows)
    gpus = {d: _gpus(everyone[d]) for d, k in kinds.items() if k in ("desktop", "server")}
    shown = {d: targets for d, targets in gpus.items() if targets} | {d: everyone[d] for d in asked}
    rates = [_rate(inception, targets, kinds[d]) for d, targets in shown.items()]
    return AiBenchmark(
        tuple(asked),
        tuple(rows),
        tuple(sorted(rates, key=lambda r: -r.per_second)),
        tuple(_generation(inception, everyone, *g) for g in GENERATIONS),
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
    best: dict[tuple[str, str], TestRow] = {}
    for resolved in targets:
        predicted, configuration = networks.on(resolved), configuration_of(resolved)
        for i, spec in enumerate(specs):
            if predicted.batch.works[i].uncovered_ops:
                continue
            latency = float(predicted.latency_ms[i])
            old = best.get((spec, configuration))
            if old is None or latency < (old.latency_ms or 0.0):
                best[spec, configuration] = TestRow(
                    "",
                    spec,
                    device,
                    configuration,
                    latency,
                    MS_PER_S / latency,
                    str(resolved.target.target),
                    bool(predicted.extrapolated[i]),
                )
    rows = []
    for test, spec in AI_BENCHMARK:
        for configuration in CONFIGURATIONS:
            row = best.get((spec, configuration))
            none = TestRow(test, spec, device, configuration, None, None, "", False)
            rows.append(none if row is None else TestRow(test, *list(vars(row).values())[1:]))
    return rows


def _gpus(targets: Sequence[Resolved]) -> list[Resolved]:
    return [r for r in targets if r.target.target.unit == "gpu"]


def _rate(inception: Networks, targets: Sequence[Resolved], kind: str) -> Rate:
    """A device's fastest of these targets."""
    timed = [(float(inception.on(r).latency_ms[0]), r) for r in targets]
    latency, best = min(timed, key=lambda t: t[0])
    return Rate(best.device.device, kind, str(best.target.target), latency, MS_PER_S / latency)


def _generation(
    inception: Networks,
    everyone: dict[str, list[Resolved]],
    soc: str,
    year: int,
    published_ms: float,
) -> Generation:
    slug = soc.lower().replace(" ", "-")
    mine = [
        r
        for device, targets in everyone.items()
        for r in targets
        if soc_of(device, r.device.soc).slug == slug
    ]
    timed = [(float(inception.on(r).latency_ms[0]), r) for r in mine]
    if not timed:
        return Generation(soc, year, published_ms, "", None, None)
    latency, best = min(timed, key=lambda t: t[0])
    predicted = inception.on(best)
    bounds = float(predicted.low_ms[0]), float(predicted.high_ms[0])
    return Generation(soc, year, published_ms, str(best.target.target), latency, bounds)
