"""What whole inferences of this machine take beside their kernels, and what listing those costs.

A runtime that lists the times of its operators takes longer for it: ONNX Runtime about 2 us an
operator, a Python call around each of MNN's as much. In a network of large kernels nobody sees
that; in one of hundreds of small ones it would be a third of their time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from perfmodel.runners.samples import Sample

WHOLE_LIMIT = 0.5
"""Kernel times come from a profiled run and are scaled so that they add up to the timed one. By
more than this share they are not: then one of the two runs was disturbed."""
LEAST_OWN = 0.1
"""Share of its listed time that a kernel keeps at least, whatever listing costs."""
USUAL_MISS = 0.03
"""Miss of a whole from which on it counts less, in log units: about what two runs of one network
differ by on a machine that others use too."""
LISTING_US = (-20.0, 50.0)
"""Bounds of what listing an operator costs. Below zero: the runtime spends time between operators
that it does not list."""
RATIOS = (0.3, 3.0)


@dataclass(frozen=True)
class Overhead:
    """Whole inference = `fixed_ms` + `ratio` x the sum of its kernels, as listed less
    `listing_us` for each operator."""

    fixed_ms: float
    ratio: float
    listing_us: float = 0.0

    def own_us(self, sample: Sample) -> np.ndarray:
        """Times of a sample's kernels in us without what listing their operators costs."""
        return _own_us(sample, self.listing_us)


def _own_us(sample: Sample, listing_us: float) -> np.ndarray:
    """The operators are shared out evenly: nearly all kernels have one."""
    listed = sample.kernel_us
    own: np.ndarray = np.maximum(
        listed - listing_us * sample.operators / len(listed), LEAST_OWN * listed
    )
    return own


def overhead(samples: Sequence[Sample]) -> Overhead:
    """What explains the whole times of networks best, in log units; odd ones count little.

    What an inference costs beside its kernels is no more than the whole inference of the quickest
    network, or of any layer timed alone.
    """
    networks = [s for s in samples if s.operators]
    if not networks:
        # kernels timed alone hold their own overhead
        return Overhead(0.0, 1.0)
    most = min(s.whole_ms for s in samples)
    whole = np.log([s.whole_ms for s in networks])

    def miss(found: np.ndarray) -> np.ndarray:
        share, ratio, listing = found
        total = np.array([_own_us(s, listing).sum() / 1e3 for s in networks])
        return np.log(share * most + ratio * total) - whole

    low, high = zip((0.0, 1.0), RATIOS, LISTING_US, strict=True)
    tried = [
        least_squares(
            miss,
            [0.3, 1.0, start],
            bounds=(low, high),
            x_scale=[0.3, 0.1, 1.0],
            loss="soft_l1",
            f_scale=USUAL_MISS,
        )
        for start in (0.0, 2.0)
    ]
    share, ratio, listing = min(tried, key=lambda t: t.cost).x
    return Overhead(float(share * most), float(ratio), float(listing))


def stretched(sample: Sample, cost: Overhead) -> np.ndarray:
    """Kernel times that add up to the whole inference, shape (kernels,), in us.

    The profiled run is another run than the timed one; within limits the whole is right.
    """
    if not sample.operators:
        return sample.kernel_us
    own = cost.own_us(sample)
    scale = (sample.whole_ms - cost.fixed_ms) * 1e3 / own.sum()
    nearest = np.clip(scale / cost.ratio, 1 - WHOLE_LIMIT, 1 + WHOLE_LIMIT)
    times: np.ndarray = own * nearest * cost.ratio
    return times
