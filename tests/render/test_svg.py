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


def number(element: ElementTree.Element, name: str) -> float:
    return float(element.attrib[name])


def test_bars_are_as_long_as_their_values() -> None:
    shown = svg.bars([Bar("a", 10.0), Bar("b", 5.0), Bar("c", 0.0)], "ms", "t")
    widths = [number(r, "width") for r in all_of(shown, "rect")]
    # labels of one letter: 12 + 7 = 19 to the left, 70 free to the right of 720
    assert widths == [631.0, 315.5, 1.0]
    assert [number(r, "y") for r in all_of(shown, "rect")] == [12.0, 36.0, 60.0]
    assert words(shown) == ["a", "10.0 ms", "b", "5.00 ms", "c", "0 ms"]


def test_a_bar_tells_its_interval_in_a_whisker_and_a_tooltip() -> None:
    shown = svg.bars([Bar("a", 10.0, 5.0, 20.0, "why")], "ms", "t")
    assert all_of(shown, "title")[0].text == "a: 10.0 ms (5.00 to 20.0): why"
    [path] = all_of(shown, "path")
    # 631 pixels stand for the largest value, 20 ms
    assert path.attrib["d"].startswith(f"M{19 + 631 / 4:.1f} ")
    assert f"H{19 + 631:.1f}" in path.attrib["d"]
    assert number(all_of(shown, "rect")[0], "width") == 315.5


def test_a_whisker_far_beyond_the_bars_is_cut() -> None:
    shown = svg.bars([Bar("a", 10.0, 5.0, 1000.0)], "ms", "t")
    # the scale ends at 2.5 times the longest bar
    assert number(all_of(shown, "rect")[0], "width") == pytest.approx(631 / 2.5, abs=0.1)


def test_a_limit_is_a_line_across_and_in_the_scale() -> None:
    shown = svg.bars([Bar("a", 10.0)], "ms", "t", limit=20.0)
    [line] = all_of(shown, "line")
    assert number(line, "x1") == number(line, "x2") == 650.0
    assert number(all_of(shown, "rect")[0], "width") == 315.5


def test_more_bars_than_fit_are_counted() -> None:
    shown = svg.bars([Bar(f"{i}", 1.0) for i in range(63)], "ms", "t")
    assert len(all_of(shown, "rect")) == svg.MOST_ROWS == 60
    assert words(shown)[-1] == "... and 3 more"
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
    places = [(number(r, "x"), number(r, "y")) for r in all_of(shown, "rect")]
    assert places[1][0] - places[0][0] == 58.0
    assert places[2][1] - places[1][1] == pytest.approx(svg.ROW)
    assert svg.heat_map(["r"], ["c"], [[None]], "ms", "t") == ""


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
    assert words(shown)[-2:] == ["x", "y"]


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
    assert {"one", "two", "4.00 s", "2.00 s", "20.0 s"} <= set(words(shown))


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
