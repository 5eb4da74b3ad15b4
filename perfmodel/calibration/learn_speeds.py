"""How fast targets run each kind of kernel, learned from whole networks on several targets at once.

The physics of `cost_models.efficiencies` with networks as measurements: the time of a network is
the sum of its kernels' times, and what tells a convolution's cost from a normalisation's is that
networks mix them differently. Targets (cards, modes of a framework) share what a kind of kernel
costs and differ by a few scales, so that networks measured on one teach the others. What ships of
cards measured by whole networks is made by `learn_speeds`, as is what the accuracy studies judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from perfmodel.calibration.families import Misses, family_of_model, family_parts
from perfmodel.calibration.learn import MIN_NETWORKS
from perfmodel.calibration.learn_kernels import target_traits
from perfmodel.calibration.measured import NetworkTables, TargetRows, rows_by_target
from perfmodel.cost_models.efficiencies import (
    Efficiencies,
    Shrinkage,
    TimedKernels,
    fit_efficiencies,
)
from perfmodel.cost_models.hierarchy import log_times
from perfmodel.cost_models.interval import (
    COVERAGE,
    Interval,
    beyond_novelty,
    borrowed_interval,
    conformal_bounds,
    fit_error,
    share_to_hold,
)
from perfmodel.cost_models.kernel_population import (
    KernelPopulation,
    SheetLeftOut,
    TargetTraits,
    predictor_of,
)
from perfmodel.cost_models.kernel_predictor import DIGITS, KernelPredictor, ranges_of
from perfmodel.cost_models.kernel_terms import LAUNCH
from perfmodel.cost_models.plain_data import Range, joined_ranges
from perfmodel.cost_models.predictor import network_novelty
from perfmodel.devices.profile import DeviceProfile, Provenance, TargetProfile, profiles_by_device
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.table import MeasurementTable

LARGEST_LIMIT = 0.7
"""Clip of a learned correction; these predictors have none, but a file holds the bound."""

EXPERIMENT = "network family left out on every target"
SHEETS_LEFT_OUT = "card left out, data sheet alone, whole networks"
FOLDS = 6
"""Parts of the families, each left out in turn, unless a caller asks for others."""

SMALL_BATCH_SLOPE = 1.0
"""How much wider in log units an interval is for a log unit of novelty. Batches far below those
measured are no news of the kind that networks left out bring: where the host decides, one image
takes several times what its kernels do."""

FEWEST_FAMILIES = 3
"""Families below which leaving one out says nothing of the rest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TimedNetwork:
    """A network's kernels at the batch that was timed, on the target of that place, in ms."""

    kernels: KernelTable
    target: int
    latency_ms: float
    family: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnedSpeeds:
    """The measured targets as devices, and as a base for cards of which only the sheet is known."""

    profiles: tuple[DeviceProfile, ...]
    fit: SpeedFit = field(repr=False)

    @cached_property
    def population(self) -> KernelPopulation:
        """What the targets have in common beside their data sheets (`gpu_profile`).

        Raises `MeasurementError` where they are not of one framework and precision.
        """
        return self.fit.shared()


def learn_speeds(
    table: MeasurementTable,
    *,
    families: Mapping[str, str] | None = None,
    networks: NetworkTables | None = None,
    folds: int = FOLDS,
) -> LearnedSpeeds:
    """The targets of a table of whole networks at their batches, all of one kind of unit.

    `families` says what a network is left out with (default: its zoo family, else its file);
    intervals come of families left out in `folds` parts. `networks` keeps what was read and fused
    for another call. Rows that cannot be used are left out, and targets with fewer than
    `MIN_NETWORKS` networks. Raises `MeasurementError` where too little is left.
    """
    groups, _ = rows_by_target(table, skip_bad=True, networks=networks, pick="median")
    kept = [g for g in groups if len(g.measured) >= MIN_NETWORKS]
    measured = [
        TimedNetwork(
            kernels=m.kernels,
            target=place,
            latency_ms=m.latency_ms,
            family=(families or {}).get(m.name) or family_of_model(m.name),
        )
        for place, group in enumerate(kept)
        for m in group.measured
    ]
    count = len({m.family for m in measured})
    if count < FEWEST_FAMILIES:
        raise MeasurementError(
            f"{count} families of networks on targets with {MIN_NETWORKS} networks, needs "
            f"{FEWEST_FAMILIES}",
            "give rows of more networks (model, batch, latency_ms)",
        )
    fit = SpeedFit.of(measured, [target_traits(g.target) for g in kept])
    left, novelty = fit.left_out(folds)
    pool = Misses(
        beyond_novelty(left, novelty, SMALL_BATCH_SLOPE), np.array([m.family for m in measured])
    )
    made = [
        _profile(group, model, left[fit.places == i], pool.of(fit.places == i), pool)
        for i, (group, model) in enumerate(zip(kept, fit.predictors(), strict=True))
    ]
    return LearnedSpeeds(profiles=profiles_by_device(made, "desktop"), fit=fit)


