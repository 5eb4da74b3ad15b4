"""Phones that nobody measured: each chip left out, its targets made of its spec sheet alone.

A left-out chip is left out, with every chip of the same silicon, of the targets that speeds and
shapes come from and of the errors that set the intervals. What is asked are the targets and
networks that were measured on it, by the calls that a user's `predict` makes. The fits of the other
targets are those that ship, which borrowed from the chip's rows as from all others'; `ncnn_cases`
can learn them again without (`relearn`, ten minutes). `ncnn-device-specs` always does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import perfmodel
from perfmodel.calibration.from_spec import NEWEST_NETWORKS, facts_key
from perfmodel.devices.cpu_specs import cpu_sheet
from perfmodel.devices.profile import DeviceProfile
from perfmodel.devices.sheet_data import MeasuredSheet, uses_wide_units
from perfmodel.devices.sheet_rows import target_class
from perfmodel.devices.spec_sheet import OLD_VERSION, of_old_version
from perfmodel.measurements.read import read_measurements
from perfmodel.target import Target, full_target
from validation.accuracy.common import (
    AccuracyRow,
    UnseenCase,
    answered,
    apart,
    ratio_cases,
    score,
    unseen_case,
)
from validation.accuracy.ncnn import SteadyRows, campaign, learn
from validation.data.network_tables import network_name
from validation.data.published_networks import published_rows
from validation.data.sheets import device_facts

CLASSES = (("cpu", "float"), ("cpu", "int8"), ("gpu", "float"))
"""Units and precisions of ncnn's table that are asked."""

FOLDS = 5
"""Phones that are left out together, in the order of their names: about two."""

TITLE = "phone from its spec sheet (shipped fits less its chip)"

CLEARLY = 1.2
"""Measured ratio from which on it is asked which of two phones is faster."""

REASONS = {
    "snapdragon-810": "throttles: four threads are hardly faster than one",
    "snapdragon-660 cpu/ncnn/int8/t8": "eight threads on unlike cores",
    "oneplus5t": "faster than every other Cortex-A73 of the table",
    "huawei-mate-20": "half as fast as the same GPU and cores of Kirin 990",
}


@dataclass(frozen=True, kw_only=True)
class OnSheet:
    """A network on a target of a left-out chip; `peak` what the sheet promises (any unit)."""

    sheet: MeasuredSheet
    network: str
    macs: float

    @property
    def place(self) -> str:
        """Unit, framework and class of precision."""
        return target_class(self.sheet.target)

    @property
    def peak(self) -> float:
        """FLOPS of a GPU, or rate x clock x threads of a CPU."""
        return peak_of(self.sheet)

    @property
    def name(self) -> str:
        """For the list of the worst."""
        target = str(self.sheet.target).replace("/", " ", 1)
        return f"{network_name(self.network)} on {target}"


Case = UnseenCase[OnSheet]


def peak_of(sheet: MeasuredSheet) -> float:
    """What a sheet promises, before anything is learned; any unit."""
    if sheet.target.unit == "gpu":
        return sheet.gflops
    return sum(cpu_sheet(sheet.cores, sheet.target.threads, sheet.target.cluster).rates)


def sheet_of(target: Target) -> MeasuredSheet | None:
    """The spec sheet of a measured device as a target; None without one."""
    facts = device_facts().get(facts_key(target.device, target.unit))
    if facts is None or not (facts.cores or facts.gpu):
        return None
    return replace(facts, target=target, old=target.version == OLD_VERSION)


Rows = Mapping[tuple[str, str], float]
"""Milliseconds by target and network (a path or a name of the zoo)."""


def cases_of(rows: Rows, sheets: Any, known: Rows) -> list[Case]:
    """Predictions of left-out rows by what `learn_sheets` made without them.

    `known` rows are those of the chips that were not left out. Targets of classes of which sheets
    tell nothing are not asked.
    """
    asked = [s for t in dict.fromkeys(t for t, _ in rows) if (s := sheet_of(full_target(t)))]
    profiles: tuple[DeviceProfile, ...] = perfmodel.sheet_profiles(asked, sheets)
    offered = {str(t.target) for profile in profiles for t in profile.targets}
    mine = [(target, network) for target, network in rows if target in offered]
    answers = answered([(network, target, 1) for target, network in mine], profiles)
    by_name = {str(s.target): s for s in asked}
    found = []
    for (target, network), answer in zip(mine, answers, strict=True):
        row = OnSheet(sheet=by_name[target], network=network, macs=float(answer.macs))
        near = {"nearest chip by peak": _nearest_by_peak(row.sheet, network, known)}
        ms = rows[target, network]
        found.append(unseen_case(row, answer, ms, name=row.name, group=target, simple=near))
    return found


