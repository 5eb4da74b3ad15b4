"""The user's own folder of profiles: where it is, and which of its files can be used.

A file that cannot be used is left out with a `ProfileWarning` that names it, and everything else
answers as if it were not there.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from perfmodel.errors import ProfileError, ProfileWarning

if TYPE_CHECKING:
    from perfmodel.devices.profile import DeviceProfile


def user_folder() -> Path | None:
    """The user's profiles: $PERFMODEL_PROFILES, else perfmodel/profiles in the config folder.

    None where there is no home folder, as for a user whom a container's system does not list.
    """
    named = os.environ.get("PERFMODEL_PROFILES")
    if named:
        return Path(named)
    config = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(config):  # a relative one is to be ignored, by the XDG standard
        home = os.path.expanduser("~")
        if not os.path.isabs(home) or os.environ.get("HOME") == "":
            return None
        config = os.path.join(home, ".config")
    return Path(config) / "perfmodel" / "profiles"


def profile_files(folder: Path | None) -> list[Path]:
    """The profiles in a folder, by name; none, with a warning, where it cannot be listed."""
    if folder is None:
        return []
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        leave_out(f"{folder}: its profiles cannot be listed: {error.strerror or error}")
        return []
    return [folder / name for name in names if name.endswith(".json") and name[0] != "."]


def is_there(path: Path) -> bool:
    """Whether there is something of this name; no, with a warning, where its folder is closed."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        leave_out(f"{path}: cannot be read: {error.strerror or error}")
        return False
    return True


def usable_profile(path: Path, read: Callable[[Path], DeviceProfile]) -> DeviceProfile | str:
    """The profile in a user's file, or why it is left out, which is warned of too.

    The file must be named after the device whose profile it holds: a device is asked for by this
    name, and must not be answered for by another. All of its cost models must be sound.
    """
    try:
        profile = read(path)
        if profile.device != path.stem:
            raise ProfileError(
                f"{path}: holds the device {profile.device!r}, not {path.stem!r}",
                f"name it {profile.device}.json, or give it with --profile",
            )
        for target in profile.targets:
            _ = target.predictor
    except ProfileError as error:
        leave_out(str(error))
        return error.message
    return profile


def leave_out(why: str) -> None:
    """Warn that a file or folder of the user is left out."""
    warnings.warn(f"{why}; it is left out", ProfileWarning, stacklevel=2)
