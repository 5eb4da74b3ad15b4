"""NPU targets of chips that nobody measured, by the generation that their spec sheets name.

Qualcomm's Hexagon NPUs of large chips differ in speed by their generation. What a generation does
ships as one profile each in hw_profiles/populations, made by `calibration.npu_sheet` from the
measured chips; NPUs of other vendors, of smaller chips and of unnamed generations have no target.
"""

from __future__ import annotations

import re
from dataclasses import replace

from perfmodel.devices.market import Chip
from perfmodel.devices.profile import TargetProfile
from perfmodel.devices.profile_files import builtin_folder, read_once
from perfmodel.measurements.device_names import slug

FILE = "populations/npu-hexagon-v{generation}.json"
CHIP_FILE = "populations/npu-{chip}.json"
"""Below the folder of profiles that ship: of a generation, and of a chip by its slug."""

GRADES = ("top",)
"""Grades of chips that the measured ones stand for: smaller chips have fewer units."""


def generation_of(chip: Chip) -> int | None:
    """The generation of a chip's Hexagon NPU; None where its sheet names none."""
    found = re.match(r"Hexagon V(\d{1,3})\b", chip.npu)
    return int(found[1]) if found else None


def npu_targets(chip: Chip, device: str) -> tuple[TargetProfile, ...]:
    """NPU targets of a phone with a chip, float first; none where its family is not measured.

    Raises `ProfileError` for a damaged file.
    """
    path = builtin_folder() / CHIP_FILE.format(chip=slug(chip.name))
    if not path.is_file():
        generation = generation_of(chip)
        path = builtin_folder() / FILE.format(generation=generation)
        if generation is None or chip.grade not in GRADES or not path.is_file():
            return ()
    return tuple(
        replace(t, target=replace(t.target, device=device)) for t in read_once(path).targets
    )
