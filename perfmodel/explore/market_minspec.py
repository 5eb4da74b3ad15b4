"""The minimum phone over the market: every phone of the catalogue, predicted once a chip."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from perfmodel.devices.market import CLASSES, Chip, Phone, chips, phones
from perfmodel.devices.market_years import GUESSED_WITHIN_A_YEAR, came_out, stated_year
from perfmodel.devices.registry import ProfileFolder, ProfileSource
from perfmodel.errors import PerfmodelError
from perfmodel.explore.candidates import Networks
from perfmodel.explore.fleet import FleetShare
from perfmodel.explore.latency_law import ASSUMPTION
from perfmodel.explore.market_chips import Choice, OnChip, on_chips
from perfmodel.explore.market_fleet import (
    BORDER,
    FAIL,
    NO_TARGET,
    PASS,
    UNKNOWN,
    FleetRow,
    Verdict,
    fleet_rows,
    share_of_rows,
)
from perfmodel.explore.memory_gate import SAID, lacks_memory
from perfmodel.explore.minspec import STEADY, MinSpec, PhoneAnswer, Requirement, quantised
from perfmodel.explore.prices import PRICED_BY, read_prices
from perfmodel.formats.sizes import InputShape
from perfmodel.graph.ir import Graph
from perfmodel.units import format_ms

MARKETS = ("play", "known")
"""Phones that count: all of the market, or those with a profile of measurements."""

EXAMPLES = 3
FIRST_YEAR, LAST_YEAR = 2007, 2100


@dataclass(frozen=True, kw_only=True)
class ChipAnswer(PhoneAnswer):
    """One chip of the market: `device` is its slug, `phones` how many have it.

    `verdict` is pass, border (neither passes nor fails at the percentile asked for), fail or
    unknown; of the phones `short` have too little memory, whatever the verdict. `basis` says what
    the answer rests on; `price` is the least of a phone that passes, where prices are given.
    """

    verdict: str
    phones: int
    short: int
    examples: tuple[str, ...]
    basis: str
    price: float | None = None


@dataclass(frozen=True, kw_only=True)
class MarketMinSpec(MinSpec):
    """The minimum phone over the market, by chips; see `MinSpec`.

    `minimum` is the first chip that passes in the order that `order` says; `slowest` and `oldest`
    are others. `border` is part of `failing`. `curve` is the share of phones that keep a limit, by
    limit (ms). `rows` are a fleet's, or every phone's where they were asked for.
    """

    market: str
    since: int | None
    order: str
    slowest: ChipAnswer | None
    border: tuple[ChipAnswer, ...]
    counts: Mapping[str, int]
    curve: tuple[tuple[float, float], ...]
    rows: tuple[FleetRow, ...]


@dataclass(frozen=True, kw_only=True)
class _Market:
    """What is asked of which phones, what each of their chips answers, and what phones cost.

    `memory_mb` is the least that the network needs on a chip; `targets` were looked at.
    """

    asked: Requirement
    since: int | None
    phones: tuple[Phone, ...]
    prices: Mapping[Phone, float]
    answers: Mapping[str, ChipAnswer]
    memory_mb: Mapping[str, float]
    targets: int

    def verdict(self, phone: Phone) -> Verdict:
        """Whether a phone passes, and why not."""
        answer = self.answers.get(phone.chip)
        if answer is None:
            return NO_TARGET if phone.chip else Verdict(UNKNOWN, "nobody says which chip it has")
        if lacks_memory(phone, self.memory_mb[phone.chip]):
            return Verdict(FAIL, "memory: too little beside the system and the runtime")
        return of_chip(answer)

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """That of each phone."""
        return tuple(map(self.verdict, self.phones))

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How many phones have each verdict."""
        verdicts = [v.verdict for v in self.verdicts]
        return {v: verdicts.count(v) for v in (PASS, BORDER, FAIL, UNKNOWN)}


def of_chip(answer: ChipAnswer) -> Verdict:
    """What becomes of a phone with a chip, where its memory is enough."""
    kept = f"{format_ms(answer.latency_ms)} on its {answer.unit} in {answer.precision}"
    why = kept if answer.verdict == PASS else answer.reason
    return Verdict(answer.verdict, why, 0.0 if answer.hopeless else answer.chance)


