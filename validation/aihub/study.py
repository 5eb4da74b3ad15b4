"""How good NPU targets are: `python -m validation.aihub.study DATA` prints the table.

Unseen networks, unseen chips, float or integers. These figures come of the functions that build the
targets, step by step, and so stand here and not in docs/accuracy.md, whose figures come of those
that users call.
A family of networks is left out on every target, a chip in every form that it has (`SAME_CHIP`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.npu import adapt_npu, learn_npus
from perfmodel.calibration.npu_sheet import GENERATIONS, npu_of_generation
from perfmodel.cost_models.interval import widths_by_group
from perfmodel.errors import PerfmodelError
from validation.accuracy.common import Result, score, table, worst_cases
from validation.profiles.npu import PRECISIONS, Campaign, campaign

MEASURED = (1, 10)
LEAST_LEFT = 5
CLEAR = 0.15
"""Two targets whose measured times differ by more are a pair that has an answer."""

REASONS = {
    "pspnet": "a ResNet of dilated convolutions: other networks of the table have a few of them",
    "video_mae": "attention over 1,568 tokens: its scores do not fit the memory on the chip",
    "ddrnet23_slim": "in w8a8 it runs twenty times slower than in float: a path of the compiler",
    "sa8775p": "one job in six of this board ran four times slower, in another state of power",
    "vit": "w8a16 and w8a8 files hold operators that the compiler runs badly",
}


def unseen_network(data: Path, seed: int) -> list[Result]:
    """A network whose family nobody measured, on known targets, by precision."""
    measured = campaign(data)
    left = measured.left_out()
    rows, columns = np.nonzero(np.isfinite(left))
    misses = left[rows, columns]
    seen = np.exp(measured.log_ms[rows, columns])
    predicted = seen * np.exp(-misses)
    widths = widths_by_group(misses, rows, len(measured.targets))[rows]
    simple = _least_squares(measured)[rows, columns]
    results = []
    for precision in PRECISIONS:
        mine = np.array([measured.targets[r].precision == precision for r in rows])
        results.append(
            score(
                "NPU, unseen network family",
                f"AI Hub {precision}",
                predicted[mine],
                seen[mine],
                [
                    f"{measured.targets[r]} {measured.networks.names[c]}"
                    for r, c in zip(rows[mine], columns[mine], strict=True)
                ],
                seed,
                groups=[str(measured.targets[r]) for r in rows[mine]],
                intervals=predicted[mine, None]
                * np.exp(np.column_stack([-widths[mine], widths[mine]])),
                baselines={"four numbers": simple[mine]},
                reasons=REASONS,
            )
        )
    return results


def _least_squares(measured: Campaign) -> np.ndarray:
    """Baseline, ms: MACs, elements, weights and a constant by non-negative least squares of
    relative errors, target by target, the family left out."""
    from scipy.optimize import nnls

    tables = measured.networks.tables
    amounts = np.array(
        [
            [t["macs"].sum(), t["output_elements"].sum(), t["weight_elements"].sum(), 1.0]
            for t in tables
        ]
    )
    families = np.array(measured.networks.families, dtype=object)
    out = np.full(measured.log_ms.shape, np.nan)
    for i, log_ms in enumerate(measured.log_ms):
        for family in sorted(set(families)):
            held = (families == family) & np.isfinite(log_ms)
            kept = (families != family) & np.isfinite(log_ms)
            if held.any():
                scaled = amounts[kept] / np.exp(log_ms[kept])[:, None]
                size = scaled.max(axis=0)
                cost, _ = nnls(scaled / size, np.ones(kept.sum()))
                out[i, held] = np.maximum(amounts[held] / size @ cost, 1e-3)
    return out


@dataclass(frozen=True, kw_only=True)
class ChipCase:
    """A network on a chip that was left out: ms predicted, measured and by the nearest chip."""

    name: str
    predicted: float
    measured: float
    nearest: float


def new_chip(data: Path, seed: int) -> list[Result]:
    """A chip left out in every form, from 1 and from 10 networks measured on it."""
    results = []
    for count in MEASURED:
        cases = list(_chip_cases(campaign(data), count, seed))
        predicted, seen = (
            np.array([getattr(c, n) for c in cases]) for n in ("predicted", "measured")
        )
        results.append(
            score(
                "NPU, new chip",
                f"from {count} network{'s' if count > 1 else ''}",
                predicted,
                seen,
                [c.name for c in cases],
                seed,
                groups=[c.name.split(" ")[0] for c in cases],
                baselines={"nearest scaled": np.array([c.nearest for c in cases])},
                reasons=REASONS,
            )
        )
    return results


def _chip_cases(measured: Campaign, count: int, seed: int) -> Iterator[ChipCase]:
    rng = np.random.default_rng(seed)
    names, networks = [str(t) for t in measured.targets], measured.networks
    chips = np.array([p.chip for p in measured.places])
    for chip in sorted(set(chips)):
        kept = np.flatnonzero(chips != chip)
        others = learn_npus(
            [names[i] for i in kept],
            [measured.places[i] for i in kept],
            networks,
            measured.log_ms[kept],
        )
        for i in np.flatnonzero(chips == chip):
            own, place = measured.log_ms[i], measured.places[i]
            order = rng.permutation(np.flatnonzero(np.isfinite(own)))
            if len(order) < count + LEAST_LEFT:
                continue
            told = [
                MeasuredNetwork(networks.names[n], networks.tables[n], float(np.exp(own[n])))
                for n in order[:count]
            ]
            made = adapt_npu(others, told, place.precision, place.runtime)
            alike = [
                t
                for t, p in enumerate(others.places)
                if (p.precision, p.runtime) == (place.precision, place.runtime)
            ]
            near = _nearest_scaled(own, order[:count], others.log_ms[alike])
            for n in order[count:]:
                yield ChipCase(
                    name=f"{names[i]} {networks.names[n]}",
                    predicted=float(np.exp(made.log_ms[n])),
                    measured=float(np.exp(own[n])),
                    nearest=float(np.exp(near[n])) if near is not None else float("nan"),
                )


def _nearest_scaled(own: np.ndarray, told: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    """Baseline: log times of the target whose gaps are the most even (or smallest), scaled."""
    if not len(known):
        return None
    gap = own[told] - known[:, told]
    offset = np.median(gap, axis=1)
    uneven = np.abs(gap - offset[:, None]).sum(axis=1) if len(told) > 1 else np.abs(offset)
    best = int(np.argmin(uneven))
    scaled: np.ndarray = known[best] + offset[best]
    return scaled


def from_sheet(data: Path, seed: int) -> list[Result]:
    """A phone's chip left out, by the generation that its spec sheet names."""
    measured = campaign(data)
    names, networks = [str(t) for t in measured.targets], measured.networks
    chips = np.array([p.chip for p in measured.places])
    predicted, seen, cases = [], [], []
    for chip, generation in GENERATIONS.items():
        kept = np.flatnonzero(chips != chip)
        others = learn_npus(
            [names[i] for i in kept],
            [measured.places[i] for i in kept],
            networks,
            measured.log_ms[kept],
        )
        for i in np.flatnonzero(chips == chip):
            place = measured.places[i]
            made = npu_of_generation(others, generation, place.precision, place.runtime)
            if made is None:
                continue
            for n in np.flatnonzero(np.isfinite(measured.log_ms[i])):
                predicted.append(float(np.exp(made.log_ms[n])))
                seen.append(float(np.exp(measured.log_ms[i, n])))
                cases.append(f"{names[i]} {networks.names[n]}")
    said, true = np.array(predicted), np.array(seen)
    kind = "Hexagon generation of the chip"
    return [score("NPU, chip from its spec sheet", kind, said, true, cases, seed, reasons=REASONS)]


