"""From samples of random networks to fitted targets: model, interval and error, out of sample.

Intervals and errors come from networks that the model which predicted them never saw
(cross-conformal over whole networks; Vovk 2015, "Cross-conformal predictors").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.optimize import nnls
from scipy.special import stdtrit

from perfmodel.calibration.overhead import Overhead, overhead, stretched
from perfmodel.cost_models.efficiencies import Shrinkage
from perfmodel.cost_models.interval import (
    COVERAGE,
    FitError,
    Interval,
    conformal_interval,
    conformal_quantile,
    fit_error,
)
from perfmodel.cost_models.kernel_model import KernelModel, KernelRows
from perfmodel.cost_models.kernel_population import TargetTraits
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import Machine, coldness, cooled, waste, work_of
from perfmodel.cost_models.predictor import network_novelty
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.recency import with_recency
from perfmodel.runners.host_bench import RunConfig
from perfmodel.runners.samples import Sample

FOLDS = 4
"""A fit of three quarters of the networks stands for that of all; more folds cost time."""
MIN_NETWORKS = 8
"""Networks a target needs before anything is fitted to it."""
SMALLEST_SLOPE = 0.05
"""Least growth of an error with novelty, by judgement: what is outside the fitted range is never as
sure as what is inside, whatever the few large networks say."""
L2_BYTES = 1e6
"""A core's own cache, in round numbers (0.5 to 2 MB in CPUs since 2017): only where a kernel's
bytes leave it, and the trees correct that by the times."""
BLOCKS = (1, 4, 8, 16, 32, 64)
"""Output channels that a library may compute at once: vectors of 4 to 16, times 1 to 4 of them."""
NEAR_BYTES = (0.0, *(2.0**20 * 2 ** (i / 4) for i in range(2, 25)))
"""Sizes of a last cache that are tried: none, then 1.4 to 64 MiB in steps of a quarter octave."""
COLD_STARTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""How many times longer starts of kernels are tried to take whose like ran long ago."""
COLD_MOVES = (0.0, 0.5, 1.0, 2.0)
"""The same of moving their tensors: beyond three times as long there is no cache to be missed."""
WINOGRAD_TRIED = ("none", "best")
"""Rules by which a library may use Winograd's algorithm: of those run here MNN and ncnn do."""
PLAIN_PRODUCTS = ("conv1x1", "conv3x3", "convkxk")
BUSY_MACS = 2e6
"""Smaller products take too much of their time to start to show a library's blocks: 2 MMAC take
about 50 us on one core. Depthwise ones, which are slower by MAC, count from a tenth of it."""
OWN_SPEEDS = Shrinkage(target_term=1.0, target_family=0.6, target_cell=0.5, strength=4000.0)
"""A host measures hundreds of networks a target, enough for speeds of its own: little is borrowed
from the other targets (kernel_model's own settings are for phones with tens of kernels)."""
SHORT_MS = 0.1
"""Networks below this are off by microseconds rather than by per cent, because starts of kernels
are much of their time: they widen the interval of short times only, by `Interval.short_ms`."""


@dataclass(frozen=True)
class NetworkMisses:
    """Networks that a fit did not see: ms as measured, and log(measured / predicted)."""

    whole_ms: np.ndarray
    log_ratio: np.ndarray

    def parted(self) -> tuple[NetworkMisses, NetworkMisses]:
        """Those of at least `SHORT_MS` and the shorter ones; all are the first where the others
        are too few to tell."""
        long = self.whole_ms >= SHORT_MS
        long = long if long.sum() >= MIN_NETWORKS else np.ones(len(long), dtype=bool)
        return self.take(long), self.take(~long)

    def take(self, chosen: np.ndarray) -> NetworkMisses:
        """The networks of a mask."""
        return NetworkMisses(self.whole_ms[chosen], self.log_ratio[chosen])


