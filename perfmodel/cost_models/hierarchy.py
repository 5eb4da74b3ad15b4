"""The physics of kernel times: a sum of work over speeds, with speeds shared between targets.

The time of a kernel of cell c on target t is sum_j exp(theta[t, c, j]) * terms[j]. The log costs
theta are a sum of effects, each shrunk towards zero: of the term, of the family of cells, of the
cell, of the target (one scale, and one per term), and of family and cell on that target. So a
target with few measurements borrows the shape of its efficiencies from the others, and a cell that
was never measured borrows from its family. The loss is a Huber loss on log time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from perfmodel.cost_models.kernel_terms import TERMS, combine


@dataclass(frozen=True)
class Shrinkage:
    """Prior standard deviations (natural log) of the effects, and the noise of a measurement.

    `strength` is how many measurements a fit counts a target's rows for at most: kernels of one
    network repeat shapes and share one state of the machine, so they are not independent.
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


@dataclass(frozen=True)
class Observations:
    """What a fit learns from: kernels, and measured times of single kernels or sums of them.

    Row i is a kernel of cell `cell[i]` on target `target[i]` (integers), with `terms[i]` and a
    known factor `gain[i]`; it belongs to observation `member[i]`, of `log_us` and `weight`.
    """

    cell: np.ndarray
    target: np.ndarray
    terms: np.ndarray
    log_us: np.ndarray
    weight: np.ndarray
    overlap: str = "none"
    member: np.ndarray | None = None
    gain: np.ndarray | None = None


@dataclass(frozen=True)
class Efficiencies:
    """Fitted log costs: of the population, and of each target.

    Shapes, with J terms: `term` (J,), `family` (families, J), `cell` (cells, J), `scale`
    (targets,), `target_term` (targets, J), `target_family` (targets, families, J), `target_cell`
    (targets, cells, J). `family_of` maps cells to families.
    """

    cells: tuple[str, ...]
    families: tuple[str, ...]
    family_of: np.ndarray
    term: np.ndarray
    family: np.ndarray
    cell: np.ndarray
    scale: np.ndarray
    target_term: np.ndarray
    target_family: np.ndarray
    target_cell: np.ndarray
    seen: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))

    @property
    def population(self) -> np.ndarray:
        """Log costs of a target with no effect of its own, shape (cells, J)."""
        shared: np.ndarray = self.term + self.family[self.family_of] + self.cell
        return shared

    def theta(self) -> np.ndarray:
        """Log costs, shape (targets, cells, J)."""
        own = self.scale[:, None, None] + self.target_term[:, None, :]
        own = own + self.target_family[:, self.family_of] + self.target_cell
        total: np.ndarray = self.population + own
        return total

    def descriptor(self) -> np.ndarray:
        """What sets a target apart, shape (targets, 1 + J): scale and effects by term."""
        return np.column_stack([self.scale, self.target_term])


def fit_efficiencies(
    seen: Observations,
    cells: Sequence[str],
    family_of: Sequence[str],
    targets: int,
    shrinkage: Shrinkage,
    population: Efficiencies | None = None,
) -> Efficiencies:
    """Maximum a posteriori log costs of `targets` targets.

    With `population` given, its shared effects are kept and only the targets' own are learned;
    `cells` must then be its cells.
    """
    problem = _Problem(seen, list(cells), list(family_of), targets, shrinkage, population)
    return problem.solve()


