"""Fixture: phones of known latency instead of the shipped ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_phones import MakePhone, constant_target

from perfmodel.devices import registry
from perfmodel.devices.facts import PowerFact, Traits
from perfmodel.devices.profile import DeviceProfile, write_profile


@pytest.fixture
def phones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePhone:
    """Makes phones of known latency; no other profile is found while the test runs."""
    folder = tmp_path / "profiles"
    folder.mkdir()
    monkeypatch.setattr(registry, "builtin_folder", lambda: folder)
    monkeypatch.setenv("PERFMODEL_PROFILES", str(tmp_path / "none"))

    def make(
        device: str,
        targets: dict[str, float],
        year: int | None = None,
        soc: str = "",
        cpu_mw: float | None = None,
        kind: str = "phone",
        factor: float = 1.2,
    ) -> None:
        traits = Traits(power=() if cpu_mw is None else (PowerFact("cpu", cpu_mw, "by hand"),))
        made = tuple(constant_target(device, ms, where, factor) for where, ms in targets.items())
        profile = DeviceProfile(device, device, kind, made, soc, year, {}, traits)
        write_profile(profile, folder / f"{device}.json")

    return make
