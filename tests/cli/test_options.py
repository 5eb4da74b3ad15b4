"""Every option of every command changes the answer or is refused: none does nothing."""

from __future__ import annotations

import io
import json
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from cli_folder import ROOT, SERVING, Done, Perform

from perfmodel.cli import validate
from perfmodel.cli.app import UsageProblem, run
from perfmodel.cli.commands import COMMANDS, built
from perfmodel.errors import PerfmodelError
from perfmodel.render.result import Result

VALIDATION = {
    "experiment": "by hand",
    "cases": [{"model": "one", "target": "a/cpu", "predicted_ms": 11.0, "measured_ms": 10.0}],
    "mape": 0.1,
}
PREDICT = "predict alexnet --on snapdragon-888/cpu"
SELECT = "select mobilenet_v1 --on snapdragon-888 --max-latency-ms 8"
FLEET = "select mobilenet_v1 --fleet fleet.csv --max-latency-ms 20"
WHATIF = "whatif --model alexnet --on snapdragon-888/cpu --set slowdown=1,2"
SWEEP = "whatif queue.toml --set task.workload.rate_per_s=40,80"
SAMPLED = "whatif --model alexnet --on snapdragon-888/cpu --sample slowdown=uniform(1,2) --n 8"
TABLE = "calibrate --from examples/ten_rows.csv --device my-phone"
LEFT_OPEN = "calibrate --from open.csv --device my-phone -o p.json"
STATED = f"{LEFT_OPEN} --unit cpu --framework ncnn --precision float"
TWICE = "calibrate --from fast.log --from slow.log --device my-phone -o p.json"
ADB = "calibrate --from adb --device my-phone"
SSH = "calibrate --from ssh:board --device my-board"
PARTITION = "partition alexnet --on snapdragon-888/gpu"
OLD = "partition vgg16 --on snapdragon-835/cpu"
CLOUD = f"{OLD} --server titan-v/gpu --link wifi"

