"""What is here that perfmodel can use: each thing looked at in a moment, none of them loaded."""

from __future__ import annotations

import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from perfmodel.errors import PerfmodelError, ProfileError

HERE, MISSING, WRONG = "here", "missing", "wrong"
WAIT_S = 0.7
"""For a program that tells what is attached; doctor answers within two seconds in all."""
SCALED_S = 0.1
"""Seconds that two busy processes count: enough to tell whether they share a core."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox", "safari", "msedge")
MOST_PROFILES = 20
"""Profiles of the user that are read: each takes some hundredths of a second."""
OF_DEVELOPERS = ("dev", "ci", "docs")
"""Extras that only work on perfmodel itself needs."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing: `state` is here, missing or wrong; `todo` is empty where nothing is to be done."""

    topic: str
    name: str
    state: str
    found: str = ""
    todo: str = ""


def checks() -> tuple[Check, ...]:
    """Everything that is looked at, in order; a look that fails is itself told as wrong."""
    looks: tuple[Callable[[], Iterator[Check]], ...] = (
        *(_program, _runtimes, _extras, _shipped_profiles, _own_profiles),
        *(_phones, _jetson, _gpu, _cores, _browser, _completion, _left_folders),
    )
    found: list[Check] = []
    for look in looks:
        topic = look.__name__.strip("_").replace("_", " ")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found += look()
        except PerfmodelError as error:
            found.append(_wrong(topic, error.message, error.hint))
        except Exception as error:
            found.append(_wrong(topic, f"{type(error).__name__}: {error}"))
    return tuple(found)


def _wrong(topic: str, found: str, todo: str = "") -> Check:
    return Check(topic=topic, name="", state=WRONG, found=found[:200], todo=todo[:200])


def _program() -> Iterator[Check]:
    import perfmodel

    place = Path(perfmodel.__file__).parent
    found = f"{perfmodel.__version__}, Python {sys.version.split()[0]}, {place}"
    yield Check(topic="program", name="perfmodel", state=HERE, found=found)