class _Problem:
    """Parameters of the fit as one vector, its loss and gradient."""

    def __init__(
        self,
        seen: Observations,
        cells: list[str],
        family_of: list[str],
        targets: int,
        shrinkage: Shrinkage,
        population: Efficiencies | None,
    ) -> None:
        self.seen, self.cells, self.targets, self.prior = seen, cells, targets, shrinkage
        self.families = sorted(set(family_of)) if population is None else list(population.families)
        self.family_of = np.array([self.families.index(f) for f in family_of], dtype=np.int64)
        self.population = population
        c, f, j = len(cells), len(self.families), len(TERMS)
        shapes = {
            "term": (j,),
            "family": (f, j),
            "cell": (c, j),
            "target": (targets,),
            "target_term": (targets, j),
            "target_family": (targets, f, j),
            "target_cell": (targets, c, j),
        }
        if population is not None:
            shapes = {k: v for k, v in shapes.items() if k.startswith("target")}
        self.shapes = shapes
        self.place = seen.target * c + seen.cell
        self.precision = 1.0 / shrinkage.noise**2
        self.terms = seen.terms if seen.gain is None else seen.terms * seen.gain[:, None]

    def effects(self, x: np.ndarray) -> dict[str, np.ndarray]:
        out, at = {}, 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            out[name] = x[at : at + size].reshape(shape)
            at += size
        if self.population is not None:
            out |= {n: getattr(self.population, n) for n in ("term", "family", "cell")}
        return out

    def made(self, x: np.ndarray) -> Efficiencies:
        e = self.effects(x)
        return Efficiencies(
            tuple(self.cells),
            tuple(self.families),
            self.family_of,
            e["term"],
            e["family"],
            e["cell"],
            e["target"],
            e["target_term"],
            e["target_family"],
            e["target_cell"],
            np.bincount(self.place, minlength=self.targets * len(self.cells)).reshape(
                self.targets, len(self.cells)
            )
            > 0,
        )

    def loss(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative log posterior and its gradient."""
        e = self.effects(x)
        theta = self.made(x).theta().reshape(-1, len(TERMS))
        spent = np.exp(theta)[self.place] * self.terms
        row, by_term = combine(spent, self.seen.overlap)
        member = self.seen.member
        total = row if member is None else np.bincount(member, row, len(self.seen.log_us))
        residual = (np.log(total) - self.seen.log_us) / self.prior.noise
        width = self.prior.huber
        inside = np.abs(residual) <= width
        cost = np.where(inside, residual**2 / 2, width * (np.abs(residual) - width / 2))
        slope = np.where(inside, residual, width * np.sign(residual)) / self.prior.noise
        slope = self.seen.weight * slope / total
        per_row = (slope if member is None else slope[member])[:, None] * by_term * spent
        size = len(theta)
        cells = np.column_stack(
            [np.bincount(self.place, per_row[:, j], size) for j in range(len(TERMS))]
        ).reshape(self.targets, len(self.cells), len(TERMS))
        value = float((self.seen.weight * cost).sum())
        gradient = self._collect(cells)
        for name in self.shapes:
            scale = 1.0 / getattr(self.prior, name) ** 2
            value += float(0.5 * scale * (e[name] ** 2).sum())
            gradient[name] = gradient[name] + scale * e[name]
        return value, np.concatenate([gradient[n].ravel() for n in self.shapes])

    def _collect(self, cells: np.ndarray) -> dict[str, np.ndarray]:
        """Gradient of every effect from that of theta, shape (targets, cells, J)."""
        member = np.zeros((len(self.families), len(self.cells)))
        member[self.family_of, np.arange(len(self.cells))] = 1.0
        by_family = np.einsum("fc,tcj->tfj", member, cells)
        return {
            "term": cells.sum(axis=(0, 1)),
            "family": by_family.sum(axis=0),
            "cell": cells.sum(axis=0),
            "target": cells.sum(axis=(1, 2)),
            "target_term": cells.sum(axis=1),
            "target_family": by_family,
            "target_cell": cells,
        }

    def solve(self) -> Efficiencies:
        from scipy.optimize import minimize

        start = np.zeros(sum(int(np.prod(s)) for s in self.shapes.values()))
        found = minimize(
            self.loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 400, "maxcor": 20}
        )
        return self.made(found.x)


def balanced_weights(target: np.ndarray, raw: np.ndarray, strength: float) -> np.ndarray:
    """Weights proportional to `raw` that count each target as at most `strength` rows."""
    total = np.bincount(target, raw)
    rows = np.bincount(target)
    scale = np.minimum(rows, strength) / np.maximum(total, 1e-300)
    weights: np.ndarray = raw * scale[target]
    return weights
