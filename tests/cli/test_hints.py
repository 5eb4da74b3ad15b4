"""What help and errors advise exists and works."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from cli_folder import ROOT, SERVING, Perform

from perfmodel.cli.commands import COMMANDS, built, summary

PACKAGE = ROOT / "perfmodel"
OTHER_TOOLS = re.compile(r"^--(exportTimes|dumpProfile|graph|enable_op_profiling)")
"""Options of trtexec and benchmark_model, whose logs are read."""


def flags_of(command: str) -> set[str]:
    """Every spelling of every option of a command."""
    found: set[str] = {"--help", "-h"}
    for parameter in built(command).params:
        found.update([*parameter.opts, *parameter.secondary_opts])
    return found


FLAGS = {command: flags_of(command) for command in COMMANDS}
ALL_FLAGS = {"--version"}.union(*FLAGS.values())


def words_of_errors(path: Path) -> list[str]:
    """The text of every error that a module raises: of f-strings, what is fixed."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name.endswith("Error") or name in ("refuse_idle", "Option", "Argument"):
            for argument in [*node.args, *(k.value for k in node.keywords)]:
                parts = [
                    n.value
                    for n in ast.walk(argument)
                    if isinstance(n, ast.Constant) and isinstance(n.value, str)
                ]
                found.append(" ".join(parts))
    return found


def wrong_advice(words: str) -> list[str]:
    """The commands and options that a text names and that do not exist."""
    wrong = [
        f"python -m {module}"
        for module in re.findall(r"python -m ([\w.]+)", words)
        if not any((ROOT / module.replace(".", "/")).parent.glob(f"{module.split('.')[-1]}*"))
    ]
    words = re.sub(r"python -m [\w.]+[^;,]*", "", words)  # options of other programs
    for command in re.findall(r"(?<!this )\bperfmodel ([a-z]+)\b", words):
        if command not in COMMANDS:
            wrong.append(f"perfmodel {command}")
    for flag in re.findall(r"(?<![\w-])--[a-zA-Z][\w-]*", words):
        if flag not in ALL_FLAGS and not OTHER_TOOLS.match(flag):
            wrong.append(flag)
    for command, rest in re.findall(r"\bperfmodel ([a-z]+)([^;,.]*)", words):
        for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", rest):
            if command in COMMANDS and flag not in FLAGS[command]:
                wrong.append(f"perfmodel {command} {flag}")
    return wrong


def test_wrong_advice_is_found() -> None:
    assert wrong_advice("add --nonsense to perfmodel predict --units") == [
        "--nonsense",
        "perfmodel predict --units",
    ]
    assert wrong_advice("try perfmodel guess") == ["perfmodel guess"]
    assert wrong_advice("run python -m validation.nothing --out F") == [
        "python -m validation.nothing"
    ]
    assert wrong_advice("perfmodel predict MODEL --on TARGET, or --units by comma") == []


def test_errors_and_help_advise_commands_and_options_that_exist() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {words!r}: {advice}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for words in words_of_errors(path)
        if (advice := wrong_advice(words))
    }
    assert wrong == set()


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands_of(page: str) -> list[str]:
    """Every command of a page: in its blocks, those that do not run too, and in its sentences."""
    fenced = re.findall(r"```(?:bash|sh)?\n(.*?)```", page, re.S)
    lines = [line.removeprefix("$ ") for block in fenced for line in block.splitlines()]
    spans = re.findall(r"`(perfmodel [^`]+)`", re.sub(r"```.*?```", "", page, flags=re.S))
    found = [line.split(" > ")[0] for line in lines if line.startswith("perfmodel ")]
    return [*found, *(" ".join(span.split()) for span in spans)]


