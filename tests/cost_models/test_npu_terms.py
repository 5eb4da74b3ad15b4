"""Amounts of work on an NPU, by hand: tiles of 32 channels, weights by their bytes, one call."""

import numpy as np
import pytest

from perfmodel import zoo
from perfmodel.cost_models.npu_model import (
    BY_KIND,
    NpuPlace,
    NpuTimes,
    fit_npu_costs,
    group_loadings,
)
from perfmodel.cost_models.npu_predictor import COST_NAMES, PLAIN, NpuPredictor, network_work
from perfmodel.cost_models.npu_terms import (
    LATER,
    MACS_PER_BYTE,
    MACS_PER_ELEMENT,
    MACS_PER_INFERENCE,
    MACS_PER_KERNEL,
    NPU_TERM_NAMES,
    NPU_WORK_UNIT,
    npu_work,
)
from perfmodel.errors import ProfileError
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import Kernel, KernelTable


def conv(cin, cout, side, kernel=1, stride=1, groups=1, kernel_class="conv1x1", **more):
    """A convolution that keeps the image's side."""
    depth = kernel * kernel * cin // groups
    sizes = {"batch": 1, "cin": cin, "hin": side, "win": side, "cout": cout}
    sizes |= {"hout": side, "wout": side, "kh": kernel, "kw": kernel, "sh": stride, "sw": stride}
    sizes |= {"m": side * side, "n": cout // groups, "k": depth, "groups": groups}
    sizes |= {"macs": side * side * cout * depth, "input_elements": side * side * cin}
    sizes |= {"weight_elements": depth * cout, "output_elements": side * side * cout}
    return Kernel(name="k", op="conv2d", kernel_class=kernel_class, **(sizes | more))


def amounts(kernel, precision="fp16"):
    """The terms of one kernel that are not zero, in MAC equivalents."""
    row = npu_work(KernelTable.from_kernels([kernel]), precision)[0] * NPU_WORK_UNIT
    return {
        n: float(v) for n, v in zip(NPU_TERM_NAMES, row, strict=True) if v > 0 and n not in PLAIN
    }


def test_channels_of_a_product_are_filled_up_to_tiles_of_32():
    # 8 x 8 pixels are 64 rows; 33 channels take two tiles, 20 take one
    assert amounts(conv(33, 20, 8))["point"] == 64 * 64 * 32
    assert amounts(conv(64, 32, 8))["point"] == 64 * 64 * 32


def test_rows_of_a_product_are_filled_up_as_well():
    # 7 x 7 pixels are 49 rows, which take 64
    assert amounts(conv(32, 32, 7))["point"] == 64 * 32 * 32


def test_each_element_of_a_window_fills_up_its_channels_but_patches_are_one_row():
    assert amounts(conv(3, 32, 8, 3, kernel_class="conv_first"))["first"] == 64 * 9 * 32 * 32
    patch = conv(3, 32, 8, 4, stride=4, kernel_class="conv_first")
    assert amounts(patch)["first"] == 64 * 64 * 32  # 4 x 4 x 3 = 48 channels in two tiles


def test_narrow_groups_share_a_tile_and_wide_ones_have_their_own():
    narrow = conv(128, 128, 8, 3, groups=32, kernel_class="grouped")
    assert amounts(narrow)["grouped"] == 64 * 9 * 4 * 32 * 32
    wide = conv(96, 96, 8, 3, groups=2, kernel_class="grouped")
    assert amounts(wide)["grouped"] == 64 * 9 * 2 * 64 * 64


def test_weights_count_by_their_bytes():
    kernel = conv(32, 32, 8)
    assert amounts(kernel, "fp16")["weights"] == 2 * 1024 * MACS_PER_BYTE
    assert amounts(kernel, "w8a16")["weights"] == 1024 * MACS_PER_BYTE


def test_results_beyond_half_the_memory_on_the_chip_are_written_out():
    # 512 x 512 x 32 results of two bytes are 16.8 MB, of which 4 stay
    large = conv(32, 32, 512)
    assert amounts(large)["spilled"] == pytest.approx((512 * 512 * 64 - 4e6) * MACS_PER_BYTE)
    assert amounts(large, "w8a8")["spilled"] == pytest.approx(
        (512 * 512 * 32 - 4e6) * MACS_PER_BYTE
    )
    assert "spilled" not in amounts(conv(32, 32, 128))


def test_a_tensor_of_few_channels_takes_the_room_of_a_tile():
    thin = Kernel("k", "add", "elementwise", cin=8, cout=8, hin=4, win=4, hout=4, wout=4,
                  input_elements=256, output_elements=128)  # fmt: skip
    assert amounts(thin)["elementwise"] == pytest.approx(4 * 384 * MACS_PER_ELEMENT)


def elementwise(op, channels, side=8):
    count = channels * side * side
    sizes = {"cin": channels, "cout": channels, "hin": side, "win": side, "hout": side}
    return Kernel("k", op, "elementwise", **sizes, wout=side, input_elements=count,
                  output_elements=count)  # fmt: skip


def test_elementwise_kernels_on_an_image_and_normalisations_are_kinds_of_their_own():
    # 64 pixels of 3 or 4 channels are read and written in tiles of 32
    for channels in (3, 4):
        image = amounts(elementwise("sub", channels))
        assert image["image_elementwise"] == pytest.approx(3 * 2 * 64 * 32 * MACS_PER_ELEMENT)
        assert "elementwise" not in image
    assert "image_elementwise" not in amounts(elementwise("sub", 5))
    assert "image_elementwise" not in amounts(elementwise("sub", 3, side=1))
    norm = amounts(elementwise("batch_norm", 64))
    assert norm["batch_norm"] == pytest.approx(2 * 64 * 64 * MACS_PER_ELEMENT)
    assert "elementwise" not in norm
    assert "elementwise" not in amounts(elementwise("batch_norm", 3))


def test_a_file_without_later_terms_prices_them_as_it_did():
    said = made_up_predictor().to_dict()
    before = {n: v for n, v in said["log_cost"].items() if n not in (*LATER, *PLAIN)}
    again = NpuPredictor.from_dict(said | {"log_cost": before})
    costs = dict(zip(COST_NAMES, again.log_cost, strict=True))
    assert costs["batch_norm"] == pytest.approx(costs["elementwise"])
    table = KernelTable.from_kernels([elementwise("sub", 3)])
    as_before = 2 * 64 * 32 * MACS_PER_ELEMENT / NPU_WORK_UNIT * np.exp(costs["elementwise"])
    start = MACS_PER_KERNEL / NPU_WORK_UNIT * np.exp(costs["other_starts"])
    assert again.parts_ms(table).sum() == pytest.approx(as_before + start)


def test_wide_depthwise_windows_are_a_kind_of_their_own():
    small = conv(32, 32, 8, 3, groups=32, kernel_class="depthwise")
    wide = conv(32, 32, 8, 7, groups=32, kernel_class="depthwise")
    assert amounts(small)["depthwise"] == pytest.approx(64 * 32 * MACS_PER_ELEMENT)
    assert amounts(wide)["depthwise_wide"] == pytest.approx(3 * 64 * 32 * 49 / 9 * MACS_PER_ELEMENT)
    assert "depthwise" not in amounts(wide)


def test_a_leaky_activation_costs_and_a_clamp_does_not():
    plain, clamped, leaky = (
        amounts(conv(32, 32, 8, activation=a)) for a in ("none", "relu", "leaky_relu")
    )
    assert plain == clamped
    assert leaky["leaky"] == pytest.approx(64 * 32 * MACS_PER_ELEMENT)


def test_every_kernel_starts_once():
    starts = [n for n in amounts(conv(32, 32, 8)) if n.endswith("starts")]
    assert starts == ["product_starts"]
    assert amounts(conv(32, 32, 8))["product_starts"] == pytest.approx(MACS_PER_KERNEL / 3)


@pytest.mark.parametrize("model", ["mobilenet_v2", "vit_b16", "yolo_v3_tiny"])
def test_more_width_or_batch_is_never_less_work(model):
    def work(**given):
        graph = zoo.entry(model).build(**given)
        return network_work(KernelTable.from_kernels(fuse(graph, "qnn")), "fp16")

    assert (work(batch=3) >= work(batch=1) - 1e-12).all()
    if model == "mobilenet_v2":
        assert (work(width=1.4) >= work(width=1.0) - 1e-12).all()


def test_a_network_pays_one_call_whatever_its_kernels():
    table = KernelTable.from_kernels([conv(32, 32, 8)] * 3)
    assert network_work(table, "fp16")[-1] * NPU_WORK_UNIT == pytest.approx(MACS_PER_INFERENCE)


def made_up_predictor():
    costs = np.linspace(-1.0, 1.0, len(COST_NAMES))
    return NpuPredictor(log_cost=tuple(costs), precision="w8a8")


def test_a_predictor_is_the_same_after_its_file():
    predictor = made_up_predictor()
    again = NpuPredictor.from_dict(predictor.to_dict())
    assert again.log_cost == pytest.approx(predictor.log_cost, abs=1e-4)
    assert again.to_dict() == predictor.to_dict()


@pytest.mark.parametrize(
    ("damage", "field"),
    [
        ({"precision": "bf16"}, "precision"),
        ({"log_cost": {"point": 1.0}}, "log_cost"),
        ({"log_cost": dict.fromkeys(COST_NAMES, 99.0)}, "log_cost"),
        ({"more": 1}, "more"),
    ],
)
def test_a_damaged_predictor_is_refused_by_the_name_of_its_field(damage, field):
    with pytest.raises(ProfileError, match=field):
        NpuPredictor.from_dict({**made_up_predictor().to_dict(), **damage})


def test_scaling_and_overheads_change_what_they_say():
    predictor, table = made_up_predictor(), KernelTable.from_kernels([conv(32, 32, 8)])
    assert predictor.scaled(np.log(2)).parts_ms(table).sum() == pytest.approx(
        2 * predictor.parts_ms(table).sum()
    )
    assert predictor.scaled(np.log(2)).overhead_ms == pytest.approx(2 * predictor.overhead_ms)
    assert predictor.with_overhead(0.7).overhead_ms == pytest.approx(0.7)


def test_measured_kernels_move_the_costs_towards_them():
    predictor, table = made_up_predictor(), KernelTable.from_kernels([conv(32, 32, 8)] * 4)
    before = predictor.parts_ms(table).sum(axis=1)
    moved = predictor.adapted(table, 3e3 * before)
    assert moved.parts_ms(table).sum(axis=1) == pytest.approx(3 * before, rel=0.02)
    assert moved.overhead_ms == predictor.overhead_ms


def test_costs_that_made_the_times_are_found_again():
    rng = np.random.default_rng(0)
    work = rng.lognormal(0, 1.5, (60, len(COST_NAMES))) * BY_KIND
    true = rng.normal(0, 0.2, len(COST_NAMES))
    places = [NpuPlace(chip=c, runtime="qnn", precision="fp16") for c in ("a", "b")]
    rows = np.tile(work, (2, 1))
    target = np.repeat([0, 1], 60)
    ms = rows @ np.exp(true) * np.array([1.0, 3.0])[target]
    network = np.tile(np.arange(60), 2)
    seen = NpuTimes(target=target, network=network, work=rows, latency_ms=ms)
    found = fit_npu_costs(places, seen).log_cost
    said = np.exp(found)[target]
    # 60 networks say less than 30 costs need to be free of what they are shrunk to
    assert np.abs(np.log((said * rows).sum(axis=1) / ms)).max() < 0.1
    assert np.median(found[1] - found[0]) == pytest.approx(np.log(3), abs=0.02)


def test_every_cost_belongs_to_one_group():
    assert (group_loadings().sum(axis=1) == 1).all()
