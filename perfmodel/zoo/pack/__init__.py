"""The networks of PyTorch's libraries that perfmodel ships: their index; the structures lie beside.

`formats.named` builds their graphs, as a format's reader is needed for it.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from perfmodel.zoo.figures import Published, published_figures
from perfmodel.zoo.modules import names

LIBRARIES = ("torchvision", "timm", "transformers")
"""Words before the colon of a name: `timm:mobilenetv4_conv_small`."""


@dataclass(frozen=True, kw_only=True)
class PackedNetwork:
    """A network of the pack; `input_shape` is without the batch, of its first input.

    `family` is the library's own name of the architecture. `macs` and `params` are counted from
    the structure, for a batch of one at its own size.
    """

    name: str
    family: str
    task: str
    input_shape: tuple[int, ...]
    macs: int
    params: int

    @property
    def published(self) -> tuple[Published, ...]:
        """MACs and parameters as the libraries print them."""
        return published_figures(self.name)


def library_of(spec: str) -> str:
    """The library that a spec names before its colon, "" for none."""
    library, colon, _ = spec.strip().partition(":")
    return library if colon and library in LIBRARIES else ""


@functools.cache
def network_names() -> tuple[str, ...]:
    """Every network that has a name: those of the zoo, then those of the pack."""
    return (*names(), *packed_networks())


@functools.cache
def packed_networks() -> dict[str, PackedNetwork]:
    """Every network of the pack by name."""
    text = resources.files("perfmodel.zoo.pack").joinpath("index.csv").read_text(encoding="utf-8")
    return {
        row["name"]: PackedNetwork(
            name=row["name"],
            family=row["family"],
            task=row["task"],
            input_shape=tuple(int(size) for size in row["input"].split("x")),
            macs=int(row["macs"]),
            params=int(row["params"]),
        )
        for row in csv.DictReader(text.splitlines())
    }


def structure_path(library: str, name: str) -> Path | None:
    """The structure file of a network, None where the pack has none of this name."""
    path = Path(__file__).parent / library / f"{name}.json.gz"
    known = f"{library}:{name}" in packed_networks()
    return path if known and path.is_file() else None
