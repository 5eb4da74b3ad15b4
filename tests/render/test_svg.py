"""Plots: where marks stand follows from the values, by hand arithmetic."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from perfmodel.errors import PartitionError
from perfmodel.render import svg
from perfmodel.render.cut_curve import curve_svg, totals
from perfmodel.render.svg import Bar, Point

SPACE = "{http://www.w3.org/2000/svg}"


def all_of(text: str, tag: str) -> list[ElementTree.Element]:
    """Elements of a figure, which must be well-formed XML."""
    return ElementTree.fromstring(text).findall(f".//{SPACE}{tag}")


def words(text: str) -> list[str]:
    return [e.text or "" for e in all_of(text, "text")]


def places(text: str) -> dict[str, tuple[float, float, str]]:
    """Of each word its x, y and anchor."""
    return {
        str(e.text): (float(e.attrib["x"]), float(e.attrib["y"]), e.attrib["text-anchor"])
        for e in all_of(text, "text")
        if "x" in e.attrib
    }


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
    _, _, width, height = ElementTree.fromstring(text).attrib["viewBox"].split()
    return float(width), float(height)


def number(element: ElementTree.Element, name: str) -> float:
    return float(element.attrib[name])


def test_bars_are_as_long_as_their_values() -> None:
    shown = svg.bars([Bar("a", 10.0), Bar("b", 5.0), Bar("c", 0.0)], "ms", "t")
    widths = [number(r, "width") for r in all_of(shown, "rect")]
    # labels of one letter: 12 + 7 = 19 to the left, 70 free to the right of 720
    assert widths == [631.0, 315.5, 1.0]
    assert [number(r, "y") for r in all_of(shown, "rect")] == [12.0, 36.0, 60.0]
    # a label ends 6 left of its bar, a value starts 5 right of it; both 15 below the row's top
    assert places(shown) == {
        "a": (13.0, 23.0, "end"),
        "10.0 ms": (655.0, 23.0, "start"),
        "b": (13.0, 47.0, "end"),
        "5.00 ms": (339.5, 47.0, "start"),
        "c": (13.0, 71.0, "end"),
        "0 ms": (24.0, 71.0, "start"),
    }
    assert size(shown) == (720.0, 16 + 3 * 24)
    assert [number(r, "height") for r in all_of(shown, "rect")] == [15.0] * 3


def test_a_bar_tells_its_interval_in_a_whisker_and_a_tooltip() -> None:
    shown = svg.bars([Bar("a", 10.0, 5.0, 20.0, "why")], "ms", "t")
    assert all_of(shown, "title")[0].text == "a: 10.0 ms (5.00 to 20.0): why"
    [path] = all_of(shown, "path")
    # 631 pixels stand for the largest value, 20 ms
    assert path.attrib["d"].startswith(f"M{19 + 631 / 4:.1f} ")
    assert f"H{19 + 631:.1f}" in path.attrib["d"]
    # in the middle of the row of 24, four up and down at the ends; the value stands behind it
    assert path.attrib["d"] == "M176.8 15.5v8M176.8 19.5H650.0M650.0 15.5v8"
    assert places(shown)["10.0 ms"][0] == 655.0
    assert number(all_of(shown, "rect")[0], "width") == 315.5


def test_a_whisker_far_beyond_the_bars_is_cut() -> None:
    shown = svg.bars([Bar("a", 10.0, 5.0, 1000.0)], "ms", "t")
    # the scale ends at 2.5 times the longest bar
    assert number(all_of(shown, "rect")[0], "width") == pytest.approx(631 / 2.5, abs=0.1)


def test_a_limit_is_a_line_across_and_in_the_scale() -> None:
    shown = svg.bars([Bar("a", 10.0)], "ms", "t", limit=20.0)
    [line] = all_of(shown, "line")
    assert number(line, "x1") == number(line, "x2") == 650.0
    assert (number(line, "y1"), number(line, "y2")) == (4.0, 16 + 24 - 6)
    assert number(all_of(shown, "rect")[0], "width") == 315.5


def test_more_bars_than_fit_are_counted() -> None:
    shown = svg.bars([Bar(f"{i}", 1.0) for i in range(63)], "ms", "t")
    assert len(all_of(shown, "rect")) == svg.MOST_ROWS == 60
    assert places(shown)["... and 3 more"][:2] == (12 + 7 * 2, 16 + 60 * 24 + 8)
    height = ElementTree.fromstring(shown).attrib["viewBox"].split()[-1]
    assert int(height) == 16 + 60 * 24 + 16
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
    assert fills == [svg.shade(0.0), svg.shade(0.5), svg.shade(1.0)]
    assert [t.text for t in all_of(shown, "title")] == [
        "r, c: 1.00 ms",
        "r, d: 10.0 ms",
        "s, d: 100 ms",
    ]
    assert "–" in words(shown)
    inks = [e.attrib["fill"] for e in all_of(shown, "text") if e.text in ("1.00", "10.0", "100")]
    assert inks == [svg.INK, svg.INK, "#ffffff"]
    left, top = 12 + 7.0, 14 + 7.0 * 0.75
    corners = [(number(r, "x"), number(r, "y")) for r in all_of(shown, "rect")]
    for corner, (column, row) in zip(corners, [(0, 0), (1, 0), (1, 1)], strict=True):
        assert corner == pytest.approx((left + 58 * column, top + 24 * row), abs=0.06)
    assert [number(r, "width") for r in all_of(shown, "rect")] == [57.0] * 3
    assert [number(r, "height") for r in all_of(shown, "rect")] == [23.0] * 3
    named = places(shown)
    assert named["r"][:2] == pytest.approx((left - 6, top + 16), abs=0.06)
    assert named["s"][:2] == pytest.approx((left - 6, top + 24 + 16), abs=0.06)
    assert named["100"][:2] == pytest.approx((left + 58 * 1.5, top + 24 + 16), abs=0.06)
    assert named["–"][:2] == pytest.approx((left + 58 * 0.5, top + 24 + 16), abs=0.06)
    heads = slanted(shown)
    assert heads["c"] == pytest.approx((left + 29, top - 6), abs=0.06)
    assert heads["d"] == pytest.approx((left + 58 + 29, top - 6), abs=0.06)
    assert size(shown) == (320.0, round(top + 48 + 8))
    assert svg.heat_map(["r"], ["c"], [[None]], "ms", "t") == ""


def test_a_wide_heat_map_grows_and_cuts_long_names() -> None:
    columns, row = [f"{i:02}" + "x" * 40 for i in range(8)], "y" * 50
    shown = svg.heat_map([row], columns, [[1.0, 2.0] * 4], "ms", "t")
    left, top = 12 + 7.0 * 44, 14 + 7.0 * 0.75 * 30
    assert size(shown) == (left + 58 * 8 + 70, round(top + 24 + 8))
    assert "y" * 43 + "…" in words(shown)
    assert "00" + "x" * 27 + "…" in words(shown)
    large = svg.heat_map(["r"], ["c"], [[12345.0]], "ms", "t")
    assert "1.2e+04" in words(large)
    assert "9990" in words(svg.heat_map(["r"], ["c"], [[9990.0]], "ms", "t"))


def test_one_value_has_the_lightest_shade() -> None:
    shown = svg.heat_map(["r"], ["c"], [[5.0]], "ms", "t")
    assert all_of(shown, "rect")[0].attrib["fill"] == svg.SCALE[0]


def test_points_stand_by_their_values() -> None:
    shown = svg.scatter(
        [Point(0.0, 0.0, "low"), Point(10.0, 100.0, "high", True)], "x", "y", "t", joined=True
    )
    low, high = all_of(shown, "circle")
    # five percent of the range stay free on each side of 74 to 696, and of 330 to 18
    assert number(low, "cx") == pytest.approx(74 + 622 * 0.05 / 1.1, abs=0.1)
    assert number(high, "cx") == pytest.approx(74 + 622 * 1.05 / 1.1, abs=0.1)
    assert number(low, "cy") == pytest.approx(330 - 312 * 0.05 / 1.1, abs=0.1)
    assert number(high, "cy") == pytest.approx(330 - 312 * 1.05 / 1.1, abs=0.1)
    assert (high.attrib["r"], high.attrib["fill"]) == ("5", svg.SECOND)
    assert (low.attrib["r"], low.attrib["fill"]) == ("3.5", svg.MARK)
    assert [t.text for t in all_of(shown, "title")] == ["low: 0, 0", "high: 10.0, 100"]
    named = places(shown)
    assert named["x"] == (385.0, 366.0, "middle")
    assert named["y"] == (8.0, 12.0, "start")
    assert size(shown) == (720.0, 376.0)
    place_x, _ = svg.axis(0.0, 10.0, 74.0, 696.0, False)
    place_y, _ = svg.axis(0.0, 100.0, 330.0, 18.0, False)
    assert named["8.00"] == (pytest.approx(place_x(8.0), abs=0.06), 346.0, "middle")
    assert named["80.0"] == (68.0, pytest.approx(place_y(80.0) + 4, abs=0.06), "end")
    grid = [p.attrib["d"] for p in all_of(shown, "path")]
    assert f"M{place_x(8.0):.1f} 18.0L{place_x(8.0):.1f} 330.0" in grid
    assert f"M74.0 {place_y(80.0):.1f}L696.0 {place_y(80.0):.1f}" in grid


def test_marked_points_are_joined_in_order_of_x() -> None:
    points = [Point(3.0, 1.0, "c", True), Point(1.0, 3.0, "a", True), Point(2.0, 2.0, "b")]
    shown = svg.scatter(points, "x", "y", "t", joined=True)
    [line] = [p for p in all_of(shown, "path") if p.attrib["stroke"] == svg.SECOND]
    xs = [float(x) for x in re.findall(r"[ML]([\d.]+) ", line.attrib["d"])]
    assert len(xs) == 2
    assert xs == sorted(xs)
    alone = svg.scatter(points[:1], "x", "y", "t", joined=True)
    assert all(p.attrib["stroke"] != svg.SECOND for p in all_of(alone, "path"))


def test_a_logarithmic_plot_leaves_out_what_it_cannot_show() -> None:
    points = [Point(1.0, 1.0, "a"), Point(0.0, 1.0, "b"), Point(1.0, 0.0, "c")]
    assert len(all_of(svg.scatter(points, "x", "y", "t", log=True), "circle")) == 1
    assert svg.scatter(points[1:], "x", "y", "t", log=True) == ""


def test_the_diagonal_shows_where_both_are_equal() -> None:
    points = [Point(1.0, 2.0, "a"), Point(10.0, 4.0, "b")]
    shown = svg.scatter(points, "x", "y", "t", log=True, diagonal=True)
    [line] = [p for p in all_of(shown, "path") if p.attrib["stroke"] == svg.FAINT]
    ends = re.findall(r"([\d.]+) ([\d.]+)", line.attrib["d"])
    place_x, _ = svg.axis(1.0, 10.0, 74.0, 696.0, True)
    place_y, _ = svg.axis(1.0, 10.0, 330.0, 18.0, True)
    expected = [(f"{place_x(v):.1f}", f"{place_y(v):.1f}") for v in (1.0, 10.0)]
    assert ends == expected


def test_stacked_bars_add_up_and_each_panel_has_its_scale() -> None:
    panels = {"one": [("a", [1.0, 3.0]), ("b", [2.0, 0.0])], "two": [("c", [10.0, 10.0])]}
    shown = svg.stacked_bars(panels, ["load", "run"], "s", "t")
    rects = all_of(shown, "rect")
    legend, parts = rects[:2], rects[2:]
    assert [r.attrib["fill"] for r in legend] == list(svg.PARTS[:2])
    # labels of one letter leave 720 - 90 - 19 = 611 pixels for the longest bar of a panel
    assert [number(r, "width") for r in parts] == [152.8, 458.2, 305.5, 0.0, 305.5, 305.5]
    assert number(parts[1], "x") == pytest.approx(19 + 152.75, abs=0.1)
    assert [r.attrib["fill"] for r in parts[:2]] == list(svg.PARTS[:2])
    assert [t.text for t in all_of(shown, "title")][:2] == ["a, load: 1.00 s", "a, run: 3.00 s"]
    named = places(shown)
    # the legend's line, then a line a panel and one a bar; 8 between panels
    assert named["load"] == (29.0, 18.0, "start")
    assert named["run"] == (29.0 + 34 + 7 * 4, 18.0, "start")
    assert named["one"] == (12.0, 49.0, "start")
    assert named["a"] == (13.0, 73.0, "end")
    assert named["4.00 s"] == (19 + 611 + 5, 73.0, "start")
    assert named["b"] == (13.0, 97.0, "end")
    assert named["2.00 s"] == (19 + 305.5 + 5, 97.0, "start")
    assert named["two"] == (12.0, 34 + 24 * 3 + 8 + 15, "start")
    assert named["20.0 s"][1] == 34 + 24 * 3 + 8 + 24 + 15
    assert [number(r, "y") for r in parts] == [62.0, 62.0, 86.0, 86.0, 142.0, 142.0]
    assert {number(r, "height") for r in parts} == {15.0}
    assert size(shown) == (720.0, 34 + 24 * 5 + 16 + 8)


def test_lines_have_a_band_and_one_colour_each() -> None:
    series = {"a": [(1.0, 10.0), (10.0, 100.0)], "b": [(1.0, 20.0), (10.0, 20.0)]}
    shown = svg.lines(series, "x", "y", "t", band=(10.0, 100.0))
    place_x, _ = svg.axis(1.0, 10.0, 74.0, 696.0, True)
    place_y, _ = svg.axis(10.0, 100.0, 358.0, 46.0, True)
    band = all_of(shown, "rect")[2]
    assert number(band, "y") == pytest.approx(place_y(100.0), abs=0.1)
    assert number(band, "height") == pytest.approx(place_y(10.0) - place_y(100.0), abs=0.1)
    first, second = all_of(shown, "path")[-2:]
    assert first.attrib["d"] == (
        f"M{place_x(1.0):.1f} {place_y(10.0):.1f}L{place_x(10.0):.1f} {place_y(100.0):.1f}"
    )
    assert [first.attrib["stroke"], second.attrib["stroke"]] == list(svg.PARTS[:2])
    assert len(all_of(shown, "circle")) == 4
    dot = all_of(shown, "circle")[1]
    assert number(dot, "cx") == pytest.approx(place_x(10.0), abs=0.06)
    assert number(dot, "cy") == pytest.approx(place_y(100.0), abs=0.06)
    assert dot[0].text == "a: 10.0, 100"
    named = places(shown)
    assert named["x"] == (385.0, 394.0, "middle")
    assert named["y"] == (8.0, 38.0, "start")
    assert named["5.00"] == (pytest.approx(place_x(5.0), abs=0.06), 374.0, "middle")
    assert named["50.0"] == (68.0, pytest.approx(place_y(50.0) + 4, abs=0.06), "end")
    assert size(shown) == (720.0, 404.0)
    assert (number(band, "x"), number(band, "width")) == (74.0, 622.0)
    bare = svg.lines(series, "x", "y", "t")
    assert len(all_of(bare, "rect")) == 2


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
    place, ticks = svg.axis(low, high, 0.0, 110.0, log)
    if low == high:
        assert any(t == pytest.approx(low) for t in ticks)
    else:
        assert ticks == pytest.approx(expected)
        assert place(high) > place(low)
    if not log and low != high:
        assert place(low) == pytest.approx(5.0)
        assert place(high) == pytest.approx(105.0)


def test_shades_run_over_the_scale() -> None:
    assert [svg.shade(i / 4) for i in range(5)] == list(svg.SCALE)
    # half way from #f7fbff to #c6dbef
    assert svg.shade(0.125) == "#deebf7"
    assert (svg.shade(-1), svg.shade(2)) == (svg.SCALE[0], svg.SCALE[-1])


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
    y, _ = svg.axis(0.0, 10.0, 330.0, 52.0, False)
    parts = [r for r in all_of(shown, "rect") if r.attrib.get("fill") in svg.PARTS][3:]
    heights = [number(r, "height") for r in parts]
    expected = [y(0) - y(ms) for ms in (0.0, 1.0, 9.0, 4.0, 2.0, 2.0)]
    assert heights == pytest.approx(expected, abs=0.06)
    # from the bottom up
    assert number(parts[3], "y") == pytest.approx(y(4.0), abs=0.06)
    assert number(parts[5], "y") == pytest.approx(y(8.0), abs=0.06)
    [best] = [r for r in all_of(shown, "rect") if r.attrib["fill"] == "none"]
    pitch = (708 - 64) / 3
    assert number(best, "x") == pytest.approx(64 + 1.1 * pitch, abs=0.06)
    assert number(best, "width") == pytest.approx(0.8 * pitch, abs=0.06)
    assert number(best, "y") == pytest.approx(y(8.0), abs=0.06)
    assert number(best, "height") == pytest.approx(y(0.0) - y(8.0), abs=0.06)
    assert [number(r, "x") for r in parts] == pytest.approx(
        [64 + 0.1 * pitch] * 3 + [64 + 1.1 * pitch] * 3, abs=0.06
    )
    assert {number(r, "width") for r in parts} == {round(0.8 * pitch, 1)}
    named = places(shown)
    assert named["ms"] == (8.0, 44.0, "start")
    assert named["best: cut after conv"] == (708.0, 44.0, "end")
    assert named["4"] == (58.0, pytest.approx(y(4.0) + 4, abs=0.06), "end")
    assert named["measured"][0] == pytest.approx(64 + 34 * 3 + 7 * len("a/cpumovingb/gpu") + 15)
    assert slanted(shown)["conv"] == pytest.approx((64 + 1.5 * pitch + 4, y(0.0) + 10), abs=0.06)
    assert size(shown) == (720.0, 440.0)
    assert "best: cut after conv" in words(shown)
    measured = all_of(shown, "circle")[-1]
    assert number(measured, "cx") == pytest.approx(64 + 1.5 * pitch, abs=0.06)
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
