"""Sizes of inputs that a file leaves open: as the job gives them, else 1."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perfmodel.errors import ModelFileError
from perfmodel.runners.mnn_host import PreparedMnn
from perfmodel.runners.openvino_host import OpenVinoRunner
from perfmodel.runners.runner import Job
from perfmodel.runners.tflite_host import _open
from perfmodel.runners.timed import shapes_of


def job(**shapes: tuple[int, ...]) -> Job:
    return Job(
        "net", Path("net.onnx"), shapes={k.replace("only", ""): v for k, v in shapes.items()}
    )


def test_an_open_size_is_one_where_the_job_says_nothing() -> None:
    declared = {"image": [0, 3, -1, 224], "scale": []}
    assert shapes_of(job(), declared) == {"image": (1, 3, 1, 224), "scale": ()}


def test_a_shape_without_a_name_is_that_of_the_input_that_is_open() -> None:
    declared = {"tokens": [0, 0], "mask": [1, 128]}
    found = shapes_of(job(only=(2, 64)), declared)
    assert found == {"tokens": (2, 64), "mask": (1, 128)}


def test_a_named_shape_changes_no_size_that_the_file_states() -> None:
    assert shapes_of(job(a=(5, 5)), {"a": [2, 3], "b": [0]}) == {"a": (2, 3), "b": (1,)}
    with pytest.raises(ModelFileError, match="no input is called 'c'"):
        shapes_of(job(c=(5, 5)), {"a": [2, 3], "b": [0]})


@pytest.mark.parametrize("given", [(1, 3, 32, 40), (1, 32, 40, 3)])
def test_a_picture_is_put_in_the_order_of_the_file(given: tuple[int, ...]) -> None:
    first, last = [1, 3, 0, 0], [1, 0, 0, 3]
    assert shapes_of(job(only=given), {"x": first}) == {"x": (1, 3, 32, 40)}
    assert shapes_of(job(only=given), {"x": last}, last=True) == {"x": (1, 32, 40, 3)}


class Dimension(SimpleNamespace):
    @property
    def is_static(self) -> bool:
        return self.size > 0

    def get_length(self) -> int:
        return int(self.size)


class Model:
    """OpenVINO's model of one input of an open size."""

    def __init__(self) -> None:
        sizes = [Dimension(size=size) for size in (-1, 4)]
        element = SimpleNamespace(to_dtype=lambda: np.float32)
        port = SimpleNamespace(
            partial_shape=sizes, element_type=element, get_names=lambda: {"wide"}
        )
        self.inputs = [port]
        self.reshaped: dict[Any, list[int]] = {}

    def reshape(self, shapes: dict[Any, list[int]]) -> None:
        self.reshaped = {min(port.get_names()): shape for port, shape in shapes.items()}


def test_openvino_is_told_the_sizes_before_it_compiles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models, fed = [], []

    class Core:
        def read_model(self, path: str) -> Model:
            models.append(Model())
            models[-1].inputs[0] = Port(models[-1].inputs[0])
            return models[-1]

        def compile_model(self, model: Model, where: str, options: dict[str, Any]) -> Any:
            request = SimpleNamespace(infer=lambda inputs=None: fed.append(inputs))
            return SimpleNamespace(create_infer_request=lambda: request)

    class Port:
        """Hashable, as OpenVINO's are."""

        def __init__(self, port: Any) -> None:
            self._port = port

        def __getattr__(self, name: str) -> Any:
            return getattr(self._port, name)

    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=Core, __version__="2026.0-1"))
    runner = OpenVinoRunner(profile=False)
    runner.prepare(Job("net", tmp_path / "net.onnx"))
    runner.prepare(Job("net", tmp_path / "net.onnx", shapes={"": (3, 4)}))
    assert [model.reshaped for model in models] == [{}, {"wide": [3, 4]}]
    assert [inputs[0].shape for inputs in fed] == [(1, 4), (3, 4)]


class Interpreter:
    """TFLite's, of one open and one fixed input; it notes what is resized before it allocates."""

    def __init__(self, model_path: str, num_threads: int) -> None:
        self.resized: dict[int, tuple[int, ...]] = {}
        self.allocated: dict[int, tuple[int, ...]] | None = None

    def get_input_details(self) -> list[dict[str, Any]]:
        signatures = {"picture": [1, -1, -1, 3], "scale": [1, 4]}
        return [
            {"name": name, "index": 7 + place, "shape_signature": np.array(signature)}
            for place, (name, signature) in enumerate(signatures.items())
        ]

    def resize_tensor_input(self, index: int, shape: tuple[int, ...]) -> None:
        self.resized[index] = shape

    def allocate_tensors(self) -> None:
        self.allocated = dict(self.resized)


def test_tflite_is_told_the_sizes_before_it_allocates() -> None:
    asked = Job("net", Path("net.tflite"), shapes={"picture": (1, 3, 32, 40)})
    assert _open(Interpreter, asked).allocated == {7: (1, 32, 40, 3)}
    assert _open(Interpreter, Job("net", Path("net.tflite"))).allocated == {}


def test_mnn_is_told_the_sizes_of_its_inputs() -> None:
    told: list[Any] = []
    tensors = {
        "x": SimpleNamespace(getShape=lambda: (1, 3, -1, -1)),
        "y": SimpleNamespace(getShape=lambda: (2, 5)),
    }
    prepared: Any = PreparedMnn.__new__(PreparedMnn)
    prepared._session = "session"
    prepared._interpreter = SimpleNamespace(
        getSessionInputAll=lambda session: tensors,
        resizeTensor=lambda tensor, shape: told.append(shape),
        resizeSession=told.append,
    )
    prepared.job = job()
    prepared._resize()
    assert told == []
    prepared.job = job(x=(1, 3, 8, 9))
    prepared._resize()
    assert told == [(1, 3, 8, 9), (2, 5), "session"]
