"""The physics of kernel times: a sum of work over speeds, with speeds shared between targets.

The time of a kernel of cell c on target t is sum_j exp(theta[t, c, j]) * terms[j]. The log costs
theta are a sum of effects, each shrunk towards zero: of the term, of the family of cells, of the
cell, of the target (one scale, and one per term), and of family and cell on that target. So a
target with few measurements borrows the shape of its efficiencies from the others, and a cell that
was never measured borrows from its family. `hierarchy` solves it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from perfmodel.cost_models.hierarchy import Level, Observations, fit_levels
from perfmodel.cost_models.kernel_terms import TERMS, combine, family_of

MAX_ITERATIONS = 400
"""Steps of L-BFGS; fits of hundreds of targets end there, and their predictions have settled."""


@dataclass(frozen=True, kw_only=True)
class Shrinkage:
    """Prior standard deviations (natural log) of the effects, and the noise of a measurement.

    `strength` is how many measurements a fit counts a target's rows for at most: kernels of one
    network repeat shapes and share one state of the machine, so they are not independent. `huber`
    is in units of the noise. The defaults were chosen by leaving networks out on the phones of
    layers_phones.csv.gz (DAG-Scheduler).
    """

    term: float = 3.0
    family: float = 1.0
    cell: float = 0.5
    target: float = 2.0
    target_term: float = 0.5
    target_family: float = 0.3
    target_cell: float = 0.2
    noise: float = 0.15
    huber: float = 2.0
    strength: float = 400.0


@dataclass(frozen=True, kw_only=True, eq=False)
class TimedKernels:
    """Kernels on targets, and measured times of single kernels or of sums of them.

    Row i is a kernel of cell `cell[i]` on target `target[i]` (integers) with `terms[i]`. It belongs
    to measurement `member[i]` (i itself where `member` is None), of `log_us` and `weight`.
    """

    cell: np.ndarray
    target: np.ndarray
    terms: np.ndarray
    log_us: np.ndarray
    weight: np.ndarray
    overlap: str = "none"
    member: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Efficiencies:
    """Fitted log costs: of the population, and of each target.

    Shapes, with J terms: `term` (J,), `family` (families, J), `cell` (cells, J), `scale`
    (targets,), `target_term` (targets, J), `target_family` (targets, families, J), `target_cell`
    (targets, cells, J). `family_of_cell` holds the place of each cell's family in `families`.
    """

    cells: tuple[str, ...]
    families: tuple[str, ...]
    term: np.ndarray
    family: np.ndarray
    cell: np.ndarray
    scale: np.ndarray
    target_term: np.ndarray
    target_family: np.ndarray
    target_cell: np.ndarray

    @property
    def family_of_cell(self) -> np.ndarray:
        """Place of each cell's family, shape (cells,)."""
        return family_places(self.cells, self.families)

    @property
    def population(self) -> np.ndarray:
        """Log costs of a target with no effect of its own, shape (cells, J)."""
        shared: np.ndarray = self.term + self.family[self.family_of_cell] + self.cell
        return shared

    def theta(self) -> np.ndarray:
        """Log costs, shape (targets, cells, J)."""
        own = self.scale[:, None, None] + self.target_term[:, None, :]
        own = own + self.target_family[:, self.family_of_cell] + self.target_cell
        total: np.ndarray = self.population + own
        return total

    def descriptor(self) -> np.ndarray:
        """What sets a target apart, shape (targets, 1 + J): scale and effects by term."""
        return np.column_stack([self.scale, self.target_term])

    def of_family(self, target: int) -> np.ndarray:
        """Log costs of a cell that was never measured, by its family, shape (families, J)."""
        shared: np.ndarray = self.of_target(target) + self.family + self.target_family[target]
        return shared

    def of_target(self, target: int) -> np.ndarray:
        """Log costs of a kernel of which nothing is known but its terms, shape (J,)."""
        known: np.ndarray = self.term + self.scale[target] + self.target_term[target]
        return known

    def unmeasured(self) -> Efficiencies:
        """The population with one target that has no effects of its own."""
        return unmeasured_population(self.cells, self.families, self.term, self.family, self.cell)

    def folded(self, target: int) -> Efficiencies:
        """A population that is the given target, and one target without effects of its own."""
        return unmeasured_population(
            self.cells,
            self.families,
            self.of_target(target),
            self.family + self.target_family[target],
            self.cell + self.target_cell[target],
        )

    def with_cells(self, cells: Sequence[str]) -> Efficiencies:
        """The population, one unmeasured target, and these cells besides its own.

        A cell that is new costs what its family does, a new family what the terms do.
        """
        listed = tuple(dict.fromkeys((*self.cells, *cells)))
        families = tuple(dict.fromkeys((*self.families, *(family_of(c) for c in listed))))

        def with_zeros(effects: np.ndarray, rows: int) -> np.ndarray:
            return np.vstack([effects, np.zeros((rows - len(effects), len(self.term)))])

        return unmeasured_population(
            listed,
            families,
            self.term,
            with_zeros(self.family, len(families)),
            with_zeros(self.cell, len(listed)),
        )


