"""The CUDA validation: hand-worked roofline, comparison with measured tables, published boards."""

from __future__ import annotations

import json
import math
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

import pytest

from perfmodel import zoo
from perfmodel.devices.gpu_specs import GPU_SPECS, GpuSpec
from perfmodel.errors import MeasurementError, PerfmodelError, RunnerError, TargetError
from perfmodel.experiments import cuda as validate_module
from perfmodel.experiments.cuda import (
    profile_predictions,
    read_prediction,
    validate_cuda,
    validate_on_gpu,
)
from perfmodel.runners.cuda import campaign, tables
from perfmodel.runners.cuda.backends import MODES, Mode
from perfmodel.runners.cuda.campaign_state import CampaignResult, Settings, State
from perfmodel.runners.cuda.device import CudaDevice
from perfmodel.runners.cuda.eager import run_products
from perfmodel.runners.cuda.plan import plan_graph
from perfmodel.runners.cuda.steps import GpuPlan, GpuStep, Window
from perfmodel.runners.cuda.sweep import conv_step, draw_sweep
from perfmodel.runners.cuda.timing import Timing
from tests.cuda.cuda_on_cpu import needs_compiler
from validation.cuda import __main__ as cuda
from validation.cuda import data_sheet as gpu_roofline
from validation.cuda import tables as cuda_study
from validation.cuda.data_sheet import Assumptions, gpu_spec, step_seconds

IDEAL = Assumptions(
    fp32_share=1.0,
    tensor_share=1.0,
    memory_share=1.0,
    winograd=1.0,
    vanilla_share=0.1,
    kernel_s=0.0,
    most_split=1,
)
TEN_SM = GpuSpec(
    name="paper",
    vendor="paper",
    multiprocessors=10,
    l2_mb=1.0,
    fp32_gflops=1000.0,
    fp16_gflops=8000.0,
    tensor_cores=True,
    bandwidth_gb_per_s=100.0,
    source="made up for hand arithmetic",
)


def test_memory_bound_kernel_by_hand() -> None:
    # add: 3 tensors of 1e6 floats = 12e6 bytes at 1e11 bytes/s = 120 us
    shape = (1, 100, 100, 100)
    step = GpuStep("add", "add", ("a", "b"), "y", (shape, shape), shape)
    assert step_seconds(step, TEN_SM, MODES["vanilla/fp32"], IDEAL) == pytest.approx(120e-6)
    # half precision moves half the bytes
    assert step_seconds(step, TEN_SM, MODES["cudnn/fp16"], IDEAL) == pytest.approx(60e-6)


def test_wave_quantisation_by_hand() -> None:
    # 1x1 conv, 64 filters: tiles of 128 pixels. 1280 pixels = 10 tiles = 1 wave on 10 SMs;
    # one pixel more is 2 waves. A tile is 2 * 128 * 64 * 512 = 8388608 FLOP at 1e11 FLOP/s an SM
    one = conv_step(1, 512, (1280, 1), 64, Window((1, 1)))
    two = conv_step(1, 512, (1281, 1), 64, Window((1, 1)))
    wide = replace(TEN_SM, bandwidth_gb_per_s=1e6)
    mode = Mode("cudnn", "fp32", "nhwc")
    assert step_seconds(one, wide, mode, IDEAL) == pytest.approx(8388608 / 1e11)
    assert step_seconds(two, wide, mode, IDEAL) == pytest.approx(2 * 8388608 / 1e11)


def test_more_of_anything_never_makes_a_kernel_slower() -> None:
    better = replace(TEN_SM, fp32_gflops=2000.0, fp16_gflops=16000.0, bandwidth_gb_per_s=200.0)
    for step in draw_sweep(1, 0.2):
        for mode in MODES.values():
            assert step_seconds(step, better, mode) <= step_seconds(step, TEN_SM, mode)


def test_unknown_gpu_names_the_known_ones() -> None:
    with pytest.raises(TargetError, match="h200"):
        gpu_spec("voodoo-2")


def test_every_data_sheet_has_a_source() -> None:
    assert all(len(s.source) > 15 for s in GPU_SPECS.values())
    assert all(len(s.source) > 20 for s in gpu_roofline.SPECS.values())


