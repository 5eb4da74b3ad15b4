"""Protobuf's wire format and the tables of an ONNX file, byte by byte."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from perfmodel.errors import ModelFileError
from perfmodel.formats.limits import MAX_FIELDS, MAX_FOLDED_ELEMENTS, MAX_NAME, MAX_NUMBERS
from perfmodel.formats.onnx.file import read_model, read_node
from perfmodel.formats.onnx.tensors import TensorData, read_tensor
from perfmodel.formats.onnx.wire import BYTES, FIXED32, FIXED64, VARINT, Wire, signed


def varint(value: int) -> bytes:
    """https://protobuf.dev/programming-guides/encoding: 7 bits a byte, low ones first."""
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: bytes | int) -> bytes:
    """A field of text or of an integer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def wire(content: bytes) -> Wire:
    return Wire("net.onnx", content)


def fields(content: bytes) -> list[tuple[int, int]]:
    """Number and wire type of every field."""
    return [(number, kind) for number, kind, _, _ in wire(content).fields((0, len(content)))]


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (b"\x00", 0),
        (b"\x7f", 127),
        (b"\x96\x01", 150),  # the documentation's own example
        (b"\xff" * 9 + b"\x01", 2**64 - 1),
    ],
)
def test_an_integer_has_seven_bits_a_byte(encoded: bytes, value: int) -> None:
    assert wire(encoded).varint(0, len(encoded)) == (value, len(encoded))


@pytest.mark.parametrize("encoded", [b"", b"\x80", b"\xff" * 10 + b"\x01"])
def test_an_integer_that_does_not_end_is_refused(encoded: bytes) -> None:
    with pytest.raises(ModelFileError, match="a broken integer"):
        wire(encoded).varint(0, len(encoded))


def test_negative_integers_are_in_twos_complement() -> None:
    assert signed(2**64 - 1) == -1
    assert signed(2**63) == -(2**63)
    assert signed(2**63 - 1) == 2**63 - 1


def test_every_kind_of_field_is_as_long_as_it_says() -> None:
    content = (
        varint(1 << 3 | FIXED64) + b"\x01" * 8
        + varint(2 << 3 | FIXED32) + b"\x02" * 4
        + field(3, b"abc")
        + field(4, 300)
    )  # fmt: skip
    assert fields(content) == [(1, FIXED64), (2, FIXED32), (3, BYTES), (4, VARINT)]
    found = {n: (a, b) for n, _, a, b in wire(content).fields((0, len(content)))}
    assert found[1] == (1, 9)
    assert found[2] == (10, 14)
    assert content[slice(*found[3])] == b"abc"
    assert found[4][0] == 300


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (varint(1 << 3 | FIXED64) + b"\x01" * 7, "byte 0.*a number passes the end"),
        (varint(1 << 3 | FIXED32) + b"\x01" * 3, "byte 0.*a number passes the end"),
        (b"\x08\x01" + varint(1 << 3 | BYTES) + b"\x04abc", "byte 2.*a field of 4 bytes passes"),
        (varint(1 << 3 | 3), "wire type 3"),
    ],
)
def test_a_field_that_passes_the_end_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        fields(content)


def test_a_file_has_as_many_fields_as_are_allowed_and_no_more() -> None:
    assert len(fields(b"\x08\x01" * MAX_FIELDS)) == MAX_FIELDS
    with pytest.raises(ModelFileError, match=f"more than {MAX_FIELDS} fields"):
        fields(b"\x08\x01" * (MAX_FIELDS + 1))


def test_a_name_is_as_long_as_is_allowed_and_no_longer() -> None:
    assert wire(b"n" * MAX_NAME).text(0, MAX_NAME) == "n" * MAX_NAME
    with pytest.raises(ModelFileError, match=f"a name longer than {MAX_NAME} bytes"):
        wire(b"n" * (MAX_NAME + 1)).text(0, MAX_NAME + 1)
    with pytest.raises(ModelFileError, match="no text"):
        wire(b"\xff\xfe").text(0, 2)


def test_lists_of_integers_are_packed_or_not_and_bounded() -> None:
    into: list[int] = []
    content = varint(7) + varint(2**64 - 2)
    reader = wire(content)
    reader.packed(BYTES, 0, len(content), into, 3)
    reader.packed(VARINT, 9, 0, into, 3)
    assert into == [7, -2, 9]
    assert reader.numbers_left == MAX_NUMBERS - 3
    with pytest.raises(ModelFileError, match="a list of more than 3 integers"):
        reader.packed(VARINT, 1, 0, into, 3)
    with pytest.raises(ModelFileError, match="a list of more than 1 integers"):
        wire(content).packed(BYTES, 0, len(content), [], 1)


def test_all_lists_together_are_bounded() -> None:
    reader = wire(b"")
    reader.spend(0, MAX_NUMBERS)
    with pytest.raises(ModelFileError, match=f"more than {MAX_NUMBERS} numbers"):
        reader.spend(0, 1)


def test_lists_of_reals_are_of_four_bytes_each() -> None:
    content = struct.pack("<2f", 1.5, -2.0)
    assert wire(content).floats(BYTES, 0, 8) == [1.5, -2.0]
    assert wire(content).floats(FIXED32, 4, 8) == [-2.0]
    with pytest.raises(ModelFileError, match="a broken list of numbers"):
        wire(content).floats(BYTES, 0, 7)
    longest = struct.pack("<f", 1.0) * MAX_FOLDED_ELEMENTS
    assert len(wire(longest).floats(BYTES, 0, len(longest))) == MAX_FOLDED_ELEMENTS
    longer = longest + b"\0" * 4
    with pytest.raises(ModelFileError, match=f"more than {MAX_FOLDED_ELEMENTS} numbers"):
        wire(longer).floats(BYTES, 0, len(longer))


def opset(version: int, domain: str | None = None) -> bytes:
    """OperatorSetIdProto: domain = 1, version = 2."""
    named = b"" if domain is None else field(1, domain.encode())
    return field(8, named + field(2, version))


GRAPH = field(7, field(2, b"net"))


def test_operator_sets_are_by_domain() -> None:
    model = read_model(wire(opset(17) + opset(3, "com.microsoft") + GRAPH))
    assert model.opsets == {"": 17, "com.microsoft": 3}
    assert model.graph.name == "net"


def test_the_domain_of_onnx_has_two_names_and_a_version_by_default() -> None:
    assert read_model(wire(opset(13, "ai.onnx") + GRAPH)).opsets == {"": 13}
    assert read_model(wire(field(8, field(1, b"ai.onnx.ml")) + GRAPH)).opsets == {"ai.onnx.ml": 1}
    node = field(4, b"Relu") + field(7, b"ai.onnx") + field(1, b"x") + field(2, b"y")
    read = read_node(wire(node), (0, len(node)), 5)
    assert (read.index, read.op_type, read.domain) == (5, "Relu", "")
    assert (read.inputs, read.outputs) == (("x",), ("y",))


@pytest.mark.parametrize("graphs", [0, 2])
def test_a_model_has_one_graph(graphs: int) -> None:
    with pytest.raises(ModelFileError, match=f"{graphs} graphs, expected one"):
        read_model(wire(opset(17) + GRAPH * graphs))


def tensor(content: bytes) -> TensorData:
    return read_tensor(wire(content), (0, len(content)))


def test_a_stored_tensor_has_its_numbers_from_bytes_or_from_lists() -> None:
    # TensorProto: dims = 1, data_type = 2, float_data = 4, int32_data = 5, name = 8, raw_data = 9
    shape = field(1, 2) + field(1, 3)
    numbers = np.arange(6, dtype=np.int64)
    raw = tensor(shape + field(2, 7) + field(8, b"w") + field(9, numbers.tobytes()))
    assert (raw.name, raw.shape, raw.dtype) == ("w", (2, 3), "int64")
    assert raw.value is not None
    assert raw.value.tolist() == [[0, 1, 2], [3, 4, 5]]
    listed = tensor(shape + field(2, 1) + field(4, struct.pack("<6f", *range(6))))
    assert listed.value is not None
    assert listed.value.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    halves = tensor(field(1, 2) + field(2, 10) + field(5, varint(0x3C00) + varint(0xC000)))
    assert halves.value is not None
    assert halves.value.tolist() == [1.0, -2.0]
    small = tensor(field(1, 2) + field(2, 3) + field(5, varint(2**64 - 1) + varint(5)))
    assert small.value is not None
    assert small.value.tolist() == [-1, 5]


def test_a_tensor_without_all_its_numbers_has_none() -> None:
    assert tensor(field(1, 3) + field(2, 7)).value is None
    external = field(1, 1) + field(2, 7) + field(9, b"\0" * 8) + field(14, 1)
    assert tensor(external).value is None
    assert tensor(external[:-2] + field(14, 0)).value is not None


def test_long_tensors_are_not_decoded() -> None:
    for count, known in ((64, True), (65, False)):
        raw = field(1, count) + field(2, 1) + field(9, b"\0" * 4 * count)
        assert (tensor(raw).value is not None) == known
    for count, known in ((MAX_FOLDED_ELEMENTS, True), (MAX_FOLDED_ELEMENTS + 1, False)):
        raw = field(1, count) + field(2, 7) + field(9, b"\0" * 8 * count)
        assert (tensor(raw).value is not None) == known


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (field(1, 2) + field(2, 99), "unknown element type 99"),
        (field(1, 2**64 - 3) + field(2, 1), "of shape"),
        (field(1, 2) + field(2, 1) + field(9, b"\0" * 7), "7 bytes of numbers"),
    ],
)
def test_a_tensor_that_cannot_be_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        tensor(content)
