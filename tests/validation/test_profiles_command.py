"""`python -m validation.profiles`: what is asked for wrongly is said before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from validation.profiles import __main__ as program


@pytest.mark.parametrize(
    ("words", "says", "todo"),
    [
        (["--data", "/nowhere"], "--data /nowhere is no folder", "that of the measurements"),
        (["--only", "nobody"], "no builder is called nobody", "known: "),
        (["--only", "alone"], "--only needs what the other builders made", "--parts FOLDER"),
        ([], "e2e.csv is missing", "is --data right?"),
    ],
)
def test_what_would_build_something_else_is_refused(
    words: list[str],
    says: str,
    todo: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def alone(data: Path) -> object:
        raise FileNotFoundError(2, "no such file", "e2e.csv")

    monkeypatch.setattr(program, "builders", lambda: [alone])
    output = tmp_path / "made"
    given = [] if "--data" in words else ["--data", str(tmp_path)]
    assert program.main([*given, *words, "-o", str(output)]) == 2
    [first, second] = capsys.readouterr().err.splitlines()
    assert says in first
    assert todo in second
    assert not output.exists()
