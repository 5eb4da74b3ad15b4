"""Finding phones in the market by what people write: names, model codes, codenames, chips.

A look-up searches the text of the table of phones, so that no record is made of the thousands that
are not meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from perfmodel.devices.market import (
    CHIP_LINES,
    PHONE_FILE,
    Chip,
    Phone,
    chip,
    chips,
    phone_lines,
    phone_of_line,
    phone_titles,
)
from perfmodel.devices.market_names import latin, plain, same_maker
from perfmodel.errors import nearest_names
from perfmodel.target import LONGEST_NAME

LINES = {
    "galaxy": "samsung",
    "iphone": "apple",
    "pixel": "google",
    "redmi": "xiaomi",
    "poco": "xiaomi",
    "mi": "xiaomi",
    "moto": "motorola",
    "xperia": "sony",
    "zenfone": "asus",
    "iqoo": "vivo",
}
"""What makers call their phones: a name may leave out this or the maker ("Samsung S23")."""

CARRIERS = ("kddi", "docomo", "sg", "sbm", "softbank")
"""Brands of the catalogue that sell makers' phones: the maker's row answers, if there is one."""

_MODEL, _NAMES, _CODES = (1,), (2,), (3, 4)
"""Columns of the table of phones in which a name, other names and codes stand."""

_NOISE = re.compile(r"\b(\d+ ?[gt]b|\d+ ?/ ?\d+|dual ?sim|unlocked|smartphone)\b|/ds$")
"""What shops add to a phone's name: memory, SIMs."""


@dataclass(frozen=True)
class Found:
    """What a text means in the market: phones, or one chip that it names; both may be missing."""

    text: str
    phones: tuple[Phone, ...] = ()
    chip: Chip | None = None

    def __bool__(self) -> bool:
        return bool(self.phones) or self.chip is not None

    @property
    def chips(self) -> tuple[Chip, ...]:
        """The chips of it, without repetition; a phone whose chip nobody knows adds none."""
        if self.chip is not None:
            return (self.chip,)
        slugs = dict.fromkeys(p.chip for p in self.phones if p.chip)
        return tuple(chips()[s] for s in slugs)

    def choices(self) -> tuple[str, ...]:
        """A name for each phone that tells it from the others: with its maker, and with its chip
        where the maker and the model alone mean several."""
        titles: dict[str, dict[str, None]] = {}
        for phone in self.phones:
            made = chips().get(phone.chip)
            titles.setdefault(phone.title, {})[made.name if made else ""] = None
        return tuple(
            f"{title} ({name})" if name and len(find(title).chips) > 1 else title
            for title, made in titles.items()
            for name in made
        )


@lru_cache(maxsize=256)
def find(text: str) -> Found:
    """The phones, or the chip, that a text names; nothing where it names none."""
    if len(text) > LONGEST_NAME:
        return Found(text)
    named = chip(text)
    if named is not None and not _is_phone_too(text):
        return Found(text, chip=named)
    for written in dict.fromkeys((text.lower(), latin(text), _NOISE.sub(" ", latin(text)))):
        found = _phones(written)
        if found:
            return Found(text, found)
        parts = _phone_and_chip(written)
        found = tuple(p for p in _phones(parts[0]) if _is_of(p, parts[1])) if parts else ()
        if found:
            return Found(text, found)
    return Found(text)


def _is_phone_too(text: str) -> bool:
    """Whether a chip's short name ("A15", "T606") is no more than that: phones go by it as well."""
    return not plain(latin(text)).startswith(CHIP_LINES) and bool(_phones(latin(text)))


def _phone_and_chip(written: str) -> tuple[str, str] | None:
    """`galaxy s22 (exynos 2200)` as its phone and its chip; None where no chip is named."""
    words = re.sub(r"[()_-]", " ", written).split()
    place = next((i for i, w in enumerate(words) if w in CHIP_LINES or chip(w)), 0)
    return (" ".join(words[:place]), " ".join(words[place:])) if place else None


def _is_of(phone: Phone, text: str) -> bool:
    exact = chip(text)
    made = chips().get(phone.chip)
    if made is None:
        return False
    return (
        made is exact
        or plain(made.name).startswith(plain(text))
        or plain(text) == plain(made.vendor)
    )


Form = tuple[str, str]
"""A brand (empty: any) and the plain name of a phone of it."""


def _phones(written: str) -> tuple[Phone, ...]:
    """The phones of a name in Latin letters: the first way of reading it that finds any."""
    words = [w for w in re.split(r"[\s_()-]+", written) if plain(w)]
    brand, rests = _brand_and_rests(words)
    whole = plain("".join(words))
    if not whole or not rests[-1]:
        return ()
    own: list[Form] = [(brand, whole), *((brand, rest) for rest in rests)]
    lines = [(m, w + rests[-1]) for w, m in LINES.items() if brand in ("", m)]
    if not brand:
        own, lines = [("", whole), *([] if whole.isdigit() else lines)], []
    ways = [(own, _MODEL), (lines, _MODEL), ([("", whole)], _MODEL), (own, _CODES), (own, _NAMES)]
    near = [(b, key) for b, form in (*own, *lines) for key in _generations(form)]
    return next((f for f in (_of_forms(*way) for way in (*ways, (near, _MODEL))) if f), ())


