"""Every command and code block of the README and of docs/ runs, and every figure is of today.

`python docs/generate.py` writes the figures again. `<!-- not run: REASON -->` on the line before a
block leaves it out; the README's main and tests commands are run where the package is checked.
"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path

import pytest

from docs.writer.blocks import Block, blocks, exchanges
from docs.writer.folder import BlockFailed, make_folder, words
from docs.writer.page import DOCS, ELSEWHERE, MARK, ROOT, all_pages, make, printed_anew, rewritten
from docs.writer.values.partition import studies

LONG = {"add-a-device.md", "calibrate.md", "guo2018.md", "minimum-phone.md", "partition.md"} | {
    "python-api.md",
    "questions.md",
    "what-if.md",
}
"""Pages whose commands take seconds: they, tutorials and Korean pages run with the slow tests."""


def is_long(page: Path) -> bool:
    return page.name in LONG or page.parent not in (ROOT, DOCS)


def has_figures(page: Path) -> bool:
    text = page.read_text(encoding="utf-8")
    return bool(MARK.search(text) or blocks(text, ELSEWHERE))


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(p, id=str(p.relative_to(ROOT)), marks=[pytest.mark.slow] * is_long(p))
        for p in all_pages()
        if has_figures(p)
    ],
)
def test_every_block_of_a_page_runs_and_every_figure_is_of_today(page: Path) -> None:
    text, pictures = rewritten(page)
    old = page.read_text(encoding="utf-8").splitlines()
    changed = list(
        difflib.unified_diff(old, text.splitlines(), "written", "today", lineterm="", n=0)
    )
    assert changed == [], "run python docs/generate.py " + page.stem
    for path, svg in pictures.items():
        drawn = (DOCS / path).read_text(encoding="utf-8").rstrip()
        assert drawn == svg, f"{path}: run python docs/generate.py {page.stem}"


@pytest.mark.slow
@pytest.mark.parametrize("notebook", sorted(DOCS.glob("notebooks/*.ipynb")), ids=lambda p: p.stem)
def test_a_notebook_runs_and_holds_no_outputs_of_old(notebook: Path, tmp_path: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] for cell in code)
    lines = tuple(line for cell in code for line in "".join(cell["source"]).splitlines())
    make_folder(tmp_path).run(Block(1, "python", lines), notebook.name)


def test_blocks_are_found_and_left_out_by_the_rule() -> None:
    page = "```bash\na\n```\n<!-- not run: slow -->\n```sh\nb\n```\n"
    page += (
        "```\n$ c\nd\n```\n```json\ne\n```\n```\nperfmodel f\n```\n<!-- here -->\n```bash\ng\n```\n"
    )
    assert [(b.line, b.language, b.code) for b in blocks(page, ("<!-- here -->",))] == [
        (1, "bash", "a"),
        (8, "console", "c"),
        (15, "bash", "perfmodel f"),
    ]


def test_what_follows_a_command_is_what_it_printed() -> None:
    found = exchanges(("$ one", "$HOME", "$ two", "$ three", "3", ""))
    assert [(e.command, e.printed) for e in found] == [
        ("one", ("$HOME",)),
        ("two", ()),
        ("three", ("3", "")),
    ]


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("perfmodel predict a --on 'b c/cpu'", ["predict", "a", "--on", "b c/cpu"]),
        ("perfmodel whatif --set 'x=f(1; 2)'", ["whatif", "--set", "x=f(1; 2)"]),
        ("perfmodel models > file", []),
        ('perfmodel models --match "$NAME"', []),
        ("echo perfmodel models", []),
    ],
)
def test_plain_commands_are_told_from_those_for_a_shell(line: str, arguments: list[str]) -> None:
    assert words(line) == arguments


def test_old_output_is_replaced_whatever_its_length(tmp_path: Path) -> None:
    page = "```console\n$ printf 'a\\nb\\nc\\n'\nold\n$ printf 'd\\ne\\n' | head -1\n```\nend\n"
    page += "```console\n$ echo f\nold\nolder\n```\n"
    new = (
        "```console\n$ printf 'a\\nb\\nc\\n'\na\nb\nc\n$ printf 'd\\ne\\n' | head -1\nd\n```\nend\n"
    )
    new += "```console\n$ echo f\nf\n```\n"
    folder = make_folder(tmp_path)
    assert printed_anew(page, "page", folder) == new
    assert printed_anew(new, "page", folder) == new


def test_what_a_command_says_beside_its_answer_is_not_shown(tmp_path: Path) -> None:
    page = "```console\n$ echo progress >&2; echo answer\n```\n"
    shown = printed_anew(page, "page", make_folder(tmp_path)).splitlines()
    assert shown[2:] == ["answer", "```"]


def test_python_blocks_of_a_page_share_their_names(tmp_path: Path) -> None:
    page = "```python\na = 1\n```\nthen\n```python\nprint(a)\n```\n"
    assert printed_anew(page, "page", make_folder(tmp_path)) == page


def test_a_page_of_another_language_draws_nothing_of_its_own() -> None:
    made = make(DOCS / "ko" / "minimum-phone.md")
    assert (made.values, made.pictures) == ({}, {})


def test_a_block_that_fails_is_told_with_its_place(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    for code in ("false", "perfmodel predict nobody --on snapdragon-888/cpu"):
        with pytest.raises(BlockFailed, match="page:2"):
            printed_anew(f"text\n```bash\n{code}\n```\n", "page", folder)
    shown = printed_anew("```console\n$ perfmodel predict alexnet\n```\n", "page", folder)
    assert "perfmodel: " in shown


def test_every_mark_of_a_page_is_closed_and_filled_with_something() -> None:
    for page in all_pages():
        text = page.read_text(encoding="utf-8")
        marks = MARK.findall(text)
        assert len(marks) == text.count("<!-- =") == text.count("<!-- / -->"), page.name
        assert all(value.strip() for _, _, value, _ in marks), page.name


def test_tables_of_partition_studies_are_those_of_the_committed_results() -> None:
    text = (DOCS / "partition.md").read_text(encoding="utf-8")
    shown = {name: value for _, name, value, _ in MARK.findall(text)}
    made = studies()
    assert len(made) > 10
    assert {name: shown[name] for name in made} == made


def test_ten_questions_of_each_of_seven_kinds_of_user_are_answered() -> None:
    text = (DOCS / "questions.md").read_text(encoding="utf-8")
    users = re.split(r"^## ", text, flags=re.M)[1:]
    assert len(users) == 7
    for user in users:
        answers = re.split(r"^\*\*[^*]+\?\*\*$", user, flags=re.M)[1:]
        assert len(answers) == 10
        for answer in answers:
            printed = [e.printed for b in blocks(answer) for e in exchanges(b.lines)]
            assert all(any(line.strip() for line in lines) for lines in printed), answer
            assert printed or "](" in answer, answer


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in all_pages():
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
