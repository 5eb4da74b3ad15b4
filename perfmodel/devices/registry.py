"""Finding profiles: built-in ones, the user's own folder (which wins), and files named outright."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from perfmodel.devices.market_profiles import (
    chip_of,
    chip_of_device,
    is_named_for,
    market_profile,
    of_a_study,
    unbinned,
)
from perfmodel.devices.market_search import Found, find, looks_like_a_phone, nearest_devices
from perfmodel.devices.profile import DeviceProfile, TargetProfile
from perfmodel.devices.profile_files import (
    INDEX_NAME,
    builtin_folder,
    device_files,
    read_once,
    stamp_of,
)
from perfmodel.devices.spellings import Spellings, title_names
from perfmodel.devices.target_lines import TargetLine, target_lines
from perfmodel.devices.user_profiles import is_there, profile_files, usable_profile, user_folder
from perfmodel.errors import TargetError, nearest_names
from perfmodel.measurements.device_names import device_called, slug
from perfmodel.target import ANY_PART, QUANTISED, SLUG, as_written, parse_target

MOST_CHOICES = 8
"""Of phones that one name means, those that an error names."""


@dataclass(frozen=True)
class Resolved:
    """A target found: its device's profile and the part of it that answers.

    `precision_reason` says why this precision answers for the network that was asked about, where
    that is not plain; it is empty otherwise.
    """

    device: DeviceProfile
    target: TargetProfile
    precision_reason: str = ""

    @property
    def stands_for(self) -> str:
        """Which phone or chip was meant and why this target answers; empty for a phone's own."""
        if not self.device.found_as:
            return ""
        made, measured_as = chip_of(self.device), self.target.target.device
        spec = made is not None and measured_as == made.slug
        if measured_as == self.device.device and not spec:
            return ""
        how = self.target.provenance.source if spec else f"measured as {measured_as}"
        return f"{self.device.found_as}, {how}"


ProfileSource = Path | DeviceProfile
"""A profile to use beside those that are found: the path of its file, or the profile itself."""


