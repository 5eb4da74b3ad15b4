"""Plans from profiles: times by hand arithmetic, fall-backs, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import Devices, chain, predictor, target

from perfmodel.cli.app import run
from perfmodel.cli.partition import named_link
from perfmodel.cost_models.interval import Interval
from perfmodel.devices.facts import Traits, TransferFact
from perfmodel.devices.registry import ProfileFolder
from perfmodel.errors import PartitionError, TargetError, UncoveredOpError
from perfmodel.graph import Graph
from perfmodel.graph.builder import GraphBuilder
from perfmodel.plans.curve import CutCurve
from perfmodel.plans.layers import is_order
from perfmodel.plans.optimal import alternating_order, two_sides
from perfmodel.plans.plan import PartitionResult, partition
from perfmodel.plans.problem import Link, home_unit, problem
from perfmodel.prediction import predict

PHONE_GPU, PHONE_CPU = "test-phone/gpu", "test-phone/cpu"


def plan(devices: Devices, graph: Graph, on: str, **options: object) -> PartitionResult:
    return partition(graph, on, profiles=devices.paths, **options)  # type: ignore[arg-type]


def test_one_piece_on_the_cpu_is_the_sum_of_its_layers(devices: Devices) -> None:
    # 100 pixels x (10 x 20 + 20 x 30) MACs = 80,000 at 1,000 a us, and 1 us for each of 2 kernels
    found = plan(devices, chain((10, 20, 30)), PHONE_CPU, by="layer-count", k=1)
    assert found.latency_ms == pytest.approx(0.082)
    assert found.unpartitioned_ms == pytest.approx(0.082)
    assert found.k == 1
    assert found.boundaries == ()


def test_a_gpu_segment_pays_its_overhead_and_its_tensors(devices: Devices) -> None:
    # 80,000 MACs at 10,000 a us + 2 x 2 us = 12 us; 1 ms a segment; the network's own input and
    # output are in a target's time
    found = plan(devices, chain((10, 20, 30)), PHONE_GPU, by="layer-count", k=1)
    assert found.latency_ms == pytest.approx(0.012 + 1)
    # cut in two: one overhead more, and 100 x 20 x 4 B out and in again
    halves = plan(devices, chain((10, 20, 30)), PHONE_GPU, by="layer-count", k=2)
    assert halves.latency_ms == pytest.approx(found.latency_ms + 1 + 2 * 0.508)
    assert halves.boundaries[0].bytes == 8000
    assert halves.boundaries[0].latency_ms == pytest.approx(2 * 0.508)


def test_slow_storage_slows_the_other_layers_of_the_same_piece(devices: Devices) -> None:
    """6,000 x 6,000 weights are 144 MB, above the limit of 100 MB; 3 times as long, by hand:

    100 pixels x 6,000 x 10 MACs at 10,000 a us = 600 us + 2 us for the small layer, three times in
    the same piece as the large one: 2 x 602 us more.
    """
    graph = chain((10, 6000, 6000))
    together = plan(devices, graph, PHONE_GPU, by="layer-count", k=1)
    apart = plan(devices, graph, PHONE_GPU, by="layer-count", k=2)
    boundary = 1 + 2 * (0.5 + 2.4)
    assert together.latency_ms - apart.latency_ms == pytest.approx(2 * 0.602 - boundary)


def test_each_layer_makes_a_piece_a_layer(devices: Devices) -> None:
    found = plan(devices, chain((4, 4, 4, 4)), PHONE_CPU, by="each-layer")
    assert [(s.first_op, s.last_op) for s in found.segments] == [(0, 0), (1, 1), (2, 2)]


def test_the_optimum_is_no_slower_than_any_criterion(devices: Devices) -> None:
    graph = chain((64, 512, 16, 512, 8, 1024, 8))
    best = plan(devices, graph, PHONE_GPU, units=["cpu"], k=3).latency_ms
    for by in ("layer-count", "param-count"):
        for k in (1, 2, 3):
            other = plan(devices, graph, PHONE_GPU, units=["cpu"], by=by, k=k)
            assert best <= other.latency_ms + 1e-12


def test_ties_give_fewer_pieces(devices: Devices) -> None:
    # cutting costs nothing on the CPU, so every plan there takes the same
    assert plan(devices, chain((4, 4, 4, 4)), PHONE_CPU, k=3).k == 1


def branches() -> Graph:
    """Two branches of two layers from one tensor, joined."""
    b = GraphBuilder("branches")
    x = b.conv(b.input((1, 10, 10, 8)), 8, 1)
    left = b.conv(b.conv(x, 8, 1), 8, 1)
    right = b.conv(b.conv(x, 8, 1), 8, 1)
    return b.build(b.concat([left, right]))


def test_a_branching_network_is_cut_between_any_of_its_states(devices: Devices) -> None:
    found = plan(devices, branches(), PHONE_GPU, units=["cpu"], k=2)
    assert found.exact_over == "all plans of at most 2 segments"
    folder = ProfileFolder(tuple(devices.paths))
    made = problem(branches(), [folder.resolve(PHONE_CPU)], folder=folder)
    order = list(range(len(made.layers)))[::-1]
    assert not is_order(made.layers, order)
    assert set(found.op_order) == {op.name for op in branches().ops}


def test_reordered_layers_keep_what_crosses(devices: Devices) -> None:
    folder = ProfileFolder(tuple(devices.paths))
    layers = problem(branches(), [folder.resolve(PHONE_CPU)], folder=folder).layers
    other = layers.reordered([0, 3, 1, 2, 4, 5] if len(layers) == 6 else range(len(layers)))
    back = {c.tensor: c.size_bytes for c in layers.crossings}
    assert {c.tensor: c.size_bytes for c in other.crossings} == back
    for crossing in other.crossings:
        for reader in crossing.readers:
            assert crossing.maker < reader


def test_pooling_and_softmax_belong_to_the_layers_before_them(devices: Devices) -> None:
    b = GraphBuilder("classifier")
    x = b.pool(b.conv(b.input((1, 8, 8, 3)), 4), "max", 2, 2)
    graph = b.build(b.op("softmax", b.fc(x, 10), axis=-1, beta=1.0))
    found = plan(devices, graph, PHONE_GPU, by="layer-type")
    assert [s.first_name for s in found.segments] == ["conv2d_0", "fully_connected_0"]


def test_device_and_cloud_by_hand(devices: Devices) -> None:
    """8 Mbit/s up is 1,000 bytes a ms: 400 bytes of input 0.4 ms and half a trip of 2 ms each way.

    On the phone 100 pixels x (1 x 1,000 + 1,000 x 1,000) MACs = 100.1 ms + 2 us; on the server a
    thousandth of it; 400,000 bytes of output come back at 80 Mbit/s in 40 ms.
    """
    graph = chain((1, 1000, 1000))
    link = Link("made up", 8, 80, 2)
    found = plan(devices, graph, PHONE_CPU, server="test-server/cpu", link=link, k=1)
    assert found.latency_ms == pytest.approx(0.1001 + 2e-6 + 1 + 0.4 + 1 + 40)
    assert found.segments[0].target.startswith("test-server")
    assert found.unpartitioned_ms == pytest.approx(100.102)


def test_the_curve_has_the_whole_device_and_the_whole_cloud_at_its_ends(devices: Devices) -> None:
    graph, link = chain((1, 1000, 1000)), Link("made up", 8, 80, 2)
    found = plan(devices, graph, PHONE_CPU, server="test-server/cpu", link=link, k=2)
    curve = found.curve
    assert isinstance(curve, CutCurve)
    assert curve.total_ms[0] == pytest.approx(0.1001 + 2e-6 + 1 + 0.4 + 1 + 40)
    assert curve.total_ms[-1] == pytest.approx(100.102)
    assert curve.moved_bytes[:2] == (400, 400_000)
    assert min(curve.total_ms) == pytest.approx(found.latency_ms)
    # cut after the first layer: 0.1 ms + 1 us on the phone, 400,000 bytes up at 1,000 a ms
    assert curve.first_ms[1] == pytest.approx(0.101)
    assert curve.moving_ms[1] == pytest.approx(400 + 1 + 40 + 1)


def test_minimum_cut_order_runs_the_near_side_first(devices: Devices) -> None:
    folder = ProfileFolder(tuple(devices.paths))
    made = problem(
        branches(),
        [folder.resolve(PHONE_CPU)],
        server=folder.resolve("test-server/cpu"),
        link=Link("made up", 1000, 1000, 0.001),
        folder=folder,
    )
    near, far = made.units[0], made.units[1]
    sides = two_sides(made.layers, near, far, far.inward, far.outward)
    assert is_order(made.layers, alternating_order(made.layers, sides.far))
    marked = [False, True, True, False, False, True]
    order = alternating_order(made.layers, marked[: len(made.layers)])
    assert is_order(made.layers, order)


def with_softmax_inside() -> Graph:
    """A convolution, a softmax, which a DLA leaves to the GPU, and another convolution."""
    b = GraphBuilder("detector")
    x = b.conv(b.input((1, 10, 10, 8)), 8, 1, name="before")
    x = b.op("softmax", x, name="middle", axis=-1, beta=1.0)
    return b.build(b.conv(x, 8, 1, name="after"))


def test_what_the_dla_cannot_run_falls_back_at_a_price(devices: Devices) -> None:
    devices.add(
        "test-jetson",
        target("test-jetson", "gpu", "tensorrt", predictor(1e4, 2.0)),
        target("test-jetson", "dla", "tensorrt", predictor(1e4, 1.0)),
        traits=dla_transfers(),
    )
    found = plan(
        devices, with_softmax_inside(), "test-jetson/dla", units=["gpu"], by="layer-count", k=1
    )
    [note] = [n for n in found.notes if "cannot run" in n]
    for name in ("test-jetson/dla", "test-jetson/gpu", "middle"):
        assert name in note
    # 2 us on the GPU; out and in again 2 x (0.5 ms + 3,200 bytes at 1 MB a ms)
    assert "1.01 ms with 1.01 ms of moving" in note


def dla_transfers() -> Traits:
    return Traits(
        (
            TransferFact("gpu", "dla", 0.5, 1e6, "made up", 1),
            TransferFact("dla", "gpu", 0.5, 1e6, "made up", 1),
        )
    )


def test_without_a_unit_to_fall_back_to_there_is_no_plan(devices: Devices) -> None:
    devices.add(
        "test-dla",
        target("test-dla", "dla", "tensorrt", predictor(1e4, 1.0)),
        traits=dla_transfers(),
    )
    folder = ProfileFolder(tuple(devices.paths))
    made = problem(
        with_softmax_inside(), [folder.resolve("test-dla/dla")], home="gpu", folder=folder
    )
    assert np.isinf(made.units[0].layer_ms).sum() == 1
    assert any("no gpu to fall back to" in note for note in made.notes)
    with pytest.raises(TargetError, match="cannot run middle, and the profile has no gpu"):
        predict(with_softmax_inside(), "test-dla/dla", profiles=devices.paths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "layer-count", "k": 9}, "has 3 layers and cannot be cut into 9"),
        ({"k": 9}, "has 3 layers and cannot be cut into 9"),
        ({"k": 0}, "cannot be cut into 0"),
        ({"by": "layer-count"}, "needs a number of segments"),
        ({"by": "each-layer", "k": 2}, "each-layer makes 3 segments"),
        ({"by": "layer-type", "k": 2}, "has 1 group of one layer type, not 2"),
        ({"by": "alphabet"}, "unknown criterion 'alphabet'"),
        ({"units": ["npu"]}, "test-phone has no unit 'npu'"),
        ({"units": ["toaster"]}, "test-phone has no unit 'toaster'"),
        ({"units": ["test-server/cpu"]}, "is not on test-phone"),
        ({"objective": "beauty"}, "is none of latency, energy, deadline"),
        ({"objective": "deadline=-3"}, "is none of latency, energy, deadline"),
        ({"objective": "deadline=0.0001"}, "no plan of at most 3 segments meets 0.0001 ms"),
        ({"server": "test-server/cpu"}, "a server needs a link"),
        ({"link": Link("x", 1, 1, 1)}, "a link needs a server"),
    ],
)
def test_what_does_not_fit_is_refused(
    devices: Devices, options: dict[str, object], message: str
) -> None:
    with pytest.raises(PartitionError, match=message.replace("(", r"\(")):
        plan(devices, chain((4, 4, 4, 4)), PHONE_GPU, **options)


def test_one_layer_cannot_be_cut_but_can_be_asked_about(devices: Devices) -> None:
    graph = chain((4, 4))
    with pytest.raises(PartitionError, match="has 1 layer and cannot be cut into 2"):
        plan(devices, graph, PHONE_CPU, by="layer-count", k=2)
    assert plan(devices, graph, PHONE_CPU, by="each-layer").k == 1
    assert plan(devices, graph, PHONE_CPU).k == 1


def test_a_transfer_nobody_measured_is_no_zero(devices: Devices) -> None:
    """Nothing can be moved, so the network stays in one piece and cannot be cut."""
    whole = plan(devices, chain((4, 4, 4)), "test-npu-only/npu")
    assert whole.k == 1
    assert any("from cpu to npu is not known" in note for note in whole.notes)
    with pytest.raises(PartitionError, match="a segment cannot run on any unit"):
        plan(devices, chain((4, 4, 4)), "test-npu-only/npu", by="layer-count", k=2)


def test_an_operator_without_a_cost_is_refused(devices: Devices) -> None:
    from perfmodel.graph import Op, Tensor

    ops = (Op("odd", "custom", ("x",), ("y",), {"custom_name": "Odd"}),)
    tensors = {"x": Tensor("x", (1, 4)), "y": Tensor("y", (1, 4))}
    with pytest.raises(UncoveredOpError):
        plan(devices, Graph("odd", tensors, ops, ("x",), ("y",)), PHONE_CPU)


def test_a_network_in_one_piece_takes_what_predict_says(devices: Devices) -> None:
    """Slow storage, an operator that falls back and the overhead are in both, to the last digit."""
    devices.add(
        "test-jetson",
        target("test-jetson", "gpu", "tensorrt", predictor(1e4, 2.0)),
        target("test-jetson", "dla", "tensorrt", predictor(1e4, 1.0, 0.25)),
        traits=dla_transfers(),
    )
    slow, falls_back = chain((10, 6000, 6000)), with_softmax_inside()
    for graph, on in ((slow, PHONE_GPU), (slow, PHONE_CPU), (falls_back, "test-jetson/dla")):
        alone = predict(graph, on, profiles=devices.paths)
        whole = plan(devices, graph, on, by="layer-count", k=1)
        assert whole.latency_ms == pytest.approx(alone.latency_ms, rel=1e-12)
        assert whole.unpartitioned_ms == whole.latency_ms
        assert sum(k.latency_ms for k in alone.kernels) + alone.overhead_ms == pytest.approx(
            alone.latency_ms, rel=1e-12
        )


def test_energy_and_deadline(devices: Devices) -> None:
    """Watts are 2 on the CPU, 1 on the GPU: 100.1 ms x 2 W against a tenth of it and the 1 ms that
    the GPU's dispatch takes, x 1 W."""
    graph = chain((1, 1000, 1000))
    frugal = plan(devices, graph, PHONE_CPU, units=["gpu"], objective="energy")
    assert frugal.energy_mj == pytest.approx(11.014, rel=1e-3)
    within = plan(devices, graph, PHONE_CPU, units=["gpu"], objective="deadline=50")
    assert within.latency_ms <= 50


