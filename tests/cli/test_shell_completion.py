"""Completion: what may come next, in the words of each shell, without loading what computes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli_folder import ROOT, Perform

from perfmodel.cli import complete
from perfmodel.cli.commands import COMMANDS, built
from perfmodel.cli.completion import SCRIPTS, is_installed
from perfmodel.devices.market_search import find
from perfmodel.devices.registry import ProfileFolder


@pytest.mark.parametrize(
    ("words", "typed", "has", "lacks"),
    [
        ((), "pre", {"predict"}, {"models"}),
        ((), "", set(COMMANDS), {"--version"}),
        ((), "--v", {"--version"}, {"--help"}),
        (("predict",), "--on", {"--on"}, {"-o"}),
        (("predict", "--on", "x"), "--", {"--fps", "--help"}, {"--on", "-h"}),
        (("predict", "--dim", "a=1"), "--d", {"--dim"}, set()),
        (("predict",), "mobilenet_v", {"mobilenet_v1", "mobilenet_v2"}, {"resnet50"}),
        (("predict",), "timm:resnet1", {"timm:resnet18"}, set()),
        (("predict", "alexnet"), "mob", set(), {"mobilenet_v1"}),
        (("compare", "alexnet"), "mobilenet_v", {"mobilenet_v1"}, set()),
        (("predict", "--fps"), "alex", {"alexnet"}, set()),
        (("predict", "a", "--on"), "snapdragon-88", {"snapdragon-888"}, {"pixel-4"}),
        (("predict", "a", "--on"), "pixel-4", {"pixel-4", "pixel-4/cpu"}, {"pixel-4/cpu/tflite"}),
        (("predict", "a", "--on"), "pixel-4/", {"pixel-4/cpu", "pixel-4/gpu"}, {"pixel-4"}),
        (
            ("predict", "a", "--on"),
            "pixel-4/cpu/tflite/",
            {"pixel-4/cpu/tflite/int8"},
            {"pixel-4/cpu/tflite/int8/t4"},
        ),
        (("predict", "a"), "--on=pixel-4/c", {"--on=pixel-4/cpu"}, set()),
        (("predict", "a", "--on"), "galaxy s23", {"Galaxy S23"}, {"Galaxy S22"}),
        (("predict", "a", "--on"), "Samsung Galaxy S23", {"Samsung Galaxy S23"}, set()),
        (("predict", "a", "--on"), "Galaxy S23/", {"Galaxy S23/cpu", "Galaxy S23/gpu"}, set()),
        (("predict", "a", "--on"), "xy", set(), {"xy/cpu"}),
        (("calibrate", "--chip"), "snapdragon 778", {"Snapdragon 778G"}, set()),
        (("calibrate", "--from"), "", {"host", "adb"}, set()),
        (("devices", "--kind"), "", {"phone", "jetson"}, set()),
        (("predict", "--kind"), "s", {"steady", "sustained"}, {"phone"}),
        (("validate",), "h", {"host"}, {"kinds"}),
        (("completion",), "", {"bash", "zsh", "fish"}, set()),
        (("simulate",), "mob", set(), {"mobilenet_v1"}),
        (("nonsense",), "", set(), {"predict"}),
    ],
)
def test_what_may_come_next(
    words: tuple[str, ...], typed: str, has: set[str], lacks: set[str]
) -> None:
    found = complete.candidates(words, typed)
    assert has <= set(found)
    assert not lacks & set(found)
    assert all(name.lower().startswith(typed.lower()) for name in found)
    assert len(found) == len(set(found))


def test_one_device_that_is_left_shows_its_units_and_files_stand_beside_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = complete.candidates(["predict", "a", "--on"], "amd-instinct-mi10")
    assert found == ["amd-instinct-mi100", "amd-instinct-mi100/gpu"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    for name in ("mobile.tflite", "notes.txt", "nets/a.onnx"):
        (tmp_path / name).touch()
    assert "mobile.tflite" in complete.candidates(["predict"], "mobil")
    assert complete.candidates(["predict"], "no") == []
    assert complete.candidates(["predict"], "nets") == ["nets/"]
    assert complete.candidates(["predict"], "nets/") == ["nets/a.onnx"]
    assert complete.candidates(["predict"], f"{tmp_path}/mo") == [f"{tmp_path}/mobile.tflite"]


def test_what_is_offered_is_understood() -> None:
    phones = complete.devices("galaxy a5") + complete.devices("xiaomi 1") + complete.devices("mi")
    profiles = ProfileFolder().names()
    unknown = [name for name in phones[::3] if name not in profiles and not find(name)]
    assert unknown == []
    target = complete.candidates(["predict", "a", "--on"], "Galaxy S23/g")[0]
    assert ProfileFolder().resolve(target).target.target.unit == "gpu"


def test_the_user_s_own_devices_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFMODEL_PROFILES", str(tmp_path))
    (tmp_path / "zz-mine.json").write_text("{}")
    assert complete.devices("zz") == ["zz-mine"]


def test_every_name_that_is_completed_is_a_parameter() -> None:
    known = {p.name for c in COMMANDS for p in built(c).params}
    known |= {f"{c} {p.name}" for c in COMMANDS for p in built(c).params}
    assert set(complete.VALUES) <= known


@pytest.mark.parametrize(
    ("line", "words", "meant", "quote"),
    [
        ("perfmodel ", ("perfmodel",), "", ""),
        ("perfmodel pre", ("perfmodel",), "pre", ""),
        ("p --on Galaxy\\ S", ("p", "--on"), "Galaxy S", ""),
        ("p --on 'Galaxy S", ("p", "--on"), "Galaxy S", "'"),
        ('p "a b"  "c \\"d', ("p", "a b"), 'c "d', '"'),
        ("p 'a\\b' c", ("p", "a\\b"), "c", ""),
        ("p '' c\\", ("p", ""), "c\\", ""),
    ],
)
def test_a_line_is_read_as_bash_reads_it(
    line: str, words: tuple[str, ...], meant: str, quote: str
) -> None:
    typed = complete.parsed(line)
    assert (typed.words, typed.meant, typed.quote) == (words, meant, quote)


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """An environment in which `perfmodel` is a program and the home folder is empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    place = folder / "perfmodel"
    place.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m perfmodel "$@"\n')
    place.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}


