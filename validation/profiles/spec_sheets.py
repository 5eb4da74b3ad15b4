"""What ships of spec sheets: spec-sheets.json and npu-hexagon-*.json in hw_profiles/populations.

`python -m validation.profiles` makes it last, `python -m validation.profiles.spec_sheets` alone,
from the profiles and populations that ship: measured targets of phones and of boards with phones'
cores or GPUs, their sheets (chips.csv for phones, validation/data for boards) and the shapes of
their costs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

import perfmodel
from perfmodel.calibration.npu_sheet import write_generations
from perfmodel.devices.registry import builtin_folder
from perfmodel.devices.sheet_data import write_sheets
from validation.data.sheets import device_facts


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=builtin_folder())
    options = parser.parse_args(arguments)
    write_spec_sheets(options.output)
    return 0


def write_spec_sheets(folder: Path) -> None:
    """Write into a folder what sheets tell by the profiles that ship, and say so."""
    with threadpool_limits(limits=1):  # sums in parts would differ by the number of cores
        sheets = perfmodel.learn_sheets(device_facts())
        path = write_sheets(sheets, folder)
        print(f"{len(sheets.known)} targets, {len(sheets.shapes)} shapes: {path}")
        generations = ", ".join(f"V{g}" for g in write_generations(folder))
        print(f"NPUs of generations {generations}")


if __name__ == "__main__":
    sys.exit(main())
