"""What `perfmodel devices` says of targets, and the index of it that ships with the profiles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.devices.profile import DeviceProfile


@dataclass(frozen=True, kw_only=True)
class TargetLine:
    """What `perfmodel devices` says of one target."""

    device: str
    title: str
    kind: str
    target: str
    median_error: float
    experiment: str
    cases: int
    source: str
    soc: str


def target_lines(profile: DeviceProfile) -> tuple[TargetLine, ...]:
    """One line a target, in the profile's order."""
    return tuple(
        TargetLine(
            device=profile.device,
            title=profile.title,
            kind=profile.kind,
            target=str(t.target),
            median_error=t.error.median,
            experiment=t.error.experiment,
            cases=t.error.cases,
            source=t.provenance.source,
            soc=profile.soc,
        )
        for t in profile.targets
    )


def index_text(profiles: Sequence[DeviceProfile]) -> str:
    """The index of a folder of profiles, so that listing does not read every cost model."""
    lines = [vars(line) for p in profiles for line in target_lines(p)]
    rows = ",\n".join(json.dumps(line, sort_keys=True) for line in lines)
    return f"[\n{rows}\n]\n"
