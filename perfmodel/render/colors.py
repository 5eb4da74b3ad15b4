"""The one colour scheme of pages and figures: every colour by name, for light and for dark screens.

Figures carry the light colours as plain attributes, so that a figure alone, in print or in a
program that knows no style sheets, is complete; a page's style sheet replaces each by its property.
"""

from __future__ import annotations

COLORS: dict[str, tuple[str, str]] = {
    "page": ("#ffffff", "#12181f"),
    "ink": ("#1f2933", "#e4e7eb"),
    "muted": ("#52606d", "#a3b1bf"),
    "faint": ("#7b8794", "#8b98a6"),
    "line": ("#e3e6ea", "#2f3a45"),
    "code": ("#f5f7fa", "#1d262f"),
    "mark": ("#1f6feb", "#5c9bff"),
    "second": ("#d9480f", "#ff8f57"),
    "third": ("#2f9e44", "#4cc764"),
    "fourth": ("#845ef7", "#a58bfb"),
    "fifth": ("#b0800a", "#d9ae3a"),
    "sixth": ("#0b7285", "#35bdd1"),
    "seventh": ("#495057", "#b4bcc4"),
}
"""By name the light and the dark colour. Ink and muted are for words (contrast to page and code of
at least 4.5), mark to seventh and faint for marks (of at least 3); tests compute both."""

WORDS = ("ink", "muted")
GROUNDS = ("page", "code")
MARKS = ("mark", "faint", "third", "second", "fourth", "fifth", "sixth", "seventh")
"""Colours of the parts of a stacked bar and of the lines of a plot, in their order."""

SCALE = ("#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b")
"""Light to dark blue (ColorBrewer's Blues): readable without colour vision and in print. Cells of
this scale look the same on dark screens, and so do the words in them."""
CELL_INKS = ("#000000", "#fefefe")

LIGHT = {name: light for name, (light, _) in COLORS.items()}


def shade(share: float) -> str:
    """The colour of a share (0 to 1) on `SCALE`."""
    at = min(max(share, 0.0), 1.0) * (len(SCALE) - 1)
    low = min(int(at), len(SCALE) - 2)
    pair = [_channels(SCALE[k]) for k in (low, low + 1)]
    mixed = [round(a + (b - a) * (at - low)) for a, b in zip(*pair, strict=True)]
    return "#" + "".join(f"{c:02x}" for c in mixed)


def cell_ink(ground: str) -> str:
    """The colour of words on a cell: the one of the greater contrast (at least 4.5)."""
    return max(CELL_INKS, key=lambda ink: contrast(ink, ground))


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, 1 to 21, as WCAG 2.1 defines it (relative luminances)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    parts = [c / 255 for c in _channels(color)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _channels(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def color_rules(scope: str) -> str:
    """Style rules that give every colour of elements within `scope` its property, by the screen."""
    light, dark = ("".join(f"--{name}:{pair[i]};" for name, pair in COLORS.items()) for i in (0, 1))
    painted = "".join(
        f'{scope} svg[{paint}="{color}"],{scope} [{paint}="{color}"]{{{paint}:var(--{name})}}'
        for name, color in LIGHT.items()
        for paint in ("fill", "stroke")
    )
    return (
        f"{scope}{{{light}color-scheme:light}}\n"
        f"@media screen and (prefers-color-scheme:dark){{{scope}{{{dark}color-scheme:dark}}}}\n"
        f"{painted}\n"
    )
