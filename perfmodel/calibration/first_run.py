"""The first run: opening a file, preparing its operators and one inference.

load = fixed + kernels x kernel_ms + kinds of kernels x kind_ms + packed weight bytes / rate
     + what pieces, windows, weights for Winograd's algorithm and pointers add
first = load + first_inference x steady
      + what kernels, their kinds, weights that are not packed and memory add that is touched first

The rate holds both the reading of the file and the packing of weights for the matrix kernels; of
small tensors both take longer by the byte. The runtime prepares on one thread, so that all loads
of a precision teach one fit, whatever the threads. Weights that are not packed stay in the file:
the system reads some of them ahead while it loads, the rest in the first inference. What a
framework does not do has no cost: costs are never below nought, and most are nought in most.
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
"""First runs needed for eleven costs of loads and seven of inferences, most of which are nought in
a fit of so few."""
IN_LOADS = (
    *("kernels", "kinds", "packed_bytes", "window_bytes", "winograd_bytes", "pointer_bytes"),
    "unpacked_bytes",
)
"""Parts of `LoadWork` that a load may consist of, beside a fixed cost and pieces of weights."""
IN_INFERENCES = ("kernels", "kinds", "unpacked_bytes", "touched_bytes", "copied_bytes")
"""The same of what a first inference takes beyond a steady one.

Chosen on random networks alone, those of the campaign at code cb33099 (ncnn, MNN, ONNX Runtime and
PyTorch, one thread): fitted to 48 of them, 85 to 92 % of the first runs of the others are within
20 % for it, 57 to 89 % without kinds, Winograd's weights and memory that is touched first."""
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
    running = np.column_stack([[r.steady_ms for r in runs], _parts(runs, IN_INFERENCES)])
    run = _costs(running, np.array([r.inference_ms for r in runs]))
    first = np.array([r.first_ms for r in runs])
    off = np.abs((_loading(runs) @ load + running @ run) / first - 1)
    factor, in_run = float(run[0]), _by_part(IN_INFERENCES, run[1:])
    in_load = _by_part(IN_LOADS, load[: 1 + len(IN_LOADS)])
    each = {part: in_load.get(part, 0.0) + in_run.get(part, 0.0) for part in in_load | in_run}
    cold = all(r.cold for r in runs)
    return LoadFact(
        unit="cpu",
        framework=loader(framework, setup.threads),
        fixed_ms=each["fixed"],
        bytes_per_ms=MB / max(each["packed_bytes"], 1e-6),
        source=f"{'cold' if cold else 'warm'} page cache, measured on this machine",
        kernel_ms=each["kernels"],
        kind_ms=each["kinds"],
        first_inference=factor,
        precision=setup.precision,
        measurements=len(runs),
        median_error=float(np.median(off)),
        window_ms_per_mb=each["window_bytes"],
        winograd_ms_per_mb=each["winograd_bytes"],
        pointer_ms_per_mb=each["pointer_bytes"],
        unpacked_ms_per_mb=each["unpacked_bytes"],
        touched_ms_per_mb=each["touched_bytes"],
        copied_ms_per_mb=each["copied_bytes"],
        piece_ms_per_mb=tuple(float(cost) for cost in load[1 + len(IN_LOADS) :]),
    )


def _parts(runs: Sequence[FirstRun], parts: Sequence[str]) -> np.ndarray:
    """One, then parts of the runs' work in counts and megabytes, shape (runs, 1 + parts)."""
    unit = np.array([1.0, *(MB if part.endswith("_bytes") else 1.0 for part in parts)])
    rows = [(1.0, *(getattr(run.work, part) for part in parts)) for run in runs]
    shaped: np.ndarray = np.array(rows, dtype=float) / unit
    return shaped


def _by_part(parts: Sequence[str], costs: np.ndarray) -> dict[str, float]:
    return dict(zip(("fixed", *parts), map(float, costs), strict=True))


def _loading(runs: Sequence[FirstRun]) -> np.ndarray:
    """What loads consist of, shape (runs, 1 + `IN_LOADS` + limits of `PIECES`)."""
    pieces = np.array([run.work.piece_bytes for run in runs]) / MB
    return np.column_stack([_parts(runs, IN_LOADS), pieces])


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
