"""Logs as people have them: each is read right, or refused with what to do about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import BadRow, MeasurementTable

Write = Callable[[str, str], Path]

SUMMARY = "Inference timings in us: Init: 900, First inference: 31000, Warmup (avg): 24000, "


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return written


def steady(*paths: Path, **options: Any) -> list[dict[str, Any]]:
    """The rows of whole networks but those of the first run."""
    table = read(*paths, **options)[0].networks
    return table.where(kind="steady").frame.to_dict("records")  # type: ignore[return-value]


def read(*paths: Path, **options: Any) -> tuple[MeasurementTable, tuple[BadRow, ...]]:
    return read_measurements(paths, device="dev", **options)


def evidence(row: dict[str, Any]) -> dict[str, str]:
    return dict(row["origin_evidence"])


def tflite(model: str, settings: str = "Num threads: [4]\n", us: float = 23000) -> str:
    return f"{settings}Graph: [/data/local/tmp/{model}]\n{SUMMARY}Inference (avg): {us:g}\n"


@pytest.mark.parametrize(
    ("mark", "precision"),
    [
        ("", "fp32"),
        ("_quant", "int8"),
        ("_int8", "int8"),
        ("_uint8", "uint8"),
        ("_fp16", "fp16"),
        ("-int8", "int8"),
        ("_full_integer_quant", "int8"),
    ],
)
def test_a_mark_in_the_models_name_is_its_precision(
    write: Write, mark: str, precision: str
) -> None:
    (row,) = steady(write("a.log", tflite(f"mobilenet_v1_1.0_224{mark}.tflite")))
    assert (row["precision"], row["model"]) == (precision, "mobilenet_v1")
    assert evidence(row)["precision"].startswith("model name mobilenet_v1_1.0_224")


def test_a_mark_in_the_middle_of_a_name_counts(write: Write) -> None:
    (row,) = steady(write("a.log", tflite("mobilenet_v2_int8_1.0_224.tflite")))
    assert (row["precision"], row["model"]) == ("int8", "mobilenet_v2")


@pytest.mark.parametrize(
    "name", ["mobilenet_v2_int8_fp16", "mobilenet_v2_dynamic_range_quant", "my_own_net"]
)
def test_a_name_that_tells_no_precision_is_asked_about(write: Write, name: str) -> None:
    log = write("a.log", tflite(f"{name}.tflite"))
    with pytest.raises(MeasurementError, match="no word of the precision") as asked:
        read(log)
    assert "--precision (fp32" in asked.value.hint
    (row,) = steady(log, defaults={"precision": "int8"})
    assert (row["precision"], evidence(row)["precision"]) == ("int8", "option")


def test_two_precisions_are_two_targets(write: Write) -> None:
    one = write("one.log", tflite("mobilenet_v1_1.0_224.tflite", us=52000))
    two = write("two.log", tflite("mobilenet_v1_1.0_224_quant.tflite", us=27000))
    rows = {row["precision"]: row["latency_ms"] for row in steady(one, two)}
    assert rows == {"fp32": 52.0, "int8": 27.0}


def test_an_external_delegate_is_on_no_known_unit(write: Write) -> None:
    applied = "INFO: Explicitly applied EXTERNAL delegate, and the model graph will be completely"
    settings = f"INFO: External delegate path: [/vendor/lib/libnpu.so]\n{applied} executed.\n"
    log = write("a.log", tflite("mobilenet_v1_0.25_224_quant.tflite", settings))
    with pytest.raises(MeasurementError, match="a delegate called external") as asked:
        read(log)
    assert asked.value.hint.startswith("state it with --unit (cpu, gpu, npu")
    (row,) = steady(log, defaults={"unit": "npu"})
    assert (row["unit"], row["precision"]) == ("npu", "int8")
    assert evidence(row)["unit"] == "option"


@pytest.mark.parametrize(
    ("flags", "unit", "precision"),
    [
        ("--use_nnapi=true", "nnapi", "fp32"),
        ("--use_nnapi=true --nnapi_allow_fp16=true", "nnapi", "fp16"),
        ("--use_gpu=1", "gpu", "fp16"),
        ("--use_gpu=true --gpu_precision_loss_allowed=false", "gpu", "fp32"),
        ("--use_hexagon=true", "dsp", None),
        ("--use_xnnpack=true", "cpu", "fp32"),
        ("--use_gpu=false", "cpu", "fp32"),
        ("--xnnpack_force_fp16=true", "cpu", "fp16"),
    ],
)
def test_the_command_line_above_tells_unit_and_precision(
    write: Write, flags: str, unit: str, precision: str | None
) -> None:
    command = (
        f"adb shell /tmp/benchmark_model --graph=/d/mobilenet_v2.tflite --num_threads=2 {flags}"
    )
    log = write("run.log", f"{command}\n{SUMMARY}Inference (avg): 23000\n")
    if precision is None:
        with pytest.raises(MeasurementError, match="no word of the precision"):
            read(log)
        return
    (row,) = steady(log)
    assert (row["unit"], row["precision"], row["model"]) == (unit, precision, "mobilenet_v2")
    assert evidence(row)["unit"] == "command line"
    assert row["threads"] == 2 if unit == "cpu" else row["threads"] != row["threads"]


@pytest.mark.parametrize(
    ("settings", "unit", "precision"),
    [
        ("Use gpu: [1]\n", "gpu", "fp16"),
        ("Use gpu: [1]\nAllow lower precision in gpu: [0]\n", "gpu", "fp32"),
        ("Use gpu: [1]\nAllow lower precision in gpu: [1]\n", "gpu", "fp16"),
        ("Use nnapi : [1]\nAllow fp16 : [1]\n", "nnapi", "fp16"),
        ("Use nnapi : [1]\nAllow fp16 : [0]\n", "nnapi", "fp32"),
        ("Num threads: [2]\nUse gpu : [0]\nUse nnapi : [0]\n", "cpu", "fp32"),
    ],
)
def test_settings_tell_unit_and_precision(
    write: Write, settings: str, unit: str, precision: str
) -> None:
    (row,) = steady(write("a.log", tflite("mobilenet_v2_1.0_224.tflite", settings)))
    assert (row["unit"], row["precision"]) == (unit, precision)


def test_inputs_of_another_shape_are_the_batch(write: Write) -> None:
    settings = "Num threads: [4]\nInput shapes: [8,224,224,3]\n"
    assert steady(write("a.log", tflite("mobilenet_v2.tflite", settings)))[0]["batch"] == 8


def test_a_command_over_several_lines_is_one(write: Write) -> None:
    command = "./benchmark_model \\\n  --graph=/d/mobilenet_v2.tflite \\\n  --num_threads=3\n"
    (row,) = steady(write("run.log", f"{command}{SUMMARY}Inference (avg): 23000\n"))
    assert (row["model"], row["threads"], row["unit"]) == ("mobilenet_v2", 3, "cpu")


def test_without_settings_and_command_the_unit_is_asked_for(write: Write) -> None:
    log = write("mobilenet_v2.log", f"{SUMMARY}Inference (avg): 23000\n")
    with pytest.raises(MeasurementError, match="neither settings nor a command line") as asked:
        read(log)
    assert "--unit" in asked.value.hint


def test_settings_of_the_next_run_are_not_those_of_the_last(write: Write) -> None:
    first = tflite("mobilenet_v1_1.0_224.tflite", "Num threads: [1]\n", 50000)
    second = tflite("mobilenet_v2_1.0_224.tflite", "Num threads: [4]\n", 20000)
    rows = {row["model"]: row["threads"] for row in steady(write("a.log", first + second))}
    assert rows == {"mobilenet_v1": 1, "mobilenet_v2": 4}


def test_the_same_model_again_in_one_log_is_a_repetition(write: Write) -> None:
    text = "".join(tflite("mobilenet_v2_1.0_224.tflite", us=us) for us in (20000, 20500, 21000))
    assert [row["run"] for row in steady(write("a.log", text))] == [1, 2, 3]


def test_an_option_does_not_overrule_what_a_log_says(write: Write) -> None:
    log = write("a.log", tflite("mobilenet_v2_1.0_224.tflite"))
    with pytest.raises(MeasurementError, match=r"--threads 8: .*line 3 says 4 \(log, line 1\)"):
        read(log, defaults={"threads": 8.0})


def test_a_name_of_a_log_can_be_given_its_network(write: Write) -> None:
    log = write("a.log", tflite("own_int8.tflite"))
    (row,) = steady(log, models={"own_int8": "mobilenet_v2@width=0.5"})
    assert (row["model"], row["precision"]) == ("mobilenet_v2@width=0.5", "int8")
    with pytest.raises(MeasurementError, match="--model other: no row names it"):
        read(log, models={"other": "mobilenet_v2"})


def test_a_number_that_was_cut_off_contradicts_its_block(write: Write) -> None:
    block = "count=74 first=24850 curr=23315 min=23105 max=25765 avg=23000 std=470\n"
    text = tflite("mobilenet_v1_1.0_224.tflite").replace(SUMMARY, block + SUMMARY)
    assert steady(write("whole.log", text))[0]["latency_ms"] == 23.0
    with pytest.raises(MeasurementError, match=r"230 us on average, but the block .* says 23000"):
        read(write("cut.log", text.replace("(avg): 23000\n", "(avg): 230")))
    bare = tflite("mobilenet_v1_1.0_224.tflite").replace("(avg): 23000\n", "(avg): 23")
    with pytest.raises(MeasurementError, match="the file ends there"):
        read(write("bare.log", bare))


STAMPS = {
    "threadtime": "05-30 15:16:44.857  3380  3391 I tflite  : ",
    "with a year": "2021-05-30 15:16:44.857  3380  3391 I tflite  : ",
    "with a zone and a uid": "05-30 15:16:44.857 +0200 shell  3380  3391 I tflite  : ",
    "time": "05-30 15:16:44.857 I/tflite  ( 3380): ",
    "brief": "I/tflite  ( 3380): ",
    "tag": "I/tflite: ",
    "process": "I( 3380) ",
    "Android Studio": "2021-05-30 15:16:44.857 3380-3391/org.example.app I/tflite: ",
    "Android Studio since 2022": "2023-05-30 15:16:44.857  3380-3391  tflite   org.example  I  ",
    "syslog": "May 30 15:16:44 board benchmark[3380]: ",
    "journal": "2023-05-30T15:16:44+0200 board benchmark_model[3380]: ",
    "syslog without a host": "May 30 15:16:44 ",
    "CI": "2023-05-30T15:16:44.8571234Z ",
    "glog": "I0530 15:16:44.857123  3380 benchmark_model.cc:94] ",
    "quote": "> ",
    "quote of a quote": "> > ",
    "indentation": "\t    ",
    "colour": "\x1b[32m",
}


@pytest.mark.parametrize("stamp", STAMPS.values(), ids=STAMPS)
def test_what_stands_before_a_line_is_stripped(write: Write, stamp: str) -> None:
    block = "count=50 first=24850 curr=23315 min=22105 max=25765 avg=23000 std=470 median=22900\n"
    text = tflite("mobilenet_v2_1.0_224.tflite").replace(SUMMARY, block + SUMMARY)
    text = "".join(f"{stamp}{line}\n" for line in text.splitlines())
    (row,) = steady(write("a.log", text))
    assert (row["model"], row["threads"], row["unit"]) == ("mobilenet_v2", 4, "cpu")
    assert (row["latency_ms"], row["statistic"], row["min_ms"]) == (22.9, "median", 22.105)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_windows_writes_the_same_log(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(tflite("mobilenet_v2_1.0_224.tflite").replace("\n", end).encode(encoding))
    assert steady(path)[0]["latency_ms"] == 23.0


def test_decimal_commas_are_read(write: Write) -> None:
    text = tflite("mobilenet_v2_1.0_224.tflite").replace("24000, ", "24000,4, ")
    (row,) = steady(write("a.log", text.replace("(avg): 23000", "(avg): 23000,5")))
    assert row["latency_ms"] == pytest.approx(23.0005)


PROFILE = (
    "Operator-wise Profiling Info for Regular Benchmark Runs:\n"
    "============================== Run Order ==============================\n"
    "\t[node type]\t[start]\t[first]\t[avg ms]\t[%]\t[cdf%]\t[mem KB]\t[times called]\t[Name]\n"
    "\tCONV_2D\t0.0\t16.5\t16.4\t71%\t71%\t0.0\t1\t[a b]:0\n"
    "\tFULLY CONNECTED (NC, F32) GEMM\t16.4\t6.1\t6.1\t29%\t100%\t0.0\t1\t[c]:1\n"
)


@pytest.mark.parametrize("tab", ["\t", "    "])
def test_a_profile_with_tabs_or_blanks_gives_the_same(write: Write, tab: str) -> None:
    log = write("a.log", tflite("mobilenet_v2_1.0_224.tflite") + PROFILE.replace("\t", tab))
    kernels = read(log)[0].kernels
    assert list(kernels.column("latency_us")) == [16400.0, 6100.0]
    assert list(kernels.column("layer")) == ["[a b]:0", "[c]:1"]


MNN = "Forward type: {}\n--------> Benchmarking... loop = 10, warmup = 5\n{}\n"


@pytest.mark.parametrize(
    ("settings", "line", "ms"),
    [
        (
            "CPU thread=2 precision=2 sparsity=0 sparseBlockOC=1 testQuantizedModel=0",
            "[ - ] MobileNetV2_224.mnn    max =    9.011 ms  min =    7.420 ms  avg =    7.533 ms",
            7.533,
        ),
        (
            "**CPU** thread=2** precision=2",
            "[ - ] MobileNetV2_224.mnn    max =    9.011ms  min =    7.420ms  avg =    7.533ms",
            7.533,
        ),
        (
            "**CPU** thread=2** precision=2",
            "[ - ] MobileNetV2_224.mnn    max =    9,011ms  min =    7,420ms  avg =    7,533ms",
            7.533,
        ),
    ],
)
def test_every_generation_of_mnn_is_read(write: Write, settings: str, line: str, ms: float) -> None:
    (row,) = steady(write("mnn.log", MNN.format(settings, line)))
    assert (row["latency_ms"], row["threads"], row["precision"]) == (ms, 2, "float")
    assert evidence(row)["threads"] == "log, line 1"


def test_mnn_of_2019_had_four_threads_and_no_choice(write: Write) -> None:
    line = "[ - ] MobileNetV2_224.mnn   max =   26.139ms  min =   20.400ms  avg =   24.489ms"
    (row,) = steady(write("mnn.log", MNN.format("**CPU**", line)))
    assert (row["threads"], row["precision"]) == (4, "float")
    assert evidence(row)["threads"].startswith("default of the tool")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("resnet-v2-50.mnn", "resnet50_v2@resolution=224"),
        ("squeezenetv1.1.mnn", "squeezenet_1_1@resolution=227"),
        ("SqueezeNetV1.0.mnn", "squeezenet_1_0"),
    ],
)
def test_mnns_own_models_have_their_own_inputs(write: Write, name: str, model: str) -> None:
    line = f"[ - ] {name}    max =    73.1ms  min =    60.2ms  avg =    61.8ms"
    (row,) = steady(write("mnn.log", MNN.format("**CPU** thread=4** precision=2", line)))
    assert row["model"] == model


def test_a_quantised_model_of_mnn_is_no_float(write: Write) -> None:
    line = "[ - ] quant-MobileNetV2_224.mnn    max =    9.0ms  min =    7.4ms  avg =    7.5ms"
    (row,) = steady(write("mnn.log", MNN.format("CPU thread=4 precision=2", line)))
    assert (row["model"], row["precision"]) == ("mobilenet_v2", "int8")


NCNN = "loop_count = 10\nnum_threads = 4\npowersave = 2\n"
NCNN_ROW = "       mobilenet  min =   69.38  max =   86.74  avg =   74.53\n"


def test_a_root_shells_prompt_is_no_heading(write: Write) -> None:
    prompt = '# adb shell "cd /data/local/tmp && ./benchncnn 10 4 2"\n'
    (row,) = steady(write("a.log", prompt + NCNN + NCNN_ROW))
    assert (row["device"], row["unit"], row["threads"]) == ("dev", "cpu", 4)


@pytest.mark.parametrize(
    "command", ["ls -l", "./benchncnn 4 2 0 -1 1", "cd /data && ls", "A=1 ./x"]
)
def test_commands_at_a_root_prompt_are_no_devices(write: Write, command: str) -> None:
    text = f"# {command}\n{NCNN}{NCNN_ROW}"
    assert steady(write("a.log", text))[0]["device"] == "dev"


def test_benchncnns_arguments_are_evidence_where_it_prints_no_settings(write: Write) -> None:
    (row,) = steady(write("a.log", "$ ./benchncnn 8 2 1 0\n" + NCNN_ROW))
    assert (row["unit"], row["runs"]) == ("gpu", 8)
    assert evidence(row)["unit"] == "command line"
    with pytest.raises(MeasurementError, match="no word of the unit"):
        read(write("bare.log", NCNN_ROW))


@pytest.mark.parametrize("cut", ["max =   86.74  avg =   7\n", "max =   86.7"])
def test_a_cut_line_of_benchncnn_is_refused(write: Write, cut: str) -> None:
    text = NCNN + NCNN_ROW.replace("mobilenet", "resnet18") + NCNN_ROW[: NCNN_ROW.index("max")]
    text += cut
    with pytest.raises(MeasurementError, match=r"line 5: column (min_ms|min):"):
        read(write("a.log", text))


COMPUTE = "min = 2.5 ms, max = 2.9 ms, mean = 2.6 ms, median = 2.55 ms, percentile(99%) = 2.8 ms"
STAMP = "[01/01/2024-00:00:01] [I] "


def trtexec(flags: str, *lines: str) -> str:
    head = f"&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec {flags}"
    return "\n".join([head, *(f"{STAMP}{line}" for line in lines), ""])


def test_the_total_of_trtexec_is_no_latency(write: Write) -> None:
    lines = (f"GPU Compute Time: {COMPUTE}", "Total GPU Compute Time: 2.99 s")
    (row,) = steady(write("a.log", trtexec("--onnx=resnet50.onnx --fp16", *lines)))
    assert (row["latency_ms"], row["precision"], row["unit"]) == (2.55, "fp16", "gpu")


def test_a_total_that_contradicts_its_queries_is_refused(write: Write) -> None:
    lines = ["Timing trace has 1000 queries over 3 s", f"GPU Compute Time: {COMPUTE}"]
    whole = trtexec("--onnx=resnet50.onnx", *lines, "Total GPU Compute Time: 2.6 s")
    assert len(steady(write("a.log", whole))) == 1
    wrong = whole.replace("2.6 s", "26 s")
    with pytest.raises(MeasurementError, match=r"26 s, but 1000 queries of 2\.6 ms are 2\.6 s"):
        read(write("b.log", wrong))


@pytest.mark.parametrize(
    ("flags", "lines", "batch"),
    [
        ("--shapes=x:16x3x224x224", (), 16),
        ("--optShapes='input':8x3x224x224,other:1x8", (), 8),
        ("--batch=4", (), 4),
        ("", ("Input inference shape: x=32x3x224x224",), 32),
        ("", ("Input inference shape : x=32x3x224x224",), 32),
        ("", ("Input binding for x with dimensions 2x3x224x224 is created.",), 2),
        ("", (), 1),
    ],
)
def test_the_batch_of_trtexec_is_that_of_its_shapes(
    write: Write, flags: str, lines: tuple[str, ...], batch: int
) -> None:
    text = trtexec(f"--onnx=resnet50.onnx --fp16 {flags}", *lines, f"GPU Compute Time: {COMPUTE}")
    assert steady(write("a.log", text))[0]["batch"] == batch


@pytest.mark.parametrize("name", ["resnet50_fp16.engine", "resnet50.plan"])
def test_a_loaded_engine_has_a_precision_of_its_own(write: Write, name: str) -> None:
    text = trtexec(f"--loadEngine={name}", "Precision: FP32", f"GPU Compute Time: {COMPUTE}")
    log = write("a.log", text)
    with pytest.raises(MeasurementError, match="an engine was loaded") as asked:
        read(log)
    assert "--precision" in asked.value.hint
    (row,) = steady(log, defaults={"precision": "fp16", "batch": 1.0})
    assert (row["precision"], row["model"]) == ("fp16", "resnet50")


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("", "fp32"), ("--fp16 --int8", "int8"), ("--best", "int8"), ("--bf16", "bf16")],
)
def test_the_lowest_precision_that_trtexec_may_choose(
    write: Write, flags: str, precision: str
) -> None:
    text = trtexec(f"--onnx=resnet50.onnx {flags}", f"GPU Compute Time: {COMPUTE}")
    assert steady(write("a.log", text))[0]["precision"] == precision


@pytest.mark.parametrize("flags", ["--fp8", "--stronglyTyped", "--fp16 --fp8"])
def test_a_precision_that_flags_do_not_tell_is_asked_for(write: Write, flags: str) -> None:
    text = trtexec(f"--onnx=resnet50.onnx {flags}", f"GPU Compute Time: {COMPUTE}")
    with pytest.raises(MeasurementError, match="no word of the precision"):
        read(write("a.log", text))


def test_trtexec_before_7_2_prints_a_line_a_figure(write: Write) -> None:
    figures = ("min: 561.4 ms", "max: 571.2 ms", "mean: 567.1 ms", "median: 567.0 ms")
    lines = ("Host Latency", "min: 1 ms", "median: 2 ms", "GPU Compute", *figures)
    (row,) = steady(write("a.log", trtexec("--onnx=resnet50.onnx --fp16", *lines)))
    assert (row["latency_ms"], row["mean_ms"], row["min_ms"]) == (567.0, 567.1, 561.4)


def test_a_failed_run_of_trtexec_is_refused(write: Write) -> None:
    text = trtexec("--onnx=resnet50.onnx", f"GPU Compute Time: {COMPUTE}")
    with pytest.raises(MeasurementError, match="trtexec failed"):
        read(write("a.log", f"{text}&&&& FAILED TensorRT.trtexec [TensorRT v8601]\n"))


def node(name: str, dur: int, **args: Any) -> dict[str, Any]:
    return {
        "cat": "Node",
        "dur": dur,
        "ts": 1,
        "ph": "X",
        "name": f"{name}_kernel_time",
        "args": args,
    }


def profile(write: Write, *nodes: dict[str, Any], name: str = "squeezenet1_1.json") -> Path:
    total = sum(n["dur"] for n in nodes) + 100
    run = {"cat": "Session", "dur": total, "ts": 0, "ph": "X", "name": "model_run"}
    return write(name, json.dumps([*nodes, run]))


def conv(batch: int = 8, kind: str = "float") -> dict[str, Any]:
    return {
        "op_name": "Conv",
        "provider": "CPUExecutionProvider",
        "input_type_shape": [{kind: [batch, 3, 224, 224]}, {kind: [64, 3, 3, 3]}],
        "output_type_shape": [{kind: [batch, 64, 111, 111]}],
    }


def test_the_batch_of_onnxruntime_is_that_of_its_images(write: Write) -> None:
    (row,) = steady(profile(write, node("conv1", 12000, **conv())), defaults={"threads": 4.0})
    assert (row["batch"], row["precision"], row["unit"]) == (8, "fp32", "cpu")
    assert evidence(row)["batch"] == "log, the input shapes"


def test_threads_of_onnxruntimes_pool_are_counted(write: Write) -> None:
    stats = {"main_thread": {"core": 0}, "sub_threads": {"1": {"num_run": 3}, "2": {}, "3": {}}}
    path = profile(write, node("conv1", 12000, **conv(), thread_scheduling_stats=stats))
    assert steady(path)[0]["threads"] == 4


def test_a_node_without_provider_is_known_by_its_name_or_not_at_all(write: Write) -> None:
    stated = {"precision": "fp16", "batch": 1.0}
    (row,) = steady(profile(write, node("DmlFusedNode_0", 30000)), defaults=stated)
    assert (row["unit"], row["build"]) == ("gpu", "DmlExecutionProvider")
    with pytest.raises(MeasurementError, match="no word of the unit"):
        read(profile(write, node("some_0", 30000)), defaults=stated)


def test_mixed_providers_are_named_and_the_slowest_is_the_unit(write: Write) -> None:
    small = node("gather", 15, op_name="Gather", provider="CPUExecutionProvider")
    large = node("conv", 30000, **{**conv(), "provider": "DmlExecutionProvider"})
    (row,) = steady(profile(write, small, large))
    assert (row["unit"], row["variant"]) == ("gpu", "mixed_units")
    assert row["build"] == "CPUExecutionProvider, DmlExecutionProvider"


def test_a_provider_of_several_units_is_asked_about(write: Write) -> None:
    small = node("gather", 15, op_name="Gather", provider="CPUExecutionProvider")
    large = node("fused", 30000, op_name="Fused", provider="OpenVINOExecutionProvider")
    path = profile(write, small, large)
    with pytest.raises(
        MeasurementError, match=r"nodes of .*OpenVINO.* do not tell on what they run"
    ):
        read(path)
    stated = {"unit": "npu", "precision": "int8", "batch": 1.0}
    assert steady(path, defaults=stated)[0]["unit"] == "npu"


def test_nodes_without_names_stay_apart(write: Write) -> None:
    ops = ("Conv", "BatchNormalization", "Relu", "Conv")
    nodes = [node("", 1000 * i, op_name=op) for i, op in enumerate(ops, 1)]
    stated = {"unit": "cpu", "threads": 4.0, "precision": "fp32", "batch": 1.0}
    kernels = read(profile(write, *nodes), defaults=stated)[0].kernels
    assert list(kernels.column("layer")) == ["Conv", "BatchNormalization", "Relu", "Conv (2)"]
    assert list(kernels.column("latency_us")) == [1000, 2000, 3000, 4000]


def test_ai_hub_without_detail_asks_for_the_unit(write: Write) -> None:
    summary = {"all_inference_times": [350, 321, 310], "estimated_inference_time": 281}
    log = write("mobilenet_v2.json", json.dumps({"execution_summary": summary}))
    with pytest.raises(MeasurementError, match="no word of the unit, framework and precision"):
        read(log)
    stated = {"unit": "npu", "framework": "qnn", "precision": "int8"}
    (row,) = steady(log, defaults=stated)
    assert (row["latency_ms"], row["model"], row["unit"]) == (0.321, "mobilenet_v2", "npu")
