"""What a name that is being typed may become: networks; devices with profiles, phones, chips."""

from __future__ import annotations

from functools import lru_cache

from perfmodel.devices.market import chips, phone_lines, phone_title
from perfmodel.devices.market_names import latin, plain
from perfmodel.devices.market_search import CARRIERS, find, nearest_in_market
from perfmodel.devices.profile_files import INDEX_NAME, builtin_folder
from perfmodel.errors import nearest_names
from perfmodel.target import LONGEST_NAME

SHOWN = 12
"""Names that are offered at once by default: a list that is read at a glance."""


def networks_like(text: str, count: int = SHOWN) -> list[str]:
    """Networks of the zoo and the pack whose names begin with, hold or are like a text."""
    return _best(text, _networks(), count) or nearest_names(text[:LONGEST_NAME], _networks(), count)


def devices_like(text: str, count: int = SHOWN) -> list[str]:
    """Devices with profiles, phones and chips of the market that a text may become.

    A phone that is sold with several chips stands once for each, as a target names it.
    """
    if len(text) > LONGEST_NAME:
        return []
    exact = list(find(text).choices()) if text.strip() else []
    began = _best(text, _devices(), count)
    found = dict.fromkeys([*exact, *(name for title in began for name in _by_chip(title))])
    return list(found)[:count] or nearest_in_market(text, count)


def _by_chip(title: str) -> tuple[str, ...]:
    """A phone's name, with each of its chips where it has several."""
    choices = find(title).choices() if title in _titles() else ()
    return choices if len(choices) > 1 else (title,)


def _best(text: str, names: tuple[str, ...], count: int) -> list[str]:
    """Names that begin with a text, then those of which a word does, then those that hold it."""
    wanted = plain(latin(text[:LONGEST_NAME]))
    if not wanted:
        return list(names[:count])
    ranked: list[tuple[int, int, int, str]] = []
    for number, name in enumerate(names):
        key = _plain_name(name)
        place = key.find(wanted)
        if place >= 0:
            ranked.append((0 if place == 0 else 1, len(key), number, name))
    return [name for *_, name in sorted(ranked)[:count]]


@lru_cache(maxsize=1 << 16)
def _plain_name(name: str) -> str:
    return plain(latin(name))


@lru_cache(maxsize=1)
def _networks() -> tuple[str, ...]:
    from perfmodel import zoo
    from perfmodel.zoo.pack import packed_networks

    return (*zoo.names(), *packed_networks())


@lru_cache(maxsize=1)
def _devices() -> tuple[str, ...]:
    profiles = sorted(p.stem for p in builtin_folder().glob("*.json") if p.name != INDEX_NAME)
    return (*profiles, *_titles(), *(c.name for c in chips().values()))


@lru_cache(maxsize=1)
def _titles() -> dict[str, None]:
    """Names of the market's phones, without carriers' own names for them."""
    rows = (line.split("\t", 2)[:2] for line in phone_lines())
    return dict.fromkeys(phone_title(b, m) for b, m in rows if b.lower() not in CARRIERS)
