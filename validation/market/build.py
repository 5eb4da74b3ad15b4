"""Write the market's tables into the package: `python -m validation.market.build --data DIR`."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from perfmodel.devices.market import CHIP_FILE, COLUMNS_OF_CHIPS, COLUMNS_OF_PHONES, PHONE_FILE
from perfmodel.files import write_atomically
from validation.market.chips import chip_rows
from validation.market.phones import phone_rows


def table(columns: Sequence[str], rows: Iterable[Mapping[str, str]], mark: str) -> str:
    """The text of a table; cells hold neither `mark` nor line ends in one of tabs."""
    if mark == "\t":
        lines = [columns, *([row[c] for c in columns] for row in rows)]
        return "".join("\t".join(cells) + "\n" for cells in lines)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both tables; the same data give the same bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of measurements")
    data = parser.parse_args(arguments).data
    write_atomically(CHIP_FILE, table(COLUMNS_OF_CHIPS, chip_rows(data), ","))
    write_atomically(PHONE_FILE, table(COLUMNS_OF_PHONES, phone_rows(data), "\t"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