def test_energy_of_the_cloud_is_that_of_the_radio(devices: Devices) -> None:
    """1 W while 400 bytes go up in 0.4 ms, 0.5 W while 400,000 come back in 40 ms, tail 3 mJ."""
    link = Link("made up", 8, 80, 2, 1000.0, 500.0, 3.0)
    found = plan(
        devices,
        chain((1, 1000, 1000)),
        PHONE_CPU,
        server="test-server/cpu",
        link=link,
        k=1,
        objective="energy",
    )
    assert found.energy_mj == pytest.approx(0.4 + 20 + 3)
    unknown = Link("made up", 8, 80, 2)
    with pytest.raises(PartitionError, match="energy of test-server"):
        plan(
            devices,
            chain((1, 10, 10)),
            PHONE_CPU,
            server="test-server/cpu",
            link=unknown,
            objective="energy",
        )


def test_a_named_link_knows_its_radio() -> None:
    # 570 mW whatever the rate, 401 mW for 6 s after it
    link = named_link("3g")
    assert (link.uplink_mw, link.downlink_mw) == (570.0, 570.0)
    assert link.tail_mj == pytest.approx(2406.0)


def test_home_is_the_gpu_only_beside_a_dla() -> None:
    assert home_unit(["gpu", "dla"]) == "gpu"
    assert home_unit(["gpu"]) == home_unit(["gpu", "cpu", "dla"]) == "cpu"


