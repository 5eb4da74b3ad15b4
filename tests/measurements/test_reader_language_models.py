"""Rates of language models: llama-bench, MNN llm_bench and LiteRT-LM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.read import read_measurements, read_one

Sample = Callable[[str], Path]
Changed = Callable[..., Path]

FIGURES = ["unit", "kind", "tokens", "tokens_per_s"]


def rates(path: Path) -> list[tuple[object, ...]]:
    return [tuple(row) for row in read_one(path).frame[FIGURES].itertuples(index=False)]


def test_llama_bench_as_markdown(sample: Sample) -> None:
    path = sample("llama_bench.md")
    assert rates(path) == [
        ("cpu", "prefill", 512, 92.17),
        ("cpu", "decode", 128, 21.05),
        ("cpu", "decode", 128, 14.60),
        ("gpu", "prefill", 512, 2368.80),
    ]
    frame = read_one(path).frame
    assert list(frame["threads"].iloc[:3]) == [4, 4, 4]
    assert list(frame["variant"]) == [
        "weights=Q4_0", "weights=Q4_0", "context=4096;weights=Q4_0", "weights=mostly Q4_0;ngl=99",
    ]  # fmt: skip
    assert set(frame["precision"]) == {""}


def test_a_rate_of_reading_and_writing_together_is_left_out(sample: Sample) -> None:
    for name in ("llama_bench.md", "mnn_llm_bench.md"):
        (row,) = read_one(sample(name)).left_out
        assert row.reason == "left out: one rate for reading and writing together"


def test_llama_bench_as_csv_json_and_json_lines(sample: Sample) -> None:
    assert rates(sample("llama_bench.csv")) == [
        ("gpu", "prefill", 512, 7285.676949),
        ("gpu", "decode", 128, 119.915244),
    ]
    assert rates(sample("llama_bench.json")) == [("cpu", "decode", 128, 20.000070)]
    assert rates(sample("llama_bench.jsonl")) == [
        ("gpu", "prefill", 512, 1280.01),
        ("gpu", "decode", 128, 80.0),
    ]
    row = read_one(sample("llama_bench.json")).frame.iloc[0]
    assert (row["runs"], row["threads"], row["model"]) == (2, 4, "Example-1B-Q8_0")


def test_a_rate_that_contradicts_its_nanoseconds_is_refused(changed: Changed) -> None:
    # 128 tokens in 6.4 s are 20 a second
    path = changed("llama_bench.json", ('"avg_ts": 20.000070', '"avg_ts": 200.00070'))
    with pytest.raises(
        MeasurementError, match=r"avg_ts: 200.001 contradicts the tokens over avg_ns"
    ):
        read_one(path)


def test_mnn_llm_bench_with_one_rate_and_with_two(sample: Sample) -> None:
    assert rates(sample("mnn_llm_bench.md")) == [
        ("cpu", "prefill", 512, 310.42),
        ("cpu", "decode", 128, 58.61),
        ("gpu", "prefill", 512, 520.11),
        ("cpu", "prefill", 256, 301.20),
        ("cpu", "decode", 64, 50.33),
    ]


def test_litert_lm_turns(sample: Sample) -> None:
    assert rates(sample("litert_lm.log")) == [
        ("cpu", "prefill", 512, 1280.0),
        ("cpu", "decode", 128, 31.70),
    ]
    row = read_one(sample("litert_lm.log")).frame.iloc[0]
    assert (row["threads"], row["source_model"]) == (4, "example-2b-int4.litertlm")


@pytest.mark.parametrize(("text", "ms"), [("1m2.5s", 62_500), ("2h", 7_200_000), ("400us", 0.4)])
def test_durations_of_abseil_are_read(changed: Changed, text: str, ms: float) -> None:
    speed = f"Prefill Speed: {512 / ms * 1e3:.2f} tokens/sec."
    path = changed(
        "litert_lm.log", ("in 400ms", f"in {text}"), ("Prefill Speed: 1280.00 tokens/sec.", speed)
    )
    assert rates(path)[0][3] == pytest.approx(512 / ms * 1e3, rel=0.001, abs=0.005)


def test_a_turn_whose_speed_contradicts_its_time_is_refused(changed: Changed) -> None:
    path = changed("litert_lm.log", ("in 400ms", "in 400us"))
    with pytest.raises(MeasurementError, match=r"Prefill Speed: 1280 contradicts 512 tokens"):
        read_one(path)
    path = changed("litert_lm.log", ("      Decode Speed: 31.70 tokens/sec.\n", ""))
    with pytest.raises(MeasurementError, match=r"ends without the speed"):
        read_one(path)


def test_rates_are_kept_apart_from_latencies(sample: Sample) -> None:
    table, _ = read_measurements(sample("litert_lm.log"), device="my-phone")
    assert (len(table.rates), len(table.networks), len(table.kernels)) == (2, 0, 0)


def test_an_unknown_back_end_is_no_unit(changed: Changed) -> None:
    path = changed("mnn_llm_bench.md", ("| OPENCL     |", "| QUANTUM    |"))
    assert rates(path)[2][0] == ""


def test_perf_yaml_of_a_language_model_has_a_rate_a_context(sample: Sample) -> None:
    frame = read_one(sample("ai_hub_perf_llm.yaml")).frame
    columns = ["device", "unit", "kind", "tokens_per_s", "variant"]
    assert [tuple(row) for row in frame[columns].itertuples(index=False)] == [
        ("snapdragon-x-elite-crd", "", "decode", 18.4176, "context=4096;weights=w4a16"),
        ("snapdragon-x-elite-crd", "", "decode", 20.5, "context=1024;weights=w4a16"),
    ]


def test_a_back_end_on_another_machine_is_no_unit(changed: Changed) -> None:
    path = changed("llama_bench.md", ("| CUDA       |", "| CUDA,RPC   |"))
    assert rates(path)[3][0] == ""
