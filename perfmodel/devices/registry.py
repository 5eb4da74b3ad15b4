"""Finding profiles: built-in ones, the user's own folder (which wins), and files named outright."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from perfmodel.devices.profile import DeviceProfile, TargetProfile, read_profile
from perfmodel.errors import TargetError, nearest_names
from perfmodel.target import parse_target

INDEX_NAME = "index.json"


def builtin_folder() -> Path:
    """The folder of profiles that ships with perfmodel, installed or in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "hw_profiles"
    return inside if inside.is_dir() else package.parent / "hw_profiles"


def user_folder() -> Path:
    """The user's profiles: $PERFMODEL_PROFILES, else perfmodel/profiles in the config folder."""
    named = os.environ.get("PERFMODEL_PROFILES")
    if named:
        return Path(named)
    config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(config) / "perfmodel" / "profiles"


@dataclass(frozen=True)
class Resolved:
    """A target found: its device's profile and the part of it that answers."""

    device: DeviceProfile
    target: TargetProfile


@dataclass(frozen=True)
class ProfileFolder:
    """Profiles by device name: files named outright first, then the user's, then the built-in."""

    extra: tuple[Path, ...] = ()

    def paths(self) -> dict[str, Path]:
        """Path of each device's profile; where a name stands twice the user's wins."""
        found: dict[str, Path] = {}
        for folder in (builtin_folder(), user_folder()):
            if folder.is_dir():
                for path in sorted(folder.glob("*.json")):
                    if path.name != INDEX_NAME:
                        found[path.stem] = path
        for path in self.extra:
            found[_cached_profile(str(path), _stamp(path)).device] = path
        return dict(sorted(found.items()))

    def device(self, name: str) -> DeviceProfile:
        """The profile of a device; raises `TargetError` with the nearest names."""
        path = self._path(name)
        if path is None:
            raise TargetError(f"no profile of a device {name!r}", _nearest(name, [*self.paths()]))
        return _cached_profile(str(path), _stamp(path))

    def _path(self, name: str) -> Path | None:
        """Where a device's profile is, without listing the folders."""
        if self.extra:
            return self.paths().get(name)
        if f"{name}.json" == INDEX_NAME:
            return None
        places = (folder / f"{name}.json" for folder in (user_folder(), builtin_folder()))
        return next((path for path in places if path.is_file()), None)

    def resolve(self, text: str) -> Resolved:
        """The target that `text` means: the first of the device that agrees with every part."""
        query = parse_target(text)
        profile = self.device(query.device)
        for candidate in profile.targets:
            if query.matches(candidate.target):
                return Resolved(profile, candidate)
        have = [str(t.target) for t in profile.targets]
        shown = ", ".join(nearest_names(text, have, 6, cutoff=0.0))
        raise TargetError(f"{query.device} has no target {text!r}", f"nearest it has: {shown}")


def _nearest(name: str, known: Sequence[str]) -> str:
    close = nearest_names(name, known, 5)
    if close:
        return f"nearest: {', '.join(close)}; `perfmodel devices` lists all"
    return "`perfmodel devices` lists all"


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _cached_profile(path: str, stamp: tuple[int, int]) -> DeviceProfile:
    return read_profile(Path(path))


@dataclass(frozen=True)
class TargetLine:
    """What `perfmodel devices` says of one target."""

    device: str
    title: str
    kind: str
    target: str
    median_error: float
    experiment: str
    cases: int
    source: str


def target_lines(profile: DeviceProfile) -> tuple[TargetLine, ...]:
    """One line a target, in the profile's order."""
    return tuple(
        TargetLine(
            profile.device,
            profile.title,
            profile.kind,
            str(t.target),
            t.error.median,
            t.error.experiment,
            t.error.cases,
            t.provenance.source,
        )
        for t in profile.targets
    )


def index_text(profiles: Sequence[DeviceProfile]) -> str:
    """The index of a folder of profiles, so that listing does not read every cost model."""
    lines = [vars(line) for p in profiles for line in target_lines(p)]
    rows = ",\n".join(json.dumps(line, sort_keys=True) for line in lines)
    return f"[\n{rows}\n]\n"


def list_targets(extra: Sequence[Path] = ()) -> tuple[TargetLine, ...]:
    """Every target known, by device name; built-in ones come from the index."""
    index = builtin_folder() / INDEX_NAME
    indexed: dict[str, list[TargetLine]] = {}
    if index.is_file():
        for row in json.loads(index.read_text(encoding="utf-8")):
            indexed.setdefault(row["device"], []).append(TargetLine(**row))
    lines: list[TargetLine] = []
    folder = ProfileFolder(tuple(extra))
    for name, path in folder.paths().items():
        if path.parent == builtin_folder() and name in indexed:
            lines.extend(indexed[name])
        else:
            lines.extend(target_lines(folder.device(name)))
    return tuple(lines)
