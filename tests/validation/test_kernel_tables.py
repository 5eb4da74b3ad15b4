"""Published kernel tables: their corrections by hand, and as measurement tables of a user."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from perfmodel.calibration.learn_kernels import kernel_columns, kernel_target
from validation.data.kernel_tables import deepbench_set, neusight_set, phone_set, shape_labels


def phone_rows() -> pd.DataFrame:
    """Two kernels of two networks on two phones."""
    shape = {"op": "conv2d", "batch": 1, "cin": 16, "cout": 32, "groups": 1}
    shape |= dict.fromkeys(("hin", "win", "hout", "wout"), 14)
    shape |= dict.fromkeys(("kh", "kw", "sh", "sw"), 1)
    rows = [
        {
            **shape,
            "device": device,
            "core_cluster": cluster,
            "threads": threads,
            "model": model,
            "framework": "mnn",
            "unit": "cpu",
            "layer": "l1",
            "latency_us": us,
        }
        for device, cluster, threads, model, us in (
            ("mi9", "big", 1, "nasnet-large", 10.0),
            ("mi9", "big", 1, "mobilenet-v1", 20.0),
            ("huawei_p40", "little", 4, "nasnet-mobile", 40.0),
        )
    ]
    return pd.DataFrame(rows)


def gpu_rows(us: list[float]) -> pd.DataFrame:
    """Batched products of one shape on one card."""
    return pd.DataFrame(
        {
            "source": "neusight",
            "device": "Tesla T4",
            "precision": "fp32",
            "op": "bmm",
            "batch": 4.0,
            **dict.fromkeys(("m", "n", "k"), 64.0),
            "latency_us": us,
        }
    )


def test_variants_of_a_network_are_left_out_together() -> None:
    kernels = phone_set(phone_rows(), "mnn", "cpu")
    assert kernels.family.tolist() == ["nasnet", "mobilenet-v1", "nasnet"]


def test_a_phones_rows_name_their_target() -> None:
    kernels = phone_set(phone_rows(), "mnn", "cpu")
    table = kernels.measurements()
    targets = [str(kernel_target(row)) for row in table.frame.to_dict("records")]
    assert targets == [
        *["mi9/cpu/mnn/fp32/t1@big"] * 2,
        "huawei-p40/cpu/mnn/fp32/t4@little",
    ]
    assert table.column("latency_us").tolist() == [10.0, 20.0, 40.0]
    assert table.column("model")[1] == "mobilenet-v1"


def test_a_measurement_table_holds_the_same_kernels() -> None:
    kernels = phone_set(phone_rows(), "mnn", "cpu")
    again = kernel_columns(kernels.measurements())
    for name, values in kernels.rows.table.number.items():
        assert np.array_equal(again[name], values), name
    few = kernels.take(np.array([2]))
    assert few.measurements().column("latency_us").tolist() == [40.0]
    masked = kernels.take(np.array([False, True, False]))
    assert masked.measurements().column("latency_us").tolist() == [20.0]


def test_host_time_is_taken_off_but_a_quarter_of_the_time_stays() -> None:
    kernels = neusight_set(gpu_rows([100.0, 200.0]))
    assert kernels.kernel_us.tolist() == [100.0, 200.0]
    late = pd.concat([gpu_rows([100.0])] * 2, ignore_index=True)
    made = neusight_set(late)
    corrected = made.take(np.array([0, 1]))
    object.__setattr__(corrected, "extra_us", np.array([60.0, 90.0]))
    # 100 - 60, and not 100 - 90 but a quarter of 100
    assert corrected.kernel_us.tolist() == [40.0, 25.0]


def test_a_batched_product_counts_its_batch() -> None:
    table = kernel_columns(neusight_set(gpu_rows([1.0])).measurements())
    assert table["macs"].tolist() == [4 * 64**3]
    # two inputs of 4 x 64 x 64, one output
    assert table["input_elements"].tolist() == [2 * 4 * 64 * 64]
    assert table["output_elements"].tolist() == [4 * 64 * 64]


@pytest.mark.parametrize(
    ("device", "precision", "target"),
    [
        ("Tesla V100", "fp16_tc", "tesla-v100/gpu/cudnn/fp16"),
        ("AMD Radeon Instinct MI25", "fp32", "amd-radeon-instinct-mi25/gpu/miopen/fp32"),
    ],
)
def test_library_calls_name_their_library(device: str, precision: str, target: str) -> None:
    frame = gpu_rows([1.0])
    frame["source"], frame["device"] = "deepbench_inference", device
    frame["precision"] = precision
    kernels = deepbench_set(frame)
    assert [str(t) for t in kernels.targets] == [target]
    assert kernels.rows.targets[0].traits[-1] == float(precision == "fp16_tc")


def test_one_shape_is_in_one_fold_on_every_card() -> None:
    frame = pd.concat([gpu_rows([1.0, 1.0]), gpu_rows([2.0])], ignore_index=True)
    frame.loc[1, "m"] = 128.0
    label = shape_labels(neusight_set(frame), 2, 0)
    assert label[0] == label[2]
    assert sorted(set(label.tolist())) == [0, 1]