PAIRS: dict[str, tuple[str, str]] = {
    "models --json": ("models", "models --json"),
    "models --match": ("models", "models --match vgg"),
    "devices --kind": ("devices", "devices --kind jetson"),
    "devices --match": ("devices", "devices --match pixel-4"),
    "devices --profile": ("devices --match own", "devices --match own --profile own.json"),
    "inspect MODEL": ("inspect alexnet", "inspect squeezenet"),
    "inspect --batch-size": ("inspect alexnet", "inspect alexnet --batch-size 2"),
    **{
        f"{command} --{option}": (text, f"{text} --{option} {value}")
        for command, text in {
            "inspect": "inspect open.param",
            "predict": "predict open.param --on snapdragon-888/cpu",
            "compare": "compare open.param --on snapdragon-888/cpu",
            "partition": "partition open.param --on snapdragon-888/cpu",
            "minspec": "minspec open.param --max-latency-ms 50",
            "whatif": "whatif --model open.param --on snapdragon-888/cpu --set slowdown=1,2",
        }.items()
        for option, value in {"input-shape": "1x64x64x3", "dim": "height=64"}.items()
    },
    "predict MODEL": (PREDICT, "predict squeezenet --on snapdragon-888/cpu"),
    "predict --on": (PREDICT, "predict alexnet --on snapdragon-888/gpu"),
    "predict --batch-size": (PREDICT, f"{PREDICT} --batch-size 4"),
    "predict --kind": (PREDICT, f"{PREDICT} --kind first"),
    "predict --per-layer": (f"{PREDICT} --json", f"{PREDICT} --json --per-layer"),
    "predict --allow-uncovered": (
        "predict odd.param --on snapdragon-888/cpu",
        "predict odd.param --on snapdragon-888/cpu --allow-uncovered",
    ),
    "compare --allow-uncovered": (
        "compare odd.param --on snapdragon-888/cpu",
        "compare odd.param --on snapdragon-888/cpu --allow-uncovered",
    ),
    "partition --allow-uncovered": (
        "partition odd.param --on snapdragon-888/cpu",
        "partition odd.param --on snapdragon-888/cpu --allow-uncovered",
    ),
    "minspec --allow-uncovered": (
        "minspec odd.param --max-latency-ms 50",
        "minspec odd.param --max-latency-ms 50 --allow-uncovered",
    ),
    "whatif --allow-uncovered": (
        "whatif --model odd.param --on snapdragon-888/cpu --set slowdown=1,2",
        "whatif --model odd.param --on snapdragon-888/cpu --set slowdown=1,2 --allow-uncovered",
    ),
    "predict --queries": ("predict", "predict --queries queries.csv"),
    "predict --fps": (PREDICT, f"{PREDICT} --fps"),
    "predict --trace": (PREDICT, f"{PREDICT} --trace trace.json"),
    "predict --export-model-explorer": (PREDICT, f"{PREDICT} --export-model-explorer nodes.json"),
    "predict --profile": (
        "predict alexnet --on own/cpu",
        "predict alexnet --on own/cpu --profile own.json",
    ),
    "compare MODELS": (
        "compare alexnet --on snapdragon-888/cpu",
        "compare alexnet squeezenet --on snapdragon-888/cpu",
    ),
    "compare --on": (
        "compare alexnet --on snapdragon-888/cpu",
        "compare alexnet --on snapdragon-888/cpu --on snapdragon-888/gpu",
    ),
    "compare --batch-size": (
        "compare alexnet --on snapdragon-888/cpu",
        "compare alexnet --on snapdragon-888/cpu --batch-size 4",
    ),
    "compare --relative": (
        "compare alexnet --on snapdragon-888/cpu,gpu",
        "compare alexnet --on snapdragon-888/cpu,gpu --relative",
    ),
    "compare --suite": (
        "compare --on snapdragon-888",
        "compare --on snapdragon-888 --suite ai-benchmark",
    ),
    "compare --plot": (
        "compare alexnet --on snapdragon-888/cpu",
        "compare alexnet --on snapdragon-888/cpu --plot map.svg",
    ),
    "compare --profile": (
        "compare alexnet --on own/cpu",
        "compare alexnet --on own/cpu --profile own.json",
    ),
    "partition MODEL": (PARTITION, "partition squeezenet --on snapdragon-888/gpu"),
    "partition --on": (PARTITION, "partition alexnet --on snapdragon-888/cpu"),
    "partition --units": (PARTITION, f"{PARTITION} --units cpu"),
    "partition --memory": (
        f"{PARTITION} --units cpu",
        f"{PARTITION} --units cpu --memory gpu=100MB,cpu=900MB",
    ),
    "partition --k": (f"{PARTITION} --by layer-count -k 2", f"{PARTITION} --by layer-count -k 3"),
    "partition --by": (f"{PARTITION} -k 2", f"{PARTITION} -k 2 --by param-count"),
    "partition --server": (OLD, CLOUD),
    "partition --link": (CLOUD, CLOUD.replace("wifi", "3g")),
    "partition --objective": (CLOUD, f"{CLOUD} --objective energy"),
    "partition --batch-size": (PARTITION, f"{PARTITION} --batch-size 2"),
    "partition --emit": (PARTITION, f"{PARTITION} --emit pieces"),
    "partition --plot": (PARTITION, f"{PARTITION} --plot curve.svg"),
    "partition --profile": (
        "partition alexnet --on own/cpu",
        "partition alexnet --on own/cpu --profile own.json",
    ),
    "simulate SCENARIO": ("simulate queue.toml", "simulate other.toml"),
    "simulate --replications": ("simulate queue.toml", "simulate queue.toml --replications 3"),
    "simulate --seed": ("simulate queue.toml", "simulate queue.toml --seed 9"),
    "simulate --trace": ("simulate queue.toml", "simulate queue.toml --trace trace.json"),
    "simulate --records": ("simulate queue.toml", "simulate queue.toml --records records.csv"),
    "minspec MODEL": (
        "minspec alexnet --max-latency-ms 50",
        "minspec squeezenet --max-latency-ms 50",
    ),
    "minspec --max-latency-ms": (
        "minspec alexnet --max-latency-ms 50",
        "minspec alexnet --max-latency-ms 20",
    ),
    "whatif SCENARIO": ("whatif --set slowdown=1,2", SWEEP),
    "whatif --model": (WHATIF, WHATIF.replace("alexnet", "squeezenet")),
    "whatif --on": (WHATIF, WHATIF.replace("/cpu", "/gpu")),
    "whatif --set": (WHATIF, WHATIF.replace("1,2", "1,3")),
    "whatif --sample": (WHATIF, SAMPLED),
    "whatif --n": (SAMPLED, SAMPLED.replace("--n 8", "--n 9")),
    "whatif --seed": (SAMPLED, f"{SAMPLED} --seed 5"),
    "whatif --metric": (WHATIF, f"{WHATIF} --metric energy_mj"),
    "whatif --workers": (WHATIF, f"{WHATIF} --workers 2"),
    "whatif --dask": (WHATIF, f"{WHATIF} --dask tcp://127.0.0.1:1"),
    "whatif --restart": (WHATIF, f"{WHATIF} --restart"),
    "whatif --profile": (
        "whatif --model alexnet --on own/cpu --set slowdown=1,2",
        "whatif --model alexnet --on own/cpu --set slowdown=1,2 --profile own.json",
    ),
    "select MODELS": (SELECT, SELECT.replace("mobilenet_v1", "mobilenet_v2")),
    "select --max-latency-ms": (SELECT, SELECT.replace("8 ", "8 ") + "0"),
    "select --on": (SELECT, SELECT.replace("888", "888/gpu")),
    "select --fleet": (SELECT, FLEET),
    "select --min-share": (FLEET, f"{FLEET} --min-share 0.1"),
    "select --percentile": (SELECT, f"{SELECT} --percentile 60"),
    "select --max-memory-mb": (SELECT, f"{SELECT} --max-memory-mb 6"),
    "select --max-energy-mj": (SELECT, f"{SELECT} --max-energy-mj 20"),
    "select --metric": (SELECT, f"{SELECT} --metric coco_map"),
    "select --emit": (SELECT, f"{SELECT} --emit chosen"),
    "select --profile": (
        "select mobilenet_v1 --on own --max-latency-ms 50",
        "select mobilenet_v1 --on own --max-latency-ms 50 --profile own.json",
    ),
    "report RESULT": ("report result.json", "report queue.toml"),
    "report --output": ("report result.json", "report result.json -o page.html"),
    "calibrate --from": ("calibrate --device my-phone", TABLE),
    "calibrate --device": (TABLE, TABLE.replace("my-phone", "your-phone")),
    "calibrate --kind": (f"{TABLE} -o a.json", f"{TABLE} -o a.json --kind nothing"),
    "calibrate --like": (TABLE, f"{TABLE} --like pixel-4"),
    "calibrate --chip": (TABLE, f"{TABLE} --chip 'Snapdragon 778G'"),
    "calibrate --skip-bad": (
        "calibrate --from bad.csv --device my-phone",
        "calibrate --from bad.csv --device my-phone --skip-bad",
    ),
    "calibrate --unit": (STATED.replace(" --unit cpu", ""), STATED),
    "calibrate --framework": (STATED.replace(" --framework ncnn", ""), STATED),
    "calibrate --precision": (STATED.replace(" --precision float", ""), STATED),
    "calibrate --threads": (STATED, f"{STATED} --threads 2"),
    "calibrate --batch-size": (f"{STATED} --dry-run", f"{STATED} --dry-run --batch-size 2"),
    "calibrate --pick": (TWICE, f"{TWICE} --pick min"),
    "calibrate --dry-run": (TABLE, f"{TABLE} --dry-run"),
    "calibrate --output": (TABLE, f"{TABLE} -o phone.json"),
    "calibrate --suggest": ("calibrate", "calibrate --suggest 1"),
    "calibrate --on": ("calibrate --suggest 1", "calibrate --suggest 1 --on my-phone/gpu"),
    "calibrate --budget": ("calibrate --from host", "calibrate --from host --budget 7s"),
    "calibrate --journal": ("calibrate --from host", "calibrate --from host --journal j.jsonl"),
    "calibrate --seed": ("calibrate --from host", "calibrate --from host --seed 5"),
    "calibrate --model": (ADB, f"{ADB} --model mobilenet_v1"),
    "calibrate --files": (ADB, f"{ADB} --files examples"),
    "calibrate --benchmark-model": (ADB, f"{ADB} --benchmark-model tool"),
    "calibrate --serial": (ADB, f"{ADB} --serial R58"),
    "calibrate --cores": (ADB, f"{ADB} --cores f0"),
    "calibrate --trtexec": (SSH, f"{SSH} --trtexec /opt/trtexec"),
    "calibrate --profile": (
        f"{TABLE} --like own",
        f"{TABLE} --like own --profile own.json",
    ),
    "completion SHELL": ("completion bash", "completion zsh"),
    "completion --install": ("completion fish", "completion fish --install"),
    "validate EXPERIMENT": ("validate host", "validate kinds"),
    "validate --runner": ("validate", "validate --runner adb"),
    "validate --profile": ("validate host", "validate host --profile own.json"),
    "validate --output": ("validate host", "validate host -o page.html"),
    "validate --budget": ("validate host", "validate host --budget 7s"),
    "validate --journal": ("validate host", "validate host --journal j.jsonl"),
    "validate --model": ("validate host", "validate host --model alexnet"),
    "validate --benchmark-model": (
        "validate adb --profile own.json",
        "validate adb --profile own.json --benchmark-model tool",
    ),
    "validate --serial": ("validate adb", "validate adb --serial R58"),
    "validate --cores": ("validate adb", "validate adb --cores f0"),
    "validate --trtexec": ("validate ssh:a", "validate ssh:a --trtexec /opt/trtexec"),
    "validate --files": ("validate host", "validate host --files examples"),
    "validate --input-shape": (
        "validate host --files examples",
        "validate host --files examples --input-shape 1x224x224x3",
    ),
    "validate --framework": ("validate host", "validate host --framework onnxruntime"),
    "validate --retry": ("validate host", "validate host --retry"),
}
"""By command and option: two invocations of which the second gives the option."""

