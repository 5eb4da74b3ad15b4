"""A network on every chip of the market, each by the best of all runtimes its phones could use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from perfmodel.devices.market import Chip
from perfmodel.devices.market_profiles import unbinned
from perfmodel.devices.profile import DeviceProfile, TargetProfile
from perfmodel.devices.registry import ProfileFolder, Resolved, of_arithmetic
from perfmodel.devices.spec_sheet import profiles_of_chips
from perfmodel.errors import PerfmodelError
from perfmodel.explore.candidates import (
    ANY,
    Budget,
    Estimate,
    Networks,
    PredictedNetwork,
    estimate,
    worth,
)
from perfmodel.prediction import at_another_speed
from perfmodel.workload import fusion_rules


@dataclass(frozen=True, kw_only=True)
class OnChip:
    """A network on a chip: its best target, what it takes there, and the least memory that a target
    which passes takes (of the best one where none passes). `targets` were looked at."""

    best: Estimate
    resolved: Resolved
    least_memory_mb: float
    targets: int


@dataclass(frozen=True)
class Choice:
    """Which targets count: a unit and a precision, or any."""

    unit: str = ANY
    precision: str = ANY

    def allows(self, profile: TargetProfile) -> bool:
        """Whether a target counts."""
        target = profile.target
        return (
            self.unit in (ANY, target.unit)
            and self.precision in (ANY, target.precision)
            and profile.latency_kind == "steady"
        )


def on_chips(
    network: Networks, chips: Sequence[Chip], folder: ProfileFolder, choice: Choice, budget: Budget
) -> dict[str, OnChip]:
    """The first of some networks on every chip, by slug; chips without a target are left out.

    What was measured on phones with a chip counts, and for all other runtimes its spec sheet. Spec
    sheets that share a known target's costs are predicted once.
    """
    sheets = _by_sheets(tuple(chips))
    scaled = _Scaled(network)
    found = {}
    for chip, sheet in zip(chips, sheets, strict=True):
        answers = list(_answers(network, scaled, _asked(chip, sheet, folder, choice, network)))
        if not answers:
            continue
        estimates = [(estimate(a, budget), a.resolved) for a in answers]
        best, resolved = min(estimates, key=lambda pair: worth(pair[0]))
        passing = [e.memory_mb for e, _ in estimates if not e.reason]
        found[chip.slug] = OnChip(
            best=best,
            resolved=resolved,
            least_memory_mb=min(passing, default=best.memory_mb),
            targets=len(estimates),
        )
    return found


@lru_cache(maxsize=2)
def _by_sheets(chips: tuple[Chip, ...]) -> tuple[DeviceProfile, ...]:
    """Profiles of chips by their sheets, which are the same for every network that is asked."""
    return profiles_of_chips([(c, c.slug) for c in chips], usual=True)


def _asked(
    chip: Chip, sheet: DeviceProfile, folder: ProfileFolder, choice: Choice, network: Networks
) -> Iterator[Resolved]:
    """The targets of a chip that count: measured ones, then those of its sheet that none is like.

    A chip's sheet is asked for its usual threads only, so that any number measured stands for it.
    """
    seen = set()
    for profile in [*map(folder.profile, folder.by_chip.get(unbinned(chip.slug), ())), sheet]:
        mine = [t for t in profile.targets if choice.allows(t)]
        new = [t for t in mine if profile is not sheet or _runtime(t) not in seen]
        seen |= {_runtime(t) for t in mine}
        named = choice.precision != ANY
        yield from of_arithmetic(profile, new, network.stored[0], named=named) if new else ()


def _runtime(profile: TargetProfile) -> tuple[str, str, str]:
    target = profile.target
    return target.unit, target.framework, target.precision


def _answers(
    network: Networks, scaled: _Scaled, asked: Iterator[Resolved]
) -> Iterator[PredictedNetwork]:
    """The network on each target that can run it."""
    for resolved in asked:
        answer = scaled.on(resolved) if resolved.target.provenance.measurements == 0 else None
        answer = answer or network.on(resolved)[0]
        if not isinstance(answer, PerfmodelError):
            yield answer


class _Scaled:
    """A network on targets whose costs are known ones at another speed, each known one once."""

    def __init__(self, network: Networks) -> None:
        self._network = network
        self._known: dict[tuple[int, str, str], PredictedNetwork | PerfmodelError] = {}

    def on(self, resolved: Resolved) -> PredictedNetwork | PerfmodelError | None:
        """The network on a scaled target; None where the target is none."""
        scaled = resolved.target.predictor.as_scaled
        if scaled is None or resolved.device.traits.storage:
            return None
        model, factor = scaled
        precision = resolved.target.target.precision
        key = id(model), fusion_rules(resolved), precision
        if key not in self._known:
            base = replace(resolved.target, model=model)
            self._known[key] = self._network.on(replace(resolved, target=base))[0]
        known = self._known[key]
        if isinstance(known, PerfmodelError):
            return known
        batch = at_another_speed(known.batch, resolved, factor)
        return PredictedNetwork(batch, known.place)
