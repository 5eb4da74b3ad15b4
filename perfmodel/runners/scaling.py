"""How threads share this machine's cores, looked at again and again while a campaign runs.

On one rented machine two busy processes did 1.85 times the work of one in one half hour and 1.05
times in another: one look tells little of what times on several threads will be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.devices.profile import DeviceProfile
from perfmodel.runners.journal import Journal
from perfmodel.runners.machine import busy_scaling

LOOK_EVERY_S = 60.0
"""A look takes a second and a half, 2 % of the time between two."""
LOOK_S, LOOKS = 0.15, 2
"""Seconds that busy processes count, fifty time slices of Linux's scheduler, and how often: the
better counts, for a burst of other work only makes processes slower."""
_KEY, _FACT = "scaling/t", "scaling_t"


@dataclass(frozen=True)
class Scaling:
    """How many times the work of one busy process several do at a time: least and most seen."""

    least: float
    most: float

    @staticmethod
    def of(seen: Sequence[float]) -> Scaling:
        """The range of what looks have seen, of which there is at least one."""
        return Scaling(min(seen), max(seen))

    def __str__(self) -> str:
        least, most = f"{self.least:.2f}", f"{self.most:.2f}"
        return least if least == most else f"{least} to {most}"

    def to_dict(self) -> dict[str, float]:
        """Plain data."""
        return {"least": self.least, "most": self.most}


def work_of_many(threads: int | str, scaling: Scaling) -> str:
    """In words: what so many busy processes do."""
    return f"{threads} busy processes do {scaling} times the work of one"


def scaling_facts(scaling: Mapping[int, Scaling]) -> dict[str, float]:
    """What was seen by threads as facts of a profile's hardware, by name."""
    return {
        f"{_FACT}{threads}_{end}": value
        for threads, found in scaling.items()
        for end, value in found.to_dict().items()
    }


def scaling_then(profile: DeviceProfile, threads: int) -> Scaling | None:
    """What so many busy processes did when a profile was made; older ones have one figure."""
    keys = [f"{_FACT}{threads}{end}" for end in ("_least", "_most", "")]
    facts = [profile.hardware[key].value for key in keys if key in profile.hardware]
    known = [value for value in facts if not isinstance(value, str)]
    return Scaling.of(known) if known else None


class ScalingWatch:
    """Looks at the cores for each number of threads above one, and keeps them in the journal of
    the campaign, so that one that goes on keeps what was seen."""

    def __init__(
        self,
        book: Journal,
        threads: Iterable[int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book, self._clock = book, clock
        self._threads = sorted({n for n in threads if n > 1})
        self._last_s: float | None = None

    def look(self) -> None:
        """Look now if nobody has in this run, or not for `LOOK_EVERY_S`."""
        if self._last_s is None or self._clock() - self._last_s >= LOOK_EVERY_S:
            self._look()

    def finish(self) -> dict[int, Scaling]:
        """What was seen in all, by threads, after a last look.

        A run that measured nothing, because its journal had all, adds none to what that knows.
        """
        if self._last_s is not None or len(seen(self._book.entries)) < len(self._threads):
            self._look()
        return seen(self._book.entries)

    def _look(self) -> None:
        for threads in self._threads:
            began = time.monotonic()
            found = busy_scaling(threads, LOOK_S, LOOKS)
            number = sum(map(is_look, self._book.entries))
            spent_s = time.monotonic() - began
            entry = {"busy_scaling": found, "spent_s": spent_s}
            self._book.add(f"{_KEY}{threads}/{number}", entry)
        self._last_s = self._clock()


def is_look(key: str) -> bool:
    """Whether an entry of a campaign's journal is a look at the cores, and no network."""
    return key.startswith(_KEY)


def networks_of(entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a journal that are networks."""
    return {key: entry for key, entry in entries.items() if not is_look(key)}


def seen(entries: Mapping[str, Any]) -> dict[int, Scaling]:
    """What the looks of a journal have seen, by threads."""
    found: dict[int, list[float]] = {}
    for key, entry in entries.items():
        if is_look(key):
            threads = int(key.removeprefix(_KEY).partition("/")[0])
            found.setdefault(threads, []).append(float(entry["busy_scaling"]))
    return {threads: Scaling.of(values) for threads, values in sorted(found.items())}
