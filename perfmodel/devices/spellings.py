"""What people write for boards, laptops and cards: "GeForce RTX 4090 24GB", "Pi 4 Model B".

Phones have a look-up of their own (`market_search`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from perfmodel.measurements.device_names import other_names, slug

_UNSAID = """
    nvidia geforce tesla amd radeon intel apple qualcomm rockchip microsoft azure aws amazon ec2
    google gcp core developer dev kit devkit board module model gpu card graphics the generation
"""
UNSAID = frozenset(_UNSAID.split())
"""Words that are as often left out as they are said, of makers, shops and clouds."""

SERIES = "jetson"
"""Said or not as well, where what is left is no common word."""

_MEMORY = re.compile(r"(?<![a-z0-9])\d{1,3}-?gb?(?![a-z0-9])")
_PI = re.compile(r"^(rpi|raspi|pi)(?=\d|zero)")
_NUMBER_OF_CARD = re.compile(r"\d{4}(ti)?(super)?")
LEAST_LETTERS = 6
"""Of a name without a digit that stands without its series: "orin nano" does, "nano" does not."""


def _key(name: str, *, memory: bool, series: bool) -> str:
    """The letters and digits of a name that tell it from others, in order."""
    text = slug(name)
    text = text if memory else _MEMORY.sub("", text)
    unsaid = UNSAID if series else UNSAID | {SERIES}
    return _PI.sub("raspberrypi", "".join(w for w in text.split("-") if w not in unsaid))


_WAYS = ({"memory": True, "series": True}, {"memory": False, "series": True})
_LAST_WAY = {"memory": False, "series": False}


@dataclass(frozen=True)
class Spellings:
    """Devices by the keys of their names, one table for each way of reading a name; a key that
    several devices have names none."""

    by_way: tuple[Mapping[str, str], ...]

    @classmethod
    def of(cls, names: Iterable[tuple[str, str]]) -> Spellings:
        """From devices and what each is called, beside its own name and the other names of it,
        which go before: "RK3588" is the board of that name, not another that has the chip."""
        titles = [*names]
        devices = {device for device, _ in titles}
        own = [(device, device) for device in devices]
        own += [(device, name) for name, device in other_names() if device in devices]
        ways = (*_WAYS, _LAST_WAY)
        return cls(tuple({**_table(titles, way), **_table(own, way)} for way in ways))

    def device(self, name: str) -> str:
        """The device that a name means; empty where it means none, or several."""
        for way, table in zip((*_WAYS, _LAST_WAY), self.by_way, strict=True):
            key = _key(name, **way)
            if way is _LAST_WAY and not _tells(key):
                break
            card = _NUMBER_OF_CARD.fullmatch(key) is not None
            for written in (key, *((f"rtx{key}", f"gtx{key}") if card else ())):
                if found := table.get(written, ""):
                    return found
        return ""


def _table(listed: Iterable[tuple[str, str]], way: Mapping[str, bool]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for device, name in listed:
        found.setdefault(_key(name, **way), set()).add(device)
    return {key: its.pop() if len(its) == 1 else "" for key, its in found.items()}


def _tells(key: str) -> bool:
    return len(key) >= LEAST_LETTERS or any(c.isdigit() for c in key)


def title_names(title: str) -> tuple[str, ...]:
    """What a source's title calls a board before its processor: "Rock3A, Rockchip RK3568"."""
    head = re.split(r"[,(]", title)[0]
    return tuple(part.strip() for part in head.split("/") if any(c.isdigit() for c in part))
