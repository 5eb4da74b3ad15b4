"""Networks predicted together equal networks predicted one by one."""

from __future__ import annotations

import pytest

from perfmodel.devices.registry import ProfileFolder
from perfmodel.errors import PerfmodelError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.kernel_times import network_batch
from perfmodel.many_queries import predict_many
from perfmodel.prediction import predict, predict_batch, predict_workload
from perfmodel.workload import fusion_rules, load_at_batch, workload

MODELS = (
    *(("mobilenet_v2", 1), ("mobilenet_v1@width=0.5", 3), ("vgg16", 1), ("squeezenet_1_1", 1)),
    *(("vgg16", 4), ("alexnet", 3)),
)


@pytest.mark.parametrize(
    "target",
    [
        "snapdragon-855-plus/cpu",
        "snapdragon-888/gpu",
        "exynos-2200/gpu",  # slow storage: one network's weights slow its own kernels alone
        "jetson-agx-xavier/dla",  # what the unit cannot run falls back, network by network
        "nvidia-a100-pcie-40gb/gpu",  # trees
    ],
)
def test_a_batch_equals_single_predictions(target: str) -> None:
    resolved = ProfileFolder().resolve(target)
    works = [workload(load_at_batch(m, b), fusion_rules(resolved)) for m, b in MODELS]
    together = predict_batch(network_batch(works), resolved).predictions()
    for one, work in zip(together, works, strict=True):
        alone = predict_workload(work, resolved, per_layer=False)
        assert one.latency_ms == pytest.approx(alone.latency_ms, rel=1e-12)
        assert one.interval_ms == pytest.approx(alone.interval_ms, rel=1e-12)
        assert one.novel_kernels == alone.novel_kernels
        assert alone.latency_ms == pytest.approx(predict(work.graph, target).latency_ms, rel=1e-12)
        assert (one.target, one.macs, one.extrapolated) == (
            alone.target,
            alone.macs,
            alone.extrapolated,
        )


def test_many_queries_answer_in_order_and_errors_stand_in_place() -> None:
    target = "snapdragon-855-plus/cpu"
    asked = [
        ("mobilenet_v2", target, None),
        ("no-such-network", target, None),
        ("mobilenet_v2", "no-such-phone/cpu", None),
        ("mobilenet_v2", target, 4),
        ("mobilenet_v2", target, None),
    ]
    answers = list(predict_many(asked))
    assert [isinstance(a, PerfmodelError) for a in answers] == [False, True, True, False, False]
    assert answers[0] is answers[4]
    alone = predict("mobilenet_v2", target, batch_size=4)
    assert answers[3].latency_ms == pytest.approx(alone.latency_ms)  # type: ignore[union-attr]


def test_a_cost_model_is_asked_once_for_equal_kernels_of_a_network() -> None:
    """A network of ten thousand operators repeats itself; the time of each kernel stays its own."""
    builder = GraphBuilder("repeated")
    y = builder.input((1, 8, 8, 16))
    for _ in range(30):
        y = builder.conv(y, 16, 3)
    graph = builder.build(builder.conv(y, 4, 1))
    work = workload(graph, "ncnn")
    batch = network_batch([work])
    assert len(batch.table) == 2
    assert batch.row.tolist() == [0] * 30 + [1]
    prediction = predict(graph, "snapdragon-888/cpu/ncnn")
    assert len({kernel.latency_ms for kernel in prediction.kernels}) == 2
    assert len(prediction.kernels) == 31
