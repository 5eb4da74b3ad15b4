"""What a calibration uses of logs and tables: rows that agree, that are known, that can be."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perfmodel.calibration.agreement import one_time
from perfmodel.calibration.device_kinds import of_class, same_class
from perfmodel.calibration.from_table import calibrate_device, used_rows
from perfmodel.calibration.measured import TargetRows, rows_by_target
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.plausible_rows import implausible
from perfmodel.calibration.population import Population, shipped_population
from perfmodel.calibration.prior import kin, known_population, shipped_targets
from perfmodel.errors import MeasurementError
from perfmodel.kernels import KernelTable
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import BadRow
from perfmodel.target import Target
from perfmodel.workload import load_at_batch, workload

Write = Callable[[str, str], Path]
SETTINGS = "loop_count = 8\nnum_threads = 4\npowersave = 0\ngpu_device = -1\n"
NAN = math.nan


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def benchncnn(**ms: float) -> str:
    """A log with networks and their fastest run in ms; the slowest takes 2 % more."""
    lines = (f"{n}  min = {t}  max = {1.02 * t:.6g}  avg = {1.01 * t:.6g}\n" for n, t in ms.items())
    return SETTINGS + "".join(lines)


def rows(*paths: Path, pick: str = "", **options: str) -> tuple[list[TargetRows], list[BadRow]]:
    table, _ = read_measurements(paths, device="dev", defaults=options)
    return rows_by_target(table, device="dev", pick=pick)


def row(ms: float, line: int = 1, **spread: float) -> dict[str, object]:
    columns = dict.fromkeys(("min_ms", "mean_ms", "p90_ms", "max_ms"), NAN)
    return {"latency_ms": ms, "origin_file": "a.log", "origin_line": line, **columns, **spread}


@pytest.mark.parametrize(("pick", "time"), [("min", 10.0), ("median", 20.0), ("newest", 30.0)])
def test_a_pick_decides_between_measurements(pick: str, time: float) -> None:
    assert one_time([row(20.0), row(10.0), row(30.0)], pick, "net", "dev/cpu") == time


@pytest.mark.parametrize("high", [12.9, 13.0])
def test_measurements_within_thirty_percent_agree(high: float) -> None:
    assert one_time([row(10.0), row(high)], "", "net", "dev/cpu") == (10.0 + high) / 2


def test_measurements_further_apart_are_refused_with_both_places() -> None:
    with pytest.raises(MeasurementError, match=r"10 ms in a.log: line 1 and 13\.2 ms in .* line 7"):
        one_time([row(10.0), row(13.2, line=7)], "", "net", "dev/cpu")


def test_a_spread_that_covers_both_explains_them() -> None:
    spread = row(10.0, min_ms=9.0, max_ms=14.5)
    assert one_time([spread, row(14.0)], "", "net", "dev/cpu") == 12.0
    narrow = row(10.0, min_ms=9.0, max_ms=14.4)
    with pytest.raises(MeasurementError, match=r"1\.45 times as much"):
        one_time([narrow, row(14.5)], "", "net", "dev/cpu")


def test_two_logs_that_contradict_each_other_need_a_pick(write: Write) -> None:
    one = write("one.log", benchncnn(resnet18=69.2))
    two = write("two.log", benchncnn(resnet18=969.2))
    with pytest.raises(MeasurementError, match=r"one\.log: line 5 and .*two\.log: line 5") as told:
        rows(one, two)
    assert "--pick min, median or newest" in told.value.hint
    groups, _ = rows(one, two, pick="min")
    assert [m.latency_ms for m in groups[0].measured] == [69.2]


def test_unknown_networks_of_a_log_are_listed_with_the_nearest(write: Write) -> None:
    log = write("a.log", benchncnn(mobilenet_v2=33.0, efficientnetv2_b0=73.0, blazeface=6.5))
    groups, unused = rows(log)
    assert [m.name for m in groups[0].measured] == ["mobilenet_v2"]
    assert [(r.line, r.reason.startswith("left out: no network named")) for r in unused] == [
        (6, True),
        (7, True),
    ]
    assert "efficientnet_b0" in unused[0].reason


def test_a_log_of_unknown_networks_alone_asks_what_they_are(write: Write) -> None:
    with pytest.raises(MeasurementError, match="no network named 'blazeface'") as asked:
        rows(write("a.log", benchncnn(blazeface=6.5)))
    assert "--model blazeface=ZOO_OR_FILE" in asked.value.hint


HEADER = "unit,framework,precision,threads,model,latency_ms\n"
KNOWN = "cpu,ncnn,float,4,mobilenet_v2,33\n"
UNKNOWN = "cpu,ncnn,float,4,efficientnetv2_b0,73\ncpu,ncnn,float,4,absent.onnx,6.5\n"


def test_unknown_networks_of_a_table_are_listed_with_the_nearest(write: Write) -> None:
    groups, unused = rows(write("a.csv", HEADER + UNKNOWN + KNOWN))
    assert [m.name for m in groups[0].measured] == ["mobilenet_v2"]
    assert [r.line for r in unused] == [2, 3]
    assert unused[0].reason.startswith("left out: no network named 'efficientnetv2_b0' (")
    assert "efficientnet_b0" in unused[0].reason
    assert unused[1].reason.startswith("left out: absent.onnx: file: no such file (")


def test_a_table_of_unknown_networks_alone_is_an_error(write: Write) -> None:
    path = write("a.csv", HEADER + UNKNOWN)
    with pytest.raises(MeasurementError, match="line 2: no network named 'efficient") as told:
        rows(path)
    assert "efficientnet_b0" in told.value.hint
    table, _ = read_measurements(path, device="dev")
    groups, unused = rows_by_target(table, device="dev", skip_bad=True)
    assert (groups, [r.line for r in unused]) == ([], [2, 3])


def test_an_unknown_network_without_a_hint_has_no_empty_brackets(write: Write) -> None:
    write("damaged.onnx", "")
    groups, unused = rows(write("a.csv", f"{HEADER}{KNOWN}cpu,ncnn,float,4,damaged.onnx,6.5\n"))
    assert len(groups) == 1
    assert unused[0].reason.endswith("the file is empty")


def test_a_log_that_is_called_by_its_network_is_not_its_file(write: Write) -> None:
    groups, _ = rows(write("resnet18", benchncnn(resnet18=69.2)))
    assert [m.name for m in groups[0].measured] == ["resnet18"]


def test_files_beside_a_table_are_found_with_their_sizes(write: Write) -> None:
    net = "7767517\n2 2\nInput data 0 1 data\nConvolution c 1 1 data out 0=16 1=3 6=432\n"
    path = write("net.param", net)
    header = "unit,framework,precision,threads,model,latency_ms\n"
    text = f'{header}cpu,ncnn,float,4,"net.param@1x18x18x3",3\n'
    groups, _ = rows(write("a.csv", text))
    (network,) = groups[0].measured
    assert network.name == f"{path}@1x18x18x3"
    assert network.kernels["macs"].sum() == 16 * 16 * 16 * 27


PROFILE = """Num threads: [1]
Graph: [mobilenet_v2_1.0_224.tflite]
Inference timings in us: Init: 9, First inference: 9000, Warmup (avg): 9000, Inference (avg): 165000
============================== Run Order ==============================
\t[node type]\t[first]\t[avg ms]\t[%]\t[cdf%]\t[mem KB]\t[times called]\t[Name]
\tCONV_2D\t16.5\t16.4\t99%\t99%\t0.0\t1\t[a]:0
\tSQUEEZE\t0.1\t0.1\t1%\t100%\t0.0\t1\t[b]:1
"""


def test_kernels_that_cannot_be_used_are_listed_and_the_network_stays(write: Write) -> None:
    groups, unused = rows(write("a.log", PROFILE))
    assert [m.latency_ms for m in groups[0].measured] == [165.0]
    assert groups[0].kernels is None
    reasons = {r.line: r.reason for r in unused}
    assert "lacks the sizes" in reasons[6]
    assert "operator 'squeeze' is not a kernel" in reasons[7]


def test_what_a_target_rests_on_is_named(write: Write) -> None:
    groups, _ = rows(write("a.log", PROFILE))
    assert groups[0].evidence["threads"] == ("log",)
    assert groups[0].evidence["framework"] == ("tool",)
    assert groups[0].evidence["precision"][0].startswith("model name mobilenet_v2")


def test_rates_are_left_out_and_listed(write: Write) -> None:
    header = "device,unit,framework,precision,model,kind,tokens_per_s,latency_ms\n"
    text = f"{header}dev,cpu,x,fp16,llama,decode,7.5,\ndev,cpu,ncnn,float,resnet18,steady,,69\n"
    groups, unused = rows(write("a.csv", text))
    assert [m.name for g in groups for m in g.measured] == ["resnet18"]
    assert [r.line for r in unused] == [2]
    assert "tokens per second" in unused[0].reason


# Fastest runs of a Snapdragon 8 Gen 2 with four threads, as examples/ten_rows.csv has them.
PHONE = {
    "squeezenet": 2.6,
    "mobilenet": 4.17,
    "mobilenet_v2": 3.13,
    "resnet18": 7.49,
    "vgg16": 39.8,
}


def phone(**changed: float) -> str:
    return benchncnn(**{**PHONE, **changed})


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_a_table_in_another_unit_is_refused(write: Write, factor: float) -> None:
    log = write("a.log", phone(**{name: ms * factor for name, ms in PHONE.items()}))
    table, _ = read_measurements(log, device="dev", network_macs=lambda _: None)
    with pytest.raises(MeasurementError, match=r"times (slower|faster) than any known phone"):
        calibrate_device(table, device="dev")


@pytest.mark.parametrize("factor", [10.0, 0.1, 1000.0])
def test_one_row_off_by_a_digit_is_refused(write: Write, factor: float) -> None:
    log = write("a.log", phone(mobilenet_v2=3.13 * factor))
    table, _ = read_measurements(log, device="dev", network_macs=lambda _: None)
    with pytest.raises(MeasurementError, match=r"line 7: .* than the other rows imply"):
        used_rows(table, device="dev")
    groups, unused = used_rows(table, device="dev", skip_bad=True)
    assert len(groups[0].measured) == 4
    assert {r["source_model"] for r in groups[0].rows} == set(PHONE) - {"mobilenet_v2"}
    assert [r.line for r in unused] == [7]


def test_honest_rows_pass(write: Write) -> None:
    table, _ = read_measurements(write("a.log", phone()), device="dev")
    groups, unused = used_rows(table, device="dev")
    assert (len(groups[0].measured), unused) == (5, [])


def test_the_kind_says_whom_a_device_is_compared_with(write: Write) -> None:
    slow = write("a.log", phone(**{name: ms * 150 for name, ms in PHONE.items()}))
    table, _ = read_measurements(slow, device="dev")
    with pytest.raises(MeasurementError, match="than any known phone"):
        used_rows(table, device="dev", kind="phone")
    assert used_rows(table, device="dev", kind="board")[0]


def network(name: str, ms: float) -> MeasuredNetwork:
    table: KernelTable = workload(load_at_batch(name, 1), "ncnn").table
    return MeasuredNetwork(name, table, ms)


@pytest.mark.parametrize(("second_ms", "found"), [(7.49, set()), (74.9, {0, 1}), (0.749, {0, 1})])
def test_of_two_rows_that_no_device_explains_both_are_named(
    second_ms: float, found: set[int]
) -> None:
    known = shipped_population(Target("x", "cpu", "ncnn", "float", 4))
    assert known is not None
    pair = [network("mobilenet_v2", 3.13), network("resnet18", second_ms)]
    assert set(implausible(pair, known, kind="phone", threads=4)) == found


def test_one_row_is_compared_with_whole_devices_only() -> None:
    known = shipped_population(Target("x", "cpu", "ncnn", "float", 4))
    assert known is not None
    for ms, wrong in ((3.13, False), (3130.0, True), (0.00313, True)):
        assert (
            bool(implausible([network("mobilenet_v2", ms)], known, kind="phone", threads=4))
            is wrong
        )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("phone", "board", True),
        ("phone", "jetson", True),
        ("phone", "desktop", False),
        ("server", "laptop", True),
        ("", "desktop", True),
    ],
)
def test_a_phones_gpu_is_of_another_class_than_a_desktops(one: str, other: str, same: bool) -> None:
    assert same_class(one, other) is same


def kinds_of(names: tuple[str, ...]) -> set[str]:
    from perfmodel.calibration.device_kinds import shipped_kinds

    return {shipped_kinds().get(name.split("/")[0], "") for name in names}


def test_a_phones_gpu_borrows_from_no_desktop() -> None:
    target = Target("new", "gpu", "some-runtime", "fp16")
    assert "desktop" in kinds_of(known_population(target, "").names)
    borrowed = kinds_of(known_population(target, "phone").names)
    assert not borrowed & {"desktop", "server", "laptop", "host"}
    chosen, _ = kin(shipped_targets(), target, "server")
    assert kinds_of(tuple(str(k.target) for k in chosen)) <= {
        "desktop",
        "server",
        "laptop",
        "host",
        "",
    }


def test_of_a_class_with_too_few_targets_all_are_kept() -> None:
    known = shipped_population(Target("x", "gpu", "ncnn", "float"))
    assert isinstance(known, Population)
    assert of_class(known, "phone", least=10_000) is known
    fewer = of_class(known, "phone", least=5)
    assert 5 <= len(fewer.names) <= len(known.names)
    assert np.isfinite(fewer.log_cost).all()


@pytest.mark.parametrize(("factor", "wrong"), [(1.0, False), (4.0, False), (100.0, True)])
def test_of_few_known_devices_a_row_may_depart_further(factor: float, wrong: bool) -> None:
    """Times by one known device's own costs; one of them made longer."""
    known = known_population(Target("x", "cpu", "tflite", "fp32", 4), "phone")
    assert known.networks == ()
    names = ("mobilenet_v1", "mobilenet_v2", "resnet18", "squeezenet_1_1", "vgg16")
    made = []
    for name in names:
        plain = network(name, 1.0)
        ms = float(plain.work("fp32", known.features) @ np.exp(known.log_cost[0]))
        made.append(network(name, ms * (factor if name == "resnet18" else 1.0)))
    assert set(implausible(made, known, kind="phone", threads=4)) == ({2} if wrong else set())


