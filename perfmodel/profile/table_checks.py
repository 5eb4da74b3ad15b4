"""Checks of a measurement table: each gives the positions of bad rows and the reason.

Rows are checked one by one (`check_rows`), against each other (`check_duplicates`) and against
what the rest of the table implies about the speed of the device (`check_plausible`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from perfmodel.errors import PerfmodelError
from perfmodel.profile import schema

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Fault = tuple[int, str]
"""Position of a row in the frame, and what is wrong with it."""

IMPLAUSIBLE_FACTOR = 200.0
"""How far a time may lie from those of work of its size on the same target. The published
kernel rows stay within 135 (a reshape that MNN turns into nothing); ms for us is 1000."""
NEIGHBOURS = 15
FEWEST_ROWS = 8
FEWEST_NETWORKS = 4
TARGET = ("device", "unit", "framework", "precision", "threads", "affinity", "source")
CONVOLUTIONS = ("conv2d", "depthwise_conv2d")


def check_rows(frame: pd.DataFrame) -> list[Fault]:
    """Faults that show in a row alone: missing, unknown or impossible values."""
    faults: list[Fault] = []
    for check in (_text_faults, _latency_faults, _number_faults, _shape_faults):
        faults.extend(check(frame))
    return _one_per_row(faults)


def _one_per_row(faults: list[Fault]) -> list[Fault]:
    first: dict[int, str] = {}
    for position, reason in faults:
        first.setdefault(position, reason)
    return sorted(first.items())


def _positions(mask: Any) -> list[int]:
    import numpy as np

    return [int(i) for i in np.flatnonzero(np.asarray(mask))]


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _text_faults(frame: pd.DataFrame) -> Iterator[Fault]:
    for name in ("device", "unit"):
        for i in _positions(frame[name] == ""):
            yield i, f"column {name}: empty"
    network = frame["latency_ms"].notna()
    for i in _positions(network & (frame["model"] == "")):
        yield i, "column model: empty"
    kernel = frame["latency_us"].notna()
    for i in _positions(kernel & (frame["op"] == "") & (frame["layer"] == "")):
        yield i, "column op: empty"
    for column in schema.COLUMNS:
        if not column.allowed:
            continue
        known = frame[column.name].isin(["", *column.allowed])
        for i in _positions(~known):
            value = _shown(frame[column.name].iloc[i])
            yield i, f"column {column.name}: unknown {value}; one of {', '.join(column.allowed)}"


def _latency_faults(frame: pd.DataFrame) -> Iterator[Fault]:
    import numpy as np

    ms, us = frame["latency_ms"].to_numpy(), frame["latency_us"].to_numpy()
    for i in _positions(np.isnan(ms) & np.isnan(us)):
        yield i, "column latency_ms: no latency, and none in latency_us"
    for i in _positions(~np.isnan(ms) & ~np.isnan(us)):
        yield i, "column latency_ms: a row is a network (latency_ms) or a kernel (latency_us)"
    for name, values, limit in (
        ("latency_ms", ms, schema.MAX_LATENCY_MS),
        ("latency_us", us, schema.MAX_LATENCY_MS * 1e3),
    ):
        for i in _positions(~np.isnan(values) & ~(values > 0)):
            yield i, f"column {name}: must be above 0, got {values[i]:g}"
        for i in _positions(values > limit):
            yield i, f"column {name}: {values[i]:g} is more than a day"


def _number_faults(frame: pd.DataFrame) -> Iterator[Fault]:
    import numpy as np

    for name in schema.NUMERIC:
        values = frame[name].to_numpy()
        if np.isnan(values).all() or name.startswith("latency_"):
            continue
        for i in _positions(np.isinf(values) | (values < 0)):
            yield i, f"column {name}: impossible value {values[i]:g}"
    for name in schema.INTEGERS:
        values = frame[name].to_numpy()
        stated = ~np.isnan(values)
        whole = np.where(stated, values, 1)
        wrong = (whole < 1) | (whole > schema.MAX_DIMENSION) | (whole != np.floor(whole))
        for i in _positions(wrong):
            yield i, f"column {name}: must be a whole number from 1, got {values[i]:g}"
    for low, high in (("min_ms", "max_ms"), ("min_ms", "latency_ms"), ("latency_ms", "max_ms")):
        below, above = frame[low].to_numpy(), frame[high].to_numpy()
        for i in _positions(below > above * 1.01 + 0.01):
            yield i, f"column {low}: {below[i]:g} is above {high}, {above[i]:g}"


def _shape_faults(frame: pd.DataFrame) -> Iterator[Fault]:
    """A convolution's sizes must fit: what its output covers, and its groups.

    Padding is no column; a whole input on either side is allowed, as DeepBench pads by 3 for a
    1x1 kernel on 7 pixels.
    """
    import numpy as np

    rows = np.flatnonzero(frame["op"].isin(CONVOLUTIONS))
    if not len(rows):
        return
    for size, out, kernel, stride in (("hin", "hout", "kh", "sh"), ("win", "wout", "kw", "sw")):
        before, after, kernel_size, step = (
            frame[name].to_numpy()[rows] for name in (size, out, kernel, stride)
        )
        with np.errstate(all="ignore"):
            wrong = (after - 1) * step + kernel_size > 3 * before + 2 * kernel_size
        for i in rows[wrong]:
            value = frame[out].iloc[i]
            yield int(i), f"column {out}: {value:g} is impossible with that {size} and {stride}"
    groups = frame["groups"].to_numpy()[rows]
    for name in ("cin", "cout"):
        channels = frame[name].to_numpy()[rows]
        with np.errstate(all="ignore"):
            wrong = np.nan_to_num(np.fmod(channels, groups)) != 0
        for i in rows[wrong]:
            yield int(i), f"column groups: {frame['groups'].iloc[i]:g} does not divide {name}"


def check_duplicates(frame: pd.DataFrame) -> list[Fault]:
    """Rows whose key (target, model, layer and shape, repetition) stands further up already."""
    key = [*schema.KEY, "layer", "op", *schema.SHAPE, "is_kernel"]
    keyed = frame.assign(is_kernel=frame["latency_us"].notna())
    repeated = keyed.duplicated(key)
    if not repeated.any():
        return []
    first = keyed[~repeated].drop_duplicates(key).reset_index(names="first_position")
    merged = keyed[repeated].reset_index(names="position").merge(first, on=key, how="left")
    faults = []
    for position, earlier in zip(merged["position"], merged["first_position"], strict=True):
        origin = frame.iloc[int(earlier)]
        faults.append(
            (
                int(position),
                f"duplicate of {origin['origin_file']}: line {origin['origin_line']}; "
                "if it is a repetition, number them in the column run",
            )
        )
    return faults


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
    recurrent = np.isin(op, ("lstm", "gru"))
    macs[recurrent] = (4 * size("batch", "m", "k", "k"))[recurrent]
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
    the same model takes elsewhere, relative to the other models measured there.
    """
    return _one_per_row(
        [
            *_kernel_outliers(frame),
            *_speed_outliers(frame, network_macs),
            *_network_outliers(frame),
        ]
    )