def market_minspec(
    model: Graph | str,
    max_latency_ms: float,
    *,
    percentile: float = 95.0,
    max_memory_mb: float | None = None,
    max_energy_mj: float | None = None,
    unit: str = "any",
    precision: str = "any",
    since: int | None = None,
    prices: Path | str | None = None,
    fleet: Path | str | None = None,
    every_phone: bool = False,
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
    profiles: Sequence[ProfileSource] = (),
    allow_uncovered: bool = False,
) -> MarketMinSpec:
    """Which phones of the market run `model` within a latency (ms at a percentile)?

    Goes over every phone that came out in `since` or later: memory first, then the latency of the
    best of all runtimes, units and precisions that the phone's chip could use. `prices` is a CSV of
    device,price and puts the cheapest first, else the oldest are; `fleet` is a CSV of device,share
    whose phones count instead of the market's; without one `every_phone` lists what becomes of all
    of the market's. Raises `PerfmodelError` for limits that make no
    sense, unknown networks and damaged files.
    """
    asked = Requirement(
        max_latency_ms=max_latency_ms,
        percentile=percentile,
        max_memory_mb=max_memory_mb,
        max_energy_mj=max_energy_mj,
        unit=unit,
        precision=precision,
    )
    if since is not None and not FIRST_YEAR <= since <= LAST_YEAR:
        raise PerfmodelError(f"--since {since} is no year of phones", "for example --since 2019")
    network = Networks([model], dims=dims, input_shape=input_shape, allow_uncovered=allow_uncovered)
    folder = ProfileFolder(tuple(profiles))
    priced = read_prices(None if prices is None else Path(prices))
    market = _market(network, asked, since, folder, priced)
    rows = _phone_rows(market) if every_phone else ()
    share = _market_share(market)
    if fleet is not None:
        of_chips = {slug: of_chip(a) for slug, a in market.answers.items()}
        rows = fleet_rows(Path(fleet), market.verdict, of_chips, priced)
        share = share_of_rows(fleet, rows)
    assumptions = (*_assumptions(market), *_left_out(folder))
    return _result(network.graphs[0].name, market, share, rows, assumptions)


def _left_out(folder: ProfileFolder) -> tuple[str, ...]:
    """A word on the profiles that the user gave and that no phone of the market stands for."""
    joined = {name for same in folder.by_chip.values() for name in same}
    apart = [name for name in folder.named() if name not in joined]
    said = f"{', '.join(apart)}: no phone of the market; --market known counts it"
    return (said,) if apart else ()


def _phone_rows(market: _Market) -> tuple[FleetRow, ...]:
    """What becomes of every phone, each an equal share."""
    known = chips()
    return tuple(
        FleetRow(
            device=phone.title,
            share=1 / len(market.phones),
            verdict=verdict.verdict,
            why=verdict.why,
            phone=", ".join(phone.devices or phone.codes[:1]),
            chip=known[phone.chip].name if phone.chip else "",
            chance=verdict.chance,
            price=market.prices.get(phone),
        )
        for phone, verdict in zip(market.phones, market.verdicts, strict=True)
    )


def _market(
    network: Networks,
    asked: Requirement,
    since: int | None,
    folder: ProfileFolder,
    priced: Mapping[Phone, float],
) -> _Market:
    known = chips()
    everyone = tuple(p for p in phones() if since is None or (came_out(p) or since) >= since)
    by_chip: dict[str, list[Phone]] = {}
    for phone in everyone:
        by_chip.setdefault(phone.chip, []).append(phone)
    # nobody knows the chip of some phones: they have an empty one
    asked_for = [known[slug] for slug in by_chip if slug]
    found = on_chips(network, asked_for, folder, Choice(asked.unit, asked.precision), asked)
    return _Market(
        asked=asked,
        since=since,
        phones=everyone,
        prices=priced,
        answers={
            slug: _answer(asked, known[slug], on, by_chip[slug], priced)
            for slug, on in found.items()
        },
        memory_mb={slug: on.least_memory_mb for slug, on in found.items()},
        targets=sum(on.targets for on in found.values()),
    )


def _answer(
    asked: Requirement, chip: Chip, on: OnChip, mine: Sequence[Phone], priced: Mapping[Phone, float]
) -> ChipAnswer:
    target = on.resolved.target.target
    fits = [p for p in mine if not lacks_memory(p, on.least_memory_mb)]
    measured = on.resolved.target.provenance.measurements > 0
    prices = [cost for p in fits if (cost := priced.get(p)) is not None]
    return ChipAnswer(
        **vars(on.best),
        device=chip.slug,
        title=chip.name,
        soc=chip.name,
        year=chip.year,
        grade=chip.grade,
        best_target=on.best.target,
        unit=target.unit,
        precision=target.precision,
        margin=1.0 - on.best.latency_ms / asked.max_latency_ms,
        verdict=_verdict(asked, on),
        phones=len(mine),
        short=len(mine) - len(fits),
        examples=_newest(fits or mine),
        basis=f"measured as {target.device}" if measured else on.resolved.target.provenance.source,
        price=min(prices, default=None),
    )