def test_peaks_are_cores_times_clock() -> None:
    """Two operations a core and cycle (GFLOP/s): numbers of the data sheets."""
    by_hand = {
        "NVIDIA TITAN V": 5120 * 2 * 1.455,
        "NVIDIA GeForce RTX 2080 Ti": 4352 * 2 * 1.545,
        "NVIDIA TITAN Xp": 3840 * 2 * 1.582,
        "Jetson Nano": 128 * 2 * 0.9216,
        "Jetson TX2": 256 * 2 * 1.3,
        "Jetson AGX Xavier": 512 * 2 * 1.377,
        "Jetson AGX Orin": 2048 * 2 * 1.3,
    }
    for name, gflops in by_hand.items():
        assert GPU_SPECS[name].fp32_gflops == pytest.approx(gflops, rel=0.002)
    # 640 tensor cores of 64 multiply-accumulates
    assert GPU_SPECS["NVIDIA TITAN V"].fp16_gflops == pytest.approx(640 * 128 * 1.455, rel=0.001)


def test_a_card_without_a_unit_falls_back_to_fp32() -> None:
    tx2 = gpu_spec("jetson-tx2")
    assert tx2.peak_gflops("tf32") == tx2.fp32_gflops == 665
    assert gpu_roofline.peak_flops(tx2, MODES["cudnn/fp16"]) == (1330e9, False)
    assert gpu_roofline.peak_flops(tx2, MODES["cudnn/tf32"]) == (665e9, False)
    assert gpu_roofline.peak_flops(gpu_spec("h200"), MODES["cudnn/tf32"]) == (494.7e12, True)
    assert gpu_roofline.peak_flops(gpu_spec("h200"), MODES["cudnn/fp32"]) == (66.9e12, False)


def test_committed_prediction_is_what_the_code_predicts() -> None:
    """The file was written before any measurement; the code that wrote it has not moved since."""
    committed = read_prediction(cuda.RESULTS / "h200_spec_prediction.json")
    fresh = json.loads(json.dumps(gpu_roofline.spec_prediction("h200")))
    assert committed == fresh


def network_row(model: str, framework: str, launch: str, latency_ms: float) -> dict[str, object]:
    mode = Mode(framework, "fp32", "nchw")
    timing = Timing((latency_ms * 1e3,), (), launch == "graph")
    row = tables.common_columns("paper", mode, "", model, 1, 1) | tables.network_timing(timing)
    return row | {"variant": tables.variant_text(launch=launch, layout="nchw")}


def prediction(*rows: tuple[str, float, float, float]) -> dict[str, object]:
    names = ("model", "latency_ms", "low_ms", "high_ms")
    common = {"batch": 1, "target": "cudnn/fp32"}
    return {"predictions": [dict(zip(names, row, strict=True)) | common for row in rows]}


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    rows = [
        network_row("vgg16", "cudnn", "graph", 2.0),
        network_row("vgg16", "cudnn", "stream", 9.0),
        network_row("vgg16", "pytorch", "eager", 3.0),
        network_row("alexnet", "cudnn", "graph", 1.0),
        network_row("alexnet", "pytorch", "eager", 0.5),
        network_row("resnet50", "cudnn", "graph", 4.0),
    ]
    path = tmp_path / "paper_networks.csv"
    tables.write_table(path, tables.NETWORK_COLUMNS, rows)
    return path


def test_comparison_by_hand(measured: Path) -> None:
    result = validate_cuda(
        measured, prediction(("vgg16", 2.199, 1.0, 3.0), ("alexnet", 0.7, 0.6, 0.8))
    )
    data = result.to_json()
    assert data["mape"] == pytest.approx((0.0995 + 0.3) / 2)
    assert data["within_10"] == 0.5
    assert data["within_20"] == 0.5
    # 2.0 lies in [1.0, 3.0], 1.0 not in [0.6, 0.8]
    assert data["coverage"] == 0.5
    assert data["spearman"] is None
    assert [c.model for c in result.of("cudnn/fp32")] == ["vgg16@batch=1", "alexnet@batch=1"]
    assert result.of("cudnn/fp16") == ()
    assert result.eager_compared == 2
    assert len(result.slower_than_eager) == 1
    assert "alexnet" in result.slower_than_eager[0]
    keys = {"cases", "mape", "within_10", "within_20", "spearman", "coverage", "machine"}
    assert keys <= set(data)


