"""Plots: where marks stand follows from the values, by hand arithmetic."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from perfmodel.errors import PartitionError
from perfmodel.render import colors, plots, svg
from perfmodel.render.cut_curve import curve_svg, totals
from perfmodel.render.plots import Point
from perfmodel.render.svg import Bar

SPACE = "{http://www.w3.org/2000/svg}"


def all_of(text: str, tag: str) -> list[ElementTree.Element]:
    """Elements of a figure, which must be well-formed XML."""
    return ElementTree.fromstring(text).findall(f".//{SPACE}{tag}")


def words(text: str) -> list[str]:
    return [e.text or "" for e in all_of(text, "text")]


def across(element: ElementTree.Element, name: str) -> float:
    """A place or length across, in percent of the width."""
    words = element.attrib[name]
    assert words.endswith("%")
    return float(words[:-1])


def places(text: str) -> dict[str, tuple[str, float, str]]:
    """Of each word its x (as written), y and anchor."""
    return {
        str(e.text): (e.attrib["x"], float(e.attrib["y"]), e.attrib["text-anchor"])
        for e in all_of(text, "text")
        if "x" in e.attrib
    }


def way(element: ElementTree.Element) -> list[tuple[float, float]]:
    """The places (percent across, pixels down) that a line goes through."""
    found = re.findall(r"[ML]([-\d.]+) ([-\d.]+)", element.attrib["d"])
    return [(float(x), float(y)) for x, y in found]


def slanted(text: str) -> dict[str, tuple[float, float]]:
    """Of each slanted word its x and y."""
    found = {}
    for e in all_of(text, "text"):
        if "transform" in e.attrib:
            x, y = re.findall(r"-?[\d.]+", e.attrib["transform"])[:2]
            found[str(e.text)] = float(x), float(y)
    return found


def size(text: str) -> tuple[float, float]:
    """Width and height of a figure."""
    shown = ElementTree.fromstring(text).attrib
    return float(shown["width"]), float(shown["height"])


def number(element: ElementTree.Element, name: str) -> float:
    return float(element.attrib[name])


def test_bars_are_as_long_as_their_values() -> None:
    shown = svg.bars([Bar("a", 10.0), Bar("b", 5.0), Bar("c", 0.0)], "ms", "t")
    assert [r.attrib["width"] for r in all_of(shown, "rect")] == ["100.00%", "50.00%", "1"]
    # rows of 36 from 4 on: words 13 below, the bar of 12 another 5 lower
    assert [number(r, "y") for r in all_of(shown, "rect")] == [22.0, 58.0, 94.0]
    assert [number(r, "height") for r in all_of(shown, "rect")] == [12.0] * 3
    assert {r.attrib["x"] for r in all_of(shown, "rect")} == {"0"}
    assert places(shown) == {
        "a": ("0.0", 17.0, "start"),
        "10.0 ms": ("100%", 17.0, "end"),
        "b": ("0.0", 53.0, "start"),
        "5.00 ms": ("100%", 53.0, "end"),
        "c": ("0.0", 89.0, "start"),
        "0 ms": ("100%", 89.0, "end"),
    }
    assert size(shown) == (720.0, 8 + 3 * 36)
    assert "width:100%;max-width:720px" in ElementTree.fromstring(shown).attrib["style"]


def test_a_bar_tells_its_interval_in_a_whisker_and_a_tooltip() -> None:
    shown = svg.bars([Bar("a", 10.0, 5.0, 20.0, "why")], "ms", "t")
    assert all_of(shown, "title")[0].text == "a: 10.0 ms (5.00 to 20.0): why"
    # the whole width stands for the largest value, 20 ms
    drawn = [
        (across(e, "x1"), number(e, "y1"), across(e, "x2"), number(e, "y2"))
        for e in all_of(shown, "line")
    ]
    # in the middle of the bar, four up and down at the ends
    assert drawn == [(25, 24, 25, 32), (25, 28, 100, 28), (100, 24, 100, 32)]
    assert across(all_of(shown, "rect")[0], "width") == 50.0


def test_a_whisker_far_beyond_the_bars_is_cut() -> None:
    shown = svg.bars([Bar("a", 10.0, 5.0, 1000.0)], "ms", "t")
    # the scale ends at 2.5 times the longest bar
    assert across(all_of(shown, "rect")[0], "width") == 40.0


def test_a_limit_is_a_line_across_and_in_the_scale() -> None:
    shown = svg.bars([Bar("a", 10.0)], "ms", "t", limit=20.0)
    [line] = all_of(shown, "path")
    assert way(line) == [(100.0, 2.0), (100.0, 8 + 36 - 4)]
    assert "stroke-dasharray" in line.attrib
    assert across(all_of(shown, "rect")[0], "width") == 50.0


def test_bars_may_be_as_long_as_logarithms() -> None:
    rows = [Bar("a", 100.0), Bar("b", 10.0), Bar("c", 1.0), Bar("d", 0.0)]
    shown = all_of(svg.bars(rows, "ms", "t", log=True), "rect")
    # two decades between the longest and the shortest, a fifth of one more for the shortest to show
    expected = [100 * (2.2 - below) / 2.2 for below in (0, 1, 2)]
    assert [across(r, "width") for r in shown[:3]] == pytest.approx(expected, abs=0.01)
    assert shown[3].attrib["width"] == "1"
    far = all_of(svg.bars([Bar("a", 1e9), Bar("b", 1.0)], "ms", "t", log=True), "rect")
    assert far[1].attrib["width"] == "1"
    alike = all_of(svg.bars([Bar("a", 10.0), Bar("b", 9.0)], "ms", "t", log=True), "rect")
    assert across(alike[1], "width") == pytest.approx(100 * (1 - 0.04576), abs=0.01)


def test_more_bars_than_fit_are_counted() -> None:
    shown = svg.bars([Bar(f"{i}", 1.0) for i in range(63)], "ms", "t")
    assert len(all_of(shown, "rect")) == svg.MOST_ROWS == 60
    assert places(shown)["... and 3 more"][:2] == ("0.0", 8 + 60 * 36 + 12)
    assert size(shown)[1] == 8 + 60 * 36 + 20
    assert svg.bars([], "ms", "t") == ""


def test_names_from_files_are_shown_and_not_obeyed() -> None:
    shown = svg.bars([Bar("<b>\x1b&", 1.0)], "ms", "\x07")
    assert words(shown)[0] == "<b>\\x1b&"
    assert ElementTree.fromstring(shown).attrib["aria-label"] == "\\x07"


def test_long_labels_are_cut() -> None:
    assert svg.clipped("abcdef", 6) == "abcdef"
    assert svg.clipped("abcdef", 5) == "abcd…"


def test_a_heat_map_is_logarithmic_and_dark_is_most() -> None:
    shown = svg.heat_map(["r", "s"], ["c", "d"], [[1.0, 10.0], [None, 100.0]], "ms", "t")
    fills = [r.attrib["fill"] for r in all_of(shown, "rect")]
    assert fills == [colors.shade(0.0), colors.shade(0.5), colors.shade(1.0)]
    assert [t.text for t in all_of(shown, "title")] == [
        "r, c: 1.00 ms",
        "r, d: 10.0 ms",
        "s, d: 100 ms",
    ]
    assert "–" in words(shown)
    inks = [e.attrib["fill"] for e in all_of(shown, "text") if e.text in ("1.00", "10.0", "100")]
    assert inks == ["#000000", "#000000", "#fefefe"]
    left, top = 12 + 8.05, 14 + 7.0 * 0.75
    corners = [(number(r, "x"), number(r, "y")) for r in all_of(shown, "rect")]
    for corner, (column, row) in zip(corners, [(0, 0), (1, 0), (1, 1)], strict=True):
        assert corner == pytest.approx((left + 58 * column, top + 24 * row), abs=0.06)
    assert [number(r, "width") for r in all_of(shown, "rect")] == [57.0] * 3
    assert [number(r, "height") for r in all_of(shown, "rect")] == [23.0] * 3
    named = {word: (float(x), y) for word, (x, y, _) in places(shown).items()}
    assert named["r"] == pytest.approx((left - 6, top + 16), abs=0.06)
    assert named["s"] == pytest.approx((left - 6, top + 24 + 16), abs=0.06)
    assert named["100"] == pytest.approx((left + 58 * 1.5, top + 24 + 16), abs=0.06)
    assert named["–"] == pytest.approx((left + 58 * 0.5, top + 24 + 16), abs=0.06)
    heads = slanted(shown)
    assert heads["c"] == pytest.approx((left + 29, top - 6), abs=0.06)
    assert heads["d"] == pytest.approx((left + 58 + 29, top - 6), abs=0.06)
    assert size(shown) == (round(left + 58 * 2 + top), round(top + 48 + 8))
    assert ElementTree.fromstring(shown).attrib["viewBox"] == "0 0 155 75"
    assert svg.heat_map(["r"], ["c"], [[None]], "ms", "t") == ""


def test_a_wide_heat_map_grows_and_cuts_long_names() -> None:
    columns, row = [f"{i:02}" + "x" * 40 for i in range(8)], "y" * 50
    shown = svg.heat_map([row], columns, [[1.0, 2.0] * 4], "ms", "t")
    left, top = 12 + 8.05 * 44, 14 + 7.0 * 0.75 * 30
    assert size(shown) == (round(left + 58 * 8 + top), round(top + 24 + 8))
    assert "y" * 43 + "…" in words(shown)
    assert "00" + "x" * 27 + "…" in words(shown)
    large = svg.heat_map(["r"], ["c"], [[12345.0]], "ms", "t")
    assert "1.2e+04" in words(large)
    assert "9990" in words(svg.heat_map(["r"], ["c"], [[9990.0]], "ms", "t"))


def test_one_value_has_the_lightest_shade() -> None:
    shown = svg.heat_map(["r"], ["c"], [[5.0]], "ms", "t")
    assert all_of(shown, "rect")[0].attrib["fill"] == colors.SCALE[0]


def test_points_stand_by_their_values() -> None:
    shown = plots.scatter(
        [Point(0.0, 0.0, "low"), Point(10.0, 100.0, "high", True)], "x", "y", "t", joined=True
    )
    low, high = all_of(shown, "circle")
    # five percent of the range stay free on each side of 13 to 98 % and of 330 to 26 pixels
    assert across(low, "cx") == pytest.approx(13 + 85 * 0.05 / 1.1, abs=0.01)
    assert across(high, "cx") == pytest.approx(13 + 85 * 1.05 / 1.1, abs=0.01)
    assert number(low, "cy") == pytest.approx(330 - 304 * 0.05 / 1.1, abs=0.1)
    assert number(high, "cy") == pytest.approx(330 - 304 * 1.05 / 1.1, abs=0.1)
    assert (high.attrib["r"], high.attrib["fill"]) == ("5", svg.SECOND)
    assert (low.attrib["r"], low.attrib["fill"]) == ("3.5", svg.MARK)
    assert [t.text for t in all_of(shown, "title")] == ["low: 0, 0", "high: 10.0, 100"]
    named = places(shown)
    assert named["x"] == ("55.50%", 366.0, "middle")
    assert named["y"] == ("0.0", 14.0, "start")
    assert size(shown) == (720.0, 376.0)
    place_x, _ = plots.axis(0.0, 10.0, 13.0, 98.0, False)
    place_y, _ = plots.axis(0.0, 100.0, 330.0, 26.0, False)
    assert named["8.00"] == (f"{place_x(8.0):.2f}%", 346.0, "middle")
    assert named["80.0"] == ("11.50%", pytest.approx(place_y(80.0) + 4, abs=0.06), "end")
    grid = [
        (across(e, "x1"), number(e, "y1"), across(e, "x2"), number(e, "y2"))
        for e in all_of(shown, "line")
    ]
    upright, level = round(place_x(8.0), 2), round(place_y(80.0), 1)
    assert (upright, 26.0, upright, 330.0) in grid
    assert (13.0, level, 98.0, level) in grid


def test_marked_points_are_joined_in_order_of_x() -> None:
    points = [Point(3.0, 1.0, "c", True), Point(1.0, 3.0, "a", True), Point(2.0, 2.0, "b")]
    shown = plots.scatter(points, "x", "y", "t", joined=True)
    [line] = [p for p in all_of(shown, "path") if p.attrib["stroke"] == svg.SECOND]
    xs = [x for x, _ in way(line)]
    assert len(xs) == 2
    assert xs == sorted(xs)
    # a line is stretched with the figure, its places are those of the points
    circles = {e[0].text: e for e in all_of(shown, "circle")}
    assert way(line)[0] == (
        across(circles["a: 1.00, 3.00"], "cx"),
        number(circles["a: 1.00, 3.00"], "cy"),
    )
    alone = plots.scatter(points[:1], "x", "y", "t", joined=True)
    assert all(p.attrib["stroke"] != svg.SECOND for p in all_of(alone, "path"))


def test_a_logarithmic_plot_leaves_out_what_it_cannot_show() -> None:
    points = [Point(1.0, 1.0, "a"), Point(0.0, 1.0, "b"), Point(1.0, 0.0, "c")]
    assert len(all_of(plots.scatter(points, "x", "y", "t", log=True), "circle")) == 1
    assert plots.scatter(points[1:], "x", "y", "t", log=True) == ""


def test_the_diagonal_shows_where_both_are_equal() -> None:
    points = [Point(1.0, 2.0, "a"), Point(10.0, 4.0, "b")]
    shown = plots.scatter(points, "x", "y", "t", log=True, diagonal=True)
    [line] = [p for p in all_of(shown, "path") if p.attrib["stroke"] == svg.FAINT]
    place_x, _ = plots.axis(1.0, 10.0, 13.0, 98.0, True)
    place_y, _ = plots.axis(1.0, 10.0, 330.0, 26.0, True)
    expected = [(round(place_x(v), 2), round(place_y(v), 1)) for v in (1.0, 10.0)]
    assert way(line) == expected


def test_stacked_bars_add_up_and_each_panel_has_its_scale() -> None:
    panels = {"one": [("a", [1.0, 3.0]), ("b", [2.0, 0.0])], "two": [("c", [10.0, 10.0])]}
    shown = plots.stacked_bars(panels, ["load", "run"], "s", "t")
    rects = all_of(shown, "rect")
    legend, parts = rects[:2], rects[2:]
    assert [r.attrib["fill"] for r in legend] == list(svg.PARTS[:2])
    assert [across(r, "width") for r in parts] == [25.0, 75.0, 50.0, 0.0, 50.0, 50.0]
    assert [across(r, "x") for r in parts] == [0.0, 25.0, 0.0, 50.0, 0.0, 50.0]
    assert [r.attrib["fill"] for r in parts[:2]] == list(svg.PARTS[:2])
    assert [t.text for t in all_of(shown, "title")][:2] == ["a, load: 1.00 s", "a, run: 3.00 s"]
    named = places(shown)
    # the legend's line of 18 from 4 on, then a line of 28 a panel and one of 36 a bar
    assert named["load"] == ("17.0", 15.0, "start")
    assert named["run"] == (f"{34 + 7 * 4 + 17:.1f}", 15.0, "start")
    assert named["one"] == ("0.0", 22.0 + 20, "start")
    assert named["a"] == ("0.0", 22.0 + 28 + 13, "start")
    assert named["4.00 s"] == ("100%", 63.0, "end")
    assert named["b"] == ("0.0", 99.0, "start")
    assert named["two"] == ("0.0", 22 + 28 + 72 + 20, "start")
    assert named["20.0 s"][1] == 22 + 28 + 72 + 28 + 13
    assert [number(r, "y") for r in parts] == [68.0, 68.0, 104.0, 104.0, 168.0, 168.0]
    assert {number(r, "height") for r in parts} == {12.0}
    assert size(shown) == (720.0, 22 + 28 * 2 + 36 * 3 + 8)


def test_a_legend_too_long_for_a_phone_stands_in_lines() -> None:
    _, end = plots.legend(["a", "b"])
    assert end == 22.0
    # seven words of sixteen letters together: 7 * 34 + 16 * 7 pixels are the width of a phone
    fits = ["xxxx", *["xx"] * 6]
    assert plots.legend(fits)[1] == 22.0
    assert plots.legend(["xxxxx", *["xx"] * 6])[1] == 4 + 7 * 18
    long = ["x" * 30, "y" * 60]
    many, end = plots.legend(long)
    assert end == 4 + 2 * 18
    rects = [ElementTree.fromstring(m) for m in many if m.startswith("<rect")]
    assert [(r.attrib["x"], r.attrib["y"]) for r in rects] == [("0", "4"), ("0", "22")]
    assert "y" * 45 + "…" in many[3]


def test_lines_have_a_band_and_one_colour_each() -> None:
    series = {"a": [(1.0, 10.0), (10.0, 100.0)], "b": [(1.0, 20.0), (10.0, 20.0)]}
    shown = plots.lines(series, "x", "y", "t", band=(10.0, 100.0))
    top, bottom = 22 + 24.0, 22 + 24 + 320 - 24.0
    assert (top, bottom) == (46.0, 342.0)
    place_x, _ = plots.axis(1.0, 10.0, 13.0, 98.0, True)
    place_y, _ = plots.axis(10.0, 100.0, bottom, top, True)
    band = all_of(shown, "rect")[2]
    assert number(band, "y") == pytest.approx(place_y(100.0), abs=0.1)
    assert number(band, "height") == pytest.approx(place_y(10.0) - place_y(100.0), abs=0.1)
    assert (across(band, "x"), across(band, "width")) == (13.0, 85.0)
    first, second = all_of(shown, "path")
    ends = [(round(place_x(x), 2), round(place_y(10 * x), 1)) for x in (1.0, 10.0)]
    assert way(first) == ends
    assert [first.attrib["stroke"], second.attrib["stroke"]] == list(svg.PARTS[:2])
    assert len(all_of(shown, "circle")) == 4
    dot = all_of(shown, "circle")[1]
    assert (across(dot, "cx"), number(dot, "cy")) == ends[1]
    assert dot[0].text == "a: 10.0, 100"
    named = places(shown)
    assert named["x"] == ("55.50%", bottom + 36, "middle")
    assert named["y"] == ("0.0", top - 12, "start")
    assert named["5.00"] == (f"{place_x(5.0):.2f}%", bottom + 16, "middle")
    assert named["50.0"] == ("11.50%", pytest.approx(place_y(50.0) + 4, abs=0.06), "end")
    assert size(shown) == (720.0, bottom + 46)
    bare = plots.lines(series, "x", "y", "t")
    assert len(all_of(bare, "rect")) == 2


def test_a_line_may_have_linear_axes_a_limit_and_few_dots() -> None:
    series = {"a": [(float(i), float(i)) for i in range(201)]}
    shown = plots.lines(series, "x", "y", "t", log=(True, False), limit=400.0)
    limit, line = all_of(shown, "path")
    place_x, _ = plots.axis(1.0, 400.0, 13.0, 98.0, True)
    assert {x for x, _ in way(limit)} == {round(place_x(400.0), 2)}
    assert len(way(line)) == 200  # nothing stands at zero on a logarithmic axis
    assert len(all_of(shown, "circle")) == plots.MOST_DOTS == 100
    assert plots.lines({"a": [(0.0, 1.0)]}, "x", "y", "t") == ""


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0.0, 10.0, False, [0, 2, 4, 6, 8, 10]),
        (0.0, 1.0, False, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (3.0, 3.0, False, [3.0, 3.5, 4.0]),
        (1.0, 100.0, True, [1, 2, 5, 10, 20, 50, 100]),
        (1.0, 1e4, True, [1, 10, 100, 1000, 10000]),
    ],
)
def test_ticks_are_round(low: float, high: float, log: bool, expected: list[float]) -> None:
    place, ticks = plots.axis(low, high, 0.0, 110.0, log)
    if low == high:
        assert any(t == pytest.approx(low) for t in ticks)
    else:
        assert ticks == pytest.approx(expected)
        assert place(high) > place(low)
    if not log and low != high:
        assert place(low) == pytest.approx(5.0)
        assert place(high) == pytest.approx(105.0)


def test_shades_run_over_the_scale() -> None:
    assert [colors.shade(i / 4) for i in range(5)] == list(colors.SCALE)
    # half way from #f7fbff to #c6dbef
    assert colors.shade(0.125) == "#deebf7"
    assert (colors.shade(-1), colors.shade(2)) == (colors.SCALE[0], colors.SCALE[-1])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("#000000", "#ffffff", 21.0), ("#ffffff", "#ffffff", 1.0), ("#777777", "#ffffff", 4.48)],
)
def test_contrast_is_that_of_the_standard(one: str, other: str, expected: float) -> None:
    assert colors.contrast(one, other) == pytest.approx(expected, abs=0.005)
    assert colors.contrast(other, one) == colors.contrast(one, other)


@pytest.mark.parametrize("screen", [0, 1])
def test_words_and_marks_stand_out_on_light_and_dark_screens(screen: int) -> None:
    def color(name: str) -> str:
        return colors.COLORS[name][screen]

    for ground in colors.GROUNDS:
        for name in colors.WORDS:
            assert colors.contrast(color(name), color(ground)) >= 4.5, (name, ground)
    for name in colors.MARKS:
        assert colors.contrast(color(name), color("page")) >= 3, name
    assert len({color(name) for name in colors.COLORS}) == len(colors.COLORS)


def test_words_on_a_cell_stand_out_on_every_shade() -> None:
    for i in range(101):
        ground = colors.shade(i / 100)
        assert colors.contrast(colors.cell_ink(ground), ground) >= 4.5


def test_every_colour_of_a_figure_changes_with_the_screen() -> None:
    rules = colors.color_rules(".x")
    light, dark = colors.COLORS["mark"]
    assert f'.x [fill="{light}"]{{fill:var(--mark)}}' in rules
    assert f'.x [stroke="{light}"]{{stroke:var(--mark)}}' in rules
    assert rules.index(f"--mark:{light};") < rules.index("@media") < rules.index(f"--mark:{dark};")


CURVE = {
    "first_target": "a/cpu",
    "second_target": "b/gpu",
    "after": ["nothing", "conv", "fc"],
    "first_ms": [0.0, 4.0, 10.0],
    "moving_ms": [1.0, 2.0, 0.0],
    "second_ms": [9.0, 2.0, None],
    "moved_bytes": [1000, 2000, 0],
}


def test_the_curve_of_cuts_stacks_its_parts_and_marks_the_best() -> None:
    assert totals(CURVE) == [10.0, 8.0, None]
    assert totals({**CURVE, "second_ms": [9.0, float("inf"), 0.0]}) == [10.0, None, 10.0]
    shown = curve_svg(CURVE, "t", {1: 7.5})
    # the legend: a line of 18 from 4 on, another for what was measured; then 26 to the plot
    top, bottom = 4 + 18 + 18 + 26.0, 66 + 278.0
    y, _ = plots.axis(0.0, 10.0, bottom, top, False)
    parts = [r for r in all_of(shown, "rect") if r.attrib.get("fill") in svg.PARTS][3:]
    heights = [number(r, "height") for r in parts]
    expected = [y(0) - y(ms) for ms in (0.0, 1.0, 9.0, 4.0, 2.0, 2.0)]
    assert heights == pytest.approx(expected, abs=0.06)
    # from the bottom up
    assert number(parts[3], "y") == pytest.approx(y(4.0), abs=0.06)
    assert number(parts[5], "y") == pytest.approx(y(8.0), abs=0.06)
    [best] = [r for r in all_of(shown, "rect") if r.attrib["fill"] == "none"]
    pitch = 85 / 3
    assert across(best, "x") == pytest.approx(13 + 1.1 * pitch, abs=0.01)
    assert across(best, "width") == pytest.approx(0.8 * pitch, abs=0.01)
    assert number(best, "y") == pytest.approx(y(8.0), abs=0.06)
    assert number(best, "height") == pytest.approx(y(0.0) - y(8.0), abs=0.06)
    assert [across(r, "x") for r in parts] == pytest.approx(
        [13 + 0.1 * pitch] * 3 + [13 + 1.1 * pitch] * 3, abs=0.01
    )
    assert {across(r, "width") for r in parts} == {round(0.8 * pitch, 2)}
    named = places(shown)
    assert named["ms"] == ("0.0", top - 10, "start")
    assert named["best: cut after conv"] == ("100%", top - 10, "end")
    assert named["4"] == ("11.50%", pytest.approx(y(4.0) + 4, abs=0.06), "end")
    assert named["measured"] == ("17.0", 22.0 + 11, "start")
    layers = [e for e in all_of(shown, "svg") if "overflow" in e.attrib]
    assert across(layers[1], "x") == pytest.approx(13 + 1.5 * pitch, abs=0.01)
    assert number(layers[1], "y") == pytest.approx(y(0.0) + 10, abs=0.06)
    assert size(shown) == (720.0, bottom + 120)
    measured = all_of(shown, "circle")[-1]
    assert across(measured, "cx") == pytest.approx(13 + 1.5 * pitch, abs=0.01)
    assert number(measured, "cy") == pytest.approx(y(7.5), abs=0.06)
    tips = [t.text for t in all_of(shown, "title")]
    assert tips[1] == "after conv: 8.00 ms = 4.00 ms + moving 2.00 ms + 2.00 ms; 2,000 bytes"


def test_a_long_curve_names_some_layers() -> None:
    many = 40
    curve = {
        **CURVE,
        "after": [f"layer {i}" for i in range(many)],
        **{k: [1.0] * many for k in ("first_ms", "moving_ms", "second_ms", "moved_bytes")},
    }
    named = [e for e in all_of(curve_svg(curve, "t"), "text") if "rotate" in str(e.attrib)]
    assert [e.text for e in named] == [f"layer {i}" for i in range(0, many, 3)]


def test_pieces_of_one_target_are_named_by_their_place() -> None:
    same = {**CURVE, "second_target": "a/cpu"}
    assert words(curve_svg(same, "t"))[:3] == ["first piece", "moving", "second piece"]
    assert words(curve_svg(CURVE, "t"))[:3] == ["a/cpu", "moving", "b/gpu"]


def test_a_curve_without_a_time_is_an_error() -> None:
    nothing = {**CURVE, "first_ms": [None] * 3}
    with pytest.raises(PartitionError, match="no cut point"):
        curve_svg(nothing, "t")
