"""Times that cannot be: checked against the work, the rest of the table and other files.

What these checks are after is a time in another unit (ms for us), in a row or a whole file.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from perfmodel.errors import PerfmodelError
from perfmodel.graph.kinds import GATES
from perfmodel.measurements import columns as schema
from perfmodel.measurements.checks import CONVOLUTIONS, Fault, one_per_row, positions
from perfmodel.units import MS_PER_S, US_PER_S, format_count

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

IMPLAUSIBLE_FACTOR = 200.0
"""How far a time may lie from those of work of its size on the same target. The published
kernel rows stay within 135 (a reshape that MNN turns into nothing); ms for us is 1000."""
CPU_THREAD_MACS_PER_S = 4e12
"""No thread does more: a core with matrix units reaches about 2e12 in 8 bits, Winograd doubles."""
UNIT_MACS_PER_S = {"cpu": 64 * CPU_THREAD_MACS_PER_S}
"""Of rows without a number of threads: 64 are more than runtimes take by themselves."""
MOST_MACS_PER_S = 1e16
"""Ten times the densest 8-bit GPU."""
NEIGHBOURS = 15
"""Kernels nearest in work that one is compared with: odd, so that one of them is the median."""
FEWEST_ROWS = 8
"""Kernels of a target from which on the others tell what is usual."""
FEWEST_NETWORKS = 4
"""Networks of a target from which on the others tell what is usual: one wrong one of three might be
the median."""
SLIPS = (30.0, 30_000.0)
"""Factors that may be a slip of one unit, which is 1,000, of a time that is itself off by 30."""
TARGET = ("device", "unit", "framework", "precision", "threads", "affinity", "source")


def kernel_macs(frame: pd.DataFrame) -> np.ndarray:
    """Multiply-accumulates of each row, from its shape; 0 where the operator has none.

    Sizes a row does not state count as 1, so this is a lower bound for incomplete rows.
    """
    import numpy as np

    def size(*names: str) -> np.ndarray:
        product = np.ones(len(frame))
        for name in names:
            product = product * np.nan_to_num(frame[name].to_numpy(), nan=1.0)
        return product

    op = frame["op"].to_numpy()
    macs = np.zeros(len(frame))
    convolution = size("batch", "cout", "hout", "wout", "cin", "kh", "kw") / size("groups")
    is_convolution = np.isin(op, (*CONVOLUTIONS, "fully_connected"))
    macs[is_convolution] = convolution[is_convolution]
    recurrent = np.isin(op, tuple(GATES))
    gates = np.array([GATES.get(kind, 0) for kind in op])
    macs[recurrent] = (gates * size("batch", "m", "k", "k"))[recurrent]
    product = frame["k"].notna().to_numpy() & ~recurrent & ~is_convolution
    macs[product] = size("batch", "m", "n", "k")[product]
    return macs


def kernel_work(frame: pd.DataFrame) -> np.ndarray:
    """A rough measure of each kernel's work: MACs + 10 per element; NaN without any shape."""
    import numpy as np

    def volume(*names: str) -> np.ndarray:
        product = np.ones(len(frame))
        for name in names:
            product = product * frame[name].to_numpy()
        return np.nan_to_num(product)

    batch = np.nan_to_num(frame["batch"].to_numpy(), nan=1.0)
    elements = batch * np.maximum(volume("cin", "hin", "win"), volume("cout", "hout", "wout"))
    elements = np.maximum(elements, np.nan_to_num(frame["elements"].to_numpy()))
    work = kernel_macs(frame) + 10 * elements
    return np.where(work > 0, work, np.nan)


def check_plausible(
    frame: pd.DataFrame, network_macs: Callable[[str], float | None] | None = None
) -> list[Fault]:
    """Rows more than 200 times faster or slower than the rest of the table implies.

    Kernels are compared with the median of the 15 nearest in work on the same target; networks
    with the target's median time per MAC (where `network_macs` knows the model), and with what
    the same model takes elsewhere, relative to the other models measured there. Any row is
    compared with what no processor reaches.
    """
    return one_per_row(
        [
            *_kernel_outliers(frame),
            *_speed_outliers(frame, network_macs),
            *_network_outliers(frame),
            *_impossible_speeds(frame, network_macs),
        ]
    )


