"""Every target there is, or those of what was asked for: the answer of `perfmodel devices`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from perfmodel.answer import Answer
from perfmodel.devices.market_search import Found, find
from perfmodel.devices.profile import KINDS
from perfmodel.devices.registry import ProfileFolder, ProfileSource, list_targets
from perfmodel.devices.target_lines import TargetLine, target_lines
from perfmodel.errors import PerfmodelError, TargetError
from perfmodel.measurements.device_names import slug


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
    found = find(match) if match and kind in ("", "phone") else None
    written = {match.lower(), match.lower() if found else slug(match) or match.lower()}
    lines = [
        line
        for line in list_targets(profiles)
        if (not kind or line.kind == kind) and any(text in line.target for text in written)
    ]
    if found:
        lines = _of_market(found, profiles, lines)
    elif match and not lines:
        with suppress(TargetError):  # nothing is called so
            lines = [*target_lines(ProfileFolder(tuple(profiles)).device(match))]
        lines = [line for line in lines if not kind or line.kind == kind]
    return KnownTargets(targets=tuple(lines), found=found or None)


def _of_market(
    found: Found, extra: Sequence[ProfileSource], lines: Sequence[TargetLine] = ()
) -> list[TargetLine]:
    """`lines` and those of every chip of what was found: measured, then by its spec sheet."""
    folder = ProfileFolder(tuple(extra))
    every = {line.target: line for line in lines}
    for made in found.chips:
        one = replace(found, phones=tuple(p for p in found.phones if p.chip == made.slug))
        with suppress(TargetError):  # a chip may have no target
            for line in target_lines(folder.of_market(one)):
                every.setdefault(line.target, line)
    return list(every.values())