@dataclass(frozen=True)
class ProfileFolder:
    """Profiles by device name: those named outright first, then the user's, then the built-in.

    Of two that are named outright and are of one device the last counts.
    """

    extra: tuple[ProfileSource, ...] = ()

    @cached_property
    def _named(self) -> dict[str, DeviceProfile]:
        found = (_read(source) for source in self.extra)
        return {profile.device: profile for profile in found}

    def paths(self) -> dict[str, Path]:
        """File of each device's profile in the folders; the user's wins where it can be used."""
        shipped = {path.stem: path for path in device_files(builtin_folder())}
        own = {path.stem: path for path in self._own}
        return dict(sorted({**shipped, **own}.items()))

    @cached_property
    def _own(self) -> tuple[Path, ...]:
        """The user's profiles that can be used; the others are warned of."""
        return tuple(
            path
            for path in profile_files(user_folder())
            if path.name != INDEX_NAME and not isinstance(usable_profile(path, _read), str)
        )

    def file_of(self, name: str) -> Path | None:
        """The file that answers for a device, of those in the folders; None where there is none."""
        return self._found(name)[0] or self._found(device_called(slug(name)))[0]

    def _found(self, name: str) -> tuple[Path | None, str]:
        """The file of a device and, where the user's was left out, why."""
        # the folders are not listed: reading one profile need not look at the hundreds beside it
        if f"{name}.json" == INDEX_NAME:
            return None, ""
        folder, why = user_folder(), ""
        if not SLUG.fullmatch(name):
            return None, ""
        if folder is not None and is_there(own := folder / f"{name}.json"):
            found = usable_profile(own, _read)
            if isinstance(found, DeviceProfile):
                return own, ""
            why = found
        shipped = builtin_folder() / f"{name}.json"
        return (shipped if shipped.is_file() else None), why

    def names(self) -> tuple[str, ...]:
        """Every device there is a profile of, in order."""
        return tuple(sorted({*self.paths(), *self._named}))

    def profiles(self) -> Iterator[DeviceProfile]:
        """Every profile, by device name."""
        paths = self.paths()
        for name in self.names():
            yield self._named[name] if name in self._named else _read(paths[name])

    def named(self) -> tuple[str, ...]:
        """Devices whose profiles are named outright."""
        return tuple(self._named)

    def is_named(self, name: str) -> bool:
        """Whether a device's profile is one of those named outright."""
        return name in self._named

    def device(self, name: str) -> DeviceProfile:
        """The profile of a device, or of a phone or chip of the market, by its name.

        A phone is answered alike whatever it is called: by what was measured on it and, for the
        rest, by what is known of its chip. Raises `TargetError` with the nearest names, or with the
        choices where a name means several.
        """
        if name in self._named:
            return self._named[name]
        path, why = self._found(name)
        if path is None and not why and slug(name) != name:
            path, why = self._found(slug(name))  # a profile's name with spaces: "pixel 2"
        if path is not None:
            return self._with_its_chip(_read(path))
        if (other := device_called(slug(name))) != slug(name):
            return self.device(other)
        ways = (self._as_written, self._in_market)
        for way in reversed(ways) if looks_like_a_phone(name) else ways:
            if not why and (profile := way(name)) is not None:
                return profile
        reason = f": {why}" if why else ""
        hint = nearest_devices(name, self._kinds)
        raise TargetError(f"no profile of a device {name!r}{reason}", hint)

    def _in_market(self, name: str) -> DeviceProfile | None:
        """The profile of a phone or chip of the market; None for another name."""
        found = find(name)
        return self.of_market(found) if found else None

    def _as_written(self, name: str) -> DeviceProfile | None:
        """The profile of a board, laptop or card as people write its name; a card of which nothing
        was measured is answered by its data sheet. None for another name."""
        other = self._spellings.device(name)
        return self.device(other) if other not in ("", name) else self._by_its_sheet(slug(name))

    @cached_property
    def _spellings(self) -> Spellings:
        """Everything but phones by what people write for it."""
        from perfmodel.devices.gpu_sheets import sheets_by_device

        lines = {x.device: x for x in list_targets(self.extra) if x.kind != "phone"}
        titles = [(x.device, t) for x in lines.values() for t in title_names(x.title)]
        return Spellings.of([*((name, name) for name in (*lines, *sheets_by_device())), *titles])

    def profile(self, name: str) -> DeviceProfile:
        """The profile that a device has itself; raises `TargetError` where it has none."""
        path = None if name in self._named else self._found(name)[0]
        if path is not None:
            return _read(path)
        return self.device(name)

    def _with_its_chip(self, profile: DeviceProfile) -> DeviceProfile:
        """A phone's own profile with what is known of its chip; others as they are.

        A profile by the name of a chip that a study alone measured is joined too.
        """
        if profile.kind != "phone":
            return profile
        found = find(profile.device)
        if len(found.chips) > 1 and profile.soc:
            # it is sold with several, and the source says which one was measured
            found = find(f"{profile.device} ({profile.soc})")
        studied = found.chip is not None and all(map(of_a_study, profile.targets))
        one = len(found.chips) == 1 and (is_named_for(profile.device, found.phones) or studied)
        if not one or profile.device not in self.measured_on(found):
            return profile
        return self.of_market(found)

    def _of_chip(self, profile: DeviceProfile) -> DeviceProfile | None:
        """What is known of a chip of phones beside its profile; None for another device."""
        found = find(profile.device) if profile.kind == "phone" and not profile.found_as else None
        chip = found.chip if found is not None and not self.is_named(profile.device) else None
        return self.of_market(found) if found is not None and chip is not None else None

    def _by_its_sheet(self, card: str) -> DeviceProfile | None:
        """What the data sheet tells of a card beside its profile; None for another device."""
        # few ask for a card, and what its sheet needs takes long to load
        from perfmodel.devices.gpu_sheets import card_profile

        return None if self.is_named(card) else card_profile(card)

    def expand(self, text: str) -> list[str]:
        """The targets that a text with `*` means: `pixel-8/*` is one for each unit of the phone,
        `pixel-8/cpu/*` one for each framework on its CPU; any other text means itself."""
        parts = text.split("/")
        if ANY_PART not in parts:
            return [text]
        query = parse_target(text)
        steady = (t.target for t in self.device(query.device).targets if t.latency_kind == "steady")
        full = [str(t).split("/") for t in steady if query.matches(t)]
        found = dict.fromkeys("/".join([parts[0], *f[1 : len(parts)]]) for f in full)
        if not found:
            self.resolve(text.replace(f"/{ANY_PART}", ""))  # raises with what there is
        return list(found)

    def of_market(self, found: Found, *, with_sheet: bool = True) -> DeviceProfile:
        """The profile of a phone or chip of the market; raises `TargetError` where it has none.

        `with_sheet` says whether the chip's spec sheet stands in for what nobody measured.
        """
        if len(found.chips) > 1:
            choices = ", ".join(map(repr, found.choices()[:MOST_CHOICES]))
            raise TargetError(
                f"{found.text!r} is sold with several chips, or is several phones",
                f"say which: {choices}",
            )
        if not found.chips:
            raise TargetError(f"nobody says which chip {found.text!r} has")
        sheet = None
        if with_sheet:
            # it takes a while to import what sheets tell, and measured devices need none of it
            from perfmodel.devices.spec_sheet import profile_of_chip

            sheet = profile_of_chip(found.chips[0])
        measured = [self.profile(name) for name in self.measured_on(found)]
        profile = market_profile(found, measured, sheet)
        if not profile.targets:
            raise TargetError(
                f"{found.chips[0].name}, the chip of {found.text!r}, has no target",
                "name a phone with a profile; `perfmodel devices --kind phone` lists them",
            )
        return profile

    def measured_on(self, found: Found) -> tuple[str, ...]:
        """Devices with profiles that have the chip of what was found, the nearest to it first:
        the phone itself, the chip, other phones."""
        slugs = dict.fromkeys(unbinned(made.slug) for made in found.chips)
        same = [name for chip_slug in slugs for name in self.by_chip.get(chip_slug, ())]

        def far(name: str) -> tuple[bool, bool]:
            return not is_named_for(name, found.phones), name not in slugs

        return tuple(sorted(same, key=far))

    @cached_property
    def _kinds(self) -> dict[str, str]:
        """Kind of every device."""
        return {line.device: line.kind for line in list_targets(self.extra)}

    @cached_property
    def by_chip(self) -> dict[str, list[str]]:
        """Phones with profiles, by the slug of their chip (without its bin), where it is known."""
        lines = {x.device: x for x in list_targets(self.extra) if x.kind == "phone"}
        found: dict[str, list[str]] = {}
        for name, line in lines.items():
            made = chip_of_device(name, line.soc)
            if made is not None:
                found.setdefault(unbinned(made.slug), []).append(name)
        return found

    def resolve(self, text: str, stored: str = "") -> Resolved:
        """The target that `text` means: the first of the device that agrees with every part.

        `stored` is the precision that the network's weights are stored in (see
        `perfmodel.kernels.precisions.stored_precision`). Where `text` leaves the precision open, a
        quantised network is answered by a quantised target and a float one by a float target, if
        the device has such; the answer says so where it had a choice, or none.
        """
        if ANY_PART in text.split("/"):
            raise TargetError(
                f"{text!r} is several targets", "`perfmodel compare MODEL --on ...` answers for all"
            )
        query = parse_target(text)
        profile = self.device(query.device)
        agree = [t for t in profile.targets if query.matches(t.target)]
        if not agree:
            whole = self._of_chip(profile) or self._by_its_sheet(profile.device) or profile
            profile, agree = whole, [t for t in whole.targets if query.matches(t.target)]
        if agree:
            return of_arithmetic(profile, agree, stored, named=bool(query.precision))[0]
        have = [str(t.target) for t in profile.targets]
        shown = ", ".join(nearest_names(text, have, 6, cutoff=0.0))
        made = chip_of(profile) if profile.kind == "phone" and not profile.found_as else None
        more = f"; {made.name!r} has others, by its spec sheet" if made is not None else ""
        raise TargetError(
            f"{query.device} has no target {as_written(text)!r}",
            f"nearest it has: {shown}{more}",
        )


