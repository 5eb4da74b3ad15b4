"""One description of an answer, rendered as text, as JSON and as a page."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import FrozenInstanceError, dataclass

import pytest

from perfmodel.render.page import MOST_OTHER, STYLE, check_figure_name, html_table, write_figure
from perfmodel.render.result import (
    Result,
    ResultFigure,
    ResultTable,
    as_fragment,
    as_page,
    as_text,
    plain,
)

ROWS = [("a", 1), ("b", 2), ("c", 3)]


def result(**changes: object) -> Result:
    parts = (
        ResultTable(
            title="numbers", headers=("name", "n"), rows=ROWS, text_rows=2, rest="more letters"
        ),
        ResultFigure(title="drawn", draw=lambda: "<svg>here</svg>"),
    )
    made: dict = {
        "title": "Title",
        "answer": "the answer is 42",
        "data": {"reproduce": "perfmodel ask"},
        "facts": ("a fact",),
        "warnings": ("a warning",),
        "parts": parts,
        "assumptions": ("an assumption",),
        "sources": ("one", "two", "three"),
        "closing": ("wrote x",),
    }
    return Result(**{**made, **changes})


def test_text_answers_first_and_says_what_it_leaves_out() -> None:
    assert as_text(result()).splitlines() == [
        "the answer is 42",
        "  a fact",
        "warning: a warning",
        "",
        "numbers",
        "name  n",
        "----  -",
        "a     1",
        "b     2",
        "... and 1 more letters",
        "",
        "  assumed: an assumption",
        "  source: one",
        "  source: two",
        "  and 1 more sources (--json has all)",
        "",
        "wrote x",
    ]


def test_text_of_an_answer_alone_is_one_line() -> None:
    assert as_text(Result(title="t", answer="yes", data={})) == "yes"


def test_rows_may_be_for_text_or_for_pages_only() -> None:
    page_only = ResultTable(title="p", headers=("h",), rows=[("x",)], text_rows=0)
    text_only = ResultTable(title="t", headers=("h",), rows=[("y",)], page_rows=0)
    made = result(parts=(page_only, text_only))
    assert "x" not in as_text(made).split("\n\n")[1]
    assert "y" in as_text(made)
    page = as_page(made)
    assert "<td>x</td>" in page
    assert "<td>y</td>" not in page
    assert "<h2>t</h2>" not in page


def test_bars_are_drawn_in_text_alone() -> None:
    bars = ResultTable(headers=("h",), rows=[("x",), ("y",)], bars=[1.0, 0.5])
    lines = as_text(result(parts=(bars,))).split("\n\n")[1].splitlines()
    assert lines[2:] == ["x  " + "█" * 20, "y  " + "█" * 10]
    assert "█" not in as_page(result(parts=(bars,)))


def test_a_page_has_every_part_and_the_command() -> None:
    page = as_page(result())
    assert re.search(r'<p class="answer">The answer is 42\.</p>\s*<ul><li>a fact</li></ul>', page)
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "numbers",
        "drawn",
        "Warnings",
        "Assumptions",
        "Sources",
        "About this run",
        "Make it again",
    ]
    assert page.count("<tr>") == 4  # the header and all three rows
    assert "<svg>here</svg>" in page
    assert "<pre>perfmodel ask</pre>" in page
    assert "<pre>perfmodel other</pre>" in as_page(result(data=[]), "perfmodel other")
    assert "Make it again" not in as_page(result(data=[]))


def test_a_figure_without_content_is_left_out() -> None:
    page = as_page(result(parts=(ResultFigure(title="nothing", draw=lambda: ""),)))
    assert "nothing" not in page


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("no phone passes", "No phone passes."),
        ("mobilenet_v2 takes 3 ms", "mobilenet_v2 takes 3 ms."),
        ("is it so?", "is it so?"),
    ],
)
def test_the_answer_on_a_page_is_a_sentence(answer: str, sentence: str) -> None:
    assert f'<p class="answer">{sentence}</p>' in as_page(result(answer=answer))


def test_a_page_shows_names_and_obeys_none() -> None:
    page = as_page(result(title="<i>", answer="<script>\x1b", facts=("<b>",), closing=("<u>",)))
    assert page.count("<script>") == 1  # the page's own
    assert "&lt;script&gt;\\x1b" in page
    assert not {"<i>", "<b>", "<u>"} & set(re.findall(r"<\w+>", page))


def test_a_page_may_run_its_own_script_and_nothing_else() -> None:
    page = as_page(result())
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert len(script) < 30_000
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_a_part_of_another_page_has_its_style_and_no_script() -> None:
    part = as_fragment(result())
    assert part.startswith('<div class="perfmodel"><style>')
    assert "<script" not in part
    assert "Content-Security-Policy" not in part
    assert '<p class="answer">The answer is 42.</p>' in part
    assert "<style" not in as_fragment(result(), style=False)
    # no rule reaches beyond the part
    rules = re.sub(r"@media[^{]*\{", "", STYLE)
    for selectors in re.findall(r"([^{}]+)\{[^}]*\}", rules):
        assert all(".perfmodel" in one for one in selectors.split(",")), selectors


def test_a_figure_on_two_scales_has_a_switch_where_there_is_room() -> None:
    def drawn(other: str | None) -> str:
        part = ResultFigure(
            title="f", draw=lambda: "<svg>1</svg>", other=None if other is None else lambda: other
        )
        return as_page(result(parts=(part,)))

    both = drawn("<svg>2</svg>")
    assert '<input type="checkbox"> logarithmic scale</label>' in both
    assert '<div class="one"><svg>1</svg></div><div class="other"><svg>2</svg></div>' in both
    for one in (drawn(None), drawn(""), drawn("x" * (MOST_OTHER + 1))):
        assert "<svg>1</svg>" in one
        assert "checkbox" not in one
    assert "checkbox" in drawn("x" * MOST_OTHER)


def test_cells_with_units_are_sorted_by_what_they_count() -> None:
    shown = html_table(("n",), [("2.00 MB",), ("3.00 KB",), ("950",), ("1.5 k *",), ("-",)])
    assert re.findall(r'data-v="(.*?)"', shown) == ["2e+06", "3000", "1500"]
    times = html_table(("t",), [("850 us",), ("12.3 ms",), ("25.0 s",), ("1,000 s",)])
    assert re.findall(r'data-v="(.*?)"', times) == ["0.85", "25000", "1e+06"]
    assert "data-v" not in html_table(("w",), [("2 MB of words",), ("other",)])


def test_numbers_of_a_page_stand_to_the_right_and_long_words_wrap() -> None:
    shown = html_table(("n", "short", "long"), [("1.5", "a", "w " * 30), ("-", "b", "w")])
    assert '<th class="number">n</th><th>short</th><th class="words">long</th>' in shown
    assert '<td class="number">-</td>' in shown


def test_a_page_shows_some_rows_and_counts_the_others() -> None:
    rows = [(i,) for i in range(450)]
    assert html_table(("n",), rows).count("<tr>") == 401
    assert "... and 50 more rows" in html_table(("n",), rows)
    assert "... and 447 more rows" in html_table(("n",), rows, 3)
    assert html_table(("n",), rows, 0) == html_table(("n",), []) == ""


def test_plain_data_hold_numbers_that_json_knows() -> None:
    @dataclass(frozen=True)
    class Inner:
        value: float

    made = plain({"a": Inner(1 / 3), 2: (float("nan"), float("inf")), "s": {1}, "b": True})
    assert made == {"a": {"value": 0.333333333}, "2": [None, None], "s": [1], "b": True}


def test_a_figure_is_written_by_its_name(tmp_path) -> None:
    write_figure("<svg/>", "title", tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == "<svg/>\n"
    write_figure("<svg/>", "title", tmp_path / "new" / "a.html")
    page = (tmp_path / "new" / "a.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "title." in page
    assert "<svg/>" in page
    with pytest.raises(Exception, match=r"\.svg or \.html"):
        check_figure_name(tmp_path / "a.gif")


def test_a_result_cannot_be_changed_after_it_was_made() -> None:
    parts = result().parts
    for made, name in ((result(), "answer"), (parts[0], "rows"), (parts[1], "title")):
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, ())
