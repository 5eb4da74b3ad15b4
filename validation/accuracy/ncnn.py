"""Whole networks on ncnn: unseen networks, new devices from a few networks or from specs alone.

Every figure is what a user gets: a population is learned from the devices (or networks) that are
not held out, a profile is calibrated with it and asked.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import perfmodel
from perfmodel.devices.profile import DeviceProfile
from perfmodel.measurements.device_names import device_slug
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import MeasurementTable
from validation.accuracy.common import AccuracyRow, UnseenCase, answered, score, unseen_case
from validation.accuracy.macs_baselines import FEWEST_LEFT, simple_models
from validation.data.network_tables import family_of, network_name

if TYPE_CHECKING:
    import pandas as pd

DEVICE_FOLDS = 10
SHOTS = (1, 3, 5, 10)
UNITS = ("cpu", "gpu")
FEWEST_ASKED = 40
"""A network that is left out is asked of every n-th target only, n such that at least this many
are asked; the next network is asked of the next ones. All would take three times as long and say
the same: a target's networks err together."""

REASONS = {
    "vision_transformer": "the only network with attention: its kernels are never seen",
    "alexnet": "the only one with normalisation across channels and 5x5 groups",
    "shufflenet": "the only one with grouped 1x1 convolutions",
    "efficientnetv2_b0": "the only one with reductions that a GPU hands back to the CPU",
}
CORES = Path(__file__).resolve().parents[1] / "data" / "ncnn_devices.csv"


@dataclass(frozen=True, eq=False)
class SteadyRows:
    """Steady rows of one unit and precision with what tells targets and networks apart.

    `target` numbers the rows' targets, in the order of `targets`; `model` are the networks' files.
    """

    frame: pd.DataFrame
    folder: Path
    targets: tuple[str, ...]
    target: np.ndarray
    model: np.ndarray

    def table(self, rows: np.ndarray) -> MeasurementTable:
        """Some rows (a mask or indices) as a table."""
        return MeasurementTable(
            self.frame.iloc[np.arange(len(self.frame))[rows]].reset_index(drop=True)
        )

    def path(self, model: str) -> str:
        """The file of a network."""
        return str(self.folder / model)

    def latency_ms(self) -> dict[tuple[int, str], float]:
        """Median latency by target and network."""
        times: dict[tuple[int, str], list[float]] = {}
        for t, model, ms in zip(self.target, self.model, self.frame["latency_ms"], strict=True):
            times.setdefault((int(t), str(model)), []).append(float(ms))
        return {case: float(np.median(values)) for case, values in times.items()}

    def rows_of(self, target: int, models: Sequence[str]) -> np.ndarray:
        """A mask of the rows of a target's networks."""
        mask: np.ndarray = (self.target == target) & np.isin(self.model, list(models))
        return mask

    def first(self, target: int) -> Mapping[str, Any]:
        """The first row of a target."""
        return dict(self.frame.iloc[int(np.argmax(self.target == target))])


@lru_cache(maxsize=4)
def campaign(data: Path, unit: str, precision: str = "float") -> SteadyRows:
    """Rows of ncnn_e2e.csv whose networks are there and whose targets ran three of them."""
    table, _ = read_measurements([data / "ncnn_e2e.csv"])
    chosen = table.networks.where(framework="ncnn", unit=unit, precision=precision)
    frame = chosen.frame[[(data / m).is_file() for m in chosen.frame["model"]]]
    names = np.array([_target_name(row) for row in frame.to_dict("records")], dtype=object)
    enough = {n for n in set(names) if frame["model"][names == n].nunique() >= 3}
    keep = np.array([n in enough for n in names])
    frame, names = frame[keep].reset_index(drop=True), names[keep]
    targets = tuple(sorted(set(names)))
    number = {name: i for i, name in enumerate(targets)}
    return SteadyRows(
        frame,
        data,
        targets,
        np.array([number[n] for n in names]),
        frame["model"].to_numpy(dtype=object),
    )


