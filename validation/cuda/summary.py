"""What a comparison with measured networks says, in words."""

from __future__ import annotations

from perfmodel.experiments.cuda import CudaValidation
from perfmodel.experiments.scores import ranking, scores
from perfmodel.runners.cuda.backends import MODES


def summary(result: CudaValidation) -> str:
    """The comparison in words: all, by mode, and against eager PyTorch."""
    total = scores(result.cases)
    coverage = "-" if total.coverage is None else f"{total.coverage:.0%}"
    lines = [
        f"{result.device}: {total.cases} networks, mean error {total.mape:.1%}, within "
        f"10 % {total.within_10:.0%}, within 20 % {total.within_20:.0%}, "
        f"in the interval {coverage}, Spearman {ranking(total.spearman)}"
    ]
    for mode in MODES:
        if mine := result.of(mode):
            lines.append(f"  {mode}: mean error {scores(mine).mape:.1%} over {len(mine)}")
    slower = len(result.slower_than_eager)
    lines.append(f"eager PyTorch: {result.eager_compared} compared, {slower} of ours slower")
    return "\n".join([*lines, *(f"  {line}" for line in result.slower_than_eager)])
