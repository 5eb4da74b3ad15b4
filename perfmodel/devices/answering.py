"""The one target that answers, found without its device being known as a whole.

What is known of a phone's chip stands behind what was measured on the phone itself, and what spec
sheets say behind both: neither is looked up where a target before it decides.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from perfmodel.devices.market_profiles import (
    FEWEST,
    STUDIED,
    hardly_chosen,
    is_named_for,
    of_a_study,
)
from perfmodel.devices.market_search import find, looks_like_a_phone
from perfmodel.devices.profile import DeviceProfile, TargetProfile
from perfmodel.devices.registry import ProfileFolder, Resolved, of_arithmetic
from perfmodel.devices.user_profiles import user_folder
from perfmodel.measurements.device_names import slug
from perfmodel.target import ANY_PART, QUANTISED, TargetQuery, parse_target


def answering(folder: ProfileFolder, text: str, stored: str = "") -> Resolved:
    """The target that `folder.resolve` finds, for those who need no other target of its device."""
    own = user_folder()
    # further profiles, and the user's, may be of the same phone by another name
    if not folder.extra and (own is None or not os.path.isdir(own)) and ANY_PART not in text:
        query = parse_target(text)
        found = _of_the_phone(folder, query, stored) or _of_its_chip(folder, query, stored)
        if found is not None:
            return found
    return folder.resolve(text, stored)


def _of_the_phone(folder: ProfileFolder, query: TargetQuery, stored: str) -> Resolved | None:
    """A target that was measured on a phone itself."""
    if folder.file_of(query.device) is None:
        return None
    profile = folder.profile(query.device)
    mine = [t for t in profile.targets if t.provenance.measurements >= FEWEST]
    # where a study's framework is named all that spec sheets know of it is that study's too; a
    # chip's own name is answered for by its sheet
    named = query.framework in STUDIED and slug(profile.soc) != profile.device
    mine = sorted((t for t in mine if named or not of_a_study(t)), key=of_a_study)
    return _decided(profile, mine, query, stored) if profile.kind == "phone" else None


def _of_its_chip(folder: ProfileFolder, query: TargetQuery, stored: str) -> Resolved | None:
    """A target that was measured on a phone of the market, or on its chip."""
    name = query.device
    if folder.file_of(name) is not None or not looks_like_a_phone(name):
        return None
    found = find(name)
    if len(found.chips) != 1 or not folder.measured_on(found):
        return None
    profile = folder.of_market(found, with_sheet=False)
    own = {d for d in folder.measured_on(found) if is_named_for(d, found.phones)}
    first = [t for t in profile.targets if not any(hardly_chosen(t, own))]
    return _decided(profile, first, query, stored)


def _decided(
    profile: DeviceProfile, first: Sequence[TargetProfile], query: TargetQuery, stored: str
) -> Resolved | None:
    """The target that answers, of those that come `first`; None where a later one might."""
    agree = [t for t in first if query.matches(t.target)]
    if not agree:
        return None
    found = of_arithmetic(profile, agree, stored, named=bool(query.precision))[0]
    precision = found.target.target.precision
    asked = precision == stored if stored in QUANTISED else precision not in QUANTISED
    return found if asked or not stored else None
