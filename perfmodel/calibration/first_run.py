"""The first run: opening a file, preparing its operators and one inference.

load = fixed + kernels x kernel_ms + packed weight bytes / rate + what windows and pointers add
first = load + first_inference x steady + weight bytes that are not packed x their cost

The rate holds both the reading of the file and the packing of weights for the matrix kernels. The
runtime prepares on one thread. Weights that are not packed stay in the file: the system reads some
of them ahead while it loads, the rest in the first inference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perfmodel.devices.facts import LoadFact, Traits
from perfmodel.kernels.loading import LoadWork
from perfmodel.runners.host_bench import RunConfig
from perfmodel.runners.host_frameworks import DEFAULT
from perfmodel.runners.samples import FirstRun

MIN_RUNS = 8
"""First runs needed for eight costs."""
MB = 1e6
"""Bytes of a megabyte, the unit of costs by size."""


def framework_of(setup: RunConfig, framework: str = DEFAULT) -> str:
    """Name under which a setup's load fact stands: threads change the first inference."""
    return f"{framework}/t{setup.threads}"


def fit_load(
    runs: Sequence[FirstRun], setup: RunConfig, framework: str = DEFAULT
) -> LoadFact | None:
    """Loading and first inference, each fitted by itself; None with too few runs to tell."""
    if len(runs) < MIN_RUNS:
        return None
    work = [r.work for r in runs]
    unpacked = np.array([w.unpacked_bytes / MB for w in work])
    sizes = [(w.kernels, w.packed_bytes, w.window_bytes / MB, w.pointer_bytes / MB) for w in work]
    loading = np.column_stack([np.ones(len(runs)), sizes, unpacked])
    running = np.column_stack([[r.steady_ms for r in runs], unpacked])
    load = _costs(loading, np.array([r.load_ms for r in runs]))
    run = _costs(running, np.array([r.inference_ms for r in runs]))
    first = np.array([r.first_ms for r in runs])
    off = np.abs((loading @ load + running @ run) / first - 1)
    fixed, kernel, per_byte, window, pointer, ahead = (float(v) for v in load)
    factor, late = (float(v) for v in run)
    cold = all(r.cold for r in runs)
    return LoadFact(
        unit="cpu",
        framework=framework_of(setup, framework),
        fixed_ms=fixed,
        bytes_per_ms=1.0 / max(per_byte, 1e-12),
        source=f"{'cold' if cold else 'warm'} page cache, measured on this machine",
        kernel_ms=kernel,
        first_inference=factor,
        precision=setup.precision,
        measurements=len(runs),
        median_error=float(np.median(off)),
        window_ms_per_mb=window,
        pointer_ms_per_mb=pointer,
        unpacked_ms_per_mb=ahead + late,
    )


def _costs(design: np.ndarray, times_ms: np.ndarray) -> np.ndarray:
    """Non-negative least squares of relative errors, once more without what is far off."""
    from scipy.optimize import nnls

    kept = np.ones(len(times_ms), dtype=bool)
    for _ in range(2):
        # columns are scaled, so that bytes and counts weigh alike in the solver
        relative = design[kept] / times_ms[kept, None]
        size = np.maximum(np.abs(relative).max(axis=0), 1e-300)
        found: np.ndarray = nnls(relative / size, np.ones(int(kept.sum())))[0] / size
        off = np.abs(design @ found / times_ms - 1)
        kept = off <= max(3 * float(np.median(off)), 0.02)
    return found


def load_fact(traits: Traits, setup: RunConfig, framework: str = DEFAULT) -> LoadFact | None:
    """The fact of a setup in a profile, if it has one."""
    wanted = ("cpu", framework_of(setup, framework), setup.precision)
    facts = (f for f in traits.load if (f.unit, f.framework, f.precision) == wanted)
    return next(facts, None)


def first_ms(fact: LoadFact, work: LoadWork, steady_ms: float) -> float:
    """Predicted first run of a network in ms."""
    prepared = fact.fixed_ms + fact.kernel_ms * work.kernels + work.packed_bytes / fact.bytes_per_ms
    prepared += fact.window_ms_per_mb * work.window_bytes / MB
    prepared += fact.pointer_ms_per_mb * work.pointer_bytes / MB
    read = fact.unpacked_ms_per_mb * work.unpacked_bytes / MB
    return prepared + fact.first_inference * steady_ms + read
