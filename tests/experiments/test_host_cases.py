"""What `validate host` runs of real files: whose they are, in which setups, and why not."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perfmodel.calibration.host_profile import reference_fact
from perfmodel.devices.profile import DeviceProfile, read_profile
from perfmodel.errors import ProfileError, RunnerError
from perfmodel.experiments.host import (
    REPEATS,
    _compare,
    _content,
    _file,
    _kept,
    usual_reference_of,
)
from perfmodel.experiments.host_cases import Predicted, predict_cases
from perfmodel.formats.ncnn.writer import write_ncnn
from perfmodel.formats.onnx.writer import write_onnx
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.runners.host_bench import HostBench, RunConfig
from perfmodel.runners.host_frameworks import FRAMEWORKS
from perfmodel.runners.journal import Journal
from perfmodel.runners.runner import MachineFacts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> DeviceProfile:
    """The committed profile of a host."""
    packed = ROOT / "validation" / "results" / "host" / "host_profile.json.gz"
    path = tmp_path_factory.mktemp("profile") / "host.json"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    return read_profile(path)


def profile_of(measured: DeviceProfile, framework: str, precision: str) -> DeviceProfile:
    """The same with its first target called another framework's."""
    first = measured.targets[0]
    target = replace(first.target, framework=framework, precision=precision)
    return replace(measured, targets=(replace(first, target=target),))


def network(name: str = "net") -> Graph:
    g = GraphBuilder(name)
    x = g.conv(g.input((1, 8, 8, 3)), 8, 3, activation="relu", name="first")
    return g.build(g.fc(g.global_avg_pool(x, name="mean"), 5, name="last"))


def test_a_profile_without_its_references_time_is_to_be_made_again(
    measured: DeviceProfile,
) -> None:
    setup = RunConfig("fp32", 1)
    assert usual_reference_of(measured, setup) > 0
    key = reference_fact(setup)
    for facts in ({}, {key: replace(measured.hardware[key], value="fast")}):
        with pytest.raises(ProfileError, match="is missing") as caught:
            usual_reference_of(replace(measured, hardware=facts), setup)
        assert caught.value.hint == "calibrate this machine again"


def timed(ms: float) -> dict[str, Any]:
    """What a journal keeps of a network of that time on a machine that stands still."""
    raw = {"warmup_ms": [], "runs_ms": [ms] * 3, "started_s": 0.0, "load_ms": 1.0, "first_ms": ms}
    still = {"reference_before_ms": [1.0], "reference_after_ms": [1.0]}
    return {"sets": [{"raw": raw | {"per_op_us": {}}, **still}], "loads": [], "cold": False}


def test_networks_run_again_say_how_well_runs_repeat(measured: DeviceProfile) -> None:
    by = FRAMEWORKS["tflite"]
    case, *_ = predict_cases(measured, ["squeezenet_1_1"], (), by)[0]
    refused = case.key.replace(case.model, "other")
    entries = {
        case.key: timed(2.0),
        case.key + REPEATS: timed(2.2),
        refused: {"refused": "too large"},
        refused + REPEATS: timed(1.0),
    }
    machine = MachineFacts("tflite", {})
    done = _compare(measured, by, [case], entries, refused={}, machine=machine, spent_s=1.0)
    assert (done.repeats, done.repeat) == (1, pytest.approx(0.1))
    assert [c.model for c in done.cases] == ["squeezenet_1_1"]


def files_of(cases: tuple[Predicted, ...]) -> list[tuple[str, str, str]]:
    return [(p.model, str(p.setup), p.path.name if p.path else "") for p in cases]


def test_a_file_of_floats_runs_in_the_precision_that_its_framework_usually_has(
    measured: DeviceProfile, tmp_path: Path
) -> None:
    write_ncnn(network(), tmp_path / "net.param")
    for framework, precision in (("ncnn", "float"), ("mnn", "fp32")):
        by = FRAMEWORKS[framework]
        path = tmp_path / f"net{by.reads}"
        if not path.exists():
            write_onnx(network(), path)
        profile = profile_of(measured, framework, precision)
        cases, refused = predict_cases(profile, (), [path], by)
        assert refused == {}
        assert files_of(cases) == [("net", f"{precision}/t1", path.name)]