def asked(shell: list[str], script: str, env: dict[str, str], folder: Path) -> list[str]:
    """The lines that a shell prints for a script, without a user's start files."""
    done = subprocess.run(
        [*shell, script], env=env, cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


BREAKS = " \t\n\"'@><=;|&(:"
LINES = {
    "perfmodel whati": ["whatif"],
    "perfmodel inspect timm:convnext_pic": ["convnext_pico"],
    "perfmodel predict a --on Samsung\\ Galaxy\\ S23\\ U": ["Samsung\\ Galaxy\\ S23\\ Ultra"],
    "perfmodel predict a --on 'Samsung Galaxy S23 U": ["Samsung Galaxy S23 Ultra"],
    "perfmodel predict a --on=apple-m1/gpu/": [],
    "perfmodel simulate x": [],
}


def test_bash_completes(program: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    script = SCRIPTS["bash"]
    for line in LINES:
        script += (
            f"COMP_LINE={_quoted(line)}; COMP_POINT=${{#COMP_LINE}}; "
            f"COMP_WORDBREAKS={_quoted(BREAKS)}; _perfmodel perfmodel; echo '>'\n"
            '[ ${#COMPREPLY[@]} -eq 0 ] || printf "%s\\n" "${COMPREPLY[@]}"\n'
        )
    shown = asked(["bash", "--norc", "-c"], script, program, tmp_path)
    wanted = [line for found in LINES.values() for line in (">", *found)]
    assert shown == wanted


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.mark.ci
def test_zsh_completes(program: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("no zsh")
    stubs = 'compdef() {}\ncompadd() { shift 2; print -l -- "$@" }\n_files() { print files }\n'
    script = stubs + SCRIPTS["zsh"]
    for words in ("whati", "predict a --on Samsung\\\\\\ Galaxy\\\\\\ S23\\\\\\ U", "simulate x"):
        script += f"words=(perfmodel {words}); CURRENT=$#words; _perfmodel\n"
    shown = asked(["zsh", "-f", "-c"], script, program, tmp_path)
    assert shown == ["whatif", "Samsung Galaxy S23 Ultra", "files"]


@pytest.mark.ci
def test_fish_completes(program: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish")
    (tmp_path / "xfile").touch()
    script = SCRIPTS["fish"]
    for line in ("whati", "predict a --on Samsung\\ Galaxy\\ S23\\ U", "simulate xf"):
        script += f"complete -C {_quoted('perfmodel ' + line)}\n"
    shown = asked(["fish", "--no-config", "-c"], script, program, tmp_path)
    assert shown == ["whatif", "Samsung Galaxy S23 Ultra", "xfile"]


def test_completion_loads_nothing_that_computes() -> None:
    code = (
        "import sys; from perfmodel.cli import complete as c; "
        "c.candidates(['predict', 'a', '--on'], 'galaxy s2'); c.candidates(['predict'], 'mob'); "
        "c.candidates(['predict', 'a', '--on'], 'Galaxy S23/'); c.candidates(['validate'], ''); "
        "print([m for m in ('numpy', 'pandas', 'pydantic', 'scipy') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_a_completion_that_fails_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(complete.ASKED_BY, "zsh")
    monkeypatch.setattr(sys, "argv", ["perfmodel", "whati"])
    assert complete.main() == 0
    assert capsys.readouterr() == ("whatif", "")
    monkeypatch.setattr(complete, "candidates", None)
    assert complete.main() == 1
    assert capsys.readouterr() == ("", "")


def test_a_script_is_installed_once(
    perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ZDOTDIR", raising=False)
    (tmp_path / ".bashrc").write_text("mine")
    for shell, start in (("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", None)):
        assert not is_installed(shell)
        done = perform("completion", shell, "--install", "--json").json
        assert len(done["written"]) == (1 if start is None else 2)
        assert is_installed(shell)
        assert Path(done["written"][0]).read_text() == SCRIPTS[shell] == done["script"]
        assert perform("completion", shell, "--install", "--json").json["written"] == []
        if start is not None:
            lines = (tmp_path / start).read_text().splitlines()
            assert lines[-1] == f"source {done['written'][0]}"
    assert (tmp_path / ".bashrc").read_text().splitlines()[0] == "mine"
    (tmp_path / ".bashrc").write_text("mine")
    assert not is_installed("bash")


def test_the_shell_is_named_or_known(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/local/bin/fish")
    assert perform("completion").out == SCRIPTS["fish"]
    assert perform("completion", "zsh").out == SCRIPTS["zsh"]
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "the shell 'tcsh' is none of bash, zsh, fish" in perform("completion").err
    monkeypatch.delenv("SHELL")
    assert "no shell is named" in perform("completion").err
    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert "no home folder" in perform("completion", "bash", "--install").err


def test_the_version_is_told(perform: Perform) -> None:
    from perfmodel import __version__

    done = perform("--version")
    assert (done.code, done.out) == (0, f"perfmodel {__version__}\n")
    assert __version__ in json.dumps((ROOT / "pyproject.toml").read_text())
