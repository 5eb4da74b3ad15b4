"""What a profile knows of a device beside latency models: transfers, power, loading, storage.

Each fact is a small frozen record with units in its names and a source; plans, energies and first
runs are made from them. A device without a fact has none: nothing missing becomes zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

import numpy as np

from perfmodel.errors import ProfileError
from perfmodel.kernels.loading import LoadWork
from perfmodel.target import Target
from perfmodel.units import MB


@dataclass(frozen=True)
class TransferFact:
    """Moving a tensor from one unit's memory to another's: fixed cost plus bytes over a rate.

    `median_error` is the relative error of this line on the measurements it was fitted to.
    """

    from_unit: str
    to_unit: str
    fixed_ms: float
    bytes_per_ms: float
    source: str
    measurements: int = 0
    median_error: float = 0.0

    def ms(self, size_bytes: float) -> float:
        """Milliseconds to move one tensor."""
        return self.fixed_ms + size_bytes / self.bytes_per_ms


@dataclass(frozen=True)
class DispatchFact:
    """Cost of running one more segment on a unit (waking a delegate, a queue, a handle)."""

    unit: str
    fixed_ms: float
    source: str


@dataclass(frozen=True)
class StorageFact:
    """A mobile GPU's weight storage, and why one big delegate can be slower than two.

    Assumed mechanism: a delegate picks one kind of weight storage for all its kernels. A kernel
    with more than `weight_limit_bytes` of weights does not fit the fast kind (textures are limited
    in size), so the whole segment falls back and its other kernels take `slowdown` times as long.
    """

    unit: str
    weight_limit_bytes: float
    slowdown: float
    source: str

    def is_heavy(self, weight_bytes: np.ndarray) -> np.ndarray:
        """Which kernels make their whole segment fall back."""
        heavy: np.ndarray = weight_bytes > self.weight_limit_bytes
        return heavy

    def slowdowns(self, weight_bytes: np.ndarray) -> np.ndarray:
        """How many times as long each kernel takes in a segment that falls back."""
        return np.where(self.is_heavy(weight_bytes), 1.0, self.slowdown)


@dataclass(frozen=True)
class PowerFact:
    """Power drawn by a unit while it computes, above idle."""

    unit: str
    active_mw: float
    source: str


@dataclass(frozen=True)
class LoadFact:
    """Making a model ready: fixed cost plus packed weight bytes over a rate, for a framework on a
    unit.

    A measured one also knows `kernel_ms` for each kernel to prepare, the `precision` it holds for
    (empty: any), that the first inference takes `first_inference` times the steady one, and more
    costs in ms for a million bytes: what weights with a window take beyond the rate, filling
    pointers, reading weights that are not packed, and what the pieces of weights below each limit
    of `perfmodel.kernels.loading.PIECES` take beyond the rate (see `LoadWork` there). The other
    costs are of what `LoadWork` calls likewise.
    """

    unit: str
    framework: str
    fixed_ms: float
    bytes_per_ms: float
    source: str
    kernel_ms: float = 0.0
    first_inference: float = 1.0
    precision: str = ""
    measurements: int = 0
    median_error: float = 0.0
    window_ms_per_mb: float = 0.0
    pointer_ms_per_mb: float = 0.0
    unpacked_ms_per_mb: float = 0.0
    piece_ms_per_mb: tuple[float, ...] = ()
    kind_ms: float = 0.0
    winograd_ms_per_mb: float = 0.0
    touched_ms_per_mb: float = 0.0
    copied_ms_per_mb: float = 0.0

    def first_ms(self, work: LoadWork, steady_ms: float) -> float:
        """Milliseconds of a first run: making a network ready and one inference, a steady one of
        which takes `steady_ms`."""
        costs_ms_per_mb = (
            (self.window_ms_per_mb, work.window_bytes),
            (self.winograd_ms_per_mb, work.winograd_bytes),
            (self.pointer_ms_per_mb, work.pointer_bytes),
            (self.unpacked_ms_per_mb, work.unpacked_bytes),
            (self.touched_ms_per_mb, work.touched_bytes),
            (self.copied_ms_per_mb, work.copied_bytes),
            *zip(self.piece_ms_per_mb, work.piece_bytes, strict=False),
        )
        prepared = self.fixed_ms + self.kernel_ms * work.kernels + self.kind_ms * work.kinds
        prepared += work.packed_bytes / self.bytes_per_ms
        prepared += sum(cost * size / MB for cost, size in costs_ms_per_mb)
        return prepared + self.first_inference * steady_ms


@dataclass(frozen=True)
class Traits:
    """All facts of a device, by kind."""

    transfers: tuple[TransferFact, ...] = ()
    dispatch: tuple[DispatchFact, ...] = ()
    storage: tuple[StorageFact, ...] = ()
    power: tuple[PowerFact, ...] = ()
    load: tuple[LoadFact, ...] = ()

    def transfer(self, from_unit: str, to_unit: str) -> TransferFact | None:
        """The transfer between two units, if known."""
        return next(
            (t for t in self.transfers if (t.from_unit, t.to_unit) == (from_unit, to_unit)), None
        )

    def storage_of(self, unit: str) -> StorageFact | None:
        """The weight storage of a unit, if it matters there."""
        return next((s for s in self.storage if s.unit == unit), None)

    def load_of(self, target: Target) -> LoadFact | None:
        """How networks are made ready for a target, where it was measured for its framework, its
        precision and its number of threads."""
        wanted = (target.unit, loader(target.framework, target.threads), target.precision)
        facts = (f for f in self.load if (f.unit, f.framework, f.precision) == wanted)
        return next(facts, None)


def loader(framework: str, threads: int) -> str:
    """Name under which a framework's load facts stand: threads change the first inference."""
    return f"{framework}/t{threads}"