def test_a_file_in_a_precision_that_no_target_has_is_named(
    measured: DeviceProfile, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    write_onnx(network(), path, precision="int8")
    for framework, on in (("onnxruntime", True), ("pytorch", False)):
        profile = profile_of(measured, framework, "fp32")
        cases, refused = predict_cases(profile, (), [path], FRAMEWORKS[framework])
        assert cases == ()
        assert "it is stored in int8, and the profile has fp32/t1" in refused["net"]
        assert ("calibrate this machine in that precision" in refused["net"]) == on


def test_a_file_called_like_a_network_of_the_zoo_or_another_file_keeps_its_own_times(
    measured: DeviceProfile, tmp_path: Path
) -> None:
    paths = [
        tmp_path / "squeezenet_1_1.onnx",
        tmp_path / "one.onnx",
        tmp_path / "more" / "one.onnx",
    ]
    paths[2].parent.mkdir()
    for path in paths:
        write_onnx(network(), path)
    profile = profile_of(measured, "onnxruntime", "fp32")
    cases, _ = predict_cases(profile, ["squeezenet_1_1"], paths, FRAMEWORKS["onnxruntime"])
    assert len({p.key for p in cases}) == 4
    assert [p.model for p in cases] == ["squeezenet_1_1", "squeezenet_1_1.onnx", "one", "one.onnx"]


def test_sizes_are_given_to_files_that_leave_them_open_alone(
    measured: DeviceProfile, tmp_path: Path
) -> None:
    write_ncnn(network(), tmp_path / "sized.param")
    sized = (tmp_path / "sized.param").read_text()
    (tmp_path / "open.param").write_text(sized.replace(" 0=8 1=8 2=3\n", "\n", 1))
    assert (tmp_path / "open.param").read_text() != sized
    files = [tmp_path / "sized.param", tmp_path / "open.param"]
    profile = profile_of(measured, "ncnn", "float")
    cases, refused = predict_cases(profile, (), files, FRAMEWORKS["ncnn"])
    assert [p.model for p in cases] == ["sized"]
    assert "--input-shape" in refused["open"]
    shapes = {"": (1, 16, 16, 3)}
    cases, refused = predict_cases(profile, (), files, FRAMEWORKS["ncnn"], shapes)
    assert refused == {}
    assert [dict(p.shapes) for p in cases] == [{}, shapes]
    assert [p.graph.tensors[p.graph.inputs[0]].shape[1] for p in cases] == [8, 16]


def case(path: Path, shapes: dict[str, tuple[int, ...]] | None = None) -> Predicted:
    nothing: Any = None
    setup = RunConfig("float", 1)
    return Predicted("float/t1/net", "net", setup, path, nothing, None, shapes or {})


def test_a_file_whose_weights_are_not_there_is_refused_by_name(tmp_path: Path) -> None:
    write_ncnn(network(), tmp_path / "net.param")
    (tmp_path / "net.bin").unlink()
    with (
        HostBench(framework="ncnn", profile=False) as bench,
        pytest.raises(RunnerError, match=r"net\.param: net\.bin is not beside it"),
    ):
        _file(bench, case(tmp_path / "net.param"))


def test_a_file_that_cannot_be_opened_is_refused_and_is_no_error_of_the_system(
    tmp_path: Path,
) -> None:
    with (
        HostBench(framework="ncnn", profile=False) as bench,
        pytest.raises(RunnerError, match=r"gone\.param: cannot be read: No such file"),
    ):
        bench._forget(tmp_path / "gone.param")


def test_other_weights_or_other_sizes_are_another_network(tmp_path: Path) -> None:
    by, path = FRAMEWORKS["ncnn"], tmp_path / "net.param"
    write_ncnn(network(), path)
    plain = _content(by, case(path))
    sized = _content(by, case(path, {"": (1, 16, 16, 3)}))
    assert sized == f"{plain}+1x16x16x3"
    with Journal(tmp_path / "j", {}) as book:
        book.add(case(path).key, {"sets": [], "content": plain})
        assert _kept(book, by, case(path), False)
        assert not _kept(book, by, case(path, {"": (1, 16, 16, 3)}), False)
        path.with_suffix(".bin").write_bytes(b"other")
        assert not _kept(book, by, case(path), False)
