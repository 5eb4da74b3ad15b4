"""Files of plain data: what is wrong is told with the file's name, and nothing odd is read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from perfmodel.cost_models.plain_file import FileKind, read_json
from perfmodel.errors import ProfileError

KIND = FileKind(what="a list of sizes", format="sizes", version=3, most_bytes=200)


def sizes_of(fields: dict[str, Any]) -> list[int]:
    if "sizes" not in fields:
        raise ProfileError("sizes: is missing", "name some")
    sizes: list[int] = fields["sizes"]
    return sizes


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "sizes.json"
    KIND.write(path, {"sizes": [1, 2]})
    assert path.read_text() == '{"format":"sizes","version":3,"sizes":[1,2]}\n'
    assert KIND.read(path, sizes_of) == [1, 2]
    assert KIND.read(path, dict) == {"sizes": [1, 2]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1]", "is not a list of sizes: format must be sizes"),
        ('{"format": "other", "version": 3}', "is not a list of sizes"),
        ('{"format": "sizes", "version": 2}', "version: this perfmodel reads version 3"),
        ('{"format": "sizes", "version": 3}', "sizes: is missing"),
        ('{"format": "sizes", "version": 3, "sizes": [NaN]}', "NaN is no number"),
        ('{"format": "sizes", "version": 3, "sizes": [-Infinity]}', "-Infinity is no number"),
        ("{", "not JSON"),
        ("\xff", "cannot be read"),
        (json.dumps({"format": "sizes", "fill": "x" * 200}), "bytes is more than a list of sizes"),
    ],
)
def test_a_bad_file_is_refused_with_its_name(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ProfileError) as refused:
        KIND.read(path, sizes_of)
    assert refused.value.message.startswith(f"{path}: ")
    assert reason in refused.value.message


def test_a_file_of_the_most_bytes_is_read_and_one_of_a_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "full.json"
    path.write_text("1" + " " * 199)
    assert read_json(path, "a number", 200) == 1
    path.write_text("1" + " " * 200)
    with pytest.raises(ProfileError, match="201 bytes is more than a number may have"):
        read_json(path, "a number", 200)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(ProfileError, match="no ordinary file"):
            read_json(path, "a number", 200)
    with pytest.raises(ProfileError, match="no such file"):
        read_json(tmp_path / "absent.json", "a number", 200)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ProfileError, match="nested too deeply"):
        read_json(path, "a number", 200_000)
