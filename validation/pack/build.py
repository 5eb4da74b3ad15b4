"""Make the structure files of the pack: `python -m validation.pack.build` (extra `torch`).

Each network of networks.txt is built by its library with weights that are never allocated, exported
by torch.export and written to perfmodel/zoo/pack/LIBRARY/NAME.json.gz. Files that are there stay
unless `--again`; the same versions of the packages give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from perfmodel.errors import PerfmodelError
from perfmodel.formats.pytorch.libraries import graph_of_name
from perfmodel.formats.structure import write_structure

NETWORKS = Path(__file__).parent / "networks.txt"
PACK = Path(__file__).parents[2] / "perfmodel" / "zoo" / "pack"


def networks(text: str) -> Iterator[tuple[str, str]]:
    """Library and name of each network of a list, in its order."""
    for line in text.splitlines():
        library, *names = line.partition("#")[0].split() or [""]
        yield from ((library, name) for name in names)


def build(library: str, name: str, folder: Path = PACK) -> Path:
    """Export one network and write its structure file."""
    path = folder / library / f"{name}.json.gz"
    write_structure(graph_of_name(library, name), path)
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Build what is missing, or all; a network that cannot be built is named and left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="LIBRARY:NAME; all of networks.txt by default")
    parser.add_argument("--again", action="store_true", help="also those that have a file")
    parser.add_argument("--part", default="0/1", help="I/N: every N-th network from the I-th on")
    options = parser.parse_args(argv)
    wanted = [(n.partition(":")[0], n.partition(":")[2]) for n in options.names]
    wanted = wanted or list(networks(NETWORKS.read_text(encoding="utf-8")))
    first, step = map(int, options.part.split("/"))
    failed = 0
    for library, name in wanted[first::step]:
        if not options.again and (PACK / library / f"{name}.json.gz").exists():
            continue
        start = time.perf_counter()
        try:
            path = build(library, name)
        except PerfmodelError as error:
            failed += 1
            print(f"{library}:{name}: {error}", flush=True)
            continue
        seconds = time.perf_counter() - start
        print(f"{library}:{name}: {path.stat().st_size} bytes, {seconds:.1f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
