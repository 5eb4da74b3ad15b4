"""What `minspec` answers: the minimum phone, who passes, who just fails, the fleet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.render.plots import lines
from perfmodel.render.result import (
    Data,
    Result,
    ResultFigure,
    ResultTable,
    bar_figure,
    plain,
)
from perfmodel.render.svg import Bar, bars
from perfmodel.render.text import chance, percent
from perfmodel.units import format_ms, format_short

if TYPE_CHECKING:
    from perfmodel.explore.minspec import MinSpec

SHOWN = 8
BORDER_NAMED = 4
PAGE_ROWS = 500
DRAWN = 60
VERDICTS = ("pass", "border", "fail", "unknown")
HEADERS = ("device", "year", "class", "best target", "ms", "median", "chance", "MB", "mJ", "")


def minspec_data(answer: MinSpec) -> dict[str, Any]:
    """The JSON contract of `minspec`."""
    data: dict[str, Any] = plain(answer)
    return data | {"command": "minspec", "answer": minspec_sentence(data)}


def minspec_sentence(data: Data) -> str:
    """The answer in words."""
    asked, phone = data["requirement"], data["minimum"]
    limit = f"{data['model']} within {asked['max_latency_ms']:g} ms at p{asked['percentile']:g}"
    if phone is None:
        near = data["failing"][0] if data["failing"] else None
        nearest = f"; nearest is {near['device']} ({near['reason']})" if near else ""
        return f"no {asked['kind']} runs {limit}{nearest}"
    total = len(data["passing"]) + len(data["failing"]) + len(data.get("unknown", ()))
    if data.get("market"):
        return _market_sentence(data, limit)
    return (
        f"the minimum {asked['kind']} for {limit} is {phone['device']} ({described(phone)}): "
        f"{format_ms(phone['latency_ms'])} on its {phone['unit']} in {phone['precision']}, "
        f"{percent(phone['margin'])} to spare; {len(data['passing'])} of {total} devices pass"
    )


def _market_sentence(data: Data, limit: str) -> str:
    """The answer over the market: the chip that passes first, phones that have it, the share."""
    phone, counts = data["minimum"], data["counts"]
    since = f" since {data['since']}" if data.get("since") else ""
    total = sum(counts.values())
    cost = f", from {phone['price']:g}" if phone.get("price") is not None else ""
    return (
        f"the minimum phone{since} for {limit} has a {phone['title']} "
        f"({phone['year'] or 'year unknown'}, {phone['grade']} class{cost}), "
        f"such as {phone['examples'][0]}: "
        f"{format_ms(phone['latency_ms'])} on its {phone['unit']} in {phone['precision']}; "
        f"{counts['pass']} of {total} phones pass ({percent(counts['pass'] / total)})"
    )


def described(phone: Data) -> str:
    """Processor, year and class of a phone, as far as they are known."""
    year = "year unknown" if phone["year"] is None else str(phone["year"])
    grade = f"{phone['grade']} class" if phone["grade"] != "unknown" else "class unknown"
    return ", ".join([*([phone["soc"]] if phone["soc"] else []), year, grade])


def minspec_result(data: Data, written: Sequence[str] = ()) -> Result:
    """Describe the minimum phone; `written` are files that hold what becomes of each phone."""
    asked = data["requirement"]
    return Result(
        title=f"The minimum phone for {data['model']}",
        answer=minspec_sentence(data),
        data=data,
        facts=_facts(data),
        parts=(
            bar_figure(
                f"p{asked['percentile']:g} latency; the limit dashed",
                lambda: _latencies(data),
                "ms",
                "latency of each phone",
                data["requirement"]["max_latency_ms"],
            ),
            _phones(data["passing"], "pass, slowest first", "faster ones (--json has all)"),
            _phones(data["failing"], "fail, nearest first", "more (--json has all)"),
            _phones(data.get("unknown", ()), "not known", "more (--json has all)"),
            *_curve(data),
            *_rows(data),
            ResultFigure(title="Shares of the fleet", draw=lambda: _shares(data["fleet"])),
        ),
        assumptions=tuple(data["assumptions"]),
        closing=[f"wrote {path}" for path in written],
    )


def _facts(data: Data) -> list[str]:
    best, oldest, share = data["minimum"], data.get("oldest"), data["fleet"]
    facts = []
    if best is not None:
        unsure = "; extrapolated, so less sure" if best["extrapolated"] else ""
        facts.append(f"chance that it keeps the limit: {chance(best['chance'])}{unsure}")
    if oldest is not None and oldest != best:
        facts.append(f"oldest that passes: {oldest['device']} ({described(oldest)})")
    if data.get("market"):
        facts += _market_facts(data)
    example = " (a made-up example)" if share["example"] else ""
    facts.append(
        f'fleet "{share["fleet"]}"{example}: {percent(share["passing"], 1)} pass, '
        f"{percent(share['failing'], 1)} fail, {percent(share['unknown'], 1)} are not known"
    )
    if data["by_class"]:
        named = ", ".join(f"{c}: {p['device']}" for c, p in data["by_class"].items())
        facts.append(f"minimum by class: {named}")
    return facts


def _market_facts(data: Data) -> list[str]:
    """In what order phones were taken, what the answer rests on, who is at the border."""
    facts = [f"order: {data['order']}"]
    if data["minimum"] is not None:
        best = data["minimum"]
        facts.append(f"{best['target']}: {best['basis']}; {best['phones']} phones have this chip")
    slowest = data.get("slowest")
    if slowest is not None and slowest != data["minimum"]:
        facts.append(f"slowest that passes: {described(slowest)}")
    border = data["border"]
    if border:
        named = ", ".join(
            f"{a['title']} ({chance(a['chance'])})"
            for a in sorted(border, key=lambda a: -a["phones"])[:BORDER_NAMED]
        )
        facts.append(
            f"at the border: {data['counts']['border']} phones with {len(border)} chips neither "
            f"pass nor fail, such as {named}"
        )
    return facts


def _curve(data: Data) -> tuple[ResultFigure, ...]:
    """Share of phones that keep a limit, against the limit."""
    points = [(limit, 100 * share) for limit, share in data.get("curve", ()) if share > 0]
    if len(points) < 2:
        return ()
    p, limit = data["requirement"]["percentile"], data["requirement"]["max_latency_ms"]

    def drawn(log: bool) -> str:
        return lines(
            {f"phones whose p{p:g} latency keeps the limit": points},
            "limit in ms; the one asked for dashed",
            "% of phones",
            f"share of phones that run {data['model']} within a limit",
            log=(log, False),
            limit=limit,
        )

    return (
        ResultFigure(
            title="Share of phones against the limit",
            draw=lambda: drawn(True),
            other=lambda: drawn(False),
            scale="linear scale",
        ),
    )


def _rows(data: Data) -> tuple[ResultTable, ...]:
    """A fleet's rows: how much has which verdict, what becomes of each, and who is not known."""
    rows = sorted(data.get("rows", ()), key=lambda r: -r["share"])
    if not rows:
        return ()
    priced = any(r.get("price") is not None for r in rows)
    headers = ("device", "share", "verdict", *(("price",) if priced else ()), "phone", "chip")
    unknown = [r for r in rows if r["verdict"] == "unknown"]

    def table(title: str, some: Sequence[Data]) -> ResultTable:
        return ResultTable(
            title=title,
            headers=(*headers, "why"),
            rows=[_fleet_row(r, priced) for r in some],
            optional=("chip", "phone"),
            text_rows=SHOWN,
            page_rows=PAGE_ROWS,
            rest="more (-o FILE.csv has all)",
        )

    return (
        _verdicts(rows),
        table("What becomes of each", rows),
        table(f"{len(unknown)} of them are not known", unknown if len(rows) > SHOWN else ()),
    )


