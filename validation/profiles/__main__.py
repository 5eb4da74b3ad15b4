"""Rebuild hw_profiles/ from the measurements: `python -m validation.profiles --data DIR`.

Deterministic: the same data give the same bytes. Builders are functions from the data folder to
fitted targets; targets of one device, whatever their framework, become one profile.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from perfmodel.calibration import population as network_populations
from perfmodel.calibration.npu_population import write_npus
from perfmodel.devices.facts import Traits
from perfmodel.devices.kernel_populations import write_population
from perfmodel.devices.npu_sheets import CHIP_FILE
from perfmodel.devices.profile import DeviceProfile, read_profile, write_profile
from perfmodel.devices.profile_files import INDEX_NAME, POPULATIONS, builtin_folder, device_files
from perfmodel.devices.target_lines import index_text
from perfmodel.errors import PerfmodelError, ProfileError
from perfmodel.files import write_atomically
from perfmodel.measurements.device_names import device_called
from validation.profiles.common import BuiltTarget, DeviceInfo
from validation.profiles.defaults import ordered
from validation.profiles.ncnn import ncnn_populations
from validation.profiles.npu import npu_population
from validation.profiles.rockchip import market_npus
from validation.profiles.spec_sheets import write_spec_sheets

BUILDERS = (
    "validation.profiles.ncnn:build_ncnn",
    "validation.profiles.kernels:build_phones",
    "validation.profiles.npu:build_npu",
    # before the kernels of GPUs: of a Jetson one table has the kernels of one network alone
    "validation.profiles.published:build_published",
    "validation.profiles.kernels:build_gpus",
    "validation.profiles.timm:build_timm",
    "validation.profiles.datasheets:build_datasheets",
    "validation.profiles.partition:build_partition",
    "validation.profiles.jetson:build_jetson",
    "validation.profiles.rockchip:build_rockchip",
)
"""module:function, in the order in which a device's targets rank."""

POPULATION_BUILDERS = (
    "validation.profiles.kernel_targets:phone_populations",
    "validation.profiles.kernel_targets:spec_populations",
    "validation.profiles.timm:sheet_populations",
)
"""module:function from the data folder to what targets share, by the name of its file."""

TRAIT_BUILDERS = (
    "validation.profiles.partition:partition_traits",
    "validation.profiles.jetson:jetson_traits",
)
"""module:function from the data folder to facts (transfers, storage, power, ...) by device."""

Builder = Callable[[Path], list[BuiltTarget]]
TraitBuilder = Callable[[Path], Mapping[str, Traits]]


def builders() -> list[Builder]:
    """The builder functions."""
    return _functions(BUILDERS)


def trait_builders() -> list[TraitBuilder]:
    """The functions that know facts of devices."""
    return _functions(TRAIT_BUILDERS)


def write_populations(data: Path, folder: Path) -> int:
    """Write what the targets of each framework share; returns the number of files."""
    written = 0
    for builder in _functions(POPULATION_BUILDERS):
        for name, population in builder(data).items():
            write_population(population, folder / POPULATIONS / f"{name}.json")
            written += 1
    write_npus(npu_population(data), folder / POPULATIONS)
    written += 1
    for chip, profile in market_npus(data).items():
        write_profile(profile, folder / CHIP_FILE.format(chip=chip))
        written += 1
    for networks in ncnn_populations(data):
        network_populations.write_population(networks, folder / POPULATIONS)
        written += 1
    return written


def _functions(names: Sequence[str]) -> list[Any]:
    found = []
    for name in names:
        module, function = name.split(":")
        if importlib.util.find_spec(module) is not None:
            found.append(getattr(importlib.import_module(module), function))
    return found


def joined_traits(tables: Sequence[Mapping[str, Traits]]) -> dict[str, Traits]:
    """All facts of each device, in the order of the tables."""
    found: dict[str, Traits] = {}
    for table in tables:
        for device, traits in table.items():
            own = found.get(device, Traits())
            found[device] = Traits(
                *(getattr(own, f.name) + getattr(traits, f.name) for f in fields(Traits))
            )
    return found


def join_profiles(
    built: Sequence[Sequence[BuiltTarget]], traits: Mapping[str, Traits] | None = None
) -> list[DeviceProfile]:
    """One profile a device: targets by builder, then rank; device facts from whoever knows them."""
    devices: dict[str, list[tuple[tuple[int, ...], BuiltTarget]]] = {}
    for order, targets in enumerate(built):
        for target in map(_called, targets):
            devices.setdefault(target.info.device, []).append(((order, *target.rank), target))
    profiles = []
    for name in sorted(devices):
        ranked = sorted(devices[name], key=lambda m: (m[0], str(m[1].profile.target)))
        # a target that two builders know is the earlier one's
        first = {str(t.profile.target): t for _, t in reversed(ranked)}
        members = [t for _, t in ranked if first[str(t.profile.target)] is t]
        info = _joined([m.info for m in members])
        profiles.append(
            DeviceProfile(
                device=name,
                title=info.title,
                kind=info.kind,
                targets=tuple(m.profile for m in members),
                soc=info.soc,
                year=info.year,
                hardware=dict(sorted(info.hardware.items())),
                traits=(traits or {}).get(name, Traits()),
            )
        )
    return profiles


