"""What people write for boards, laptops, cards and rented servers finds them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import perfmodel
from perfmodel.cost_models.kernel_population import KernelPopulation
from perfmodel.devices import gpu_sheets
from perfmodel.devices.gpu_sheets import card_profile, kind_of_card, sheets_by_device
from perfmodel.devices.gpu_specs import GPU_CARDS, GPU_SPECS, of_nvidia
from perfmodel.devices.registry import ProfileFolder
from perfmodel.devices.spellings import Spellings, title_names
from perfmodel.errors import TargetError
from perfmodel.measurements.device_names import INSTANCES, device_slug, other_names
from perfmodel.target import Target

FOLDER = ProfileFolder()


@pytest.mark.parametrize(
    ("written", "device"),
    [
        ("Raspberry Pi 5", "raspberry-pi-5"),
        ("Raspberry Pi 4 Model B", "raspberry-pi-4b"),
        ("raspberry pi 4 8gb", "raspberry-pi-4b"),
        ("RPi 4", "raspberry-pi-4b"),
        ("pi zero 2 w", "raspberry-pi-zero-2w"),
        ("Jetson AGX Orin 64GB", "jetson-agx-orin"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "jetson-orin-nano"),
        ("jetson nano 4 gb", "jetson-nano"),
        ("orin nano super", "jetson-orin-nano-super"),
        ("xavier nx", "jetson-xavier-nx"),
        ("tx2", "jetson-tx2"),
        ("Rock 5B", "rk3588"),
        ("Rock 3A", "rock3a-rk3568"),
        ("orange pi 5 plus", "orangepi-5-plus"),
        ("GeForce RTX 4090 24GB", "rtx-4090"),
        ("4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 3060 Ti", "rtx-3060-ti"),
        ("1080 ti", "gtx-1080-ti"),
        ("RTX 4070 Ti", "rtx-4070-ti"),
        ("rtx 6000 ada generation", "rtx-6000-ada"),
        ("A100 80GB", "nvidia-a100-80gb-pcie"),
        ("a100 sxm4 80 gb", "nvidia-a100-sxm4-80gb"),
        ("NVIDIA A10G", "nvidia-a10g"),
        ("Intel Core i7-13700K", "core-i7-13700k"),
        ("i9 10940x", "core-i9-10940x"),
        ("AMD EPYC 7742", "epyc-7742"),
        ("Apple M1", "macbook-pro-m1"),
        ("macbook pro m3 max", "m3-max"),
        ("g4dn.xlarge", "tesla-t4"),
        ("aws g5.12xlarge", "nvidia-a10g"),
        ("p4d.24xlarge", "nvidia-a100-sxm4-40gb"),
        ("c5.4xlarge", "aws-c5-4xlarge"),
    ],
)
def test_a_name_as_people_write_it_finds_its_device(written: str, device: str) -> None:
    assert FOLDER.device(written.lower()).device == device


def test_a_board_goes_before_a_phone_with_its_chip_and_a_phones_name_before_a_board() -> None:
    assert FOLDER.device("rockchip rk3588").kind == "board"
    assert FOLDER.device("galaxy s23 8gb").kind == "phone"


@pytest.mark.parametrize("written", ["coral usb accelerator", "nano", "rtx 4070 laptop", "pi 9"])
def test_a_name_that_means_no_device_says_what_to_do(written: str) -> None:
    with pytest.raises(TargetError, match="no profile of a device") as raised:
        FOLDER.device(written)
    assert "perfmodel calibrate --from TABLE" in raised.value.hint


def test_a_phone_that_nobody_lists_may_be_named_by_its_chip() -> None:
    with pytest.raises(TargetError) as raised:
        FOLDER.device("galaxy zz 99")
    assert "--on 'snapdragon 778g'" in raised.value.hint


def test_a_key_of_several_devices_names_none() -> None:
    known = Spellings.of([("card-40gb", "Card"), ("card-80gb", "Card"), ("box", "Big Box 7")])
    assert known.device("card 40gb") == "card-40gb"
    assert known.device("card 80 GB") == "card-80gb"
    assert known.device("card") == ""
    assert known.device("the big box 7") == "box"


def test_a_title_tells_its_names_before_the_processor() -> None:
    assert title_names("Rock3A, Rockchip RK3568 (Cortex-A55)") == ("Rock3A",)
    assert title_names("Station-M2/ROC-RK3566-PC, Rockchip") == ("Station-M2", "ROC-RK3566-PC")
    assert title_names("MacBook Air (13-inch, M3, 2024)") == ()


def test_other_names_and_instances_are_of_devices_that_answer() -> None:
    known = {*FOLDER.names(), *sheets_by_device()}
    assert {*INSTANCES.values()} <= known
    mine = ("m1", "m3", "rock-5b", "a6000", "a100-80gb-sxm", "v100-sxm2", "jetson-xavier")
    assert {dict(other_names())[name] for name in mine} <= known


def test_a_faster_card_of_which_only_the_sheet_is_known_is_faster() -> None:
    times = [
        perfmodel.predict("transformers:bert-base-uncased", f"{card}/gpu/pytorch/fp32").latency_ms
        for card in ("rtx 3060", "rtx 3080", "rtx 4090")
    ]
    assert times == sorted(times, reverse=True)
    # arithmetic alone bounds it: peaks differ by 6.5 times
    assert 2.0 < times[0] / times[2] < 6.5


def test_a_card_that_was_measured_otherwise_has_its_sheets_targets_too() -> None:
    own = FOLDER.device("titan-xp")
    assert {t.target.framework for t in own.targets} == {"cudnn", "tnn"}
    found = FOLDER.resolve("titan-xp/gpu/pytorch/fp32")
    assert found.target.provenance.measurements == 0
    assert found.device.kind == "desktop"


def test_cards_with_tensor_cores_answer_in_mixed_precision_where_that_was_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shipped = gpu_sheets.shipped_population
    eager = shipped(Target("", "gpu", "pytorch", "fp32"))
    assert eager is not None
    learned = replace(eager, forests={}, traits=0, described=False)

    def found(target: Target) -> KernelPopulation | None:
        return learned if target.framework == "pytorch-amp" else shipped(target)

    monkeypatch.setattr(gpu_sheets, "shipped_population", found)
    for card, mixed in (("rtx-4070", ["fp16"]), ("gtx-1060", [])):
        made = card_profile(card)
        assert made is not None
        own = [t.target.precision for t in made.targets if t.target.framework == "pytorch-amp"]
        assert own == mixed
    monkeypatch.setattr(
        gpu_sheets, "shipped_population", lambda t: None if "amp" in t.framework else shipped(t)
    )
    without = card_profile("rtx-4070")
    assert without is not None
    assert {t.target.framework for t in without.targets} == {"pytorch"}


def test_boards_have_no_card() -> None:
    assert card_profile("jetson-orin-nx") is None
    assert card_profile("no-such-card") is None


def test_sheets_of_further_cards_are_plausible_and_none_is_twice() -> None:
    assert not {device_slug(n) for n in GPU_CARDS} & {device_slug(n) for n in GPU_SPECS}
    for spec in GPU_CARDS.values():
        # 64 or 128 cores a multiprocessor, at 1 to 2.7 GHz
        assert 1.0 < spec.fp32_gflops / (2 * 64 * spec.multiprocessors) < 5.4
        assert len(spec.source) > 15
        if spec.tensor_cores:
            assert 1.9 <= spec.fp16_gflops / spec.fp32_gflops <= 16.1
            assert (
                spec.int8_gops == pytest.approx(2 * spec.fp16_gflops, rel=0.02)
                or (spec.int8_gops == pytest.approx(4 * spec.fp16_gflops, rel=0.02))
                or not spec.int8_gops
            )


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Jetson AGX Orin", "jetson"), ("RTX 3060", "desktop"), ("NVIDIA A10", "server")],
)
def test_a_card_is_of_the_kind_that_its_name_tells(name: str, kind: str) -> None:
    assert kind_of_card(name) == kind


@pytest.mark.parametrize("match", ["raspberry pi 5", "RTX 4070", "agx orin"])
def test_targets_are_listed_by_the_name_as_people_write_it(match: str) -> None:
    assert len(perfmodel.targets(match))


def test_a_phone_is_listed_without_others_whose_names_begin_alike() -> None:
    assert len({line.device for line in perfmodel.targets("Redmi Note 12")}) == 1


def test_a_named_profile_is_not_answered_by_a_sheet(tmp_path: Path) -> None:
    from perfmodel.devices.profile import write_profile

    card = card_profile("rtx-3060")
    assert card is not None
    mine = replace(card, title="mine", targets=card.targets[:1])
    write_profile(mine, tmp_path / "rtx-3060.json")
    folder = ProfileFolder((tmp_path / "rtx-3060.json",))
    assert folder.device("rtx-3060").title == "mine"
    with pytest.raises(TargetError, match="has no target"):
        folder.resolve("rtx-3060/gpu/pytorch/fp16")


@pytest.mark.parametrize(
    "name",
    ["jetson-nano", "titan-v", "gtx-1080", "rtx-4090", "tesla-t4", "pixel-4", "radeon-rx-580"],
)
def test_nvidias_gpus_are_known_by_how_their_names_begin(name: str) -> None:
    assert of_nvidia(name) == (name not in ("pixel-4", "radeon-rx-580"))