def no_slower(
    fitted: Efficiencies, narrow: int, wide: int, allowed_log: np.ndarray
) -> Efficiencies:
    """The efficiencies with log costs of one target at most those of another plus `allowed_log`.

    `allowed_log` has shape (J,). Costs by term, by family and by cell are each cut where they are
    higher; what the other target says of them is left alone.
    """
    family_of_cell = fitted.family_of_cell

    def of_each(target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Effects of a target summed down to the term, the family and the cell."""
        term = fitted.scale[target] + fitted.target_term[target]
        family = term + fitted.target_family[target]
        return term, family, family[family_of_cell] + fitted.target_cell[target]

    pairs = zip(of_each(narrow), of_each(wide), strict=True)
    term, family, cell = (np.minimum(mine, other + allowed_log) for mine, other in pairs)
    target_term, target_family = fitted.target_term.copy(), fitted.target_family.copy()
    target_cell = fitted.target_cell.copy()
    target_term[narrow] = term - fitted.scale[narrow]
    target_family[narrow] = family - term
    target_cell[narrow] = cell - family[family_of_cell]
    return replace(
        fitted, target_term=target_term, target_family=target_family, target_cell=target_cell
    )


def unmeasured_population(
    cells: tuple[str, ...],
    families: tuple[str, ...],
    term: np.ndarray,
    family: np.ndarray,
    cell: np.ndarray,
) -> Efficiencies:
    """Shared effects, shapes (J,), (families, J), (cells, J), and one target without its own."""
    width = len(TERMS)
    return Efficiencies(
        cells=cells,
        families=families,
        term=term,
        family=family,
        cell=cell,
        scale=np.zeros(1),
        target_term=np.zeros((1, width)),
        target_family=np.zeros((1, len(families), width)),
        target_cell=np.zeros((1, len(cells), width)),
    )


def family_places(cells: Sequence[str], families: Sequence[str]) -> np.ndarray:
    """Place of each cell's family among `families`, shape (cells,)."""
    place = {name: i for i, name in enumerate(families)}
    return np.array([place[family_of(c)] for c in cells], dtype=np.int64)


_OF_POPULATION = ("term", "family", "cell")
_OF_TARGET = ("scale", "target_term", "target_family", "target_cell")


def _levels(
    cells: int, family_of_cell: np.ndarray, targets: int, shrinkage: Shrinkage
) -> dict[str, Level]:
    """The effects as levels over the places (target, cell), targets one after the other."""
    width, families = len(TERMS), int(family_of_cell.max()) + 1
    target, cell = np.repeat(np.arange(targets), cells), np.tile(np.arange(cells), targets)
    family = family_of_cell[cell]
    each, all_terms = np.eye(width), np.ones((width, 1))
    return {
        "term": Level(index=np.zeros_like(cell), loadings=each, sd=shrinkage.term),
        "family": Level(index=family, loadings=each, sd=shrinkage.family),
        "cell": Level(index=cell, loadings=each, sd=shrinkage.cell),
        "scale": Level(index=target, loadings=all_terms, sd=shrinkage.target),
        "target_term": Level(index=target, loadings=each, sd=shrinkage.target_term),
        "target_family": Level(
            index=target * families + family, loadings=each, sd=shrinkage.target_family
        ),
        "target_cell": Level(
            index=np.arange(targets * cells), loadings=each, sd=shrinkage.target_cell
        ),
    }


def fit_efficiencies(
    seen: TimedKernels, cells: Sequence[str], targets: int, shrinkage: Shrinkage
) -> Efficiencies:
    """Maximum a posteriori log costs of the population and of `targets` targets."""
    families = tuple(sorted({family_of(c) for c in cells}))
    levels = _levels(len(cells), family_places(cells, families), targets, shrinkage)
    vectors = _solved(seen, len(cells), levels, 0.0, shrinkage)
    return _made(tuple(cells), families, targets, vectors)


def fit_target(
    seen: TimedKernels, population: Efficiencies, shrinkage: Shrinkage, log_gain: np.ndarray
) -> Efficiencies:
    """One more target of a population whose shared effects stay as they are.

    Cells are numbered as `population.cells`; `log_gain`, shape (rows,), is a known factor of every
    row's time.
    """
    cells = len(population.cells)
    gained = replace(seen, terms=seen.terms * np.exp(log_gain)[:, None])
    levels = {
        name: level
        for name, level in _levels(cells, population.family_of_cell, 1, shrinkage).items()
        if name in _OF_TARGET
    }
    vectors = _solved(gained, cells, levels, population.population, shrinkage)
    vectors |= {name: getattr(population, name) for name in _OF_POPULATION}
    return _made(population.cells, population.families, 1, vectors)


def fit_corrected(
    seen: TimedKernels,
    population: Efficiencies,
    shrinkage: Shrinkage,
    correct: Callable[[Efficiencies, np.ndarray, np.ndarray], np.ndarray],
    rounds: int,
) -> Efficiencies:
    """One more target, fitted to what a learned correction leaves of its times.

    `correct` gives the log correction of every row from the target's effects, the time of each row
    by term and the row's time; as it depends on them, the fit is done `rounds` times.
    """
    log_gain = np.zeros(len(seen.cell))
    for _ in range(rounds):
        own = fit_target(seen, population, shrinkage, log_gain)
        spent = np.exp(own.theta())[0, seen.cell] * seen.terms
        log_gain = correct(own, spent, combine(spent, seen.overlap)[0])
    return own


def _solved(
    seen: TimedKernels,
    cells: int,
    levels: Mapping[str, Level],
    start: np.ndarray | float,
    shrinkage: Shrinkage,
) -> dict[str, np.ndarray]:
    fitted = fit_levels(
        Observations(
            place=seen.target * cells + seen.cell,
            terms=seen.terms,
            log_time=seen.log_us,
            noise=np.full(len(seen.log_us), shrinkage.noise),
            weight=seen.weight,
            member=seen.member,
        ),
        list(levels.values()),
        start=np.asarray(start),
        huber_limit=shrinkage.huber,
        max_iter=MAX_ITERATIONS,
        combine=partial(combine, overlap=seen.overlap),
    )
    return dict(zip(levels, fitted.vectors, strict=True))


def _made(
    cells: tuple[str, ...],
    families: tuple[str, ...],
    targets: int,
    vectors: Mapping[str, np.ndarray],
) -> Efficiencies:
    width = len(TERMS)
    return Efficiencies(
        cells=cells,
        families=families,
        term=vectors["term"].reshape(width),
        family=vectors["family"],
        cell=vectors["cell"],
        scale=vectors["scale"].reshape(targets),
        target_term=vectors["target_term"],
        target_family=vectors["target_family"].reshape(targets, len(families), width),
        target_cell=vectors["target_cell"].reshape(targets, len(cells), width),
    )
