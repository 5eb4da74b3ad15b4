"""What ships of spec sheets: spec-sheets.json and npu-hexagon-*.json in hw_profiles/populations.

`python -m validation.profiles.spec_sheets` makes it alone, from the profiles and
populations that ship: measured targets of phones and of boards with phones' cores or GPUs, their
sheets (chips.csv for phones, validation/data for boards) and the shapes of their costs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

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
    sheets = perfmodel.learn_sheets(device_facts())
    path = write_sheets(sheets, options.output)
    print(f"{len(sheets.known)} targets, {len(sheets.shapes)} shapes: {path}")
    generations = ", ".join(f"V{g}" for g in write_generations(options.output))
    print(f"NPUs of generations {generations}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
