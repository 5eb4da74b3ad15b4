"""Every target there is, or those of what was asked for: the answer of `perfmodel devices`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perfmodel.answer import Answer
from perfmodel.devices.market_search import Found, find
from perfmodel.devices.profile import KINDS
from perfmodel.devices.registry import ProfileSource, TargetLine, list_targets, of_market
from perfmodel.errors import PerfmodelError


@dataclass(frozen=True, kw_only=True)
class KnownTargets(Answer, command="devices"):
    """Targets with their errors and sources; `found` of the market, where that was asked for."""

    targets: tuple[TargetLine, ...]
    found: Found | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def __iter__(self) -> Iterator[TargetLine]:
        return iter(self.targets)


def targets(
    match: str = "", *, kind: str = "", profiles: Sequence[ProfileSource] = ()
) -> KnownTargets:
    """Every target, or those that hold a text, or those of a phone or chip of the market.

    `kind` is phone, jetson, board, laptop, desktop, server or host, or "" for all; `profiles` are
    further profiles, as files or as made. Raises `PerfmodelError` for another kind.
    """
    if kind and kind not in KINDS:
        raise PerfmodelError(f"--kind {kind!r} is none of {', '.join(KINDS)}")
    lines = [
        line
        for line in list_targets(profiles)
        if (not kind or line.kind == kind) and match.lower() in line.target
    ]
    found = find(match) if match and kind in ("", "phone") else None
    if found:
        lines = of_market(found, profiles, lines)
    return KnownTargets(targets=tuple(lines), found=found or None)