@dataclass(frozen=True)
class FittedTarget:
    """What a profile needs of one target; `left_out` are log(measured / predicted) of networks
    of at least `SHORT_MS`, `left_out_short` of shorter ones."""

    setup: RunConfig
    predictor: KernelPredictor
    interval: Interval
    error: FitError
    left_out: tuple[float, ...]
    left_out_short: tuple[float, ...] = ()


def model(seed: int = 0) -> KernelModel:
    """The estimator, with settings chosen on random networks only.

    One machine has cliffs (a window the library has no kernel for) that physics must be allowed to
    be wrong about: forty times, for depthwise windows of 7x7 in uint8. So the correction is hardly
    limited; and each target has its own trees, because the libraries' kernels of different
    precisions have nothing in common but the shape.
    """
    return KernelModel(
        shrinkage=OWN_SPEEDS,
        trees=200,
        leaves=16,
        learning_rate=0.1,
        min_rows=4,
        l2=1.0,
        limit=5.0,
        pool=False,
        random_state=seed,
    )


def _machine(setup: RunConfig) -> Machine:
    return Machine(
        lanes=float(setup.threads),
        cache_bytes=L2_BYTES,
        precision=setup.precision,
        winograd="none",
        shares_cache=True,
    )


def traits_of(
    setup: RunConfig, table: KernelTable, latency_us: np.ndarray, near_bytes: float = 0.0
) -> TargetTraits:
    """What of a setup shapes the work of its kernels; their times tell the library's blocks."""
    products = np.isin(table["kernel_class"], PLAIN_PRODUCTS) & (table["macs"] >= BUSY_MACS)
    depthwise = (table["kernel_class"] == "depthwise") & (table["macs"] >= BUSY_MACS / 10)
    machine = replace(
        _machine(setup),
        columns=_block(table["n"], table["macs"], latency_us, products),
        channels=_block(table["groups"], table["macs"], latency_us, depthwise),
        near_bytes=near_bytes,
    )
    return TargetTraits(str(setup), _explaining(machine, table, latency_us))


def _explaining(machine: Machine, table: KernelTable, latency_us: np.ndarray) -> Machine:
    """The machine with that rule of Winograd's and those costs of kernels whose like ran long ago
    with which speeds explain the times best; an odd kernel counts no more than one that is off by
    all of its time."""
    cold = coldness(table, machine.element_bytes)
    found: list[tuple[float, int, Machine]] = []
    for winograd in WINOGRAD_TRIED:
        work = work_of(table, replace(machine, winograd=winograd))
        cells = [work.cell == cell for cell in sorted(set(work.cell))]
        cells = [own for own in cells if own.sum() >= MIN_NETWORKS]
        for start, moves in product(COLD_STARTS, COLD_MOVES):
            tried = replace(machine, winograd=winograd, cold_start=start, cold_bytes=moves)
            terms = cooled(work.terms, cold, tried)
            off = sum(_unexplained(terms[own], latency_us[own]) for own in cells)
            found.append((off, len(found), tried))
    return min(found)[2]


def _unexplained(terms: np.ndarray, latency_us: np.ndarray) -> float:
    """Sum of the shares by which the best speeds miss the times of kernels of one cell."""
    design = terms / latency_us[:, None]
    speeds = nnls(design, np.ones(len(latency_us)))[0]
    return float(np.minimum(np.abs(design @ speeds - 1), 1.0).sum())


def near_bytes_of(layers: Sequence[tuple[RunConfig, KernelTable, np.ndarray]]) -> float:
    """Bytes of weights that stay near the core between two steps of a recurrent layer.

    `layers` are the kernels of each setup and their times in us. With those bytes free, speeds
    explain the times of the recurrent layers best, over all setups: they share one cache.
    """
    misses = np.zeros(len(NEAR_BYTES))
    for setup, table, latency_us in layers:
        chosen = table["kernel_class"] == "recurrent"
        if chosen.sum() < MIN_NETWORKS:
            continue
        recurrent, taken = table.take(chosen), latency_us[chosen]
        for place, near in enumerate(NEAR_BYTES):
            work = work_of(recurrent, replace(_machine(setup), near_bytes=near))
            cells = [work.terms * (work.cell == c)[:, None] for c in sorted(set(work.cell))]
            design = np.column_stack(cells) / taken[:, None]
            misses[place] += nnls(design, np.ones(len(taken)))[1] ** 2
    return NEAR_BYTES[int(np.argmin(misses))]


