"""What is known of chips by their spec sheets, as it ships: measured targets, shapes, errors."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.kinds import UnmadeModel, made_model, predictor_to_dict, raw_model
from perfmodel.cost_models.plain_file import FileKind
from perfmodel.cost_models.predictor import Predictor
from perfmodel.cost_models.scaled_predictor import ScaledPredictor
from perfmodel.cost_models.sheet_model import KnownRow, SheetModel, SheetRow
from perfmodel.devices.cpu_specs import GENERATIONS, cpu_sheet
from perfmodel.devices.gpu_families import gpu_family
from perfmodel.devices.profile_files import builtin_folder, read_once
from perfmodel.devices.sheet_rows import FEATURES, LEVELS, cpu_row, gpu_row, target_class
from perfmodel.errors import ProfileError
from perfmodel.target import Target, full_target

KIND = FileKind(
    what="a file of sheets", format="perfmodel-spec-sheets", version=1, most_bytes=8_000_000
)
FILE = "populations/spec-sheets.json"
"""Below the folder of profiles that ship."""

MAX_ROWS, MAX_SHAPES = 3000, 500


@dataclass(frozen=True, kw_only=True)
class MeasuredSheet:
    """A measured target with its sheet: `cores` as 4xCortex-A76@2.4+4xCortex-A55@1.8 for a CPU,
    `gpu` and fp32 `gflops` for a GPU. `old`: by a version that knew the core's wide units not yet.
    `log_ms` is the mean log time over the networks of its framework, `variance` that of it."""

    target: Target
    chip: str
    title: str
    kind: str
    cores: str = ""
    gpu: str = ""
    gflops: float = 0.0
    memory_gbs: float | None = None
    old: bool = False
    log_ms: float = 0.0
    variance: float = 0.0

    def row(self) -> SheetRow:
        """Its sheet for the model; raises `ProfileError` for cores or GPUs that are not known."""
        if self.target.unit == "gpu":
            family = gpu_family(self.gpu)
            if family is None or not self.gflops > 0:
                raise ProfileError(f"{self.target}: GPU {self.gpu!r} is not known")
            return gpu_row(
                self.target,
                family,
                self.gflops,
                chip=self.chip,
                kind=self.kind,
                memory_gbs=self.memory_gbs,
            )
        return cpu_row(
            self.target,
            cpu_sheet(self.cores, self.target.threads, self.target.cluster),
            chip=self.chip,
            kind=self.kind,
            memory_gbs=self.memory_gbs,
            old=self.old,
        )


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A cost model at a known speed: of a class of targets (`sheet_rows.target_class`), a kind of
    processor (a core's generation, a GPU's family) and about so many threads.

    `model` is the model itself, its data, or the name of a shipped target that has it.
    """

    place: str
    kin: str
    threads: int
    log_ms: float
    model: Predictor | UnmadeModel | str

    @cached_property
    def predictor(self) -> Predictor:
        """The cost model; raises `ProfileError` for damaged data."""
        if isinstance(self.model, str):
            device = self.model.partition("/")[0]
            targets = read_once(builtin_folder() / f"{device}.json").targets
            return next(t.predictor for t in targets if str(t.target) == self.model)
        return made_model(self.model)


@dataclass(frozen=True, kw_only=True)
class ScaledShape:
    """A shape at another speed, made when it is first asked (`kinds.UnmadeModel`)."""

    shape: Shape
    log_factor: float

    def make(self) -> ScaledPredictor:
        """The predictor; raises `ProfileError` for damaged data."""
        return ScaledPredictor(base=self.shape.predictor, log_factor=self.log_factor)


