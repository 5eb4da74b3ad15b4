"""Every network there is by name, or those whose names hold a text: the answer of `models`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perfmodel.answer import Answer
from perfmodel.zoo import entries
from perfmodel.zoo.pack import PackedNetwork, packed_networks
from perfmodel.zoo.registry import ZooEntry


@dataclass(frozen=True, kw_only=True)
class KnownNetworks(Answer, command="models"):
    """Networks of the zoo and of the pack whose names hold `match`."""

    zoo: tuple[ZooEntry, ...]
    packed: tuple[PackedNetwork, ...]
    match: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What `load` and every other function know them by."""
        return (*(e.name for e in self.zoo), *(n.name for n in self.packed))

    def __len__(self) -> int:
        return len(self.zoo) + len(self.packed)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)


def models(match: str = "") -> KnownNetworks:
    """Networks that can be named: all, or those whose names hold a text."""
    text = match.lower()
    return KnownNetworks(
        zoo=tuple(e for e in entries() if text in f"{e.name} {e.title}".lower()),
        packed=tuple(n for n in packed_networks().values() if text in n.name.lower()),
        match=match,
    )