def _block(size: np.ndarray, macs: np.ndarray, latency_us: np.ndarray, chosen: np.ndarray) -> int:
    """How many output channels are computed at once: with the last block filled up, the time of
    a product varies least."""
    if chosen.sum() < MIN_NETWORKS:
        return 1
    wide, per_mac = size[chosen], np.log(latency_us[chosen] / macs[chosen])
    spread = []
    for block in BLOCKS:
        log = per_mac - waste(wide, block)
        spread.append(float(np.median(np.abs(log - np.median(log)))))
    return BLOCKS[int(np.argmin(spread))]


def concatenated(tables: Sequence[KernelTable]) -> KernelTable:
    """Several tables as one."""
    return KernelTable(
        {c: np.concatenate([t.text[c] for t in tables]) for c in tables[0].text},
        {c: np.concatenate([t.number[c] for t in tables]) for c in tables[0].number},
    )


def fit_predictors(
    samples: Sequence[Sample], overheads: Mapping[RunConfig, Overhead], seed: int = 0
) -> dict[RunConfig, KernelPredictor]:
    """One predictor a setup, fitted together."""
    setups = [s for s in overheads if any(x.setup == s for x in samples)]
    table = concatenated([with_recency(s.table) for s in samples])
    target = np.concatenate([np.full(len(s.table), setups.index(s.setup)) for s in samples])
    latency = np.concatenate([stretched(s, overheads[s.setup]) for s in samples])
    own = [np.flatnonzero(target == i) for i in range(len(setups))]
    each = [(s, table.take(i), latency[i]) for s, i in zip(setups, own, strict=True)]
    near = near_bytes_of(each)
    traits = [traits_of(*one, near) for one in each]
    rows = KernelRows(table=table, target=target, targets=tuple(traits))
    fitted = model(seed).fit(rows, latency)
    return {
        setup: replace(fitted.predictor(i), overhead_ms=overheads[setup].fixed_ms)
        for i, setup in enumerate(setups)
    }


def predicted_ms(predictor: KernelPredictor, table: KernelTable) -> float:
    """Whole inference of the kernels in `table`."""
    return float(predictor.parts_ms(table).sum()) + predictor.overhead_ms


def fit_targets(samples: Sequence[Sample], seed: int = 0) -> tuple[FittedTarget, ...]:
    """Fit every setup that has enough networks; raises `MeasurementError` if none has."""
    setups = [
        s
        for s in dict.fromkeys(x.setup for x in samples)
        if sum(x.setup == s and x.operators > 0 for x in samples) >= MIN_NETWORKS
    ]
    if not setups:
        raise MeasurementError(
            f"{len(samples)} networks measured: too few to fit a model",
            f"give a larger --budget; a target needs {MIN_NETWORKS} networks",
        )
    used = [s for s in samples if s.setup in setups]
    overheads = {s: overhead([x for x in used if x.setup == s]) for s in setups}
    left_out = _left_out(used, overheads, seed)
    final = fit_predictors(used, overheads, seed)
    slope = _novelty_slope(used, overheads, left_out, seed)
    return tuple(_target(s, final[s], left_out[s], slope) for s in setups)


def _target(
    setup: RunConfig, predictor: KernelPredictor, left_out: NetworkMisses, slope: float
) -> FittedTarget:
    usual, short = left_out.parted()
    residuals = usual.log_ratio
    interval = conformal_interval(residuals, least=least_width(residuals), novelty_slope=slope)
    return FittedTarget(
        setup,
        predictor,
        replace(interval, short_ms=_short_ms(short, interval)),
        fit_error(f"random networks left out, {FOLDS} folds", residuals),
        tuple(residuals.tolist()),
        tuple(short.log_ratio.tolist()),
    )