def test_a_kernel_that_ran_elsewhere_than_its_network_is_left_out(write: Write) -> None:
    shapes = [{"float": [1, 3, 224, 224]}, {"float": [64, 3, 3, 3]}]
    output = [{"float": [1, 64, 112, 112]}]
    conv = {"op_name": "Conv", "input_type_shape": shapes, "output_type_shape": output}
    events = [
        {"cat": "Node", "dur": dur, "name": f"{name}_kernel_time", "args": {**conv, "provider": at}}
        for name, dur, at in (
            ("small", 900, "CPUExecutionProvider"),
            ("large", 9000, "CUDAExecutionProvider"),
        )
    ]
    events.append({"cat": "Session", "dur": 10000, "name": "model_run"})
    log = write("squeezenet1_1.json", json.dumps(events))
    table, _ = read_measurements(log, device="dev", defaults={"threads": 4.0})
    groups, unused = rows_by_target(table, device="dev")
    (group,) = groups
    assert str(group.target) == "dev/gpu/onnxruntime/fp32"
    assert group.kernels is not None
    assert list(group.kernels.latency_us) == [9000.0]
    reasons = [r.reason for r in unused]
    assert reasons == ["left out: a kernel on dev/cpu/onnxruntime/fp32/t4, the network is on "
                       "dev/gpu/onnxruntime/fp32"]  # fmt: skip


def test_rows_that_name_no_processor_are_of_the_only_one_that_is_named(write: Write) -> None:
    head = "unit,framework,precision,model,latency_ms,processor\n"
    known = ("resnet18,9.0,Orin", "googlenet,11.0,NVIDIA Orin", "alexnet,6.0,", "vgg16,40.0,")
    text = head + "".join(f"gpu,tensorrt,fp16,{r}\n" for r in known)
    ((one,), unused) = rows(write("a.csv", text))
    assert (one.processor, len(one.measured), unused) == ("Orin", 4, [])
    # of two, nobody says which
    groups, _ = rows(write("b.csv", text.replace("11.0,NVIDIA Orin", "11.0,Other")))
    assert sorted((g.processor, len(g.measured)) for g in groups) == [
        ("", 2),
        ("Orin", 1),
        ("Other", 1),
    ]
