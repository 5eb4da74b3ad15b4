"""Writing a table that the package ships, from the folder of measurements."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from perfmodel.files import write_atomically


def write_table(
    arguments: Sequence[str] | None,
    description: str | None,
    columns: Sequence[str],
    rows: Callable[[Path], Iterable[Mapping[str, object]]],
    place: Path,
) -> int:
    """Write the rows made of the folder that `--data` names as a CSV at `place`; returns 0."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of measurements")
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(parser.parse_args(arguments).data))
    write_atomically(place, text.getvalue())
    return 0
