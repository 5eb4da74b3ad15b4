"""No reader invents: what a log's text does not hold is empty, whatever is cut from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfmodel.errors import MeasurementError
from perfmodel.measurements.evidence import FACETS
from perfmodel.measurements.readers.listed import READERS
from perfmodel.measurements.readers.source_text import decode
from perfmodel.measurements.table import MeasurementTable

SAMPLES = [
    path
    for path in sorted((Path(__file__).parent / "samples").iterdir())
    if not path.name.startswith(("canonical", "study"))
]
ANYWHERE = {"tool", "default of the tool"}
"""Evidence that holds without a line of the log: what every run of the tool does."""

WORDS = {
    # A precision or unit may be stated only where the text (or a name in it) holds such a word.
    "int8": ("int8", "quant", "best", "w8a8", "i8", "u8", "uint8"),
    "uint8": ("uint8", "u8"),
    "fp16": ("fp16", "float16", "half", "gpu", "f16", "precision"),
    "npu": ("npu", "htp", "hexagon", "edgetpu", "dsp", "qnn", "ane", "apu", "neural", "dispatch"),
    "dsp": ("dsp", "hexagon"),
    "nnapi": ("nnapi",),
    "dla": ("dla",),
}


def cut_and_read(path: Path, dropped: set[int]) -> MeasurementTable | None:
    lines = path.read_text().splitlines(keepends=True)
    text = "".join(line for i, line in enumerate(lines) if i not in dropped)
    try:
        source = decode(path, text.encode())
        reader = next((r for r in READERS if r.recognise(source)), None)
        return None if reader is None else MeasurementTable(reader.read(source).frame)
    except MeasurementError:
        return None


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_cut_from_a_log_is_not_said_by_its_reader(path: Path, data: st.DataObject) -> None:
    lines = path.read_text().splitlines(keepends=True)
    places = st.integers(0, max(len(lines) - 1, 0))
    dropped = data.draw(st.sets(places, max_size=len(lines)))
    table = cut_and_read(path, dropped)
    if table is None:
        return
    kept = [line for i, line in enumerate(lines) if i not in dropped]
    text = "".join(kept).lower()
    for _, row in table.frame.iterrows():
        evidence = dict(row["origin_evidence"])
        for facet in FACETS:
            value = row[facet]
            stated = value != "" and value == value
            assert stated == (facet in evidence), (facet, value)
            if not stated:
                continue
            where, _, line = evidence[facet].partition(", line ")
            if line:
                assert 1 <= int(line.split(",")[0]) <= len(kept), evidence[facet]
            words = WORDS.get(str(value))
            if words and where not in ANYWHERE:
                assert any(word in text for word in words), (facet, value, evidence[facet])