@dataclass(frozen=True, kw_only=True)
class SheetError:
    """How good sheets are for a class of targets: spread of single networks around the speed,
    standard deviations that held 90 % with chips left out, and the errors then."""

    network_sd: float
    factor: float
    cases: int
    median: float
    within_20: float

    def half_width(self, scale_sd: float) -> float:
        """Half width in log units of the 90 % interval at a speed so sure."""
        return self.factor * math.hypot(scale_sd, self.network_sd)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sheets:
    """What is known of chips by their sheets: measured targets, shapes, errors by class."""

    known: tuple[MeasuredSheet, ...]
    shapes: tuple[Shape, ...]
    errors: Mapping[str, SheetError]

    @cached_property
    def model(self) -> SheetModel:
        """The model of overall speed."""
        rows = (KnownRow(row=k.row(), log_ms=k.log_ms, variance=k.variance) for k in self.known)
        return SheetModel(known=tuple(rows), features=FEATURES, levels=LEVELS)

    @cached_property
    def places(self) -> np.ndarray:
        """The class of every measured target."""
        return np.array([target_class(k.target) for k in self.known], dtype=object)

    def measured(self, more: Sequence[MeasuredSheet]) -> Sheets:
        """With further measured targets."""
        return replace(self, known=(*self.known, *more))

    def shape(
        self, place: str, kin: str, threads: int, log_ms: float | None = None
    ) -> Shape | None:
        """The shape most like a target's; None where the class has none.

        Of several of one kin and as many threads that of a target about as fast, where `log_ms`
        says how fast: what a launch costs beside the work goes with the speed.
        """
        key = (place, kin, threads)
        if key not in self._chosen:
            self._chosen[key] = self._nearest(*key)
        alike = self._chosen[key]
        if not alike or log_ms is None:
            return alike[0] if alike else None
        return min(alike, key=lambda s: abs(s.log_ms - log_ms))

    @cached_property
    def _chosen(self) -> dict[tuple[str, str, int], list[Shape]]:
        return {}

    def _nearest(self, place: str, kin: str, threads: int) -> list[Shape]:
        def unlike(s: Shape) -> tuple[float, float]:
            return apart(s.kin, kin), abs(math.log(s.threads / threads))

        mine = [s for s in self.shapes if s.place == place]
        least = min(map(unlike, mine), default=(0.0, 0.0))
        return [s for s in mine if unlike(s) == least]


def uses_wide_units(sheet: MeasuredSheet) -> bool:
    """Whether a target's newest ncnn uses units of its first core that older versions did not."""
    if sheet.target.unit != "cpu" or sheet.target.framework != "ncnn":
        return False
    return cpu_sheet(sheet.cores, sheet.target.threads, sheet.target.cluster).lead.wide


def apart(a: str, b: str) -> float:
    """How unlike two generations of cores or families of GPUs are."""
    if a == b:
        return 0.0
    if a in GENERATIONS and b in GENERATIONS:
        return abs(GENERATIONS.index(a) - GENERATIONS.index(b))
    return 0.5 if a.split(" ")[0] == b.split(" ")[0] else 100.0


def kin_of(sheet: MeasuredSheet) -> str:
    """The generation of the first thread's core, or the family of the GPU."""
    if sheet.target.unit == "gpu":
        family = gpu_family(sheet.gpu)
        return f"{family.maker} {family.name}" if family else ""
    return cpu_sheet(sheet.cores, sheet.target.threads, sheet.target.cluster).lead.generation


@lru_cache(maxsize=1)
def shipped_sheets() -> Sheets:
    """What ships; raises `ProfileError` where it is missing or damaged."""
    return read_sheets(builtin_folder() / FILE)


def read_sheets(path: Path) -> Sheets:
    """Read and check a file; raises `ProfileError` with file, field and reason."""
    return KIND.read(path, from_dict)


def write_sheets(sheets: Sheets, folder: Path) -> Path:
    """Write below a folder of profiles, atomically and the same bytes for the same sheets."""
    path = folder / FILE
    KIND.write(path, to_dict(sheets))
    return path


def to_dict(sheets: Sheets) -> dict[str, Any]:
    """Plain JSON data; models that share parts name them in `shared`."""
    shared: dict[str, Any] = {}
    shapes = [
        {
            "place": s.place,
            "kin": s.kin,
            "threads": s.threads,
            "log_ms": round(s.log_ms, 4),
            "model": s.model if isinstance(s.model, str) else _shared_model(s.model, shared),
        }
        for s in sheets.shapes
    ]
    known = [
        {
            "target": str(k.target),
            "log_ms": round(k.log_ms, 4),
            "variance": round(k.variance, 5),
            **{
                name: value
                for name in _OPTIONAL
                if (value := getattr(k, name)) not in ("", 0.0, None, False)
            },
        }
        for k in sheets.known
    ]
    errors = {
        place: {n: round(v, 4) for n, v in vars(e).items()} for place, e in sheets.errors.items()
    }
    return {"errors": errors, "known": known, "shapes": shapes, "shared": shared}


