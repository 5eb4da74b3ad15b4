"""How good NPUs of spec sheets are: `python -m validation.aihub.study DATA` prints the table.

A chip of a phone is left out in every form that it has (`SAME_CHIP`) and answered by the generation
of its NPU. The figures come of the functions that build what ships of generations, and so stand
here and not in docs/accuracy.md, whose figures come of those that users call.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perfmodel.calibration.npu import without_folder
from perfmodel.calibration.npu_sheet import GENERATIONS, npu_of_generation
from perfmodel.errors import PerfmodelError
from validation.accuracy.common import AccuracyRow, columns_as_cases, score, table, worst_cases
from validation.accuracy.npus import REASONS, learned
from validation.data.aihub import campaign_rows, network_lines, network_name


def from_sheet(data: Path, seed: int) -> list[AccuracyRow]:
    """A phone's chip left out, by the generation that its spec sheet names."""
    rows, lines = campaign_rows(data), network_lines()
    predicted, seen, names = [], [], []
    for chip, generation in GENERATIONS.items():
        others = learned([r for r in rows if r.chip != chip]).population
        for row in (r for r in rows if r.chip == chip):
            target = row.target
            made = npu_of_generation(others, generation, target.precision, target.framework)
            name = without_folder(network_name(lines[row.network]))
            if made is None or name not in others.networks:
                continue
            predicted.append(float(np.exp(made.log_ms[others.networks.index(name)])))
            seen.append(row.latency_ms)
            names.append(f"{target} {lines[row.network].model}")
    cases = columns_as_cases(names, predicted, seen)
    kind = "Hexagon generation of the chip"
    return [score("NPU, chip from its spec sheet", kind, cases, seed, reasons=REASONS)]


def main(arguments: Sequence[str]) -> int:
    """Print the table and worst cases; 2 for bad input."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        results = from_sheet(Path(arguments[0]), 0)
    except PerfmodelError as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    print(table(results))
    print(worst_cases(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