def test_the_command_prints_the_contract(
    devices: Devices, capsys: pytest.CaptureFixture[str]
) -> None:
    profiles = [word for path in devices.paths for word in ("--profile", str(path))]
    asked = ["mobilenet_v1", "--on", PHONE_GPU, "--units", "cpu", "-k", "2", "--by", "layer-count"]
    code = run(["partition", *asked, *profiles, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert code == 0
    wanted = {"model", "criterion", "k", "latency_ms", "segments", "boundaries", "unpartitioned_ms"}
    assert wanted <= set(answer)
    first, second = answer["segments"]
    assert {"first_op", "last_op", "target", "latency_ms", "weights_bytes"} <= set(first)
    assert second["first_op"] == first["last_op"] + 1
    assert {"after_op", "bytes", "latency_ms"} <= set(answer["boundaries"][0])
    total = sum(s["latency_ms"] for s in answer["segments"])
    assert total == pytest.approx(answer["latency_ms"])


def test_a_global_mean_runs_on_the_dla_and_softmax_does_not() -> None:
    from perfmodel.devices.unsupported import unsupported

    b = GraphBuilder("head")
    x = b.global_avg_pool(b.conv(b.input((1, 4, 4, 8)), 8, 1), name="pooled")
    graph = b.build(b.op("softmax", b.fc(x, 4), name="probabilities", axis=-1, beta=1.0))
    assert unsupported(graph, "tensorrt", "dla") == {"probabilities"}
    assert unsupported(graph, "tensorrt", "gpu") == frozenset()


@pytest.mark.parametrize(("factor", "doubtful"), [(9.9, False), (10.1, True)])
def test_an_interval_is_that_of_what_the_unit_can_run(
    devices: Devices, factor: float, doubtful: bool
) -> None:
    """The DLA cannot run the layer between the others, and nothing takes it over."""
    dla = target("test-dla", "dla", "tensorrt", predictor(1e4, 1.0))
    each_way = math.log(factor) / 2
    wide = replace(dla, interval=Interval(0.9, each_way, each_way, 0.0))
    devices.add("test-dla", wide, traits=dla_transfers())
    folder = ProfileFolder(tuple(devices.paths))
    one = folder.resolve("test-dla/dla")
    [made] = problem(with_softmax_inside(), [one], home="gpu", folder=folder).units
    assert np.isinf(made.layer_ms).sum() == 1
    assert made.high / made.low == pytest.approx(factor)
    assert made.high * made.low == pytest.approx(1.0)
    alone = plan(devices, chain((10, 20, 30)), "test-dla/dla", by="layer-count", k=1)
    assert bool(alone.unknown) == doubtful
    assert alone.unknown == alone.unpartitioned_unknown
    assert bool(alone.settle) == doubtful
    assert alone.notes == ()


def test_a_unit_that_runs_nothing_has_no_interval(devices: Devices) -> None:
    dla = target("test-dla", "dla", "tensorrt", predictor(1e4, 1.0))
    devices.add("test-dla", dla, traits=dla_transfers())
    folder = ProfileFolder(tuple(devices.paths))
    builder = GraphBuilder("softmax")
    graph = builder.build(builder.op("softmax", builder.input((1, 4)), axis=-1, beta=1.0))
    [made] = problem(graph, [folder.resolve("test-dla/dla")], home="gpu", folder=folder).units
    assert np.isinf(made.layer_ms).all()
    assert (made.low, made.high) == (1.0, 1.0)


def unsure_phone(devices: Devices) -> Path:
    """Writes the phone again with intervals whose ends lie exp(4) apart."""
    path = devices.folder / "test-phone.json"
    phone = ProfileFolder((path,)).device("test-phone")
    wide = [replace(t, interval=Interval(0.9, 2.0, 2.0, 0.0)) for t in phone.targets]
    return devices.add("test-phone", *wide, traits=phone.traits)


def test_the_time_in_one_piece_is_in_doubt_where_it_would_not_fit(devices: Devices) -> None:
    unsure_phone(devices)
    found = plan(devices, chain((10, 20, 30)), PHONE_GPU, units=["cpu"], memory={"gpu": 1.0})
    assert [s.target.split("/")[1] for s in found.segments] == ["cpu"]
    assert found.unpartitioned_target.startswith(PHONE_GPU)
    assert found.unknown != found.unpartitioned_unknown != ""
    assert found.unknown
    assert len([n for n in found.notes if n.startswith("plans are compared")]) == 2


def test_what_is_not_known_is_in_the_json_and_its_energy_not_in_the_text(
    devices: Devices, capsys: pytest.CaptureFixture[str]
) -> None:
    path = unsure_phone(devices)
    asked = ["partition", "alexnet", "--on", PHONE_GPU, "-k", "1", "--profile", str(path)]
    assert run([*asked, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["unknown"] == data["unpartitioned_unknown"] != ""
    assert data["energy_mj"] > 0
    assert data["latency_ms"] == pytest.approx(data["segments"][0]["latency_ms"])
    assert f"--on {PHONE_GPU}/" in data["settle"]
    assert run(asked) == 0
    text = capsys.readouterr().out.splitlines()
    assert (
        text[0]
        == f"alexnet in 1 piece (optimal) on {data['segments'][0]['target']}: " + (data["unknown"])
    )
    assert data["settle"] in text[1]
    assert not any("energy" in line and "mJ" in line for line in text)