def _target_name(row: Mapping[Any, Any]) -> str:
    threads = "" if row["threads"] != row["threads"] else f"{row['threads']:.0f} threads"
    parts = [row["device"], row["unit"], threads, row["affinity"], row["processor"]]
    return " ".join(str(p) for p in parts if p)


def cores_of_devices() -> dict[str, str]:
    """Cores of each CPU device: from the title in the source, completed by vendors' sheets."""
    with CORES.open(newline="") as file:
        return {row["device"]: row["cores"] for row in csv.DictReader(file)}


def kinds_of_devices(data: Path) -> dict[str, str]:
    """Phone, board, laptop, desktop or server: what the table says of each device."""
    with (data / "ncnn_e2e.csv").open(newline="") as file:
        return {device_slug(row["device"]): row["kind"] for row in csv.DictReader(file)}


def learn(rows: SteadyRows, mask: np.ndarray, seed: int, left: str = "") -> Any:
    """The population of some rows, by the function that makes what ships.

    Quantised targets are learned with float rows of all devices, less the family that is `left`.
    """
    first, table = rows.first(0), rows.table(mask)
    if first["precision"] == "int8":
        plain = campaign(rows.folder, str(first["unit"]))
        others = np.array([family_of(m) != left for m in plain.model])
        import pandas as pd

        both = [table.frame, plain.table(others).frame]
        table = MeasurementTable(pd.concat(both, ignore_index=True))
    return perfmodel.learn_population(
        table,
        framework="ncnn",
        unit=str(first["unit"]),
        precision=str(first["precision"]),
        cores=cores_of_devices(),
        seed=seed,
    )


@dataclass
class HeldOut:
    """Profiles of held-out targets and what is asked of them; answered all at once."""

    rows: SteadyRows
    profiles: dict[int, DeviceProfile] = field(default_factory=dict)
    cases: list[tuple[int, str]] = field(default_factory=list)
    nearest: list[float] = field(default_factory=list)

    def calibrate(
        self, target: int, models: Sequence[str], population: Any, *, known: bool = False
    ) -> None:
        """A profile from some networks of a target, of a device that is new or `known`.

        A known one has its name, by which `calibrate` tells that it is no witness of itself.
        """
        rows = self.rows.rows_of(target, models)
        device = str(self.rows.first(target)["device"]) if known else f"held-out-{target}"
        self.profiles[target] = perfmodel.calibrate(
            self.rows.table(rows), device=device, population=population, pick="median"
        )

    def ask(self, target: int, models: Sequence[str]) -> None:
        """Ask the target's profile for networks."""
        self.cases += [(target, m) for m in models]

    def answers(self) -> list[Any]:
        """Predictions of the cases, by the calls that users make; every network is read once."""
        # targets of one device bear one name: they are asked in turns
        count: Counter[str] = Counter()
        turn = {}
        for t, profile in self.profiles.items():
            turn[t] = count[profile.device]
            count[profile.device] += 1
        found: dict[int, Any] = {}
        for now in sorted(set(turn.values())):
            mine = [i for i, (t, _) in enumerate(self.cases) if turn[t] == now]
            asked = [(self.cases[i][1], self.profiles[self.cases[i][0]]) for i in mine]
            queries = [(self.rows.path(m), str(p.targets[0].target), 1) for m, p in asked]
            profiles = [p for t, p in self.profiles.items() if turn[t] == now]
            found |= zip(mine, answered(queries, profiles), strict=True)
        return [found[i] for i in range(len(self.cases))]

    def scored(self, answers: Sequence[Any]) -> list[UnseenCase[tuple[int, str]]]:
        """The cases with their answers, ranked target by target."""
        times = self.rows.latency_ms()
        return [
            unseen_case(
                (target, model),
                answer,
                times[target, model],
                name=f"{network_name(model)} on {self.rows.targets[target]}",
                group=str(target),
            )
            for (target, model), answer in zip(self.cases, answers, strict=True)
        ]


