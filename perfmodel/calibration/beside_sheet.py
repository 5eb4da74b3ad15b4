"""A phone of which something was measured: its other targets from its chip's sheet, moved by it.

CPU and GPU of a device share its memory, its heat and its software, frameworks on a CPU its cores:
what one measurement shows of a target against its sheet is expected of the others in part, as far
as measured chips show (`devices.sheet_rows.LEVELS`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perfmodel.calibration.measured import TargetRows
from perfmodel.cost_models.predictor import network_ms
from perfmodel.devices.market import Chip, chip, chips
from perfmodel.devices.profile import TargetProfile
from perfmodel.devices.sheet_data import MeasuredSheet, Sheets, kin_of, shipped_sheets
from perfmodel.devices.sheet_rows import target_class
from perfmodel.devices.spec_sheet import profile_of_chip, sheet_of_chip
from perfmodel.errors import MeasurementError, nearest_names

NOISE_SD = 0.05
"""Log spread of a speed measured with care, whatever the number of networks."""


def named_chip(name: str) -> Chip:
    """The market's chip that `--chip` names; raises `MeasurementError` with the nearest names."""
    found = chip(name)
    if found is None:
        close = nearest_names(name, [c.name for c in chips().values()], 5)
        raise MeasurementError(
            f"--chip {name!r} is no chip of the market",
            f"nearest: {', '.join(close)}" if close else "write it as Snapdragon 778G or SM7325",
        )
    return found


def targets_beside(
    made: Chip, device: str, groups: Sequence[TargetRows], sheets: Sheets | None = None
) -> tuple[TargetProfile, ...]:
    """Targets of a chip that `groups` did not measure, from its sheet and what they show of it."""
    known = sheets or shipped_sheets()
    measured = [s for g in groups if (s := measured_sheet(made, g, known)) is not None]
    have = {g.target for g in groups}
    others = profile_of_chip(made, device, known.measured(measured)).targets
    count = sum(len(g.measured) for g in groups)
    return tuple(_moved(t, count) for t in others if t.target not in have)


def measured_sheet(made: Chip, group: TargetRows, sheets: Sheets) -> MeasuredSheet | None:
    """A measured target with its speed: as far from a known shape as its networks are.

    None where no network was measured or its class has no shape.
    """
    sheet = sheet_of_chip(made, group.target)
    shape = sheets.shape(target_class(group.target), kin_of(sheet), max(group.target.threads, 1))
    if shape is None or not group.measured or target_class(group.target) not in sheets.errors:
        return None
    ratio = [
        np.log(m.latency_ms) - np.log(network_ms(shape.predictor, m.kernels))
        for m in group.measured
    ]
    spread = sheets.errors[target_class(group.target)].network_sd
    return replace(
        sheet,
        log_ms=shape.log_ms + float(np.median(ratio)),
        variance=NOISE_SD**2 + spread**2 / len(ratio),
    )


def _moved(target: TargetProfile, count: int) -> TargetProfile:
    origin = target.provenance
    note = f"moved by {count} measurement{'s' if count > 1 else ''} of other targets"
    return replace(target, provenance=replace(origin, note=note))
