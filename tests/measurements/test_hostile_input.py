"""Files that no tool wrote: one MeasurementError each, soon, naming the file."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.read import read_measurements

SAMPLES = sorted((Path(__file__).parent / "samples").iterdir())
FEW, MANY = 8, 30
MUTATIONS_PER_SAMPLE = (pytest.param(MANY, marks=pytest.mark.slow), FEW)

# a file that makes a reader hang is stopped; how fast they are is measured by the benchmarks
pytestmark = pytest.mark.timeout(120)

HEADER = b"device,unit,framework,precision,model,latency_ms\n"
ROW = b"a,cpu,tflite,fp32,m,1.0\n"

HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\n\t\n",
    "binary": bytes(random.Random(3).randrange(256) for _ in range(100_000)),
    "zero bytes": HEADER + b"a,cpu,tflite,fp32,m\0,1.0\n",
    "latin-1": HEADER + "pocó,cpu,tflite,fp32,m,1.0\n".encode("latin-1"),
    "prose": b"this is a letter, not a measurement\n" * 50,
    "header alone": HEADER,
    "a cell of 10 MB": HEADER + b"a,cpu,tflite,fp32," + b"x" * 10**7 + b",1.0\n",
    "a line of 10 MB": b"x" * 10**7,
    "a header of 10 MB": b"a," * 5 * 10**6 + b"\n" + ROW,
    "a row of 10 MB": HEADER + b"a," * 5 * 10**6,
    "a log line of 10 MB": b"Inference timings in us: Init: 1" + b" 1" * 5 * 10**6,
    "numbers without end": b"Inference timings in us: Init: " + b"9" * 500_000,
    "an open quote": HEADER + b'"a,cpu,tflite,fp32,m,1.0\n' * 1000,
    "deep arrays": b"[" * 10**6,
    "deep objects": b'{"a":' * 10**5,
    "deep and whole": b"[" * 10**5 + b"{}" + b"]" * 10**5,
    "a number of 10 MB": b'[{"computeMs": ' + b"9" * 10**7 + b"}]",
    "json of nothing": b"[{}]",
    "json of another tool": b'{"traceEvents": []}',
    "empty array": b"[]",
    "wrong types": b'[{"computeMs": [1]}, null, 3]',
    "profile of wrong types": b'[{"count": "x"}, {"name": "a", "timeMs": {}}]',
    "events of wrong types": b'[{"cat": "Node", "name": "a_kernel_time", "dur": 1, "args": 3}, 7]',
    "hub of wrong types": b'{"execution_summary": [], "execution_detail": 3}',
    "hub detail of wrong types": (
        b'{"execution_summary": {"all_inference_times": [5]},'
        b' "execution_detail": [{"compute_unit": [], "name": {}}]}'
    ),
    "mlperf of wrong types": b'[{"benchmark_id": 4}]',
    "damaged gzip": gzip.compress(HEADER + ROW)[:-12],
    "garbage gzip": b"\x1f\x8b" + b"\xff" * 500,
    "damaged parquet": b"PAR1" + b"\x15\x04" * 500 + b"PAR1",
    "benchncnn without end": b"x min = " + b" " * 10**5 + b"1 max = 2 avg =",
    "deep YAML": b"performance_metrics:\ninference_time: " + b"[" * 200_000,
    "spaces": b"[ - ] a" + b" " * 10**6 + b"max = 1ms",
}


def refused(path: Path, *, line: bool = True) -> str:
    """The message; fails on another exception and on success."""
    with pytest.raises(MeasurementError) as caught:
        read_measurements(path, device="my-phone")
    message = str(caught.value)
    assert path.name in message
    assert not line or "line " in message
    assert len(message) < 1500
    return message


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "measured.txt"
    path.write_bytes(HOSTILE[name])
    # a Parquet file has no lines, and without pyarrow it is refused before it is read
    refused(path, line=name != "damaged parquet")


def test_a_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfmodel.measurements.readers.source_text.MAX_FILE_BYTES", 10**6)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as stream:
        stream.write(b"\0" * 2 * 10**6)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(packed.getvalue())
    assert "expands to more than 1000000 bytes" in refused(path)


def test_a_file_over_the_limit_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfmodel.measurements.readers.source_text.MAX_FILE_BYTES", 10)
    path = tmp_path / "big.csv"
    path.write_bytes(HEADER + ROW)
    assert "the limit is 10" in refused(path)


def test_too_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfmodel.measurements.readers.csv_cells.MAX_ROWS", 2)
    path = tmp_path / "long.csv"
    path.write_bytes(HEADER + ROW * 3)
    assert "more than 2 rows" in refused(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv"):
        assert "no such file" in refused(path, line=False)
    with pytest.raises(MeasurementError, match="given twice"):
        read_measurements([SAMPLES[0], SAMPLES[0]])
    with pytest.raises(MeasurementError, match="give at least one"):
        read_measurements([])


NASTY = (
    b"nan", b"-1", b"1e999", b"0", b"99999999999999999999999", b"\x00", b"\xff\xfe", b'"', b",",
    b"\n", b"[[[[", b"}", b"null", b"true", b"\xc2\xa0", b"\xd9\xa1", b"1_0", b"=", b":",
    b"\t", b"ms",
)  # fmt: skip


def mutations(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Seeded damage: bytes changed, pieces cut, doubled, moved, nasty tokens put in."""
    rng = random.Random(seed)
    for _ in range(count):
        mutated = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(mutated) + 1)
            end = min(len(mutated), at + rng.choice((1, 3, 20, 200)))
            kind = rng.randrange(6)
            if kind == 0:
                mutated[at:end] = bytes(rng.randrange(256) for _ in range(end - at))
            elif kind == 1:
                del mutated[at:end]
            elif kind == 2:
                mutated[at:at] = mutated[at:end]
            elif kind == 3:
                mutated[at:end] = rng.choice(NASTY)
            elif kind == 4:
                mutated[at:at] = rng.choice(NASTY)
            else:
                del mutated[at:]
        yield bytes(mutated)


@pytest.mark.parametrize("count", MUTATIONS_PER_SAMPLE)
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_mutated_samples_are_read_or_refused(
    path: Path, count: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    data = path.read_bytes()
    device = None if path.name.startswith("study_") else "my-phone"
    target = tmp_path / path.name
    refusals, unnamed = 0, 0
    for mutated in mutations(data, seed=len(data), count=count):
        target.write_bytes(mutated)
        try:
            table, _ = read_measurements(target, device=device, defaults={"unit": "npu"})
            figures = table.frame[["latency_ms", "latency_us", "tokens_per_s"]]
            assert (figures.max(axis=1) > 0).all()
        except MeasurementError as error:
            message = str(error)
            refusals += path.name in message
            unnamed += path.name not in message
    record_property("refused", refusals)
    assert unnamed == 0
    assert refusals > 0, "damage that is never noticed is not checked"


def test_there_are_a_thousand_mutations() -> None:
    assert len(SAMPLES) * MANY >= 1000