@functools.cache
def zoo_macs(model: str) -> float | None:
    """Multiply-accumulates of a network of the zoo, by its name; None for any other model.

    Files are not opened: a table may come from a stranger.
    """
    from perfmodel import zoo
    from perfmodel.kernels.operators import macs

    if len(model) > 100 or model.split("@")[0] not in zoo.names():
        return None
    try:
        return float(macs(zoo.build(model)))
    except (PerfmodelError, ValueError, OverflowError):
        return None


def _impossible_speeds(
    frame: pd.DataFrame, network_macs: Callable[[str], float | None] | None
) -> Iterator[Fault]:
    """Rows faster than any processor of their kind: a whole file in another unit shows so."""
    import numpy as np

    kernel = frame["latency_us"].notna().to_numpy()
    macs = np.where(kernel, kernel_macs(frame), _macs_of_networks(frame, network_macs))
    seconds = np.where(kernel, frame["latency_us"] / US_PER_S, frame["latency_ms"] / MS_PER_S)
    threads = frame["threads"].to_numpy()
    limit = frame["unit"].map(UNIT_MACS_PER_S).fillna(MOST_MACS_PER_S).to_numpy(dtype=float)
    on_threads = (frame["unit"] == "cpu").to_numpy() & ~np.isnan(threads)
    limit = np.where(on_threads, threads * CPU_THREAD_MACS_PER_S, limit)
    for i in positions(macs / seconds > limit):
        name, guess = ("us", "ms") if kernel[i] else ("ms", "s")
        rate = format_count(macs[i] / seconds[i])
        unit = frame["unit"].iloc[i]
        yield i, f"column latency_{name}: {rate}MAC/s is beyond any {unit}; {guess} for {name}?"


def _macs_of_networks(
    frame: pd.DataFrame, network_macs: Callable[[str], float | None] | None
) -> np.ndarray:
    """Multiply-accumulates of each network row with its batch; NaN where they are not known."""
    import numpy as np

    known = np.full(len(frame), np.nan)
    if network_macs is not None:
        is_network = frame["latency_ms"].notna()
        macs = {model: network_macs(model) for model in frame.loc[is_network, "model"].unique()}
        known = np.array([macs.get(model) or np.nan for model in frame["model"]], dtype=float)
    return known * np.nan_to_num(frame["batch"].to_numpy(), nan=1.0)


def _unit_slip(log_ratio: float, unit: str, other: str) -> str:
    factor = 10 ** abs(log_ratio)
    direction = "slower" if log_ratio > 0 else "faster"
    guess = f"; {other} for {unit}?" if SLIPS[0] <= factor <= SLIPS[1] else ""
    return f"column latency_{unit}: {factor:.3g} times {direction} than the table implies{guess}"


def _kernel_outliers(frame: pd.DataFrame) -> Iterator[Fault]:
    import numpy as np

    rows = np.flatnonzero(frame["latency_us"].notna())
    if len(rows) < FEWEST_ROWS:
        return
    # not before there are kernels to look at: it takes longer to import than a small table takes
    from scipy.ndimage import median_filter

    work = kernel_work(frame.iloc[rows])
    rows, work = rows[~np.isnan(work)], work[~np.isnan(work)]
    log_us = np.log10(frame["latency_us"].to_numpy()[rows])
    target = frame.iloc[rows].groupby(list(TARGET), dropna=False, sort=False).ngroup().to_numpy()
    order = np.lexsort((log_us, work, target))
    for group in np.split(order, np.flatnonzero(np.diff(target[order])) + 1):
        if len(group) < FEWEST_ROWS:
            continue
        usual = median_filter(log_us[group], size=min(NEIGHBOURS, len(group) | 1), mode="nearest")
        off = log_us[group] - usual
        for j in np.flatnonzero(np.abs(off) > math.log10(IMPLAUSIBLE_FACTOR)):
            yield int(rows[group[j]]), _unit_slip(off[j], "us", "ns" if off[j] > 0 else "ms")


def _speed_outliers(
    frame: pd.DataFrame, network_macs: Callable[[str], float | None] | None
) -> Iterator[Fault]:
    import numpy as np

    known = _macs_of_networks(frame, network_macs)
    rows = np.flatnonzero(frame["latency_ms"].notna() & ~np.isnan(known))
    if len(rows) < FEWEST_NETWORKS:
        return
    log_time = np.log10(frame["latency_ms"].to_numpy()[rows] / known[rows])
    target = frame.iloc[rows].groupby(list(TARGET), dropna=False, sort=False).ngroup().to_numpy()
    for group in range(target.max() + 1):
        mine = np.flatnonzero(target == group)
        if len(mine) < FEWEST_NETWORKS:
            continue
        off = log_time[mine] - np.median(log_time[mine])
        for j in np.flatnonzero(np.abs(off) > math.log10(IMPLAUSIBLE_FACTOR)):
            yield int(rows[mine[j]]), _unit_slip(off[j], "ms", "us" if off[j] > 0 else "s")


