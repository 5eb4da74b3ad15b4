"""docs/formats.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perfmodel.measurements import columns as schema
from perfmodel.measurements.read import read_measurements

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


def test_the_page_lists_every_column() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), re.M)
    expected = []
    for column in schema.COLUMNS:
        kind = {"integer": "whole number"}.get(column.dtype, column.dtype)
        kind += f", {column.unit}" if column.unit else ""
        words = f": {' / '.join(column.allowed)}" if column.allowed else ""
        expected.append((column.name, kind, column.meaning + words))
    assert rows == expected


def test_the_page_names_only_files_that_can_be_read(data_dir: Path) -> None:
    section = PAGE.read_text().split("## Published tables")[1].split("\n## ")[0]
    names = {name for line in section.splitlines() if line.startswith("| `")
             for name in re.findall(r"`([\w.]+\.csv(?:\.gz)?)`", line.split("|")[1])}  # fmt: skip
    assert len(names) == 11
    # The large ones are read in other tests.
    for name in names - {"layers_phones.csv.gz", "layers_gpu.csv", "nasbench201_latency.csv.gz"}:
        assert len(read_measurements(data_dir / name)[0]) > 0


@pytest.mark.parametrize("column", ["device", *schema.REQUIRED_IN_FILE["kernel"]])
def test_the_page_names_the_required_columns(column: str) -> None:
    paragraph = PAGE.read_text().split("A file must have the columns")[1].split("\n\n")[0]
    assert f"`{column}`" in paragraph