def version_of(package: str) -> str:
    """The version of an installed package, empty where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def packages_of_extras() -> dict[str, list[str]]:
    """The packages that each extra of perfmodel brings, "" for those it always has.

    Markers of machines are not looked at; what an extra takes from another one stands there.
    """
    try:
        lines = metadata.requires("perfmodel") or []
    except metadata.PackageNotFoundError:
        lines = []
    found: dict[str, list[str]] = {}
    for line in lines:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if name and name[0] != "perfmodel":
            found.setdefault(extra[1] if extra else "", []).append(name[0])
    return found


def _runtimes() -> Iterator[Check]:
    from perfmodel.runners.host_frameworks import FRAMEWORKS

    packages = packages_of_extras()
    for by in FRAMEWORKS.values():
        needed = packages.get(by.extra.split(",")[0], []) if by.extra else ["ai-edge-litert"]
        versions = {name: version_of(name) for name in needed}
        ready = bool(versions) and all(versions.values())
        extra = f"[{by.extra}]" if by.extra else ""
        yield Check(
            topic="runtime",
            name=by.title,
            state=HERE if ready else MISSING,
            found=", ".join(f"{name} {version}" for name, version in versions.items() if version),
            todo="" if ready else f"pip install 'perfmodel{extra}'",
        )


def _extras() -> Iterator[Check]:
    from perfmodel.runners.host_frameworks import FRAMEWORKS

    told = {name for by in FRAMEWORKS.values() for name in by.extra.split(",")}
    extras = packages_of_extras()
    if not extras:
        yield _wrong("extras", "perfmodel is not installed, only found", "pip install -e .")
    for extra, packages in extras.items():
        if not extra or extra in told or extra in OF_DEVELOPERS:
            continue
        absent = [name for name in packages if not version_of(name)]
        yield Check(
            topic="extra",
            name=extra,
            state=MISSING if absent else HERE,
            found=", ".join(f"{n} {version_of(n)}" for n in packages if n not in absent),
            todo=f"pip install 'perfmodel[{extra}]'" if absent else "",
        )
    yield _package("pyarrow", "for tables as .parquet")


def _package(name: str, why: str) -> Check:
    version = version_of(name)
    todo = "" if version else f"pip install {name}, {why}"
    return Check(
        topic="package", name=name, state=HERE if version else MISSING, found=version, todo=todo
    )


def _shipped_profiles() -> Iterator[Check]:
    from perfmodel.devices.profile import PROFILE_MARK
    from perfmodel.devices.profile_files import INDEX_NAME, builtin_folder, device_files

    folder = builtin_folder()
    files = device_files(folder)
    damaged = []
    for path in files:
        with open(path, "rb") as file:
            if file.read(len(PROFILE_MARK)) != PROFILE_MARK:
                damaged.append(path.name)
    sound = bool(files) and not damaged and (folder / INDEX_NAME).is_file()
    yield Check(
        topic="profiles",
        name="shipped",
        state=HERE if sound else WRONG,
        found=f"{len(files)} devices" + (f", damaged: {', '.join(damaged[:3])}" if damaged else ""),
        todo="" if sound else "install the package anew: its own profiles are incomplete",
    )


def _own_profiles() -> Iterator[Check]:
    from perfmodel.devices.profile import DeviceProfile
    from perfmodel.devices.profile_files import read_once
    from perfmodel.devices.user_profiles import profile_files, usable_profile, user_folder

    folder = user_folder()
    files = profile_files(folder)
    if not files:
        todo = "perfmodel calibrate makes one of your device"
        yield Check(
            topic="profiles", name="your own", state=MISSING, found=f"none in {folder}", todo=todo
        )
    for path in files[:MOST_PROFILES]:
        found = usable_profile(path, read_once)
        usable = isinstance(found, DeviceProfile)
        yield Check(
            topic="profile of yours",
            name=path.stem,
            state=HERE if usable else WRONG,
            found=str(path) if isinstance(found, DeviceProfile) else found,
            todo="" if usable else "calibrate it again, or remove the file",
        )


def _phones() -> Iterator[Check]:
    program = shutil.which("adb")
    if program is None:
        todo = "install Android's platform-tools to calibrate a phone over USB"
        yield Check(topic="phone", name="adb", state=MISSING, todo=todo)
        return
    yield Check(topic="phone", name="adb", state=HERE, found=program)
    from perfmodel.runners.remote import run_program

    lines = run_program([program, "devices"], timeout_s=WAIT_S).splitlines()
    attached = [line.split() for line in lines if "\t" in line]
    for serial, state, *_ in attached:
        ready = state == "device"
        todo = "" if ready else "unlock it and accept the USB debugging question"
        yield Check(
            topic="phone", name=serial, state=HERE if ready else WRONG, found=state, todo=todo
        )
    if not attached:
        todo = "switch on USB debugging and plug a phone in"
        yield Check(topic="phone", name="attached", state=MISSING, todo=todo)
    from perfmodel.runners.device_options import BENCHMARK_MODEL

    tool = os.environ.get(BENCHMARK_MODEL, "")
    there = bool(tool) and Path(tool).is_file()
    yield Check(
        topic="phone",
        name="benchmark_model",
        state=HERE if there else WRONG if tool else MISSING,
        found=tool,
        todo="" if there else f"name TFLite's benchmark_model for Android in {BENCHMARK_MODEL}",
    )


def _jetson() -> Iterator[Check]:
    from perfmodel.runners.device_options import SSH_HOST

    program, host = shutil.which("ssh"), os.environ.get(SSH_HOST, "")
    ready = bool(program and host)
    todo = f"calibrate --from ssh:HOST, or name the host in {SSH_HOST}"
    yield Check(
        topic="jetson",
        name=host or "ssh",
        state=HERE if ready else MISSING,
        found=program or "",
        todo="" if ready else todo if program else "install ssh to calibrate a Jetson",
    )


def _gpu() -> Iterator[Check]:
    program = shutil.which("nvidia-smi")
    if program is None:
        todo = "nothing, unless this machine has an NVIDIA GPU: then install its driver"
        yield Check(topic="gpu", name="NVIDIA", state=MISSING, todo=todo)
        return
    from perfmodel.runners.remote import run_program

    asked = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    for line in run_program(asked, timeout_s=WAIT_S).splitlines():
        name, _, driver = line.partition(", ")
        yield Check(topic="gpu", name=name, state=HERE, found=f"driver {driver}")


def _cores() -> Iterator[Check]:
    from perfmodel.runners.machine import busy_scaling, shares_cores

    known = hasattr(os, "sched_getaffinity")
    count = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    if count < 2:
        yield Check(topic="cores", name=str(count), state=HERE, found="this process may use one")
        return
    scaling = busy_scaling(2, SCALED_S, probes=1)
    shared = shares_cores(scaling, 2)
    yield Check(
        topic="cores",
        name=str(count),
        state=WRONG if shared else HERE,
        found=f"two busy processes do {scaling:.1f} times one's work now{_cores_then()}",
        todo="end what else runs: times measured now would be too long" if shared else "",
    )


def _cores_then() -> str:
    """What two busy processes did while this machine was calibrated, by profile."""
    from perfmodel.devices.profile_files import read_once
    from perfmodel.devices.user_profiles import profile_files, user_folder
    from perfmodel.runners.host_frameworks import FRAMEWORKS, own_profile
    from perfmodel.runners.scaling import scaling_then

    here = filter(Path.is_file, map(own_profile, FRAMEWORKS))
    told = []
    for path in [*here, *profile_files(user_folder())][:MOST_PROFILES]:
        try:
            then = scaling_then(read_once(path), 2)
        except ProfileError:
            continue  # told of among the profiles
        told += [f", {then} when {path.name} was made"] if then else []
    return "".join(told)


def _browser() -> Iterator[Check]:
    named = os.environ.get("BROWSER", "")
    found = next(filter(None, map(shutil.which, [*filter(None, [named]), *BROWSERS])), None)
    own = sys.platform in ("darwin", "win32")
    ready = own or found is not None
    todo = "" if ready else "open pages on another machine: each is one file"
    yield Check(
        topic="browser",
        name="for pages",
        state=HERE if ready else MISSING,
        found=found or ("the system's own" if own else ""),
        todo=todo,
    )


def _completion() -> Iterator[Check]:
    from perfmodel.cli.completion import SHELLS, is_installed

    for shell in SHELLS:
        if shutil.which(shell) is None:
            continue
        ready = is_installed(shell)
        todo = "" if ready else f"perfmodel completion {shell} --install"
        yield Check(topic="completion", name=shell, state=HERE if ready else MISSING, todo=todo)


def _left_folders() -> Iterator[Check]:
    from perfmodel.files import left_folders

    folders = left_folders()
    if folders:
        yield Check(
            topic="folders",
            name="left behind",
            state=WRONG,
            found=f"{len(folders)} of runs that were killed, such as {folders[0]}",
            todo="nothing: the next run that measures removes them",
        )
