"""The campaign from end to end on a stand-in GPU: tables, checks, failures, budget, bad input."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perfmodel import zoo
from perfmodel.errors import RunnerError
from perfmodel.runners.cuda import campaign, clocks, sweep, tables
from perfmodel.runners.cuda.backends import VanillaBackend
from perfmodel.runners.cuda.campaign import Settings, device_slug, main, run_campaign
from perfmodel.runners.cuda.device import CudaDevice
from perfmodel.runners.cuda.network import make_weights
from perfmodel.runners.cuda.plan import plan_graph
from perfmodel.runners.cuda.reference import random_input, relative_error, run_plan
from perfmodel.runners.cuda.steps import Window
from perfmodel.runners.cuda.sweep import COUNTS, draw_sweep, unfused
from perfmodel.runners.cuda.timing import Timing, layers_that_add_up
from tests.cuda.cuda_on_cpu import TINY, FakeGpu, needs_compiler


@pytest.mark.slow
@needs_compiler
def test_campaign_writes_tables_that_the_measurement_reader_takes(
    paper_gpu: FakeGpu, tmp_path: Path
) -> None:
    from perfmodel.measurements.read import read_measurements

    result = run_campaign(tmp_path, TINY, log=lambda _: None)
    assert [f for f in result.failures if "unstable" not in f] == []
    assert result.finished
    assert set(result.files) == {"kernels", "layers", "networks", "machine"}
    table, bad = read_measurements(
        [result.files[k] for k in ("kernels", "layers", "networks")], skip_bad=True
    )
    assert [b for b in bad if "imes" not in b.reason] == []
    assert set(table.values("device")) == {"paper-9000"}
    assert set(table.values("framework")) == {"vanilla"}
    assert set(table.values("batch")) == {1.0, 2.0}
    rows = tables.read_table(result.files["kernels"])
    assert {tables.parse_variant(r["variant"])["weights"] for r in rows} == {"cold", "warm"}
    assert all(
        len(tables.parse_variant(r["note"])["values_us"].split()) == int(r["runs"]) for r in rows
    )


@needs_compiler
def test_layers_add_up_to_the_network(paper_gpu: FakeGpu, tmp_path: Path) -> None:
    result = run_campaign(
        tmp_path, replace(TINY, stages=("networks",), batches=(1,)), log=lambda _: None
    )
    layers = tables.read_table(result.files["layers"])
    networks = tables.read_table(result.files["networks"])
    graph = next(r for r in networks if "launch=graph" in r["variant"])
    total_us = sum(float(r["latency_us"]) for r in layers)
    assert total_us == pytest.approx(float(graph["latency_ms"]) * 1e3, rel=1e-3)
    plan = plan_graph(zoo.build(TINY.networks[0]), "vanilla")
    assert [r["layer"] for r in layers] == [s.name for s in plan.steps]


@needs_compiler
def test_a_wrong_kernel_is_reported_and_not_kept(
    paper_gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The campaign must never publish the time of a kernel whose answer is wrong."""
    right = VanillaBackend.prepare

    def lazy(self, step, operands):  # type: ignore[no-untyped-def]
        prepared = right(self, step, operands)
        return replace(prepared, work=lambda: None) if step.op == "softmax" else prepared

    monkeypatch.setattr(VanillaBackend, "prepare", lazy)
    result = run_campaign(tmp_path, replace(TINY, stages=("check", "sweep")), log=lambda _: None)
    assert any("softmax" in f and "error inf" in f for f in result.failures)
    ops = {r["op"] for r in tables.read_table(result.files["kernels"])}
    assert "softmax" not in ops
    assert "add" in ops


@needs_compiler
def test_a_spent_budget_ends_the_campaign_and_says_so(paper_gpu: FakeGpu, tmp_path: Path) -> None:
    result = run_campaign(
        tmp_path, replace(TINY, budget_s=0.0, stages=("sweep", "networks")), log=lambda _: None
    )
    assert not result.finished
    assert json.loads(result.files["machine"].read_text())["cut_short"] is True


