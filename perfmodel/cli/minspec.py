"""`perfmodel minspec`: the minimum phone for a network and a limit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfmodel.cli.output import plain, print_json
from perfmodel.explore.minspec import MinSpec, PhoneAnswer, minspec
from perfmodel.render.text import chance, percent, table
from perfmodel.units import format_ms

SHOWN = 8


def minspec_command(
    model: str,
    max_latency_ms: float,
    *,
    percentile: float,
    max_memory_mb: float | None,
    max_energy_mj: float | None,
    unit: str,
    precision: str,
    kind: str,
    fleet: Path | None,
    profiles: Sequence[Path],
    as_json: bool,
) -> int:
    """Print the minimum phone; 1 where none passes."""
    answer = minspec(
        model,
        max_latency_ms,
        percentile=percentile,
        max_memory_mb=max_memory_mb,
        max_energy_mj=max_energy_mj,
        unit=unit,
        precision=precision,
        kind=kind,
        fleet=fleet,
        profiles=profiles,
    )
    if as_json:
        print_json(minspec_json(answer))
    else:
        print(minspec_text(answer))
    return 0 if answer.minimum is not None else 1


def minspec_json(answer: MinSpec) -> dict[str, Any]:
    """The JSON contract of `minspec`."""
    data: dict[str, Any] = plain(answer)
    return data | {"command": "minspec", "answer": minspec_sentence(answer)}


def minspec_sentence(answer: MinSpec) -> str:
    """The answer in words."""
    asked = answer.requirement
    limit = f"{answer.model} within {asked.max_latency_ms:g} ms at p{asked.percentile:g}"
    phone = answer.minimum
    if phone is None:
        near = answer.failing[0]
        return f"no {asked.kind} runs {limit}; nearest is {near.device} ({near.reason})"
    total = len(answer.passing) + len(answer.failing)
    return (
        f"the minimum {asked.kind} for {limit} is {phone.device} ({described(phone)}): "
        f"{format_ms(phone.latency_ms)} on its {phone.unit} in {phone.precision}, "
        f"{percent(phone.margin)} to spare; {len(answer.passing)} of {total} devices pass"
    )


def described(phone: PhoneAnswer) -> str:
    """Processor, year and class of a phone, as far as they are known."""
    year = "year unknown" if phone.year is None else str(phone.year)
    named = [phone.soc] if phone.soc else []
    grade = f"{phone.grade} class" if phone.grade != "unknown" else "class unknown"
    return ", ".join([*named, year, grade])


def minspec_text(answer: MinSpec) -> str:
    """The answer for people: in words, then who passes and who just fails."""
    share = answer.fleet
    lines = [minspec_sentence(answer)]
    if answer.minimum is not None:
        lines.append(
            f"  chance that it keeps the limit: {chance(answer.minimum.chance)}"
            + ("; extrapolated, so less sure" if answer.minimum.extrapolated else "")
        )
    if answer.oldest is not None and answer.oldest != answer.minimum:
        lines.append(f"  oldest that passes: {answer.oldest.device} ({described(answer.oldest)})")
    example = " (a made-up example)" if share.example else ""
    lines.append(
        f"  of the fleet {share.fleet}{example} {percent(share.passing, 1)} pass, "
        f"{percent(share.failing, 1)} fail, {percent(share.unknown, 1)} have no profile"
    )
    if answer.by_class:
        named = ", ".join(f"{c}: {p.device}" for c, p in answer.by_class.items())
        lines.append(f"  minimum by class: {named}")
    if answer.passing:
        lines += ["", f"{len(answer.passing)} pass, slowest first", _table(answer.passing[:SHOWN])]
        if len(answer.passing) > SHOWN:
            lines.append(f"... and {len(answer.passing) - SHOWN} faster ones (--json has all)")
    if answer.failing:
        lines += ["", f"{len(answer.failing)} fail, nearest first", _table(answer.failing[:SHOWN])]
        if len(answer.failing) > SHOWN:
            lines.append(f"... and {len(answer.failing) - SHOWN} more (--json has all)")
    return "\n".join([*lines, "", *(f"  assumed: {text}" for text in answer.assumptions)])


def _table(phones: Sequence[PhoneAnswer]) -> str:
    rows = [
        (
            p.device,
            p.year or "-",
            p.grade,
            "/".join(p.target.split("/")[1:]),
            f"{p.latency_ms:.3g}",
            f"{p.median_ms:.3g}",
            chance(p.chance),
            f"{p.memory_mb:.3g}",
            "-" if p.energy_mj is None else f"{p.energy_mj:.3g}",
            p.reason or "passes",
        )
        for p in phones
    ]
    headers = ("device", "year", "class", "best target", "ms", "median", "chance", "MB", "mJ", "")
    return table(headers, rows)