def _newest(mine: Sequence[Phone]) -> tuple[str, ...]:
    """Titles of a few phones, from new to old, those of a year by their letters.

    Those of several sources come first: what one list alone says of a phone's chip may be wrong.
    """
    from_surest = sorted(mine, key=lambda p: ("+" not in p.source, -(came_out(p) or 0), p.title))
    return tuple(dict.fromkeys(phone.title for phone in from_surest))[:EXAMPLES]


def _verdict(asked: Requirement, on: OnChip) -> str:
    best = on.best
    if not best.known:
        return UNKNOWN
    if not best.reason:
        return PASS
    hopeful = best.chance > 1 - asked.percentile / 100
    return BORDER if hopeful and not best.hopeless else FAIL


def _order(answer: ChipAnswer, priced: bool) -> tuple[float, ...]:
    """What the user pays for comes first: the price where one is given, else age and class."""
    grade = CLASSES.index(answer.grade)
    cost = (math.inf if answer.price is None else answer.price) if priced else 0.0
    return cost, answer.year or math.inf, grade, -answer.latency_ms


def _result(
    model: str,
    market: _Market,
    share: FleetShare,
    rows: tuple[FleetRow, ...],
    assumptions: tuple[str, ...],
) -> MarketMinSpec:
    answers, priced = market.answers.values(), bool(market.prices)
    passing = sorted(
        (a for a in answers if a.verdict == PASS and a.short < a.phones),
        key=lambda a: _order(a, priced),
    )
    failing = sorted(
        (a for a in answers if a.known and a not in passing), key=lambda a: a.latency_ms
    )
    by_class: dict[str, PhoneAnswer] = {}
    for answer in passing:
        by_class.setdefault(answer.grade, answer)
    return MarketMinSpec(
        model=model,
        requirement=market.asked,
        minimum=passing[0] if passing else None,
        oldest=min(passing, key=lambda a: (a.year or math.inf, -a.latency_ms), default=None),
        slowest=max(passing, key=lambda a: a.latency_ms, default=None),
        by_class={c: by_class[c] for c in CLASSES if c in by_class},
        passing=tuple(passing),
        failing=tuple(failing),
        border=tuple(a for a in failing if a.verdict == BORDER),
        unknown=tuple(a for a in answers if a.verdict == UNKNOWN),
        fleet_share=share.passing,
        fleet=share,
        targets=market.targets,
        market="play",
        since=market.since,
        order=PRICED_BY if priced else "the oldest chip first, then the class, then the slowest",
        counts=market.counts,
        curve=_curve(market),
        rows=rows,
        assumptions=assumptions,
    )


def _market_share(market: _Market) -> FleetShare:
    """Shares of the market's phones, each counted once."""
    counts, total = market.counts, max(len(market.phones), 1)
    known = total - counts[UNKNOWN]
    chances = math.fsum(v.chance for v in market.verdicts if v.verdict != UNKNOWN)
    return FleetShare(
        fleet="phones on the market" + (f" since {market.since}" if market.since else ""),
        example=False,
        passing=counts[PASS] / total,
        failing=(counts[BORDER] + counts[FAIL]) / total,
        unknown=counts[UNKNOWN] / total,
        expected=chances / known if known else 0.0,
    )


def _curve(market: _Market) -> tuple[tuple[float, float], ...]:
    """Share of phones whose latency at the percentile is at most a limit, at each chip's own."""
    steps: dict[float, int] = {}
    for phone, verdict in zip(market.phones, market.verdicts, strict=True):
        answer = market.answers.get(phone.chip)
        if answer is None or verdict.verdict == UNKNOWN or verdict.why.startswith("memory"):
            continue
        steps[answer.latency_ms] = steps.get(answer.latency_ms, 0) + 1
    total, reached, found = max(len(market.phones), 1), 0, []
    for limit in sorted(steps):
        reached += steps[limit]
        found.append((limit, reached / total))
    return tuple(found)


def _assumptions(market: _Market) -> tuple[str, ...]:
    spec = sum(not a.basis.startswith("measured") for a in market.answers.values())
    dated = sum(stated_year(p) is None for p in market.phones)
    return (
        ASSUMPTION,
        STEADY,
        "of every chip the best of all runtimes, units and precisions counts that its phones could "
        "use; shares are of phone models in Google Play's catalogue and of iPhones, not of users",
        f"{spec} of {len(market.answers)} chips are answered from their spec sheets",
        SAID,
        f"the year of {dated} of {len(market.phones)} phones is estimated from their chip and the "
        f"oldest Android seen on them (within a year for {100 * GUESSED_WITHIN_A_YEAR:.0f} %)",
        *quantised(market.asked.precision),
        *([] if market.prices else ["prices are not known: give a table with --prices"]),
    )
