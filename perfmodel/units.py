"""Conversions and number formatting: the one place where units change and numbers become text."""

from __future__ import annotations

import math
import re

KB, MB, GB = 10**3, 10**6, 10**9
KIB, MIB, GIB = 2**10, 2**20, 2**30

US_PER_MS = 1e3
MS_PER_S = 1e3
US_PER_S = 1e6

_DURATION_S = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
}
_COUNTS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|min|sec|s|m|h)\s*", re.ASCII)

_BYTES = {
    "B": 1,
    "KB": KB,
    "MB": MB,
    "GB": GB,
    "KiB": KIB,
    "MiB": MIB,
    "GiB": GIB,
}
_SCALES = {**{u: s * MS_PER_S for u, s in _DURATION_S.items()}, **_BYTES, **_COUNTS}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|KB|kB|MB|GB|KiB|MiB|GiB)\s*", re.ASCII)


def mbps_to_bytes_per_s(mbps: float) -> float:
    """Bytes per second of a link rate in megabits (10**6 bits) per second."""
    return mbps * MB / 8


def parse_duration_s(text: str) -> float:
    """Seconds of a duration such as `10min`, `90s`, `1h30min` or `250ms`.

    A bare number has no unit and is refused. Raises ValueError with the accepted units.
    """
    position, seconds = 0, 0.0
    stripped = text.strip()
    while position < len(stripped):
        part = _DURATION.match(stripped, position)
        if part is None:
            break
        seconds += float(part.group(1)) * _DURATION_S[part.group(2)]
        position = part.end()
    if position < len(stripped) or not stripped or not 0 < seconds < math.inf:
        units = ", ".join(_DURATION_S)
        raise ValueError(f"not a duration: {text[:40]!r}; write a number and a unit ({units})")
    return seconds


def parse_bytes(text: str) -> int:
    """Bytes of a size such as `12 MB` (10**6) or `12 MiB` (2**20); ValueError otherwise."""
    part = _SIZE.fullmatch(text)
    if part is None:
        raise ValueError(
            f"not a size: {text[:40]!r}; write a number and one of {', '.join(_BYTES)}"
        )
    unit = "KB" if part.group(2) == "kB" else part.group(2)
    return round(float(part.group(1)) * _BYTES[unit])


def format_short(value: float) -> str:
    """`value` to three digits, zeros at its end left out, never an exponent: 21, 5.25, 5760."""
    text = f"{value:.3g}"
    return f"{float(text):.0f}" if "e+" in text else text


def format_number(value: float, significant_digits: int = 3) -> str:
    """`value` with so many significant digits, without exponent: 0.0123, 12.3, 1230."""
    if not math.isfinite(value):
        return "not known" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if value == 0:
        return "0"
    rounded = float(f"{value:.{significant_digits - 1}e}")
    decimals = significant_digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{max(decimals, 0)}f}"


def format_ms(ms: float) -> str:
    """A duration given in ms, in the unit a reader expects: 850 us, 12.3 ms, 25.0 s, 3.20 min."""
    magnitude = abs(ms)
    if not math.isfinite(ms):
        return format_number(ms)
    if magnitude and magnitude < 0.9995:
        return f"{format_number(ms * US_PER_MS)} us"
    if magnitude < 9999.5:
        return f"{format_number(ms)} ms"
    if magnitude < 120 * MS_PER_S:
        return f"{format_number(ms / MS_PER_S)} s"
    return f"{format_number(ms / MS_PER_S / 60)} min"


def format_count(count: float) -> str:
    """A count with a decimal prefix: `950`, `12.3 k`, `3.50 M`, `1.20 G`, `2.00 T`."""
    if not math.isfinite(count):
        return format_number(count)
    for prefix, scale in reversed(_COUNTS.items()):
        if abs(count) >= scale * 0.9995:
            return f"{format_number(count / scale)} {prefix}"
    return f"{count:g}" if float(count).is_integer() else format_number(count)


def scale_of(unit: str) -> float:
    """What one of a unit or prefix counts, so that `format_*`'s words compare: ms, bytes, ones.

    1 for a word that is none.
    """
    return _SCALES.get(unit, 1.0)


def format_bytes(size_bytes: float, *, binary: bool = False) -> str:
    """A size in decimal units (`12.3 MB`), or with `binary` in powers of two (`11.7 MiB`)."""
    if not math.isfinite(size_bytes):
        return format_number(size_bytes)
    units: tuple[tuple[int, str], ...] = ((GB, "GB"), (MB, "MB"), (KB, "KB"))
    if binary:
        units = ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"))
    for scale, name in units:
        if abs(size_bytes) >= scale * 0.9995:
            return f"{format_number(size_bytes / scale)} {name}"
    return f"{size_bytes:.0f} B"