def _profile(
    group: TargetRows, model: KernelPredictor, missed: np.ndarray, own: Misses, pool: Misses
) -> TargetProfile:
    missed = missed[np.isfinite(missed)]
    batches = sorted({m.batch for m in group.measured})
    few = f"batches of {batches[0]} to {batches[-1]}; small batches are extrapolated"
    return TargetProfile(
        group.target,
        group.latency_kind,
        model,
        borrowed_interval(
            own.known, pool.known, held=(own.held, pool.held), novelty_slope=SMALL_BATCH_SLOPE
        ),
        fit_error(EXPERIMENT, missed),
        Provenance(
            group.source,
            len(group.measured),
            build=group.build[:200],
            note=few if batches[-1] > 1 else "",
        ),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """A measured network as numbers: its distinct kernels' cells and terms, and the ranges of all.

    Kernels that are alike count as one of as many times the work.
    """

    cells: np.ndarray
    terms: np.ndarray
    ranges: dict[str, Range]

    @classmethod
    def of(cls, kernels: KernelTable, traits: TargetTraits) -> _Seen:
        work = traits.work(kernels)
        names, place = np.unique(work.cell.astype(str), return_inverse=True)
        rows = np.column_stack([place, work.terms])
        distinct, count = np.unique(rows, axis=0, return_counts=True)
        return cls(
            cells=names[distinct[:, 0].astype(np.int64)],
            terms=distinct[:, 1:] * count[:, None],
            ranges=ranges_of(work),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeedFit:
    """Networks timed on targets, ready to be fitted with or without some of them.

    Where the start of a kernel hides behind the one before it (overlap "launch": batches that fill
    a GPU), it cannot be learned: it stays what `targets` say (`TargetTraits.known_log`).
    """

    measured: tuple[TimedNetwork, ...]
    targets: tuple[TargetTraits, ...]
    seen: tuple[_Seen, ...]
    shrinkage: Shrinkage

    @classmethod
    def of(
        cls,
        measured: Sequence[TimedNetwork],
        targets: Sequence[TargetTraits],
        shrinkage: Shrinkage | None = None,
    ) -> SpeedFit:
        """Raises `MeasurementError` where nothing is measured or targets time kernels unlike."""
        if not measured:
            raise MeasurementError("no network was measured, so nothing is learned")
        overlaps = {t.machine.overlap for t in targets}
        if len(overlaps) > 1:
            raise MeasurementError(
                f"targets differ in overlap: {sorted(overlaps)}", "give one kind of unit at a time"
            )
        made: dict[tuple[int, TargetTraits], _Seen] = {}
        for m in measured:
            key = id(m.kernels), targets[m.target]
            if key not in made:
                made[key] = _Seen.of(m.kernels, targets[m.target])
        return cls(
            measured=tuple(measured),
            targets=tuple(targets),
            seen=tuple(made[id(m.kernels), targets[m.target]] for m in measured),
            shrinkage=shrinkage or Shrinkage(),
        )

    @property
    def places(self) -> np.ndarray:
        """The target of every measurement, shape (measured,)."""
        return np.array([m.target for m in self.measured])

    def predictors(self, rows: np.ndarray | None = None) -> list[KernelPredictor]:
        """A predictor of each target from some measurements (a mask; all if left out)."""
        chosen = np.arange(len(self.measured)) if rows is None else np.flatnonzero(rows)
        fitted = self._fitted(chosen, self.places[chosen], len(self.targets))
        made = []
        for place, traits in enumerate(self.targets):
            own = self._ranges(chosen[self.places[chosen] == place])
            made.append(predictor_of(fitted, place, traits, {}, [], own, LARGEST_LIMIT, DIGITS))
        return made

    def left_out_log(self, folds: int) -> np.ndarray:
        """log(measured / predicted), each family left out on every target; NaN where its target
        has no other."""
        return self.left_out(folds)[0]

    def left_out(self, folds: int) -> tuple[np.ndarray, np.ndarray]:
        """`left_out_log`, and how far outside the kernels of the others each network lies."""
        fold = family_parts([m.family for m in self.measured], folds)
        left, novelty = np.full((2, len(self.measured)), np.nan)
        for part in range(fold.max() + 1):
            models = self.predictors(fold != part)
            known = set(self.places[fold != part].tolist())
            for i in np.flatnonzero(fold == part).tolist():
                m = self.measured[i]
                if m.target in known:
                    said = models[m.target].parts_ms(m.kernels).sum()
                    left[i] = np.log(m.latency_ms / said)
                    novelty[i] = network_novelty(models[m.target], m.kernels)
        return left, novelty

    def shared(self) -> KernelPopulation:
        """One target that all measurements are of, each at its data sheet."""
        kinds = {t.name.split("/", 1)[-1] for t in self.targets}
        if len(kinds) > 1:
            raise MeasurementError(
                f"targets of several kinds have no common speed: {', '.join(sorted(kinds))}",
                "give rows of one framework in one precision",
            )
        everything = np.ones(len(self.measured), dtype=bool)
        return replace(self._pooled(everything), left_out=self._targets_left_out())

    def _pooled(self, chosen: np.ndarray) -> KernelPopulation:
        rows = np.flatnonzero(chosen)
        return KernelPopulation(
            efficiencies=self._fitted(rows, np.zeros_like(rows), 1).folded(0),
            shrinkage=self.shrinkage,
            forests={},
            traits=len(self.targets[0].traits),
            described=False,
            ranges=self._ranges(rows),
            limit=LARGEST_LIMIT,
        )

    def _targets_left_out(self) -> SheetLeftOut | None:
        """How wrong the data sheet of each target is by the others; None for a single target."""
        if len(self.targets) == 1:
            return None
        log_ratio, novelty = np.empty((2, len(self.measured)))
        for place, traits in enumerate(self.targets):
            mine = self.places == place
            model = self._pooled(~mine).unmeasured(traits)
            for i in np.flatnonzero(mine).tolist():
                kernels, said = self.measured[i].kernels, self.measured[i].latency_ms
                log_ratio[i] = np.log(said / model.parts_ms(kernels).sum())
                novelty[i] = network_novelty(model, kernels)
        held = beyond_novelty(log_ratio, novelty, SMALL_BATCH_SLOPE)
        # all networks of a card err together where its sheet does not say how fast it is
        low, high = conformal_bounds(held, share_to_hold(held, self.places))
        below, above = (round(max(side, 0.0), 4) for side in (-low, high))
        return SheetLeftOut(
            interval=Interval(COVERAGE, below, above, SMALL_BATCH_SLOPE),
            error=fit_error(SHEETS_LEFT_OUT, log_ratio),
        )

    def _fitted(self, rows: np.ndarray, target: np.ndarray, targets: int) -> Efficiencies:
        seen = [self.seen[i] for i in rows]
        cells = tuple(sorted({str(c) for s in seen for c in s.cells}))
        place = {c: i for i, c in enumerate(cells)}
        count = [len(s.cells) for s in seen]
        timed = TimedKernels(
            cell=np.array([place[c] for s in seen for c in s.cells]),
            target=np.repeat(target, count),
            terms=np.concatenate([s.terms for s in seen]),
            log_us=log_times(np.array([1e3 * self.measured[i].latency_ms for i in rows])),
            weight=np.ones(len(rows)),
            overlap=self.targets[0].machine.overlap,
            member=np.repeat(np.arange(len(rows)), count),
        )
        fitted = fit_efficiencies(timed, cells, targets, self.shrinkage)
        return _with_known_starts(fitted) if timed.overlap == "launch" else fitted

    def _ranges(self, rows: np.ndarray) -> dict[str, Range]:
        ranges: dict[str, Range] = {}
        for own in {id(self.seen[i]): self.seen[i].ranges for i in rows}.values():
            ranges = joined_ranges(ranges, own)
        return dict(sorted(ranges.items()))


def _with_known_starts(fitted: Efficiencies) -> Efficiencies:
    """The costs with that of a kernel's start as it was given."""
    effects = {}
    for name in ("term", "family", "cell", "target_term", "target_family", "target_cell"):
        effects[name] = getattr(fitted, name).copy()
        effects[name][..., LAUNCH] = 0.0
    # the scale of a target is of all its terms
    effects["target_term"][:, LAUNCH] = -fitted.scale
    return replace(fitted, **effects)


__all__ = ["LearnedSpeeds", "learn_speeds"]