def _generations(key: str) -> Iterator[str]:
    """A name with and without the mobile network's generation, which not everybody writes."""
    for end in ("5g", "4g", "lte"):
        yield key.removesuffix(end) if key.endswith(end) else key + end


def _of_forms(forms: list[Form], columns: tuple[int, ...]) -> tuple[Phone, ...]:
    """Phones whose name in some columns has one of these forms."""
    rows = {
        number: None
        for brand, key in dict.fromkeys(forms)
        for number in _rows_with(key, columns)
        if not brand or same_maker(_brand_of(number), brand)
    }
    found = [phone_of_line(phone_lines()[number]) for number in rows]
    makers = [p for p in found if p.brand.lower() not in CARRIERS]
    return tuple(makers or found)


def _brand_of(number: int) -> str:
    return phone_lines()[number].partition("\t")[0]


@lru_cache(maxsize=1)
def _brands() -> dict[str, str]:
    """Brands by what a name may begin with: those of the catalogue, and lines of phones."""
    own = dict.fromkeys(line.partition("\t")[0] for line in phone_lines())
    return {"lg": "lge", **{plain(name): plain(name) for name in own}, **LINES}


def _brand_and_rests(words: list[str]) -> tuple[str, list[str]]:
    """The brand that a name begins with, and the plain names that may follow it, long to short.

    No brand is empty; "xiaomi mi 9" is Xiaomi's mi9, or its 9.
    """
    brand, rests = "", []
    while len(words) > 1:
        count = next((n for n in (2, 1) if plain("".join(words[:n])) in _brands()), 0)
        if not count or len(words) <= count:
            break
        found = _brands()[plain("".join(words[:count]))]
        if brand and not same_maker(brand, found):
            break
        brand, words = found, words[count:]
        rests.append(plain("".join(words)))
    if not brand and words:
        start = next((w for w in LINES if len(w) > 2 and words[0].startswith(w)), "")
        brand = LINES.get(start, "")
    return brand, rests or [plain("".join(words))]


@lru_cache(maxsize=1)
def _searched() -> bytes:
    """The table of phones in the letters of plain names, columns and rows still apart."""
    text = PHONE_FILE.read_bytes().lower().replace(b"+", b"plus")
    return text.translate(None, b" -_()./'\"&,!*#:[]{}?`~@$%^|=<>\\")


def _rows_with(key: str, columns: tuple[int, ...]) -> Iterator[int]:
    """Numbers of the rows of which a cell of some columns is, or lists, a plain name.

    A cell may have the row's brand before the name: `tecnospark7` is found by spark7.
    """
    text, wanted = _searched(), key.encode()
    place = text.find(wanted) if wanted else -1
    while place >= 0:
        end = place + len(wanted)
        if text[end] in b"\t;":
            start = text.rfind(b"\n", 0, place) + 1
            cell = max(text.rfind(b"\t", start, place), text.rfind(b";", start, place)) + 1
            before = text[cell:place]
            if text.count(b"\t", start, place) in columns and (
                not before or before == text[start : text.find(b"\t", start)]
            ):
                yield text.count(b"\n", 0, place) - 1
        place = text.find(wanted, place + 1)


def looks_like_a_phone(text: str) -> bool:
    """Whether a text begins as phones' names do: with a maker or with what makers call phones."""
    words = [w for w in re.split(r"[\s_()-]+", latin(text)) if w]
    return bool(words) and (words[0] in CHIP_LINES or bool(_brand_and_rests(words)[0]))


def nearest_in_market(text: str, count: int = 5) -> list[str]:
    """Names of phones and chips most like a text, best first; none where nothing is like it."""
    wanted = plain(latin(text)[:LONGEST_NAME])
    pairs = _pairs(wanted)
    if not pairs:
        return []
    likeness: dict[str, float] = {}
    for name in _titles():
        have = _pairs(name)
        likeness[name] = len(pairs & have) / (len(pairs) + len(have) or 1)
    best = sorted(likeness, key=lambda name: -likeness[name])[: 8 * count]
    return [_titles()[name] for name in nearest_names(wanted, best, count, cutoff=0.6)]


def nearest_devices(name: str, kinds: Mapping[str, str]) -> str:
    """What to try instead of a name that means no device: phones where it begins as theirs do, else
    all devices. `kinds` are those of the devices with profiles."""
    phone = looks_like_a_phone(name)
    close = nearest_names(name, [d for d in kinds if not phone or kinds[d] == "phone"], 5)
    if phone or not close:
        close = [*nearest_in_market(name, 4), *close][:5]
    near = f"nearest: {', '.join(close)}; " if close else ""
    return f"{near}{OTHER_PHONE if phone else OTHER_DEVICE}"


OTHER_PHONE = "a phone is answered by its chip too, as in --on 'snapdragon 778g'"
OTHER_DEVICE = (
    "`perfmodel devices` lists all; `perfmodel calibrate --from TABLE --device NAME` adds one"
)


@lru_cache(maxsize=1)
def _titles() -> dict[str, str]:
    """Names to offer, by the plain name that is compared: the model's alone, which has its line."""
    names = {plain(model): title for title, model in phone_titles(CARRIERS)}
    return {**names, **{plain(c.name): c.name for c in chips().values()}}


def _pairs(name: str) -> set[str]:
    return {name[i : i + 2] for i in range(len(name) - 1)}