def _called(built: BuiltTarget) -> BuiltTarget:
    """A target under the one name of its device, which its table may call otherwise."""
    name = device_called(built.info.device)
    if name == built.info.device:
        return built
    target = replace(built.profile.target, device=name)
    return replace(
        built, info=replace(built.info, device=name), profile=replace(built.profile, target=target)
    )


def _joined(infos: Sequence[DeviceInfo]) -> DeviceInfo:
    first = infos[0]
    hardware = {k: f for i in reversed(infos) for k, f in i.hardware.items()}
    soc = next((i.soc for i in infos if i.soc), "")
    year = next((i.year for i in infos if i.year), None)
    return DeviceInfo(first.device, first.title, first.kind, soc, year, hardware)


def write_folder(profiles: Sequence[DeviceProfile], folder: Path) -> int:
    """Write profiles and index, drop profiles no longer built; returns the bytes in all."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{profile.device}.json": profile for profile in profiles}
    for name, profile in files.items():
        write_profile(profile, folder / name)
    # in the order of the files, so that a folder's index is the same whoever makes it
    write_atomically(folder / INDEX_NAME, index_text([files[name] for name in sorted(files)]))
    names = {*files, INDEX_NAME}
    for path in folder.glob("*.json"):
        if path.name not in names:
            path.unlink()
    return sum(p.stat().st_size for p in folder.glob("*.json"))


def read_part(folder: Path) -> list[BuiltTarget]:
    """What a builder made earlier, in its order; raises `ProfileError` where nothing was kept."""
    if not folder.is_dir():
        raise ProfileError(f"{folder}: nothing was kept", "run once without --only")
    return [
        BuiltTarget(
            DeviceInfo(p.device, p.title, p.kind, p.soc, p.year, p.hardware), target, (place,)
        )
        for p in map(read_profile, device_files(folder))
        for place, target in enumerate(p.targets)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and write; 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m validation.profiles",
        description=__doc__,
        epilog="builders: " + ", ".join(builder.__name__ for builder in builders()),
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of measurements")
    parser.add_argument("-o", "--output", type=Path, default=builtin_folder())
    parser.add_argument("--parts", type=Path, help="folder that keeps what each builder made")
    parser.add_argument(
        "--only", nargs="+", default=[], help="run these builders, take others from --parts"
    )
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    built = []
    try:
        _check(options)
        # one thread: the same sums in the same order on every machine
        with threadpool_limits(limits=1):
            for builder in builders():
                kept = options.parts and options.parts / builder.__name__
                if kept and options.only and builder.__name__ not in options.only:
                    built.append(read_part(kept))
                    continue
                built.append(builder(options.data))
                if kept:
                    write_folder(join_profiles(built[-1:]), kept)
                done = f"{len(built[-1])} targets, {_since(started)}"
                print(f"{builder.__name__}: {done}", flush=True)
            traits = joined_traits([builder(options.data) for builder in trait_builders()])
        profiles = ordered(join_profiles(built, traits))
        size = write_folder(profiles, options.output)
        with threadpool_limits(limits=1):
            populations = 0 if options.only else write_populations(options.data, options.output)
        if not options.only and options.output.resolve() == builtin_folder().resolve():
            write_spec_sheets(options.output)
    except FileNotFoundError as error:
        print(f"validation.profiles: {error.filename} is missing", file=sys.stderr)
        print("  is --data right?", file=sys.stderr)
        return 2
    except PerfmodelError as error:
        print(f"validation.profiles: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return 2
    shared = f"{populations} populations, {size / 1e6:.1f} MB"
    print(f"{len(profiles)} profiles, {shared}, {_since(started)}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raise `PerfmodelError` for what would build something else than was asked."""
    if not options.data.is_dir():
        raise PerfmodelError(f"--data {options.data} is no folder", "give that of the measurements")
    known = [builder.__name__ for builder in builders()]
    unknown = ", ".join(name for name in options.only if name not in known)
    if unknown:
        raise PerfmodelError(f"no builder is called {unknown}", f"known: {', '.join(known)}")
    if options.only and options.parts is None:
        raise PerfmodelError(
            "--only needs what the other builders made", "add --parts FOLDER of an earlier run"
        )


def _since(started: float) -> str:
    return f"{time.perf_counter() - started:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