def one_device(device: str) -> str:
    """The device, however it was set up when it was measured."""
    for suffix in ("-overclocked", "-vulkan", "-b"):
        device = device.removesuffix(suffix)
    return device


def device_folds(rows: SteadyRows, seed: int) -> np.ndarray:
    """Fold of every target; targets of one device (all its threads and units) share theirs."""
    names = [one_device(str(rows.first(t)["device"])) for t in range(len(rows.targets))]
    devices = sorted(set(names))
    order = np.random.default_rng(seed).permutation(len(devices))
    fold = {devices[d]: place % DEVICE_FOLDS for place, d in enumerate(order)}
    return np.array([fold[name] for name in names])


@lru_cache(maxsize=4)
def _populations(data: Path, unit: str, seed: int) -> dict[int, Any]:
    """By fold, the population of the devices of all other folds."""
    rows = campaign(data, unit)
    folds = device_folds(rows, seed)
    return {f: learn(rows, folds[rows.target] != f, seed) for f in range(DEVICE_FOLDS)}


def new_device(
    data: Path, seed: int, *, unit: str, shots: int, chosen: bool = False
) -> list[AccuracyRow]:
    """A device unseen in every form; `shots` of its networks are measured, the rest predicted.

    The measured ones are drawn at random, or chosen by `next_measurements` if `chosen`.
    """
    rows, populations = campaign(data, unit), _populations(data, unit, seed)
    folds, times = device_folds(rows, seed), rows.latency_ms()
    rng, asked, near = np.random.default_rng(seed), HeldOut(rows), _Nearest(rows, times)
    for t in range(len(rows.targets)):
        own = sorted(m for target, m in times if target == t)
        order = rng.permutation(len(own))
        if len(own) < shots + FEWEST_LEFT:
            continue
        first = [own[i] for i in order[:shots]]
        if chosen:
            first = _suggested(rows, own, populations[folds[t]], shots)
        asked.calibrate(t, first, populations[folds[t]])
        rest = [m for m in own if m not in first]
        asked.ask(t, rest)
        asked.nearest += near.times(t, first, rest, np.flatnonzero(folds != folds[t]))
    how = "chosen" if chosen else "random"
    return [
        score(
            f"ncnn, new device from {shots} networks ({how})",
            f"{unit} float",
            asked.scored(asked.answers()),
            seed,
            baselines={"nearest device": asked.nearest},
        )
    ]


def _suggested(rows: SteadyRows, own: Sequence[str], population: Any, count: int) -> list[str]:
    unit = str(rows.first(0)["unit"])
    answer = perfmodel.next_measurements(
        count,
        f"new-device/{unit}/ncnn/float",
        population=population,
        candidates=[rows.path(m) for m in own],
    )
    by_path = {rows.path(m): m for m in own}
    return [by_path[s.name] for s in answer.suggestions]


class _Nearest:
    """The known target most like a new one on the measured networks, scaled to it."""

    def __init__(self, rows: SteadyRows, times: Mapping[tuple[int, str], float]) -> None:
        self.models = sorted(set(rows.model.tolist()))
        place = {m: i for i, m in enumerate(self.models)}
        self.log_ms = np.full((len(rows.targets), len(self.models)), np.nan)
        for (t, m), ms in times.items():
            self.log_ms[t, place[m]] = np.log(ms)

    def times(
        self, target: int, seen: Sequence[str], asked: Sequence[str], known: np.ndarray
    ) -> list[float]:
        """Times in ms of the asked networks; NaN where no known target ran all the seen ones."""
        columns = [self.models.index(m) for m in seen]
        gap = self.log_ms[known][:, columns] - self.log_ms[target, columns]
        usable = np.isfinite(gap).all(axis=1)
        if not usable.any():
            return [float("nan")] * len(asked)
        scale = np.median(gap[usable], axis=1)
        distance = np.mean(np.abs(gap[usable] - scale[:, None]), axis=1)
        best = int(np.argmin(distance))
        mine = np.exp(self.log_ms[known][usable][best] - scale[best])
        return [float(mine[self.models.index(m)]) for m in asked]