_OPTIONAL = ("chip", "title", "kind", "cores", "gpu", "gflops", "memory_gbs", "old")
_SHARED = ("anchors", "ranges")


def _shared_model(model: Predictor | UnmadeModel, shared: dict[str, Any]) -> dict[str, Any]:
    data = predictor_to_dict(made_model(model))
    for name in _SHARED:
        if name in data:
            same = [key for key, value in shared.items() if value == data[name]]
            key = same[0] if same else f"{name} {len(shared)}"
            shared[key] = data[name]
            data[name] = {"shared": key}
    return data


def from_dict(data: Mapping[str, Any]) -> Sheets:
    """Read and check plain data; raises `ProfileError` that names the field."""
    plain_data.only(data, ("errors", "known", "shapes", "shared"))
    shared = plain_data.table(data.get("shared"), "shared", MAX_SHAPES)
    errors = {
        place: _error(values, f"errors.{place:.40}")
        for place, values in plain_data.table(data.get("errors"), "errors", MAX_SHAPES).items()
    }
    return Sheets(
        known=tuple(_known(k, i) for i, k in enumerate(_list(data, "known", MAX_ROWS))),
        shapes=tuple(
            _shape(s, f"shapes[{i}]", shared)
            for i, s in enumerate(_list(data, "shapes", MAX_SHAPES))
        ),
        errors=errors,
    )


def _list(data: Mapping[str, Any], name: str, most: int) -> list[Any]:
    value = data.get(name)
    if not isinstance(value, list) or len(value) > most:
        raise ProfileError(f"{name}: must be a list of at most {most}")
    return value


def _object(
    values: Any, where: str, names: Collection[str], needed: Collection[str]
) -> dict[str, Any]:
    found = plain_data.table(values, where, len(names))
    try:
        plain_data.only(found, names, needed)
    except ProfileError as error:
        raise ProfileError(f"{where}.{error.message}") from None
    return found


def _error(values: Any, where: str) -> SheetError:
    names = ("network_sd", "factor", "cases", "median", "within_20")
    found = _object(values, where, names, names)
    numbers = {n: plain_data.number(found[n], f"{where}.{n}", 0.0, 1e6) for n in names}
    return SheetError(**{**numbers, "cases": int(numbers["cases"])})  # type: ignore[arg-type]


def _known(values: Any, place: int) -> MeasuredSheet:
    where = f"known[{place}]"
    names = ("target", "log_ms", "variance", *_OPTIONAL)
    found = _object(values, where, names, ("target", "log_ms", "variance", "chip"))
    memory = found.get("memory_gbs")
    return MeasuredSheet(
        target=_full_target(found["target"], where),
        **{
            n: _text(found.get(n, ""), f"{where}.{n}")
            for n in ("chip", "title", "kind", "cores", "gpu")
        },
        gflops=plain_data.number(found.get("gflops", 0.0), f"{where}.gflops", 0.0, 1e7),
        memory_gbs=None
        if memory is None
        else plain_data.number(memory, f"{where}.memory_gbs", 1e-3, 1e6),
        old=plain_data.flag(found.get("old", False), f"{where}.old"),
        log_ms=plain_data.number(found["log_ms"], f"{where}.log_ms", -30.0, 30.0),
        variance=plain_data.number(found["variance"], f"{where}.variance", 1e-9, 1e6),
    )


def _full_target(value: Any, where: str) -> Target:
    return full_target(_text(value, f"{where}.target"))


def _shape(values: Any, where: str, shared: Mapping[str, Any]) -> Shape:
    names = ("place", "kin", "threads", "log_ms", "model")
    found = _object(values, where, names, names)
    model = found["model"]
    return Shape(
        place=_text(found["place"], f"{where}.place"),
        kin=_text(found["kin"], f"{where}.kin"),
        threads=int(plain_data.number(found["threads"], f"{where}.threads", 1, 1000)),
        log_ms=plain_data.number(found["log_ms"], f"{where}.log_ms", -30.0, 30.0),
        model=_text(model, f"{where}.model")
        if isinstance(model, str)
        else raw_model(model, f"{where}.model", shared),
    )


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ProfileError(f"{where}: must be text of at most 200 characters")
    return value