for _option, _value in (
    ("--percentile", "60"),
    ("--max-memory-mb", "1"),
    ("--max-energy-mj", "20"),
    ("--unit", "gpu"),
    ("--precision", "int8"),
    ("--kind", "any"),
    ("--fleet", "fleet.csv"),
    ("--profile", "own.json"),
    ("--market", "known"),
    ("--since", "2023"),
    ("--prices", "prices.csv"),
):
    _base = "minspec alexnet --max-latency-ms 50"
    PAIRS[f"minspec {_option}"] = (_base, f"{_base} {_option} {_value}")

for _command, _words in (
    ("models", "models --match vgg"),
    ("devices", "devices --match pixel-4/cpu"),
    ("inspect", "inspect alexnet"),
    ("predict", PREDICT),
    ("compare", "compare alexnet --on snapdragon-888/cpu"),
    ("partition", PARTITION),
    ("simulate", "simulate queue.toml"),
    ("whatif", WHATIF),
    ("select", SELECT),
    ("minspec", "minspec alexnet --max-latency-ms 50"),
    ("doctor", "doctor"),
):
    PAIRS[f"{_command} --output"] = (_words, f"{_words} -o new.csv")
    PAIRS[f"{_command} --force"] = (f"{_words} -o mine.csv", f"{_words} -o mine.csv --force")