def _short_ms(short: NetworkMisses, interval: Interval) -> float:
    """What must be added to short times either way for the interval to hold its share of them."""
    if not len(short.whole_ms):
        return 0.0
    predicted = short.whole_ms / np.exp(short.log_ratio)
    side = np.where(short.log_ratio > 0, interval.high_log, interval.low_log)
    beyond = np.maximum(np.abs(short.log_ratio) - side, 0.0)
    return conformal_quantile(predicted * np.expm1(beyond))


def least_width(residuals: np.ndarray) -> float:
    """Least half width of the interval of few left-out networks; 0 where they are enough.

    Fewer than 19 hold no bound that 95 % of new ones stay below: the largest of eight does so for
    89 %. For them the width is that of a further draw of a normal distribution around 0 whose
    spread is known from these alone (Student's t; Hahn and Meeker 1991, "Statistical Intervals",
    section 4.2).
    """
    cases = len(residuals)
    side = (1 + COVERAGE) / 2
    if math.ceil(round((cases + 1) * side, 9)) <= cases:
        return 0.0
    spread = math.sqrt(float(np.mean(residuals**2)))
    return float(stdtrit(cases, side)) * spread * math.sqrt(1 + 1 / cases)


def _fold_of(samples: Sequence[Sample]) -> np.ndarray:
    """Fold of each sample; one network is in the same fold in all its setups."""
    names = [s.key.rpartition("/")[2] for s in samples]
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([place[name] % FOLDS for name in names])


def _residual(predictor: KernelPredictor, sample: Sample) -> float:
    return math.log(sample.whole_ms / predicted_ms(predictor, sample.table))


def _left_out(
    samples: Sequence[Sample], overheads: Mapping[RunConfig, Overhead], seed: int
) -> dict[RunConfig, NetworkMisses]:
    fold = _fold_of(samples)
    found: dict[RunConfig, list[tuple[float, float]]] = {s: [] for s in overheads}
    for number in range(FOLDS):
        rest = [s for s, f in zip(samples, fold, strict=True) if f != number]
        predictors = fit_predictors(rest, overheads, seed)
        for one in (s for s, f in zip(samples, fold, strict=True) if f == number):
            # a lone kernel is no network: its error says nothing of sums
            if one.setup in predictors and one.operators:
                log_ratio = _residual(predictors[one.setup], one)
                found[one.setup].append((one.whole_ms, log_ratio))
    return {s: NetworkMisses(*np.array(v).reshape(-1, 2).T) for s, v in found.items()}


def _novelty_slope(
    samples: Sequence[Sample],
    overheads: Mapping[RunConfig, Overhead],
    left_out: Mapping[RunConfig, NetworkMisses],
    seed: int,
) -> float:
    """How fast errors grow outside the fitted range, learned by fitting on the smaller networks
    and predicting the larger: 90th percentile of the excess error per unit of novelty."""
    size = np.array([s.table["macs"].sum() for s in samples])
    small = size <= np.quantile(size, 0.6)
    predictors = fit_predictors(
        [s for s, k in zip(samples, small, strict=True) if k], overheads, seed
    )
    slopes = []
    for one in (s for s, k in zip(samples, small, strict=True) if not k):
        if one.setup in predictors and one.operators:
            novelty = network_novelty(predictors[one.setup], one.table)
            if novelty > 0.02:
                mine, _ = left_out[one.setup].parted()
                usual = float(np.quantile(np.abs(mine.log_ratio), COVERAGE))
                excess = abs(_residual(predictors[one.setup], one)) - usual
                slopes.append(max(0.0, excess) / novelty)
    # too few large networks tell nothing: the format's own default, on the careful side
    if len(slopes) < 10:
        return 1.0
    return float(np.clip(np.quantile(slopes, COVERAGE), SMALLEST_SLOPE, 1.0))