def _network_outliers(frame: pd.DataFrame) -> Iterator[Fault]:
    """Network rows off the additive pattern log time = model + target (median polish)."""
    import numpy as np
    import pandas as pd

    rows = np.flatnonzero(frame["latency_ms"].notna())
    if len(rows) < FEWEST_NETWORKS:
        return
    part = frame.iloc[rows]
    target = part.groupby(list(TARGET), dropna=False, sort=False).ngroup().to_numpy()
    model = part.groupby(["model", "batch", "variant", "kind"], dropna=False, sort=False)
    residual = pd.Series(np.log10(part["latency_ms"].to_numpy()))
    model_number = model.ngroup().to_numpy()
    targets_of_model = pd.Series(target).groupby(model_number).transform("nunique").to_numpy()
    for _ in range(3):
        residual = residual - residual.groupby(model_number).transform("median")
        residual = residual - residual.groupby(target).transform("median")
    # One other target cannot tell which of two is wrong; the median of three can.
    suspicious = (residual.abs() > math.log10(IMPLAUSIBLE_FACTOR)) & (targets_of_model >= 3)
    for i in np.flatnonzero(suspicious):
        off = float(residual.iloc[i])
        yield int(rows[i]), _unit_slip(off, "ms", "us" if off > 0 else "s")


def check_files_agree(frame: pd.DataFrame) -> list[Fault]:
    """Whole files off by a unit: 200-fold apart from the others on the same device.

    Compared are the times of the same model or kernel on the same device and unit, and the sum
    of a network's kernels with its whole time. The file with fewer rows (of two alike, the later
    one) is blamed, all its rows.
    """
    import numpy as np

    sizes = frame["origin_file"].value_counts(sort=False)
    if len(sizes) < 2:
        return []
    order = {file: (-rows, number) for number, (file, rows) in enumerate(sizes.items())}
    limit = math.log10(IMPLAUSIBLE_FACTOR)
    faults: list[Fault] = []
    for (file, other), off in _file_disagreements(frame).items():
        if order[file] < order[other] or abs(off) <= limit:
            continue
        factor = f"{10 ** abs(off):.3g} times {'slower' if off > 0 else 'faster'}"
        reason = f"whole file: {factor} than {other} for the same work; ms for us?"
        faults.extend((int(i), reason) for i in np.flatnonzero(frame["origin_file"] == file))
    return one_per_row(faults)


def _file_disagreements(frame: pd.DataFrame) -> dict[tuple[str, str], float]:
    """log10 of the median ratio of times, for each ordered pair of files that share work."""
    import numpy as np

    same = ["device", "unit", "model", "batch"]
    kernel = [*same, "layer", "op", *schema.SHAPE]
    is_kernel = frame["latency_us"].notna()
    networks = frame[~is_kernel].groupby([*same, "origin_file"], sort=False)["latency_ms"].median()
    kernels = frame[is_kernel]
    sums = kernels[kernels["model"] != ""].groupby([*same, *TARGET[2:], "origin_file"], sort=False)
    sum_ms = (sums["latency_us"].sum() / 1e3).groupby([*same, "origin_file"], sort=False).median()
    times = kernels.groupby([*kernel, "origin_file"], dropna=False, sort=False)[
        "latency_us"
    ].median()
    ratios: dict[tuple[str, str], list[np.ndarray]] = {}
    for one, two in ((networks, networks), (times, times), (sum_ms, networks), (networks, sum_ms)):
        index = [name for name in one.index.names if name != "origin_file"]
        left, right = one.rename("left").reset_index(), two.rename("right").reset_index()
        pairs = left.merge(right, on=index, suffixes=("", "_other"))
        pairs = pairs[pairs["origin_file"] != pairs["origin_file_other"]]
        for files, part in pairs.groupby(["origin_file", "origin_file_other"], sort=False):
            ratio = np.log10(part["left"].to_numpy() / part["right"].to_numpy())
            ratios.setdefault(files, []).append(ratio)
    return {files: float(np.median(np.concatenate(parts))) for files, parts in ratios.items()}
