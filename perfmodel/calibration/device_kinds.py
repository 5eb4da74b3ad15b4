"""Kinds of known devices: whom a new one may be compared with and borrow from."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np

from perfmodel.calibration.population import Population
from perfmodel.devices.registry import INDEX_NAME, builtin_folder

_LARGE = ("laptop", "desktop", "server", "host")
"""Kinds whose GPUs are cards with memory of their own; those of the others share the CPU's."""


@lru_cache(maxsize=1)
def shipped_kinds() -> dict[str, str]:
    """The kind of every device whose profile ships, by name."""
    index = builtin_folder() / INDEX_NAME
    if not index.is_file():
        return {}
    return {row["device"]: row["kind"] for row in json.loads(index.read_text(encoding="utf-8"))}


def same_class(kind: str, other: str) -> bool:
    """Whether a GPU of one kind of device says anything of one of the other kind."""
    return not kind or not other or (kind in _LARGE) == (other in _LARGE)


def of_class(population: Population, kind: str, least: int) -> Population:
    """The targets of devices of a kind's class, if there are enough; else all of them."""
    kinds = shipped_kinds()
    devices = (name.split("/")[0] for name in population.names)
    other = np.array([not same_class(kind, kinds.get(device, "")) for device in devices])
    return population if (~other).sum() < least or not other.any() else population.without(other)
