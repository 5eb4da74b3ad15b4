"""The profiles that ship, and the reading of a profile: once while its file stays as it is."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfmodel.devices.profile import DeviceProfile

INDEX_NAME = "index.json"

POPULATIONS = "populations"
"""Where, below a folder of profiles, lies what many targets have in common."""


@lru_cache(maxsize=1)
def builtin_folder() -> Path:
    """The folder of profiles that ships with perfmodel, installed or in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "hw_profiles"
    return inside if inside.is_dir() else package.parent / "hw_profiles"


def device_files(folder: Path) -> list[Path]:
    """The files of a folder that ships, one a device, by name: all but the index."""
    return sorted(path for path in folder.glob("*.json") if path.name != INDEX_NAME)


def read_once(path: Path) -> DeviceProfile:
    """The profile in a file, read anew where the file has changed; raises `ProfileError`."""
    return _cached_profile(str(path), stamp_of(path))


def stamp_of(path: Path) -> tuple[int, int]:
    """What changes with a file: when it was written, and its bytes; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _cached_profile(path: str, stamp: tuple[int, int]) -> DeviceProfile:
    # the folder is asked for by many who read no profile, and need none of what profiles need
    from perfmodel.devices.profile import read_profile

    return read_profile(Path(path))
