"""Targets of NPUs: the version of the runtime, precisions of weights and activations."""

import pytest

from perfmodel.cost_models.interval import FitError, Interval
from perfmodel.cost_models.npu_predictor import COST_NAMES, NpuPredictor
from perfmodel.devices.profile import (
    DeviceProfile,
    Provenance,
    TargetProfile,
    profile_from_dict,
    profile_to_dict,
)
from perfmodel.devices.registry import ProfileFolder
from perfmodel.errors import TargetError
from perfmodel.kernels.fusion_rules import rules_on
from perfmodel.target import Target, parse_target


def target(version, precision):
    predictor = NpuPredictor(log_cost=(0.0,) * len(COST_NAMES), precision=precision)
    return TargetProfile(
        Target("a-phone", "npu", "qnn", precision, version=version),
        "steady",
        predictor,
        Interval(0.9, 0.1, 0.1),
        FitError("made up", 0, 0.1),
        Provenance("made up", 1),
    )


@pytest.fixture
def phone():
    made = [target(v, p) for v in ("2.42", "2.37") for p in ("fp16", "w8a8", "w8a16")]
    return DeviceProfile("a-phone", "A phone", "phone", tuple(made))


def named(phone, text, stored=""):
    return str(ProfileFolder((phone,)).resolve(text, stored).target.target)


def test_a_version_is_written_after_the_framework(phone):
    assert named(phone, "a-phone/npu/qnn@2.37/w8a16") == "a-phone/npu/qnn@2.37/w8a16"


def test_without_a_version_the_first_target_answers_which_is_the_newest(phone):
    assert named(phone, "a-phone/npu/qnn") == "a-phone/npu/qnn@2.42/fp16"


def test_a_version_that_is_not_there_is_refused(phone):
    with pytest.raises(TargetError, match=r"2\.99"):
        named(phone, "a-phone/npu/qnn@2.99")


@pytest.mark.parametrize("text", ["a/npu/@2.42", "a/npu/qnn@", "a/npu/qnn@2/42", "a/npu/qnn@2 42"])
def test_a_version_in_another_form_is_no_target(text):
    with pytest.raises(TargetError):
        parse_target(text)


def test_int8_of_an_npu_is_w8a8(phone):
    assert named(phone, "a-phone/npu/qnn/int8") == "a-phone/npu/qnn@2.42/w8a8"


def test_a_quantised_network_is_answered_by_integers_and_a_float_one_by_floats(phone):
    assert named(phone, "a-phone", "int8").endswith("/w8a8")
    assert named(phone, "a-phone", "fp32").endswith("/fp16")


def test_a_version_is_kept_in_the_file(phone):
    again = profile_from_dict(profile_to_dict(phone))
    assert [str(t.target) for t in again.targets] == [str(t.target) for t in phone.targets]


@pytest.mark.parametrize("framework", ["qnn", "tflite", "onnxruntime", "rknn"])
def test_all_runtimes_of_an_npu_fuse_as_its_compiler_does(framework):
    from perfmodel.kernels.fusion_rules import fusion_rules

    assert fusion_rules(rules_on(framework, "npu")) == fusion_rules("qnn")