for _words in (
    "report result.json -o mine.html",
    f"{TABLE} -o mine.txt",
    "validate host -o mine.html",
):
    PAIRS[f"{_words.split()[0]} --force"] = (_words, f"{_words} --force")

SAME_ANSWER = {"simulate --workers", "select --allow-uncovered"}
"""Options that may leave an answer as it is: processes change how it is reached (tests of their own
hold that), and every network of the zoo, of which `select` takes variants, is covered today."""


def options() -> list[str]:
    """Command and option or argument of all that the command line accepts."""
    found = []
    for command in [c for c in COMMANDS if c not in SERVING]:
        for parameter in built(command).params:
            name = max(parameter.opts, key=len)
            if parameter.param_type_name == "argument":
                name = name.upper()
            elif not name.startswith("--"):
                name = f"--{name.strip('-')}"
            if name not in ("--help", "--json"):
                found.append(f"{command} {name}")
    return found


@pytest.fixture(scope="module")
def own_profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile that was calibrated from ten rows."""
    path = tmp_path_factory.mktemp("own") / "own.json"
    table = str(ROOT / "examples" / "ten_rows.csv")
    with redirect_stdout(io.StringIO()):
        assert run(["calibrate", "--from", table, "--device", "own", "-o", str(path)]) == 0
    return path


@pytest.fixture
def files(
    perform: Perform, own_profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Perform:
    """The files that `PAIRS` name, and hardware that tells what it was asked."""
    (tmp_path / "own.json").write_bytes(own_profile.read_bytes())
    (tmp_path / "queries.csv").write_text("model,target\nalexnet,snapdragon-888/cpu\n")
    (tmp_path / "fleet.csv").write_text("device,share\nsnapdragon-888,0.7\npixel-4,0.3\n")
    (tmp_path / "prices.csv").write_text("device,price\nGalaxy S23,799\n")
    (tmp_path / "other.toml").write_text(
        (tmp_path / "queue.toml").read_text().replace("rate_per_s = 80", "rate_per_s = 20")
    )
    rows = (tmp_path / "examples" / "ten_rows.csv").read_text().splitlines()
    bad = rows[3].replace(rows[3].split(",")[-2], "-1")
    (tmp_path / "bad.csv").write_text("\n".join([*rows, bad]) + "\n")
    (tmp_path / "open.csv").write_text("model,latency_ms\nmobilenet_v1,20.5\n")
    for name, ms in (("fast", 20.5), ("slow", 99.5)):
        (tmp_path / f"{name}.log").write_text(
            "loop_count = 4\nnum_threads = 4\npowersave = 0\ngpu_device = -1\n"
            f"  mobilenet  min = {ms}  max = {ms}  avg = {ms}\n"
        )
    (tmp_path / "result.json").write_text(json.dumps(VALIDATION))
    for suffix in ("txt", "svg", "csv", "html"):
        (tmp_path / f"mine.{suffix}").write_text("my own notes\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mobilenet_v1_int8.tflite").write_text("mine")

    def asked(*words: object, **options: object) -> Any:
        raise PerfmodelError(f"asked for {words} {options}")

    def experiment(name: str) -> Any:
        return lambda request: Result(title=name, answer=f"{name} {request}", data={})

    monkeypatch.setattr("perfmodel.calibration.from_host.calibrate_host", asked)
    monkeypatch.setattr("perfmodel.calibration.from_device.calibrate_device_over", asked)
    for name in validate.EXPERIMENTS:
        monkeypatch.setitem(validate.EXPERIMENTS, name, experiment(name))  # type: ignore[arg-type]
    return perform


def essence(done: Done) -> tuple[int, str]:
    """What a command answered, without how long it took."""
    return done.code, re.sub(r"\d+\.\d+ s\b", "", done.out + done.err)


def test_every_option_has_a_pair() -> None:
    assert sorted(options()) == sorted([k for k in PAIRS if "--json" not in k] + [*SAME_ANSWER])


@pytest.fixture(scope="module")
def answered() -> dict[str, tuple[int, str]]:
    """Answers by command line, of those that leave no file."""
    return {}


@pytest.mark.parametrize("option", PAIRS)
def test_an_option_changes_the_answer_or_is_refused(
    option: str, files: Perform, answered: dict[str, tuple[int, str]], tmp_path: Path
) -> None:
    def answer(words: str) -> tuple[int, str]:
        code, text = essence(files(*shlex.split(words)))
        return code, text.replace(str(tmp_path), "FOLDER")

    words, with_option = PAIRS[option]
    without = answered.get(words) or answer(words)
    if " -o " not in words and not words.startswith("whatif"):
        answered[words] = without
    given = answer(with_option)
    assert without != given
    assert given[0] in (0, 1, 2)


def test_a_value_given_twice_is_refused_where_one_is_meant(perform: Perform) -> None:
    for command in ("predict alexnet", "partition alexnet", "whatif --model alexnet"):
        done = perform(*command.split(), "--on", "pixel-4/cpu", "--on", "pixel-4/gpu", "--json")
        assert done.code == 2
        assert "--on is given twice" in done.json["error"]["message"]


@pytest.mark.parametrize(
    ("comma", "repeated"),
    [
        (
            "compare alexnet --on snapdragon-888/cpu,gpu",
            "compare alexnet --on snapdragon-888/cpu --on snapdragon-888/gpu",
        ),
        (f"{PARTITION} --units cpu,npu", f"{PARTITION} --units cpu --units npu"),
    ],
)
def test_several_are_given_by_comma_or_again(comma: str, repeated: str, perform: Perform) -> None:
    one, other = perform(*comma.split()), perform(*repeated.split())
    assert essence(one) == essence(other)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("predict --queries q.csv alexnet", "MODEL does nothing with --queries"),
        ("predict --queries q.csv --kind steady", "--kind does nothing with --queries"),
        ("predict --queries q.csv --fps", "--fps does nothing with --queries"),
        (f"{PREDICT} --force", "--force does nothing without an output"),
        ("models --force", "--force does nothing without an output"),
        (f"{WHATIF} -o x.html --restart", "--restart does nothing without rows that go on"),
        ("compare --suite ai-benchmark --on pixel-4 --relative", "--relative does nothing"),
        ("select alexnet --on pixel-4 --min-share 0.5", "--min-share does nothing"),
        ("whatif queue.toml --set seed=1,2 --profile a.json", "--profile does nothing"),
        (f"{WHATIF} --n 4", "--n does nothing without --sample"),
        (f"{WHATIF} --seed 4", "--seed does nothing"),
        (f"{TABLE} --budget 3min", "--budget does nothing with --from FILE"),
        (f"{TABLE} --on pixel-4/cpu", "--on does nothing without --suggest"),
        ("calibrate --from host --like pixel-4", "--like does nothing with --from host"),
        ("calibrate --suggest 2 -o x.json", "--output does nothing with --suggest"),
        ("validate partition --retry", "--retry does nothing in validate partition"),
        ("validate kinds --files x", "--files does nothing in validate kinds"),
        ("validate host --runner tflite", "--runner does nothing where an experiment is named"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    words: str, says: str, perform: Perform
) -> None:
    done = perform(*words.split())
    assert done.code == 2
    assert says in done.err


DEFAULTS = {
    "minspec percentile": 95.0,
    "minspec unit": "any",
    "minspec kind": "phone",
    "minspec market": "play",
    "select percentile": 95.0,
    "select max_latency_ms": 33.3,  # a frame at 30 frames a second
    "select min_share": 0.9,
    "select metric": "imagenet_top1",
    "predict kind": "steady",
    "partition by": "optimal",
    "partition objective": "latency",
    "calibrate budget": "10min",
    "calibrate seed": 0,
    "validate budget": "5min",
    "validate runner": "tflite",
    "simulate workers": 1,
    "whatif seed": 0,
}
RANGES: dict[str, tuple[int, int | None]] = {
    "predict --batch-size": (1, 65536),
    "calibrate --suggest": (1, 50),
    "calibrate --seed": (0, None),
    "simulate x.toml --replications": (1, 10_000),
    "simulate x.toml --seed": (0, None),
    "simulate x.toml --workers": (1, 256),
    "whatif --workers": (1, 256),
    "whatif --n": (1, None),
}


def parameter(words: str) -> Any:
    command, name = words.split()
    return next(p for p in built(command).params if p.name == name)


@pytest.mark.parametrize("words", DEFAULTS)
def test_what_is_left_out_has_its_default(words: str) -> None:
    assert parameter(words).default == DEFAULTS[words]


@pytest.mark.parametrize("words", RANGES)
def test_numbers_have_their_range(words: str) -> None:
    command, *rest = words.split()
    low, high = RANGES[words]

    def parse(value: int) -> None:
        built(command).make_context(command, [*rest, str(value)])

    parse(low)
    with pytest.raises(UsageProblem):
        parse(low - 1)
    if high is not None:
        parse(high)
        with pytest.raises(UsageProblem):
            parse(high + 1)


def test_flags_are_off_unless_given() -> None:
    on = [
        f"{command} {p.name}"
        for command in COMMANDS
        for p in built(command).params
        if getattr(p, "is_flag", False) and p.default
    ]
    assert on == []


def test_this_machine_is_calibrated_with_the_framework_and_setup_that_are_asked(
    files: Perform,
) -> None:
    words = "calibrate --from host --framework onnxruntime --precision int8 --threads 2"
    told = files(*words.split()).err
    assert "'framework': 'onnxruntime', 'precisions': ['int8'], 'threads': [2]" in told
    told = files("calibrate", "--from", "host").err
    assert "'framework': 'tflite', 'precisions': None, 'threads': None" in told


def test_a_framework_that_does_not_run_here_is_refused_with_those_that_do(perform: Perform) -> None:
    done = perform("validate", "host", "--framework", "abacus")
    assert done.code == 2
    assert "onnxruntime" in done.err
    done = perform("calibrate", "--from", "host", "--framework", "pytorch", "--precision", "int8")
    assert done.code == 2
    assert "PyTorch does not run int8 here" in done.err
    assert "it runs fp32" in done.err


def test_without_a_profile_the_call_that_makes_one_names_the_framework(perform: Perform) -> None:
    done = perform("validate", "host", "--framework", "onnxruntime")
    assert done.code == 2
    wanted = "calibrate --from host --framework onnxruntime --budget 3min -o host-onnxruntime.json"
    assert wanted in " ".join(done.err.split())