def _nearest_by_peak(sheet: MeasuredSheet, network: str, known: Rows) -> float:
    """Baseline: the measured target of the class with the nearest peak, scaled by it; or NaN."""
    peak, best = peak_of(sheet), (np.inf, float("nan"))
    for (name, other), ms in known.items():
        target = full_target(name)
        if other != network or target_class(target) != target_class(sheet.target):
            continue
        theirs = sheet_of(target)
        if theirs is None or theirs.chip == sheet.chip:
            continue
        ratio = peak_of(theirs) / peak
        if abs(np.log(ratio)) < best[0]:
            best = (abs(np.log(ratio)), ms * ratio)
    return best[1]


def by_macs(cases: Sequence[Case]) -> np.ndarray:
    """Baseline: MACs over peak, at the efficiency of the other chips of the class."""
    rows = [c.row for c in cases]
    speed = np.array([c.measured_ms * c.row.peak / c.row.macs for c in cases])
    chips = np.array([row.sheet.chip for row in rows], dtype=object)
    return np.array(
        [
            np.median(speed[chips != row.sheet.chip]) * row.macs / row.peak
            if (chips != row.sheet.chip).any()
            else np.nan
            for row in rows
        ]
    )


def results(experiment: str, cases: Sequence[Case], seed: int) -> list[AccuracyRow]:
    """One row a class of targets; runs of old versions stand apart."""
    found = []

    def kind(case: Case) -> str:
        version = case.row.sheet.target.version
        return f"{case.row.place}, version of {version} or earlier" if version else case.row.place

    for place in sorted({kind(c) for c in cases}):
        mine = [c for c in cases if kind(c) == place]
        found.append(
            score(
                experiment,
                place,
                [
                    replace(c, simple={**c.simple, "MACs / peak": float(ms)})
                    for c, ms in zip(mine, by_macs(mine), strict=True)
                ],
                seed,
                reasons=REASONS,
            )
        )
    return found


# ncnn: phones of ncnn_e2e.csv


def of_versions(rows: Rows) -> Rows:
    """The same rows, those of old versions of ncnn under the target that stands for them.

    The table states no version: a device whose CPU computes in half precision and ran none of the
    newest networks was measured before ncnn used that there.
    """
    new = {full_target(t).device for t, network in rows if network_name(network).lower() in NEWEST}
    found = {}
    for (name, network), ms in rows.items():
        target = full_target(name)
        sheet = sheet_of(target) if target.unit == "cpu" and target.device not in new else None
        if sheet is not None and uses_wide_units(sheet):
            name = str(of_old_version(sheet).target)
        found[name, network] = ms
    return found


NEWEST = tuple(name.lower() for name in NEWEST_NETWORKS)


def ncnn_cases(data: Path, seed: int, *, relearn: bool = False) -> list[Case]:
    """Phones of ncnn_e2e.csv; `relearn` makes the populations without them."""
    tables = [campaign(data, unit, precision) for unit, precision in CLASSES]
    rows = of_versions({k: ms for table in tables for k, ms in measured_rows(table).items()})
    phones = sorted({full_target(t).device for t, _ in rows if _is_phone(t)})
    found: list[Case] = []
    for fold in range(FOLDS):
        held = set(phones[fold::FOLDS])
        mine = {key: ms for key, ms in rows.items() if full_target(key[0]).device in held}
        chips = {s.chip for t, _ in mine if (s := sheet_of(full_target(t)))}
        known = {k: ms for k, ms in rows.items() if k not in mine}
        learned = [_learn_without(table, held, seed) for table in tables] if relearn else ()
        sheets = perfmodel.learn_sheets(device_facts(), populations=learned, without=chips)
        found += cases_of(mine, sheets, known)
    return found


def _is_phone(name: str) -> bool:
    sheet = sheet_of(full_target(name))
    return sheet is not None and sheet.kind == "phone"


def measured_rows(table: SteadyRows) -> dict[tuple[str, str], float]:
    """Times by target as profiles name it, and network's path."""
    named = {}
    for t in range(len(table.targets)):
        row = table.first(t)
        unit = str(row["unit"])
        threads = int(row["threads"]) if unit == "cpu" else 0
        cluster = str(row["affinity"]) if unit == "cpu" else ""
        target = Target(str(row["device"]), unit, "ncnn", str(row["precision"]), threads, cluster)
        named[t] = str(target)
    return {(named[t], table.path(m)): ms for (t, m), ms in table.latency_ms().items()}


def _learn_without(table: SteadyRows, devices: set[str], seed: int) -> Any:
    keep = ~table.frame["device"].isin(devices).to_numpy()
    return learn(table, keep, seed)