def integers_or_floats(data: Path, seed: int) -> list[Result]:
    """Which of two precisions is faster, the family left out: error of the predicted ratio.

    Only pairs whose measured times differ by more than `CLEAR`; `within_20` and the others are of
    the ratio, the share of right answers stands in the kind.
    """
    measured = campaign(data)
    left = measured.left_out()
    predicted, seen, names = [], [], []
    for a, b in combinations(range(len(measured.targets)), 2):
        one, two = measured.targets[a], measured.targets[b]
        if (one.device, one.framework) != (two.device, two.framework):
            continue
        for n in np.flatnonzero(np.isfinite(left[a]) & np.isfinite(left[b])):
            ratio = measured.log_ms[a, n] - measured.log_ms[b, n]
            if abs(ratio) > np.log1p(CLEAR):
                seen.append(float(np.exp(ratio)))
                predicted.append(float(np.exp(ratio - left[a, n] + left[b, n])))
                names.append(f"{one} against {two.precision} {measured.networks.names[n]}")
    right = np.mean((np.array(predicted) > 1) == (np.array(seen) > 1))
    kind = f"ratio of two precisions; {100 * right:.1f} % right which is faster"
    said, true = np.array(predicted), np.array(seen)
    return [score("NPU, int8 or float", kind, said, true, names, seed, reasons=REASONS)]


EXPERIMENTS = {
    "npu-networks": unseen_network,
    "npu-new-chip": new_chip,
    "npu-sheet": from_sheet,
    "npu-precisions": integers_or_floats,
}


def main(arguments: Sequence[str]) -> int:
    """Print every experiment's table and worst cases; 2 for bad input."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        results = [r for run in EXPERIMENTS.values() for r in run(Path(arguments[0]), 0)]
    except PerfmodelError as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    print(table(results))
    print(worst_cases(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
