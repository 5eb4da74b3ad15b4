"""What makes two sweeps the same: the question, and the content of every file that it names."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.devices.profile import DeviceProfile, profile_to_dict
from perfmodel.devices.registry import ProfileFolder, ProfileSource
from perfmodel.files import content_digest
from perfmodel.target import SLUG

MOST_SHOWN = 3
"""Changed files that a message names."""


@dataclass(frozen=True)
class SweepIdentity:
    """`question` is a hash of what is asked, `contents` a hash of each file and profile by name."""

    question: str
    contents: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a sweep notes it beside its rows."""
        return {"sweep": self.question, "contents": dict(self.contents)}

    def difference(self, note: Mapping[str, Any]) -> str:
        """Why rows with this note are not of this sweep; empty where they are."""
        if note.get("sweep") != self.question:
            return "another question was asked"
        before = note.get("contents")
        if not isinstance(before, dict):
            return "it does not say from which files"
        changed = sorted(
            name
            for name in {*before, *self.contents}
            if before.get(name) != self.contents.get(name)
        )
        if not changed:
            return ""
        more = f" and {len(changed) - MOST_SHOWN} more" if len(changed) > MOST_SHOWN else ""
        return f"changed since: {', '.join(changed[:MOST_SHOWN])}{more}"


def sweep_identity(
    question: Any, *, folders: Sequence[Path], profiles: Sequence[ProfileSource]
) -> SweepIdentity:
    """The identity of a sweep that asks `question`, which is nested lists, tuples and tables.

    Whatever word in it is the path of a file, from one of `folders`, or starts with the name of a
    device that has a profile, counts with the content of this file: models, traces, scenarios and
    profiles alike. `profiles` are those named outright.
    """
    known = ProfileFolder(tuple(profiles))
    contents = {name: digest for s in profiles for name, digest in [_of_source(s)]}
    for word in dict.fromkeys(words_of(question)):
        # sizes may stand behind the name of a network's file: net.onnx@sequence=128
        names = dict.fromkeys((word, word.rpartition("@")[0]))
        paths = (folder / name for name in names for folder in folders if name)
        path = next((path for path in paths if os.path.isfile(path)), None)
        if path is not None:
            contents[word] = content_digest(path)
        device = word.partition("/")[0].lower()
        if SLUG.fullmatch(device) and not known.is_named(device):
            profile = known.file_of(device)
            if profile is not None:
                contents[f"the profile of {device}"] = content_digest(profile)
    text = json.dumps(question, sort_keys=True, default=str)
    return SweepIdentity(hashlib.sha256(text.encode()).hexdigest()[:16], contents)


def words_of(data: Any) -> Iterator[str]:
    """Every text in nested lists, tuples and tables, keys left out."""
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, Iterable):
            waiting.extend(one)


def _of_source(source: ProfileSource) -> tuple[str, str]:
    if not isinstance(source, DeviceProfile):
        return str(source), content_digest(source)
    text = json.dumps(profile_to_dict(source), sort_keys=True)
    return f"the profile of {source.device}", hashlib.sha256(text.encode()).hexdigest()