def test_commands_of_a_page_are_found() -> None:
    page = "Ask `perfmodel\ndevices`.\n```bash\n$ perfmodel a --b > c\nother\n```\n"
    assert commands_of(page.replace("\ndevices", " devices")) == [
        "perfmodel a --b",
        "perfmodel devices",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_a_page_names_commands_and_options_that_exist(page: Path) -> None:
    wrong = {c: wrong_advice(c) for c in commands_of(page.read_text(encoding="utf-8"))}
    assert {c: advice for c, advice in wrong.items() if advice} == {}


NETWORK_COMMANDS = {
    "predict": "predict odd.param --on snapdragon-888/cpu",
    "inspect": "inspect odd.param",
    "compare": "compare odd.param --on snapdragon-888/cpu",
    "partition": "partition odd.param --on snapdragon-888/cpu",
    "minspec": "minspec odd.param --max-latency-ms 50",
    "whatif": "whatif --model odd.param --on snapdragon-888/cpu --set slowdown=1,2",
}


@pytest.mark.parametrize("command", NETWORK_COMMANDS)
def test_allow_uncovered_helps_where_it_is_advised(command: str, perform: Perform) -> None:
    words = shlex.split(NETWORK_COMMANDS[command])
    done = perform(*words)
    if command == "inspect":
        assert "--allow-uncovered" not in done.out
        return
    done = perform(*words, "--allow-uncovered")
    assert done.code in (0, 1), done.err
    assert "odd" in done.out


def examples() -> list[str]:
    """Every example of every command's help."""
    found = []
    for command in COMMANDS:
        help_text = str(built(command).help)
        found += re.findall(r"Example: perfmodel ([^\n]+(?:\n[^\n]+)*)", help_text)
    return [" ".join(example.split()) for example in found]


def test_every_command_has_an_example_of_its_own() -> None:
    assert [example.split()[0] for example in examples()] == list(COMMANDS)


@pytest.mark.parametrize("example", [e for e in examples() if e not in SERVING])
def test_the_example_of_help_runs(
    example: str, perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfmodel.experiments.host.validate_host", _nothing_measured)
    shown = perform("predict", "alexnet", "--on", "snapdragon-888/cpu", "--json")
    (tmp_path / "result.json").write_text(shown.out)
    (tmp_path / "host.json").write_text("{}")
    text = (tmp_path / "queue.toml").read_text()
    if example.startswith("simulate examples/mm1.toml"):
        example = example.replace("examples/mm1.toml", "queue.toml")  # the same, but short
        assert "M/M/1" in text
    done = perform(*shlex.split(example))
    assert done.code == 0, done.err


def _nothing_measured(*_: object, **__: object) -> object:
    from perfmodel.experiments.host_result import HostValidation
    from perfmodel.experiments.scores import Case
    from perfmodel.runners.runner import MachineFacts

    case = Case(model="one", target="host/cpu", predicted_ms=1.0, measured_ms=1.0)
    return HostValidation(
        cases=(case,),
        files=frozenset(),
        first=(),
        kernels=(),
        repeat=None,
        repeats=0,
        left_out={},
        machine=MachineFacts("tflite", {}),
        warning="",
        spent_s=0.0,
        drift={},
    )


def test_help_lists_every_command_with_its_first_sentence(perform: Perform) -> None:
    shown = " ".join(perform("--help").out.split())
    for command in COMMANDS:
        assert f"{command} {summary(command)}" in shown


def test_help_imports_nothing_that_only_answers_need() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from perfmodel.cli.app import run; run(['--help']); "
        "print([m for m in ('numpy', 'perfmodel.prediction', 'perfmodel.sim') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("predict", "perfmodel.sim"),
        ("models", "perfmodel.prediction"),
        ("simulate", "sklearn"),
        ("calibrate", "sklearn"),
        ("calibrate", "scipy.ndimage"),
    ],
)
def test_a_command_imports_only_what_it_runs(command: str, absent: str, tmp_path: Path) -> None:
    import subprocess
    import sys

    words = {
        "predict": ["predict", "alexnet", "--on", "snapdragon-888/cpu"],
        "models": ["models"],
        "calibrate": [
            *("calibrate", "--device", "a", "-o", str(tmp_path / "a.json")),
            *("--from", str(ROOT / "examples" / "ten_rows.csv")),
        ],
        "simulate": ["simulate", str(ROOT / "examples" / "camera_30fps.toml"), "--replications=1"],
    }[command]
    code = (
        f"import sys; from perfmodel.cli.app import run; run({words!r}); "
        f"print({absent!r} in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.endswith("False\n")
