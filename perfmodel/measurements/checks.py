"""Checks of a measurement table: each gives the positions of bad rows and the reason.

Rows are checked one by one (`check_rows`) and against each other (`check_duplicates`); whether
their times can be is asked in `perfmodel.measurements.plausibility`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from perfmodel.measurements import columns as schema

if TYPE_CHECKING:
    import pandas as pd

Fault = tuple[int, str]
"""Position of a row in the frame, and what is wrong with it."""

REPEATED = (*schema.KEY, "layer", "op", "tokens", *schema.SHAPE)
"""Rows that agree in these measure the same thing; their column run tells them apart."""

CONVOLUTIONS = ("conv2d", "depthwise_conv2d")


def check_rows(frame: pd.DataFrame) -> list[Fault]:
    """Faults that show in a row alone: missing, unknown or impossible values."""
    faults: list[Fault] = []
    for check in (_text_faults, _latency_faults, _number_faults, _shape_faults):
        faults.extend(check(frame))
    return one_per_row(faults)


def one_per_row(faults: list[Fault]) -> list[Fault]:
    first: dict[int, str] = {}
    for position, reason in faults:
        first.setdefault(position, reason)
    return sorted(first.items())


def positions(mask: Any) -> list[int]:
    import numpy as np

    return [int(i) for i in np.flatnonzero(np.asarray(mask))]


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _text_faults(frame: pd.DataFrame) -> Iterator[Fault]:
    for name in ("device", "unit"):
        empty = frame[name] == ""
        # A rate is no measurement of a target: it may leave the unit open.
        for i in positions(empty & frame["tokens_per_s"].isna() if name == "unit" else empty):
            yield i, f"column {name}: empty"
    network = frame["latency_ms"].notna()
    for i in positions(network & (frame["model"] == "")):
        yield i, "column model: empty"
    kernel = frame["latency_us"].notna()
    for i in positions(kernel & (frame["op"] == "") & (frame["layer"] == "")):
        yield i, "column op: empty"
    for column in schema.COLUMNS:
        if not column.allowed:
            continue
        known = frame[column.name].isin(["", *column.allowed])
        for i in positions(~known):
            value = _shown(frame[column.name].iloc[i])
            yield i, f"column {column.name}: unknown {value}; one of {', '.join(column.allowed)}"


def _latency_faults(frame: pd.DataFrame) -> Iterator[Fault]:
    import numpy as np

    ms, us = frame["latency_ms"].to_numpy(), frame["latency_us"].to_numpy()
    rate = frame["tokens_per_s"].to_numpy()
    figures = np.sum([~np.isnan(ms), ~np.isnan(us), ~np.isnan(rate)], axis=0)
    for i in positions(figures == 0):
        yield i, "column latency_ms: no latency, and none in latency_us"
    for i in positions(figures > 1):
        reason = "a row is a network (latency_ms), a kernel (latency_us) or a rate (tokens_per_s)"
        yield i, f"column latency_ms: {reason}"
    for i in positions(~np.isnan(rate) & ~(rate > 0)):
        yield i, f"column tokens_per_s: must be above 0, got {rate[i]:g}"
    is_rate = frame["kind"].isin(schema.RATE_KINDS).to_numpy()
    for i in positions(is_rate != ~np.isnan(rate)):
        yield i, "column kind: prefill and decode are kinds of tokens_per_s, and only these"
    for name, values, limit in (
        ("latency_ms", ms, schema.MAX_LATENCY_MS),
        ("latency_us", us, schema.MAX_LATENCY_MS * 1e3),
    ):
        for i in positions(~np.isnan(values) & ~(values > 0)):
            yield i, f"column {name}: must be above 0, got {values[i]:g}"
        for i in positions(values > limit):
            yield i, f"column {name}: {values[i]:g} is more than a day"


def _number_faults(frame: pd.DataFrame) -> Iterator[Fault]:
    import numpy as np

    for name in schema.NUMERIC:
        values = frame[name].to_numpy()
        if np.isnan(values).all() or name.startswith("latency_"):
            continue
        for i in positions(np.isinf(values) | (values < 0)):
            yield i, f"column {name}: impossible value {values[i]:g}"
    for name in schema.INTEGERS:
        values = frame[name].to_numpy()
        stated = ~np.isnan(values)
        whole = np.where(stated, values, 1)
        wrong = (whole < 1) | (whole > schema.MAX_DIMENSION) | (whole != np.floor(whole))
        for i in positions(wrong):
            yield i, f"column {name}: must be a whole number from 1, got {values[i]:g}"
    ordered = ("min_ms", "latency_ms"), ("min_ms", "mean_ms"), ("latency_ms", "max_ms")
    for low, high in (("min_ms", "max_ms"), *ordered, ("mean_ms", "max_ms"), ("p90_ms", "max_ms")):
        below, above = frame[low].to_numpy(), frame[high].to_numpy()
        for i in positions(below > above * 1.01 + 0.01):
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
    key = [*REPEATED, "is_kernel"]
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