@functools.cache
def zoo_macs(model: str) -> float | None:
    """Multiply-accumulates of a network of the zoo, by its name; None for any other model.

    Files are not opened: a table may come from a stranger.
    """
    from perfmodel.cost.opcosts import macs
    from perfmodel.graph import zoo

    if len(model) > 100 or model.split("@")[0] not in zoo.names():
        return None
    try:
        return float(macs(zoo.build(model)))
    except (PerfmodelError, ValueError, OverflowError):
        return None


def _unit_slip(log_ratio: float, unit: str, other: str) -> str:
    factor = 10 ** abs(log_ratio)
    direction = "slower" if log_ratio > 0 else "faster"
    guess = f"; {other} for {unit}?" if 30 <= factor <= 30_000 else ""
    return f"column latency_{unit}: {factor:.3g} times {direction} than the table implies{guess}"


def _kernel_outliers(frame: pd.DataFrame) -> Iterator[Fault]:
    import numpy as np
    from scipy.ndimage import median_filter

    rows = np.flatnonzero(frame["latency_us"].notna())
    if len(rows) < FEWEST_ROWS:
        return
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

    if network_macs is None:
        return
    macs = {m: network_macs(m) for m in frame.loc[frame["latency_ms"].notna(), "model"].unique()}
    known = np.array([macs.get(model) or np.nan for model in frame["model"]], dtype=float)
    rows = np.flatnonzero(frame["latency_ms"].notna() & ~np.isnan(known))
    if len(rows) < FEWEST_NETWORKS:
        return
    batch = np.nan_to_num(frame["batch"].to_numpy()[rows], nan=1.0)
    log_time = np.log10(frame["latency_ms"].to_numpy()[rows] / (known[rows] * batch))
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
    return _one_per_row(faults)


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
