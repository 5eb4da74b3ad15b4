"""`validate`: predictions of a profile, then the true workload on the hardware, compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfmodel.errors import PerfmodelError, RunnerError
from perfmodel.experiments.devices import DeviceValidation
from perfmodel.experiments.host_result import HostValidation
from perfmodel.experiments.partition_result import PartitionValidation
from perfmodel.formats.sizes import InputShape, Sizes
from perfmodel.runners.device_options import DeviceOptions
from perfmodel.runners.host_frameworks import DEFAULT, host_framework, own_profile

FUNCTIONS = ("host", "partition", "adb", "ssh:HOST")
"""Experiments that `validate` runs; `perfmodel validate` has kinds and cuda too."""


def validate(
    experiment: str = "host",
    *,
    journal: Path | str,
    profile: Path | str | None = None,
    predictions: Path | str | None = None,
    models: Sequence[str] = (),
    files: Sequence[Path | str] = (),
    framework: str = DEFAULT,
    budget_s: float = 300.0,
    retry: bool = False,
    input_shape: InputShape | None = None,
    options: DeviceOptions | None = None,
) -> HostValidation | PartitionValidation | DeviceValidation:
    """Predict networks by a profile, run them on this host or an attached device, compare.

    `experiment` is host (networks on this CPU), partition (every cut of a few), adb (a phone) or
    ssh:HOST (a Jetson). The same call with the same `journal` goes on where it was stopped.
    `profile` is by default that which `calibrate` made of this host. `predictions`, written before
    anything runs, lie by default beside the journal. `models` are networks by name, `files` model
    files for the runtime; `framework` runs those of host, and `retry` runs again what it refused.
    `input_shape` are sizes of inputs that files of host leave open, as `load` takes them.
    `options` say how to reach a device. Raises `PerfmodelError`s for what is not there.
    """
    name, _, host = experiment.partition(":")
    book, told = Path(journal), None if predictions is None else Path(predictions)
    paths = tuple(Path(file) for file in files)
    if name == "host" and not host:
        from perfmodel.experiments.host import validate_host

        return validate_host(
            host_profile(profile, framework),
            book,
            budget_s=budget_s,
            models=models or None,
            files=paths,
            predictions=told,
            retry=retry,
            framework=framework,
            shapes=Sizes.of(None, input_shape).shapes,
        )
    if name == "partition" and not host:
        from perfmodel.experiments.partition import NETWORKS, run_partition

        own = Path(profile) if profile is not None else own_profile()
        return run_partition(
            book,
            profile=own if profile is not None or own.is_file() else None,
            models=models or NETWORKS,
            budget_s=budget_s,
            predictions=told,
        )
    if (name == "adb" and not host) or (name == "ssh" and host):
        from perfmodel.calibration.from_device import DeviceRequest
        from perfmodel.experiments.devices import validate_device

        if profile is None:
            raise PerfmodelError("name the profile of the device", "add --profile FILE")
        request = DeviceRequest(
            device="",
            journal=book,
            budget_s=budget_s,
            models=(*models, *map(str, paths)),
            options=options or DeviceOptions(),
        )
        return validate_device(experiment, request, profile=Path(profile), predictions=told)
    raise PerfmodelError(
        f"no experiment {experiment!r:.60} for a function", f"those are {', '.join(FUNCTIONS)}"
    )


def host_profile(profile: Path | str | None, framework: str = DEFAULT) -> Path:
    """The profile of this machine that is meant; raises `RunnerError` where it is not there."""
    by = host_framework(framework or DEFAULT)
    path = Path(profile) if profile is not None else own_profile(by.name)
    if not path.is_file():
        named = "" if by.name == DEFAULT else f"--framework {by.name} "
        raise RunnerError(
            f"{path}: no profile of this machine",
            f"make one first: perfmodel calibrate --from host {named}--budget 3min -o {path}",
        )
    return path
