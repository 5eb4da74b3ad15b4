"""The first run: opening a file, preparing its operators and one inference.

first = fixed + kernels x kernel_ms + weight bytes / rate + first_inference x steady. The rate holds
both the reading of the file and the packing of weights for the matrix kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perfmodel.measure.host_bench import Setup
from perfmodel.measure.samples import FirstRun
from perfmodel.profile.traits import LoadFact, Traits

MIN_RUNS = 8


def framework_of(setup: Setup) -> str:
    """Name under which a setup's load fact stands: threads change packing and first inference."""
    return f"tflite/t{setup.threads}"


def fit_load(runs: Sequence[FirstRun], setup: Setup) -> LoadFact | None:
    """Non-negative least squares of relative errors; None with too few runs to tell."""
    from scipy.optimize import nnls

    if len(runs) < MIN_RUNS:
        return None
    first = np.array([r.first_ms for r in runs])
    design = np.array([[1.0, r.kernels, r.weights_bytes, r.steady_ms] for r in runs])
    kept = np.ones(len(runs), dtype=bool)
    for _ in range(2):
        # columns are scaled, so that bytes and counts weigh alike in the solver
        relative = design[kept] / first[kept, None]
        size = np.maximum(np.abs(relative).max(axis=0), 1e-300)
        found = nnls(relative / size, np.ones(int(kept.sum())))[0] / size
        off = np.abs(design @ found / first - 1)
        kept = off <= max(3 * float(np.median(off)), 0.02)
    fixed, kernel, per_byte, factor = (float(v) for v in found)
    cold = all(r.cold for r in runs)
    return LoadFact(
        "cpu",
        framework_of(setup),
        fixed,
        1.0 / max(per_byte, 1e-12),
        f"{'cold' if cold else 'warm'} page cache, measured on this machine",
        kernel,
        factor,
        setup.precision,
        len(runs),
        float(np.median(off)),
    )


def load_fact(traits: Traits, setup: Setup) -> LoadFact | None:
    """The fact of a setup in a profile, if it has one."""
    wanted = ("cpu", framework_of(setup), setup.precision)
    facts = (f for f in traits.load if (f.unit, f.framework, f.precision) == wanted)
    return next(facts, None)


def first_ms(fact: LoadFact, weights_bytes: float, kernels: int, steady_ms: float) -> float:
    """Predicted first run of a network in ms."""
    prepared = fact.fixed_ms + fact.kernel_ms * kernels + weights_bytes / fact.bytes_per_ms
    return prepared + fact.first_inference * steady_ms