_KINDS: Mapping[str, type] = {
    "transfers": TransferFact,
    "dispatch": DispatchFact,
    "storage": StorageFact,
    "power": PowerFact,
    "load": LoadFact,
}
_MAX_FACTS = 200
_MAX_NUMBERS = 16
"""Most numbers in one field of a fact."""


def traits_from_dict(data: Any, where: str) -> Traits:
    """Check plain data; raises `ProfileError` naming the field."""
    if not isinstance(data, dict):
        raise ProfileError(f"{where}: must be an object")
    unknown = sorted(set(data) - set(_KINDS))
    if unknown:
        raise ProfileError(f"{where}.{unknown[0]}: unknown field; known: {', '.join(_KINDS)}")
    found: dict[str, Any] = {}
    for name, rows in data.items():
        if not isinstance(rows, list) or len(rows) > _MAX_FACTS:
            raise ProfileError(f"{where}.{name}: must be a list of at most {_MAX_FACTS} facts")
        kind = _KINDS[name]
        found[name] = tuple(_fact(kind, row, f"{where}.{name}[{i}]") for i, row in enumerate(rows))
    return Traits(**found)


def _fact(kind: type, row: Any, where: str) -> Any:
    known = {f.name: f for f in fields(kind)}
    if not isinstance(row, dict) or set(row) - set(known):
        raise ProfileError(f"{where}: must be an object with {', '.join(known)}")
    values: dict[str, Any] = {}
    for name, field in known.items():
        text, several = field.type == "str", str(field.type).startswith("tuple")
        if name not in row:
            if field.default is not MISSING:
                continue
            raise ProfileError(f"{where}.{name}: missing")
        value = row[name]
        if text and (not isinstance(value, str) or len(value) > 2000):
            raise ProfileError(f"{where}.{name}: must be text of at most 2000 characters")
        if several:
            value = _several(value, f"{where}.{name}")
        elif not text and not _sound(value):
            raise ProfileError(f"{where}.{name}: must be a finite number >= 0, got {value!r:.40}")
        values[name] = value
    if values.get("bytes_per_ms") == 0:
        raise ProfileError(f"{where}.bytes_per_ms: must be > 0")
    return kind(**values)


def _several(value: Any, where: str) -> tuple[float, ...]:
    """A short list of numbers; raises `ProfileError` for anything else."""
    listed = isinstance(value, (list, tuple)) and len(value) <= _MAX_NUMBERS
    if not listed or not all(_sound(v) for v in value):
        raise ProfileError(
            f"{where}: must be a list of at most {_MAX_NUMBERS} finite numbers >= 0, "
            f"got {value!r:.40}"
        )
    return tuple(value)


def _sound(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return bool(number and 0 <= value <= 1e300)


def traits_to_dict(traits: Traits) -> dict[str, Any]:
    """Plain JSON data; empty kinds are left out."""
    return {
        name: [asdict(fact) for fact in getattr(traits, name)]
        for name in _KINDS
        if getattr(traits, name)
    }
