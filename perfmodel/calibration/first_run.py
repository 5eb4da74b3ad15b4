"""The first run: opening a file, preparing its operators and one inference.

load = fixed + kernels x kernel_ms + packed weight bytes / rate
     + what pieces, windows and pointers add
first = load + first_inference x steady + weight bytes that are not packed x their cost

The rate holds both the reading of the file and the packing of weights for the matrix kernels; of
small tensors both take longer by the byte. The runtime prepares on one thread, so that all loads
of a precision teach one fit, whatever the threads. Weights that are not packed stay in the file:
the system reads some of them ahead while it loads, the rest in the first inference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from perfmodel.devices.facts import LoadFact, loader
from perfmodel.runners.host_bench import RunConfig
from perfmodel.runners.host_frameworks import DEFAULT
from perfmodel.runners.samples import FirstRun
from perfmodel.units import MB

MIN_RUNS = 8
"""First runs needed for twelve costs, most of which are nought in a fit of so few."""
REPEATS = 0.15
"""Log ratio by which loads of the same files differ from hour to hour; in the committed campaign
those of two threads took 5 % longer, which its validation did not see again. A framework whose
loads differ by more between numbers of threads prepares on all of them."""


def fit_load(
    runs: Sequence[FirstRun],
    setup: RunConfig,
    framework: str = DEFAULT,
    others: Sequence[FirstRun] = (),
) -> LoadFact | None:
    """Loading and first inference, each fitted by itself; None with too few runs to tell.

    `others` are runs of the same precision with other numbers of threads: they tell how the parts
    of a load relate, `runs` how long it takes.
    """
    least = 2 if sum(r.loads > 1 for r in runs) >= MIN_RUNS else 1
    # the least of several loads is less than an only one by chance alone
    runs, others = ([r for r in some if r.loads >= least] for some in (runs, others))
    if len(runs) < MIN_RUNS:
        return None
    load = _costs(_loading([*runs, *others]), np.array([r.load_ms for r in [*runs, *others]]))
    slower = float(np.median([r.load_ms for r in runs] / (_loading(runs) @ load)))
    load *= slower if abs(math.log(slower)) > REPEATS else 1.0
    unpacked = np.array([r.work.unpacked_bytes / MB for r in runs])
    running = np.column_stack([np.ones(len(runs)), [r.steady_ms for r in runs], unpacked])
    run = _costs(running, np.array([r.inference_ms for r in runs]))
    first = np.array([r.first_ms for r in runs])
    off = np.abs((_loading(runs) @ load + running @ run) / first - 1)
    fixed, kernel, per_mb, window, pointer, ahead, *pieces = (float(v) for v in load)
    beside, factor, late = (float(v) for v in run)
    cold = all(r.cold for r in runs)
    return LoadFact(
        unit="cpu",
        framework=loader(framework, setup.threads),
        fixed_ms=fixed + beside,
        bytes_per_ms=MB / max(per_mb, 1e-6),
        source=f"{'cold' if cold else 'warm'} page cache, measured on this machine",
        kernel_ms=kernel,
        first_inference=factor,
        precision=setup.precision,
        measurements=len(runs),
        median_error=float(np.median(off)),
        window_ms_per_mb=window,
        pointer_ms_per_mb=pointer,
        unpacked_ms_per_mb=ahead + late,
        piece_ms_per_mb=tuple(pieces),
    )


def _loading(runs: Sequence[FirstRun]) -> np.ndarray:
    """What loads consist of, in counts and megabytes, shape (runs, 6 + limits of `PIECES`)."""
    work = [r.work for r in runs]
    counts = np.array([(1.0, w.kernels) for w in work])
    sizes = np.array(
        [
            (w.packed_bytes, w.window_bytes, w.pointer_bytes, w.unpacked_bytes, *w.piece_bytes)
            for w in work
        ]
    )
    return np.column_stack([counts, sizes / MB])


def _costs(design: np.ndarray, times_ms: np.ndarray) -> np.ndarray:
    """Non-negative least squares of relative errors, twice more without what is far off."""
    from scipy.optimize import nnls

    kept = np.ones(len(times_ms), dtype=bool)
    for _ in range(3):
        # columns are scaled, so that bytes and counts weigh alike in the solver
        relative = design[kept] / times_ms[kept, None]
        size = np.maximum(np.abs(relative).max(axis=0), 1e-300)
        found: np.ndarray = nnls(relative / size, np.ones(int(kept.sum())))[0] / size
        off = np.abs(design @ found / times_ms - 1)
        kept = off <= max(3 * float(np.median(off)), 0.02)
    return found
