"""What a name that is being typed may become: networks; devices with profiles, phones, chips."""

from __future__ import annotations

from functools import lru_cache

from perfmodel.devices.market import chips, phone_titles
from perfmodel.devices.market_names import latin, plain
from perfmodel.devices.market_search import CARRIERS, find, nearest_in_market
from perfmodel.devices.profile_files import builtin_folder, device_files
from perfmodel.errors import nearest_names
from perfmodel.measurements.device_names import slug
from perfmodel.target import LONGEST_NAME
from perfmodel.zoo.pack import network_names

SHOWN = 12
"""Names that are offered at once by default: a list that is read at a glance."""


def networks_like(text: str, count: int = SHOWN) -> list[str]:
    """Networks of the zoo and the pack whose names begin with, hold or are like a text."""
    names = network_names()
    return _best(text, names, count) or nearest_names(text[:LONGEST_NAME], names, count)


def devices_like(text: str, count: int = SHOWN) -> list[str]:
    """Devices with profiles, phones and chips of the market that a text may become.

    A phone that is sold with several chips stands once for each, as a target names it.
    """
    if len(text) > LONGEST_NAME:
        return []
    exact = find(text).choices() if text.strip() else ()
    began = [*(e for e in exact if e in _titles()), *_best(text, _devices(), count)]
    found = dict.fromkeys(name for title in began for name in _by_chip(title))
    return list(found)[:count] or nearest_in_market(text, count)


def _by_chip(title: str) -> tuple[str, ...]:
    """A phone's name, with each of its chips where it has several.

    A name that is a profile's means what was measured on that phone alone; without its maker it
    means the phone with all that is known of its chip.
    """
    model = _titles().get(title)
    if model is None:
        return (title,)
    choices = find(title).choices()
    if len(choices) > 1:
        return choices
    profile = slug(title) in _profiles() and find(model).phones == find(title).phones
    return (model,) if profile else (title,)


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
def _profiles() -> tuple[str, ...]:
    return tuple(path.stem for path in device_files(builtin_folder()))


@lru_cache(maxsize=1)
def _devices() -> tuple[str, ...]:
    return (*_titles(), *_profiles(), *(c.name for c in chips().values()))


@lru_cache(maxsize=1)
def _titles() -> dict[str, str]:
    """The market's phones by name, without carriers' own names for them; the model of each."""
    return dict(phone_titles(CARRIERS))