@needs_compiler
def test_missing_library_is_a_failure_of_its_modes_only(
    paper_gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(device: object, mode: object) -> None:
        if mode.framework == "cudnn":  # type: ignore[attr-defined]
            raise RunnerError("libcudnn was not found")
        return VanillaBackend(device, mode)  # type: ignore[return-value, arg-type]

    monkeypatch.setattr(campaign, "make_backend", absent)
    settings = replace(TINY, modes=("cudnn/fp16", "vanilla/fp32"), stages=("sweep",))
    result = run_campaign(tmp_path, settings, log=lambda _: None)
    assert "cudnn/fp16: libcudnn was not found" in result.failures
    assert result.rows["kernels"] > 0


@pytest.mark.parametrize(
    "bad",
    [{"modes": ("cudnn/int8",)}, {"stages": ("dance",)}, {"batches": (0,)}, {"batches": (128,)}],
)
def test_impossible_settings_are_refused(bad: dict[str, tuple[object, ...]]) -> None:
    with pytest.raises(RunnerError):
        Settings(**bad)  # type: ignore[arg-type]


def test_without_a_gpu_one_clear_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        CudaDevice().close()
    except RunnerError:
        assert main(["--out", str(tmp_path)]) == 2
        assert capsys.readouterr().err.startswith("error: ")
        return
    pytest.skip("there is a GPU here")


def test_sweep_is_the_same_for_the_same_seed_and_covers_every_family() -> None:
    steps = draw_sweep(3)
    assert steps == draw_sweep(3)
    assert steps != draw_sweep(4)
    families = [s.fused[0] for s in steps]
    assert {f: families.count(f) for f in COUNTS} == dict(COUNTS)
    assert max(s.macs for s in steps) <= sweep.MOST_MACS


def test_sweep_copies_no_layer_list_but_surrounds_the_networks() -> None:
    """Every kernel of the study lies within the range of its family's sizes in the sweep."""
    steps = draw_sweep(Settings().seed)
    convolutions = [s for s in steps if s.op == "conv2d"]
    span = {
        kind: (min(values), max(values))
        for kind, values in {
            "macs": [s.macs for s in convolutions],
            "cin": [s.input_shapes[0][3] for s in convolutions],
            "cout": [s.output_shape[3] for s in convolutions],
        }.items()
    }
    outside = total = 0
    for name in campaign.STUDY:
        for batch in (1, 32):
            for step in plan_graph(zoo.build(f"{name}@batch={batch}")).steps:
                if step.op == "conv2d":
                    total += 1
                    values = {
                        "macs": step.macs,
                        "cin": step.input_shapes[0][3],
                        "cout": step.output_shape[3],
                    }
                    outside += any(not span[k][0] <= v <= span[k][1] for k, v in values.items())
    assert outside / total < 0.02


def test_unfused_keeps_the_operator_alone() -> None:
    for step in draw_sweep(1, 0.2):
        alone = unfused(step)
        assert alone.macs == step.macs
        assert not alone.residual
        assert alone.activation == "none" or alone.op == "activation"


def test_layers_lose_what_the_marks_cost() -> None:
    # three marks of 2 us each on layers of 10, 20 and 30 us; whole network 60 us
    passes = [[12.0, 22.0, 32.0], [12.0, 22.0, 32.0], [99.0, 22.0, 32.0]]
    assert layers_that_add_up(passes, 60.0) == pytest.approx([10.0, 20.0, 30.0])


def test_timing_statistics() -> None:
    values = tuple(float(v) for v in (10, 11, 10, 10, 30, 10, 10, 10, 10, 10))
    assert Timing(values, (), True).median_us == 10.0
    assert Timing(values, (), True).p90_us == 11.0
    assert Timing(values, (), True).stable
    assert not Timing((10.0, 10.0, 20.0), (), True).stable


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("NVIDIA H200", "h200"),
        ("Tesla V100-PCIE-32GB", "tesla-v100-pcie-32gb"),
        ("NVIDIA TITAN V", "titan-v"),
        ("", "gpu"),
    ],
)
def test_device_names(name: str, slug: str) -> None:
    assert device_slug(name) == slug


def test_tables_are_the_same_bytes_for_the_same_rows(tmp_path: Path) -> None:
    rows = [{"device": "x", "op": "add", "latency_us": 1.5}]
    for name in ("a.csv.gz", "b.csv.gz"):
        tables.write_table(tmp_path / name, tables.KERNEL_COLUMNS, rows)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert tables.read_table(tmp_path / "a.csv.gz")[0]["latency_us"] == "1.5"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv.gz", "b.csv.gz"]