def of_arithmetic(
    profile: DeviceProfile, agree: Sequence[TargetProfile], stored: str, *, named: bool
) -> list[Resolved]:
    """The targets of a device that answer for a network by its arithmetic, the best first.

    `stored` is the precision of its weights, empty where that does not matter. Of a quantised
    network these are the quantised targets, of a float one the float targets before the quantised;
    where there are none, all of them, with the reason. `named` says that the user chose a
    precision.
    """
    if not stored:
        return [Resolved(profile, t) for t in agree]
    quantised = stored in QUANTISED
    alike = [t for t in agree if (t.target.precision in QUANTISED) == quantised]
    holds = f"the network's weights are {stored if quantised else 'floats'}"
    version = "float" if quantised else "quantised"
    missing = "" if named else f" and {profile.device} has no other target here"

    def other(t: TargetProfile) -> Resolved:
        reason = f"this is the time of its {version} version in {t.target.precision}"
        return Resolved(profile, t, f"{holds}{missing if not alike else ''}: {reason}")

    if not alike:
        return [other(t) for t in agree]
    if quantised:
        first = sorted(alike, key=lambda t: t.target.precision != stored)
        why = "" if named else f", as {holds}"
        return [Resolved(profile, t, f"{t.target.precision}{why}" if why else "") for t in first]
    passed = "" if alike[0] is agree[0] else f"{alike[0].target.precision}, as {holds}"
    rest = [other(t) for t in agree if t not in alike]
    return [Resolved(profile, alike[0], passed), *(Resolved(profile, t) for t in alike[1:]), *rest]


def _read(source: ProfileSource) -> DeviceProfile:
    if isinstance(source, DeviceProfile):
        return source
    return read_once(source)


@lru_cache(maxsize=2)
def _indexed(path: str, stamp: tuple[int, int]) -> Mapping[str, Sequence[TargetLine]]:
    """What an index says of each device."""
    found: dict[str, list[TargetLine]] = {}
    for row in json.loads(Path(path).read_text(encoding="utf-8")):
        found.setdefault(row["device"], []).append(TargetLine(**row))
    return found


def list_targets(extra: Sequence[ProfileSource] = ()) -> tuple[TargetLine, ...]:
    """Every target known, by device name; built-in ones come from the index."""
    index = builtin_folder() / INDEX_NAME
    indexed = _indexed(str(index), stamp_of(index)) if index.is_file() else {}
    lines: list[TargetLine] = []
    folder = ProfileFolder(tuple(extra))
    paths = folder.paths()
    for name in folder.names():
        shipped = name in paths and paths[name].parent == builtin_folder()
        if shipped and name in indexed and not folder.is_named(name):
            lines.extend(indexed[name])
        else:
            lines.extend(target_lines(folder.profile(name)))
    return tuple(lines)