def test_nothing_to_compare_is_an_error(measured: Path, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="no measured network"):
        validate_cuda(measured, prediction(("nin", 1.0, 0.5, 2.0)))
    with pytest.raises(MeasurementError, match="measure first"):
        validate_cuda(tmp_path / "absent.csv", prediction())


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format": 2}', '{"format": 1, "predictions": [{}]}', "[1]"]
)
def test_damaged_prediction_file_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prediction.json"
    path.write_text(text)
    with pytest.raises(MeasurementError, match="no prediction file"):
        read_prediction(path)


def test_a_prediction_without_interval_gets_a_factor_of_two(measured: Path) -> None:
    bare = {"model": "vgg16", "batch": 1, "target": "cudnn/fp32", "latency_ms": 1.5}
    case = validate_cuda(measured, {"predictions": [bare]}).cases[0]
    assert (case.low_ms, case.high_ms) == (0.75, 3.0)


def test_predictions_are_on_disk_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: Path
) -> None:
    seen: list[bool] = []

    def campaign_of_paper(folder: Path, settings: Settings, log: object) -> CampaignResult:
        seen.append((folder / "prediction.json").exists())
        assert "sweep" not in settings.stages
        return CampaignResult(folder, {"networks": measured}, {}, (), True)

    monkeypatch.setattr(validate_module, "run_apart", campaign_of_paper)
    found, _ = validate_on_gpu(tmp_path, Settings(), prediction(("vgg16", 2.2, 1.0, 3.0)))
    assert seen == [True]
    assert found.cases[0].error == pytest.approx(0.1)


def test_a_device_without_profile_is_a_clear_error() -> None:
    with pytest.raises(PerfmodelError, match="voodoo"):
        profile_predictions("voodoo-2", Settings(networks=("vgg16",), batches=(1,)))