def test_shapes_in_the_table_are_those_of_the_cost_floor() -> None:
    """A measured row and a predicted kernel of the same layer agree in every shape column."""
    from perfmodel.kernels import fuse

    for name in ("mobilenet_v2@batch=4", "inception_v3", "alexnet"):
        graph = zoo.build(name)
        for step, kernel in zip(
            plan_graph(graph, "vanilla").steps, fuse(graph, "vanilla"), strict=True
        ):
            row = tables.shape_columns(step)
            for column in (
                "op",
                "cin",
                "hin",
                "win",
                "cout",
                "hout",
                "wout",
                "kh",
                "kw",
                "sh",
                "sw",
                "groups",
            ):
                assert row.get(column, 1) == getattr(kernel, column), (name, step.name, column)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize(
    "spec",
    [
        "squeezenet_1_1@resolution=64",
        "mobilenet_v2@resolution=32",
        "alexnet@resolution=67",
        "densenet121@resolution=32",
    ],
)
def test_eager_pytorch_computes_the_same_networks(spec: str) -> None:
    from validation.cuda.eager_pytorch import EagerTorch

    plan = plan_graph(zoo.build(spec), "vanilla")
    weights, rng = make_weights(plan, 3), np.random.default_rng(3)
    inputs = {n: random_input(plan.shapes[n], rng) for n in plan.inputs}
    found = EagerTorch("cpu").run(plan, inputs, weights)
    expected = run_plan(plan, inputs, weights)
    assert all(relative_error(found[n], expected[n]) < 1e-4 for n in plan.outputs)


def test_eager_pytorch_is_optional() -> None:
    if importlib.util.find_spec("torch") is not None:
        pytest.skip("PyTorch is installed")
    from validation.cuda.eager_pytorch import EagerTorch

    with pytest.raises(RunnerError, match="PyTorch is not installed"):
        EagerTorch()


@pytest.mark.gpu
def test_short_campaign_on_this_gpu(tmp_path: Path) -> None:
    """Every mode, a small sweep and two networks on the real device."""
    try:
        CudaDevice().close()
    except RunnerError as error:
        pytest.skip(str(error))
    settings = Settings(
        networks=("squeezenet_1_1", "mobilenet_v2"),
        batches=(1,),
        sweep_scale=0.05,
        stages=("check", "sweep", "networks"),
    )
    result = run_campaign(tmp_path, settings)
    assert [f for f in result.failures if "unstable" not in f] == []


def fake_program(folder: Path, name: str, script: str) -> None:
    """A program on the search path that answers as the real one does."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_clocks_of_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that knows only the old name of the throttling field."""
    answer = "1980 MHz, 3201 MHz, 1980 MHz, 3201 MHz, 31, 75.10 W, 700.00 W, 580.159.04"
    script = f"""case "$1" in
    *clocks_event*) exit 2 ;;
    *clocks_throttle*) echo 0x0000000000000001 ;;
    *) echo "{answer}" ;;
    esac"""
    fake_program(tmp_path, "nvidia-smi", script)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = clocks.query_clocks()
    assert found["clocks.sm"] == "1980 MHz"
    assert found["driver_version"] == "580.159.04"
    assert found["clocks_throttle_reasons.active"] == "0x0000000000000001"


def test_clocks_of_a_jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "17000000.gp10b").mkdir()
    (tmp_path / "17000000.gp10b" / "cur_freq").write_text("1300500000\n")
    (tmp_path / "emc").mkdir()
    (tmp_path / "emc" / "cur_freq").write_text("1\n")
    fake_program(tmp_path, "nvidia-smi", "exit 1")
    fake_program(tmp_path, "nvpmodel", 'printf "NV Power Mode: MAXN\\n0\\n"')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(clocks, "DEVFREQ", tmp_path)
    assert clocks.query_clocks() == {
        "17000000.gp10b.cur_freq_hz": "1300500000",
        "nvpmodel": "NV Power Mode: MAXN 0",
    }


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_times_products_that_our_runner_has_no_mode_for() -> None:
    from validation.cuda.eager_pytorch import EagerTorch

    eager = EagerTorch("cpu")
    one, three = Window((1, 1), (1, 1), (0, 0, 0, 0)), Window((3, 3), (1, 1), (1, 1, 1, 1))
    point = sweep.conv_step(1, 16, (8, 8), 24, one)
    window = sweep.conv_step(1, 16, (8, 8), 24, three)
    odd = sweep.conv_step(1, 12, (8, 8), 24, one)
    few = sweep.conv_step(1, 16, (2, 2), 24, one)
    for step in (point, window, odd, few):
        timing = eager.time_product(step, "bf16", 1, samples=2)
        assert timing is not None
        assert len(timing.values_us) == 2
    # PyTorch's int8 product takes no windows, no sizes but multiples of eight, no few rows
    told = [eager.time_product(step, "int8", 1, samples=2) for step in (point, window, odd, few)]
    assert [t is not None for t in told] == [True, False, False, False]
