"""What `perfmodel calibrate` was asked, and where its profile and journals go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfmodel.errors import PerfmodelError

if TYPE_CHECKING:
    from perfmodel.runners.device_options import DeviceOptions


@dataclass(frozen=True, kw_only=True)
class CalibrateRequest:
    """What the user asked; `sources` are files, or one piece of hardware.

    `stated` are columns of a measurement table that the files leave open.
    """

    sources: tuple[str, ...]
    device: str
    kind: str
    like: str
    stated: Mapping[str, str | float]
    skip_bad: bool
    pick: str
    dry_run: bool
    chip: str
    output: Path | None
    budget: str
    journal: Path | None
    force: bool
    seed: int
    models: tuple[str, ...]
    files: Path | None
    options: DeviceOptions
    profiles: tuple[Path, ...]
    as_json: bool


def profile_path(asked: CalibrateRequest) -> Path:
    """Where a device's profile goes; `PerfmodelError` without a name for the device."""
    from perfmodel.devices.user_profiles import user_folder

    if not asked.device:
        raise PerfmodelError("calibrate needs --device NAME", "such as --device my-phone")
    if asked.output is not None:
        return asked.output
    folder = user_folder()
    if folder is None:
        raise PerfmodelError(
            "there is no home folder to keep the profile in",
            "name a file with -o, or a folder in PERFMODEL_PROFILES",
        )
    return folder / f"{asked.device}.json"


def check(asked: CalibrateRequest, profile: Path, *journals: Path) -> None:
    """Refuse outputs that could not or must not be written, before anything is measured."""
    from perfmodel.cli.output import check_journal, check_outputs
    from perfmodel.devices.profile import PROFILE_MARK

    check_outputs(profile, mark=PROFILE_MARK, force=asked.force)
    for journal in journals:
        check_journal(journal, force=asked.force)