def ncnn_phones(data: Path, seed: int) -> list[AccuracyRow]:
    """ncnn on phones, and which of two is faster."""
    cases = ncnn_cases(data, seed)
    return [*results(TITLE, cases, seed), *which_is_faster(cases, seed)]


# TFLite and MNN: phones of published_e2e.csv and networks_phones.csv


def other_cases(data: Path, seed: int) -> list[Case]:
    """Phones of other frameworks, each silicon left out of the speeds and of the shapes.

    Shapes are those of other phones' profiles, whose joint fits have seen the chip's rows; their
    speeds have not. ncnn's populations lose the chip's targets.
    """
    rows = {**_published(data), **_sums_of_kernels(data)}
    rows = {key: ms for key, ms in rows.items() if _is_phone(key[0])}
    chip = {t: s.chip for t, _ in rows if (s := sheet_of(full_target(t))) is not None}
    found: list[Case] = []
    for held in sorted(set(chip.values())):
        mine = {key: ms for key, ms in rows.items() if chip[key[0]] == held}
        known = {key: ms for key, ms in rows.items() if chip[key[0]] != held}
        sheets = perfmodel.learn_sheets(device_facts(), without={held})
        found += cases_of(mine, sheets, known)
    return found


def _published(data: Path) -> dict[tuple[str, str], float]:
    """Median of TFLite's rows at batch 1 by target and network of the zoo."""
    rows, _ = published_rows(data)
    times: dict[tuple[str, str], list[float]] = {}
    for r in rows:
        if r.target.framework == "tflite" and r.batch == 1 and r.target.unit in ("cpu", "gpu"):
            times.setdefault((str(r.target), r.model), []).append(r.latency_ms)
    return {key: float(np.median(ms)) for key, ms in times.items()}


def _sums_of_kernels(data: Path) -> dict[tuple[str, str], float]:
    """Whole networks of MNN by target, as the study of its kernels reads them."""
    table, _ = read_measurements([data / "networks_phones.csv"], skip_bad=True)
    frame = table.networks.where(framework="mnn").frame
    times: dict[tuple[str, str], list[float]] = {}
    for row in frame.to_dict("records"):
        cpu = row["unit"] == "cpu"
        target = Target(
            str(row["device"]),
            str(row["unit"]),
            "mnn",
            str(row["precision"]) or ("fp32" if cpu else "fp16"),
            int(row["threads"]) if cpu else 0,
            str(row["affinity"]) if cpu else "",
        )
        times.setdefault((str(target), str(row["model"])), []).append(float(row["latency_ms"]))
    return {key: float(np.median(ms)) for key, ms in times.items()}


def other_phones(data: Path, seed: int) -> list[AccuracyRow]:
    """TFLite and MNN on phones, and which of two is faster."""
    cases = other_cases(data, seed)
    return [*results(TITLE, cases, seed), *which_is_faster(cases, seed)]


def which_is_faster(cases: Sequence[Case], seed: int) -> list[AccuracyRow]:
    """Ratios of two phones that were both left out, measured to differ by more than `CLEARLY`.

    The kind of target says how often the faster one was told.
    """
    found = []
    for unit in sorted({c.row.sheet.target.unit for c in cases}):
        mine = [c for c in cases if c.row.sheet.target.unit == unit]
        pairs = [(a, b) for i, a in enumerate(mine) for b in mine[i + 1 :] if _comparable(a, b)]
        if len(pairs) < FEWEST_PAIRS:
            continue
        ratios, right = ratio_cases(pairs, lambda a, b: f"{a.model} to {b.row.sheet.target.device}")
        frameworks = "/".join(sorted({c.row.sheet.target.framework for c in mine}))
        found.append(
            score(
                f"which of two phones is faster: right in {100 * right:.1f} %",
                f"{unit} {frameworks}, ratio above {CLEARLY}",
                ratios,
                seed,
                worst=3,
            )
        )
    return found


FEWEST_PAIRS = 20


def _comparable(a: Case, b: Case) -> bool:
    """One network by one framework with as many threads on two chips, clearly apart."""
    first, second = a.row, b.row
    one, other = first.sheet.target, second.sheet.target
    same = (first.network, first.place, one.threads) == (
        second.network,
        second.place,
        other.threads,
    )
    unlike = first.sheet.chip != second.sheet.chip and not _unlike(one, other)
    return same and unlike and apart(a, b, CLEARLY)


def _unlike(one: Target, other: Target) -> bool:
    """Whether one ran on little cores and the other did not."""
    return (one.cluster == "little") != (other.cluster == "little")


EXPERIMENTS: dict[str, Callable[[Path, int], list[AccuracyRow]]] = {
    "market-ncnn": ncnn_phones,
    "market-others": other_phones,
}
"""Experiments by name."""