def _fleet_row(row: Data, priced: bool) -> tuple[object, ...]:
    price = row.get("price")
    return (
        *(row["device"], percent(row["share"], 1), row["verdict"]),
        *(("-" if price is None else f"{price:g}",) if priced else ()),
        *(row["phone"], row["chip"], row["why"]),
    )


def _verdicts(rows: Sequence[Data]) -> ResultTable:
    """Shares by verdict; they add up to all."""
    found = [
        (verdict, len(some), math.fsum(r["share"] for r in some))
        for verdict in VERDICTS
        if (some := [r for r in rows if r["verdict"] == verdict])
    ]
    found.append(("all", len(rows), math.fsum(r["share"] for r in rows)))
    return ResultTable(
        title="Shares by verdict (border: neither passes nor fails for sure)",
        headers=("verdict", "rows", "share"),
        rows=[(verdict, count, percent(share, 1)) for verdict, count, share in found],
    )


def _latencies(data: Data) -> list[Bar]:
    phones = sorted([*data["passing"], *data["failing"]], key=lambda p: p["latency_ms"])
    if len(phones) > DRAWN:  # those around the limit
        limit = data["requirement"]["max_latency_ms"]
        near = sorted(phones, key=lambda p: abs(math.log(p["latency_ms"] / limit)))[:DRAWN]
        phones = sorted(near, key=lambda p: p["latency_ms"])
    return [
        Bar(
            p.get("title") or p["device"],
            p["latency_ms"],
            note=p["reason"] or f"passes, {p['target']}",
        )
        for p in phones
    ]


def _shares(share: Data) -> str:
    named = (("pass", "passing"), ("fail", "failing"), ("not known", "unknown"))
    return bars([Bar(n, 100 * share[k]) for n, k in named], "%", "share of the fleet")


def _phones(phones: Sequence[Data], title: str, rest: str) -> ResultTable:
    rows = [
        (
            p["device"],
            p["year"] or "-",
            p["grade"],
            "/".join(p["target"].split("/")[1:]),
            format_short(p["latency_ms"]),
            format_short(p["median_ms"]),
            chance(p["chance"]),
            format_short(p["memory_mb"]),
            "-" if p["energy_mj"] is None else format_short(p["energy_mj"]),
            p["reason"] or "passes",
        )
        for p in phones
    ]
    named = f"{len(phones)} {title}"
    return ResultTable(
        title=named,
        headers=HEADERS,
        rows=rows,
        text_rows=SHOWN,
        rest=rest,
        optional=("mJ", "MB", "median", "year"),
    )