def from_sheet_alone(data: Path, seed: int) -> list[AccuracyRow]:
    """A CPU target of an unseen device by its cores, clocks and threads only."""
    rows, populations = campaign(data, "cpu"), _populations(data, "cpu", seed)
    folds, times, cores = device_folds(rows, seed), rows.latency_ms(), cores_of_devices()
    asked, kinds = HeldOut(rows), kinds_of_devices(data)
    for t in range(len(rows.targets)):
        first = rows.first(t)
        sheet = cores.get(str(first["device"]), "")
        if not sheet:
            continue
        asked.profiles[t] = perfmodel.calibrate_from_sheet(
            f"held-out-{t}",
            sheet,
            threads=int(first["threads"]),
            cluster=str(first["affinity"]),
            population=populations[folds[t]],
            kind=kinds[str(first["device"])],
        )
        asked.ask(t, sorted(m for target, m in times if target == t))
    name = "ncnn, new device from its spec sheet"
    return [score(name, "cpu float", asked.scored(asked.answers()), seed)]


def leave_one_network_out(data: Path, seed: int, *, unit: str, precision: str) -> list[AccuracyRow]:
    """Each network with its variants is unseen on every device."""
    rows = campaign(data, unit, precision)
    family = np.array([family_of(m) for m in rows.model])
    asked: list[HeldOut] = [
        _one_network_out(rows, family, left, place, seed)
        for place, left in enumerate(sorted(set(family)))
    ]
    return [_joined(asked, f"{unit} {precision}", seed)]


def _one_network_out(
    rows: SteadyRows, family: np.ndarray, left: str, place: int, seed: int
) -> HeldOut:
    asked = HeldOut(rows)
    population = learn(rows, family != left, seed, left)
    every = max(1, len(rows.targets) // FEWEST_ASKED)
    for t in range(place % every, len(rows.targets), every):
        mine = rows.target == t
        rest = sorted(set(rows.model[mine & (family == left)]))
        seen = sorted(set(rows.model[mine & (family != left)]))
        if rest and seen:
            asked.calibrate(t, seen, population, known=True)
            asked.ask(t, rest)
    return asked


def _joined(parts: Sequence[HeldOut], kind: str, seed: int) -> AccuracyRow:
    """One result of all networks, with models that look at MACs and parameters alone."""
    cases: list[UnseenCase[tuple[int, str]]] = []
    size: dict[str, tuple[int, int]] = {}
    for part in (part for part in parts if part.cases):
        answers = part.answers()
        cases += part.scored(answers)
        size |= {m: (a.macs, a.params) for (_, m), a in zip(part.cases, answers, strict=True)}
    simple = simple_models([case.row for case in cases], parts[0].rows.latency_ms(), size)
    return score(
        "ncnn, leave one network out",
        kind,
        cases,
        seed,
        baselines=simple,
        reasons=REASONS,
    )


EXPERIMENTS: dict[str, Callable[[Path, int], list[AccuracyRow]]] = {
    "ncnn-network-cpu": partial(leave_one_network_out, unit="cpu", precision="float"),
    "ncnn-network-int8": partial(leave_one_network_out, unit="cpu", precision="int8"),
    "ncnn-network-gpu": partial(leave_one_network_out, unit="gpu", precision="float"),
    **{
        f"ncnn-device-{unit}-{n}": partial(new_device, unit=unit, shots=n)
        for n in SHOTS
        for unit in UNITS
    },
    "ncnn-device-specs": from_sheet_alone,
    **{
        f"ncnn-device-{unit}-10-chosen": partial(new_device, unit=unit, shots=10, chosen=True)
        for unit in UNITS
    },
}
"""Experiments by name."""