def test_commands(tmp_path: Path, measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "prediction.json"
    assert cuda.main(["predict", "-o", str(out)]) == 0
    arguments = [
        "validate",
        "--device",
        "paper",
        "--results",
        str(tmp_path),
        "--prediction",
        str(out),
    ]
    assert cuda.main(arguments) == 0
    assert "3 networks" in capsys.readouterr().out
    assert cuda.main(["validate", "--device", "none", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_data_sheets_are_about_right_for_published_boards(data_dir: Path) -> None:
    """Half within 1.6 times, all but a few within 3 (limits set after seeing the table)."""
    rows = cuda_study.published_jetson_rows(data_dir)
    off = sorted(abs(math.log(float(r["ratio"]))) for r in rows)
    assert len(rows) >= 20
    assert off[len(off) // 2] < math.log(1.6)
    assert sum(o > math.log(3) for o in off) <= 5


def test_relative_speed_is_vanilla_over_mode() -> None:
    speed = cuda_study.relative_speed(
        {"vanilla/fp32": 100.0, "cudnn/fp32": 20.0, "cudnn/fp16": 4.0}
    )
    assert speed == {"vanilla/fp32": 1.0, "cudnn/fp32": 5.0, "cudnn/fp16": 25.0}


def test_plans_of_the_prediction_cover_the_network() -> None:
    plan = plan_graph(zoo.build("resnet50"))
    assert gpu_roofline.plan_seconds(plan, gpu_spec("h200"), MODES["cudnn/fp16"]) > 0


DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_tables_of_the_study_are_fresh(data_dir: Path) -> None:
    """The page says what the code says."""
    text = (DOCS / "cudnn-study.md").read_text(encoding="utf-8")
    assert cuda_study.fill_tables(text, cuda_study.study_tables(data_dir, cuda.RESULTS)) == text


def test_a_page_without_the_block_is_refused() -> None:
    with pytest.raises(MeasurementError, match="no block"):
        cuda_study.fill_tables("# nothing here", {"measured": "x"})


def test_measured_rows_show_relative_speed(measured: Path) -> None:
    rows = [
        network_row("vgg16", "vanilla", "graph", 8.0),
        network_row("vgg16", "cudnn", "graph", 2.0),
    ]
    tables.write_table(measured, tables.NETWORK_COLUMNS, rows)
    assert cuda_study.measured_rows(measured)[0]["cudnn/fp32 x"] == "4.0"
    assert cuda_study.measured_rows(measured.with_name("absent.csv")) == []


def documented_commands() -> list[list[str]]:
    """Commands in the two pages that start one of our modules, as words."""
    found = []
    for name in ("jetson.md", "cudnn-study.md"):
        for line in re.findall(
            r"^(?:`)?(python -m \S+ [^`\n]*)", (DOCS / name).read_text(), re.MULTILINE
        ):
            found.append(shlex.split(line))
    return found


@pytest.mark.parametrize("words", documented_commands(), ids=lambda w: " ".join(w[2:5]))
def test_documented_commands_are_understood(words: list[str]) -> None:
    """What needs a GPU or published tables cannot run here, but its options must exist."""
    module, arguments = words[2], words[3:]
    if arguments[0] == "campaign":
        module, arguments = "perfmodel.runners.cuda.campaign", arguments[1:]
    if module == "perfmodel.runners.cuda.campaign":
        folder, settings = campaign.parse_arguments(arguments)
        assert folder.name
        assert settings.networks
    else:
        assert module == "validation.cuda"
        assert cuda.parser().parse_args(arguments).run is not None


def test_the_pages_have_commands() -> None:
    assert len(documented_commands()) >= 8


@pytest.mark.slow
@needs_compiler
def test_the_prepared_campaign_runs_dry_from_predictions_to_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cuda.main(["campaign", "--out", str(tmp_path), "--dry-run", "--budget", "40"]) in (0, 1)
    told = capsys.readouterr()
    assert told.err == ""
    # only what a CPU has to lack, and stages that its time did not suffice for
    assert "; 0 failures" in told.out
    assert "prediction_sheet.json: paper-9000: " in told.out
    stages = [line.split()[0] for line in told.out.splitlines() if " done after " in line]
    assert stages == ["check", "sweep", "networks", "eager", "products"]
    predicted = json.loads((tmp_path / "prediction_sheet.json").read_text())["predictions"]
    assert {row["batch"] for row in predicted} == {1, 2}
    machine = json.loads((tmp_path / "paper-9000_machine.json").read_text())
    assert max(c["relative_error"] for c in machine["checks"]) < 1e-3
    assert [c["moment"] for c in machine["clocks"]][:2] == ["before check", "after check"]
    rows = tables.read_table(tmp_path / "paper-9000_networks.csv")
    assert {r["framework"] for r in rows} >= {"vanilla"}
    # predictions were on disk before the first table
    written = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert written["prediction_sheet.json"] == min(written.values())


def test_each_stage_has_its_share_and_what_is_left_goes_to_those_after_it() -> None:
    state = State(
        cast(CudaDevice, None),
        replace(Settings(), stages=("check", "sweep", "networks"), budget_s=75.0),
        Path("."),
        "gpu",
    )
    clock = iter([0.0, 0.0, 10.0, 10.0, 50.0, 50.0])
    state.spent = lambda: next(clock)  # type: ignore[method-assign]
    ends = []
    for stage in state.settings.stages:
        state.begin(stage)
        ends.append(state.stage_end_s)
    # of 0.15, 0.35 and 0.25: 75 x 0.15 / 0.75, then 65 x 0.35 / 0.6, then all that is left
    assert ends == pytest.approx([15.0, 10 + 65 * 0.35 / 0.6, 75.0])


def test_the_products_of_another_framework_are_kept_where_it_has_a_kernel() -> None:
    class Other:
        framework, build = "other", "other 1"
        layouts: ClassVar[dict[str, str]] = {}
        product_layouts: ClassVar[dict[str, str]] = {"bf16": "nhwc", "int8": "nhwc"}

        def time(self, plan: GpuPlan, precision: str, seed: int) -> Timing:
            raise AssertionError("no whole network")

        def time_product(self, step: GpuStep, precision: str, seed: int) -> Timing | None:
            if step.op != "conv2d":
                return None
            if precision == "int8":
                raise RunnerError("no such kernel")
            return Timing((3.0, 2.0, 4.0), (), False)

    settings = replace(Settings(), sweep_scale=0.05)
    state = State(cast(CudaDevice, None), settings, Path("."), "gpu", last_write=math.inf)
    run_products(state, Other, lambda _: None)
    drawn = [s for s in draw_sweep(settings.seed, 0.05) if s.op == "conv2d"]
    assert len(state.kernels) == len(drawn) > 0
    assert {(r["precision"], r["latency_us"]) for r in state.kernels} == {("bf16", 3.0)}
    assert {r["batch"] for r in state.kernels} == {s.input_shapes[0][0] for s in drawn}
    assert len(state.failures) == len(drawn)
