"""Damaged and hostile network files: one `ModelFileError`, soon, in little memory, nothing else."""

from __future__ import annotations

import random
import resource
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.errors import ModelFileError
from perfmodel.formats.load import READERS, load
from perfmodel.formats.tflite.file import TfliteFile
from perfmodel.formats.tflite.reader import read_tflite
from perfmodel.formats.tflite.subgraphs import MAX_TENSORS
from perfmodel.graph import GraphBuilder

MEGABYTES = 500
WORDS = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
NUMBERS = ("0", "-1", "1", "3", "65536", "2147483647", "-2147483648", "99999999999999999999", "1e9")

PROTOTXT = """
name: "small"
layer { name: "data" type: "Input" top: "data"
  input_param { shape: { dim: 1 dim: 3 dim: 32 dim: 32 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 16 kernel_size: 3 stride: 1 pad: 1 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool1" top: "fc"
  inner_product_param { num_output: 10 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""

PARAM = """7767517
6 6
Input data 0 1 data 0=32 1=32 2=3
Convolution conv1 1 1 data conv1 0=16 1=3 4=1 5=1 6=432
ReLU relu1 1 1 conv1 relu1
Pooling pool1 1 1 relu1 pool1 0=0 1=3 2=2
InnerProduct fc 1 1 pool1 fc 0=10 1=1 2=40960
Softmax prob 1 1 fc prob 0=0
"""


def must_answer_well(path: Path) -> str:
    """Read the file; says how it ended. Fails on any other exception."""
    refusal: ModelFileError | None = None
    try:
        load(path)
    except ModelFileError as error:
        refusal = error
    if refusal is None:
        return "read"
    assert str(path) in str(refusal)
    assert refusal.position
    assert refusal.reason
    return "refused"


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def mutate_bytes(blob: bytes, rng: random.Random) -> bytes:
    """Cut off, flip, overwrite with telling words, or move pieces about."""
    data = bytearray(blob)
    if rng.random() < 0.15:
        return bytes(data[: rng.randrange(len(data))])
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        edge = min(len(data), 40_000)  # tables lie at the ends of .tflite files
        where = rng.choice(
            (rng.randrange(len(data)), rng.randrange(edge), -1 - rng.randrange(edge))
        )
        where %= len(data)
        kind = rng.randrange(4)
        if kind == 0:
            data[where] = rng.randrange(256)
        elif kind == 1:
            data[where] ^= 1 << rng.randrange(8)
        elif kind == 2:
            where -= where % 4
            data[where : where + 4] = struct.pack("<I", rng.choice(WORDS))
        else:
            source, length = rng.randrange(len(data)), rng.randrange(1, 64)
            data[where : where + length] = data[source : source + length]
    return bytes(data)


def mutate_text(blob: bytes, rng: random.Random) -> bytes:
    """As bytes, or by words and lines: other numbers, lines lost, doubled and swapped."""
    if rng.random() < 0.3:
        return mutate_bytes(blob, rng)
    lines = blob.decode().splitlines()
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(lines))
        kind = rng.randrange(5)
        if kind == 0:
            digits = [i for i, c in enumerate(lines[at]) if c.isdigit()]
            if digits:
                i = rng.choice(digits)
                lines[at] = lines[at][:i] + rng.choice(NUMBERS) + lines[at][i + 1 :]
        elif kind == 1:
            words = lines[at].split(" ")
            words[rng.randrange(len(words))] = rng.choice(
                (*NUMBERS, "", "{", "}", "conv1", "x" * 500)
            )
            lines[at] = " ".join(words)
        elif kind == 2:
            lines.insert(rng.randrange(len(lines)), lines[at])
        elif kind == 3 and len(lines) > 2:
            del lines[at]
        else:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
    return "\n".join(lines).encode()


def small_graph() -> GraphBuilder:
    g = GraphBuilder("small")
    x = g.input((1, 16, 16, 3))
    y = g.conv(x, 8, 3, 2, activation="relu6")
    z = g.binary("add", g.conv(y, 8), y)
    z = g.concat([z, g.depthwise(z)])
    z = g.reshape(g.pool(z, "max", 2, 2), (1, -1))
    g.op("softmax", g.fc(z, 10))
    return g


def tflite_seeds(tmp_path: Path, models: Path | None) -> list[bytes]:
    """Files of our writer and, where they are at hand, published ones."""
    from perfmodel.formats.tflite.writer import write_tflite

    g = small_graph()
    for precision in ("float32", "int8"):
        write_tflite(g.build(g.ops[-1].outputs[0]), tmp_path / precision, precision=precision)
    blobs = [(tmp_path / precision).read_bytes() for precision in ("float32", "int8")]
    if models is not None:
        blobs += [p.read_bytes() for p in sorted(models.glob("*.tflite"))]
    return blobs


def onnx_seeds() -> list[bytes]:
    onnx = pytest.importorskip("onnx")
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return [p.read_bytes() for p in sorted(folder.glob("*.onnx"))]


def campaign(
    tmp_path: Path,
    suffix: str,
    seeds: list[bytes],
    mutate: Callable[[bytes, random.Random], bytes],
    count: int,
) -> Counter[str]:
    """Mutate and read `count` times with a fixed seed; how the reads ended."""
    rng = random.Random(f"{suffix} 1")
    path = tmp_path / f"mutant{suffix}"
    outcomes: Counter[str] = Counter()
    before = peak_mb()
    sound = []
    for seed in seeds:
        path.write_bytes(seed)
        if must_answer_well(path) == "read":  # some .param files are readable by their name only
            sound.append(seed)
    assert sound
    for _ in range(count):
        path.write_bytes(mutate(rng.choice(sound), rng))
        outcomes[must_answer_well(path)] += 1
    assert peak_mb() - before < MEGABYTES
    return outcomes


@pytest.mark.slow
class TestMutatedFiles:
    """2,600 mutants in all."""

    def test_tflite(self, tmp_path: Path) -> None:
        models = Path(__file__).resolve().parents[3] / "shared" / "data" / "models"
        seeds = tflite_seeds(tmp_path, models if models.is_dir() else None)
        outcomes = campaign(tmp_path, ".tflite", seeds, mutate_bytes, 1400)
        assert outcomes["refused"] > 200

    def test_onnx(self, tmp_path: Path) -> None:
        outcomes = campaign(tmp_path, ".onnx", onnx_seeds(), mutate_bytes, 300)
        assert outcomes["refused"] > 20

    def test_ncnn(self, tmp_path: Path) -> None:
        folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "ncnn_models"
        seeds = [PARAM.encode(), *(p.read_bytes() for p in sorted(folder.glob("*.param"))[:6])]
        outcomes = campaign(tmp_path, ".param", seeds, mutate_text, 600)
        assert outcomes["refused"] > 100

    def test_caffe(self, tmp_path: Path) -> None:
        outcomes = campaign(tmp_path, ".prototxt", [PROTOTXT.encode()], mutate_text, 300)
        assert outcomes["refused"] > 100


class TestHostileTflite:
    def refused(self, path: Path) -> ModelFileError:
        before = peak_mb()
        with pytest.raises(ModelFileError) as caught:
            read_tflite(path)
        assert peak_mb() - before < MEGABYTES
        return caught.value

    def write(self, path: Path, change: Callable[[TfliteFile], None]) -> Path:
        """x -> EXP -> y -> NEG -> z, changed by the caller."""
        file = TfliteFile()
        x, y, z = (file.tensor(name, (1, 4), "float32") for name in "xyz")
        file.operator("EXP", [x], [y])
        file.operator("NEG", [y], [z])
        change(file)
        file.write(path, [x], [z])
        return path

    def test_a_cycle(self, tmp_path: Path) -> None:
        def change(file: TfliteFile) -> None:
            file._subgraph.operators[0].inputs = [2]

        error = self.refused(self.write(tmp_path / "f", change))
        assert "before it is made" in error.reason

    @pytest.mark.parametrize("index", [3, -2, 2**31 - 1, -(2**31)])
    def test_a_dangling_tensor(self, tmp_path: Path, index: int) -> None:
        def change(file: TfliteFile) -> None:
            file._subgraph.operators[1].inputs = [index]

        error = self.refused(self.write(tmp_path / "f", change))
        assert error.position == "subgraph 0 operator 1 NEG"
        assert error.reason == f"tensor {index} of 3"

    def test_a_dangling_operator_code(self, tmp_path: Path) -> None:
        def change(file: TfliteFile) -> None:
            file._subgraph.operators[1].opcodeIndex = 7

        assert self.refused(self.write(tmp_path / "f", change)).reason == "operator code 7 of 2"

    def test_a_dangling_buffer(self, tmp_path: Path) -> None:
        def change(file: TfliteFile) -> None:
            file._subgraph.tensors[1].buffer = 9

        assert self.refused(self.write(tmp_path / "f", change)).reason == "buffer 9 of 1"

    @pytest.mark.parametrize("shape", [[-5, 4], [2**31 - 1] * 8, [1] * 17, [2**31 - 1, 2**31 - 1]])
    def test_an_impossible_shape(self, tmp_path: Path, shape: list[int]) -> None:
        def change(file: TfliteFile) -> None:
            file._subgraph.tensors[1].shape = shape

        error = self.refused(self.write(tmp_path / "f", change))
        assert error.position == "subgraph 0 tensor 1"

    def test_shapes_that_contradict_each_other(self, tmp_path: Path) -> None:
        def change(file: TfliteFile) -> None:
            file._subgraph.tensors[1].shape = [1, 5]

        reason = self.refused(self.write(tmp_path / "f", change)).reason
        assert "(1, 5)" in reason
        assert "(1, 4)" in reason

    def test_more_outputs_than_memory_holds(self, tmp_path: Path) -> None:
        def change(file: TfliteFile) -> None:
            file._subgraph.tensors[0].shape = [2**31 - 1]
            code = file._code("UNPACK", 1)
            file._subgraph.operators[0].opcodeIndex = code

        assert "outputs" in self.refused(self.write(tmp_path / "f", change)).reason

    def test_a_vector_longer_than_the_file(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "f", lambda file: None)
        blob = bytearray(path.read_bytes())
        at = blob.index(struct.pack("<3I", 2, 1, 4))  # a shape: length 2, then 1 and 4
        blob[at : at + 4] = struct.pack("<I", 2**31)
        path.write_bytes(blob)
        assert "the file ends" in self.refused(path).reason

    def test_one_long_name_shared_by_all(self, tmp_path: Path) -> None:
        """Each of 10,000 tensors points to the same 60,000 characters: 600 MB if believed."""
        path = tmp_path / "f"
        write_shared_tensors(path, tensors=10_000, name=b"n" * 60_000)
        assert "more than" in self.refused(path).reason

    def test_a_name_without_end(self, tmp_path: Path) -> None:
        path = tmp_path / "f"
        write_shared_tensors(path, tensors=1, name=b"n" * 5_000_000)
        assert "a name of 5000000 bytes" in self.refused(path).reason

    def test_more_tensors_than_any_network(self, tmp_path: Path) -> None:
        path = tmp_path / "f"
        write_shared_tensors(path, tensors=1_000_000, name=b"n")
        self.refused(path)

    def test_as_many_tensors_as_are_allowed_take_less_than_the_limit(self, tmp_path: Path) -> None:
        path = tmp_path / "f"
        write_shared_tensors(path, tensors=MAX_TENSORS, name=b"n" * 20)
        assert read_tflite(path).ops == ()


def write_shared_tensors(path: Path, *, tensors: int, name: bytes) -> None:
    """A model whose tensors are all one table, written by hand with the low-level builder."""
    import flatbuffers

    b = flatbuffers.Builder(1 << 20)
    text = b.CreateString(name)
    b.StartObject(5)
    b.PrependUOffsetTRelativeSlot(3, text, 0)
    tensor = b.EndObject()
    b.StartVector(4, tensors, 4)
    for _ in range(tensors):
        b.PrependUOffsetTRelative(tensor)
    vector = b.EndVector()
    b.StartObject(5)
    b.PrependUOffsetTRelativeSlot(0, vector, 0)
    subgraph = b.EndObject()
    b.StartVector(4, 1, 4)
    b.PrependUOffsetTRelative(subgraph)
    subgraphs = b.EndVector()
    b.StartObject(1)
    buffer = b.EndObject()
    b.StartVector(4, 1, 4)
    b.PrependUOffsetTRelative(buffer)
    buffers = b.EndVector()
    b.StartObject(5)
    b.PrependUint32Slot(0, 3, 0)
    b.PrependUOffsetTRelativeSlot(2, subgraphs, 0)
    b.PrependUOffsetTRelativeSlot(4, buffers, 0)
    b.Finish(b.EndObject(), b"TFL3")
    path.write_bytes(bytes(b.Output()))


class TestFilesThatAreNone:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match="no such file"):
            load(tmp_path / "nothing.tflite")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match="folder"):
            load(tmp_path)

    @pytest.mark.parametrize("suffix", sorted(READERS))
    def test_an_empty_file(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"empty{suffix}"
        path.touch()
        with pytest.raises(ModelFileError, match="empty"):
            load(path)

    def test_a_pipe(self, tmp_path: Path) -> None:
        import os

        os.mkfifo(tmp_path / "pipe.tflite")
        with pytest.raises(ModelFileError, match="pipe"):
            load(tmp_path / "pipe.tflite")

    def test_a_file_of_another_kind(self, tmp_path: Path) -> None:
        path = tmp_path / "picture.tflite"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
        with pytest.raises(ModelFileError, match="file mark"):
            load(path)

    def test_a_file_too_large_to_be_true(self, tmp_path: Path) -> None:
        path = tmp_path / "huge.tflite"
        with open(path, "wb") as stream:
            stream.truncate(9 * 2**30)
        with pytest.raises(ModelFileError, match="at most 8 GiB"):
            load(path)

    @pytest.mark.parametrize("suffix", sorted(READERS))
    def test_a_file_of_zeros(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"zeros{suffix}"
        path.write_bytes(bytes(100_000))
        assert must_answer_well(path) in ("read", "refused")
