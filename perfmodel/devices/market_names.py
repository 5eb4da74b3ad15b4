"""Spellings: what people and sources write for makers, lines of phones and chips."""

from __future__ import annotations

import csv
import re
import unicodedata
from functools import lru_cache
from pathlib import Path

WORD_FILE = Path(__file__).parent / "market_words.csv"
"""Korean, Chinese and Japanese words for makers, lines and sizes: general knowledge."""


@lru_cache(maxsize=1)
def _words() -> tuple[dict[str, str], re.Pattern[str]]:
    with open(WORD_FILE, encoding="utf-8", newline="") as file:
        means = {row["written"]: row["means"] for row in csv.DictReader(file)}
    longest_first = sorted(map(re.escape, means), key=len, reverse=True)
    return means, re.compile("|".join(longest_first))


def latin(text: str) -> str:
    """A name with words of other scripts in Latin letters, in lower case, "+" spelled out."""
    folded = unicodedata.normalize("NFKC", text).lower()
    if not folded.isascii():
        means, written = _words()
        folded = written.sub(lambda m: f" {means[m[0]]} ", folded)
    return folded.replace("+", "plus ")


_PLAIN = {code: None for code in range(128) if not chr(code).isalnum()} | {ord("+"): "plus"}
"""What becomes of ASCII's signs in a plain name."""


def plain(text: str) -> str:
    """Letters and digits in lower case, "+" spelled out: "Galaxy S23+" is galaxys23plus."""
    if text.isascii():
        return text.lower().translate(_PLAIN)
    folded = unicodedata.normalize("NFKC", text).lower().replace("+", "plus")
    return "".join(c for c in folded if c.isalnum())


MAKERS = (
    {"xiaomi", "redmi", "poco", "blackshark", "mi"},
    {"huawei", "honor"},
    {"oppo", "realme", "oneplus"},
    {"vivo", "iqoo"},
    {"lge", "lg"},
    {"tecno", "infinix", "itel"},
    {"sony", "sonyericsson"},
    {"google", "pixel"},
    {"10or", "tenor"},
    {"tcl", "alcatel"},
    {"zte", "nubia", "redmagic"},
)
"""Brands of one maker, or one brand under two names: phones move between them in the lists."""


def same_maker(a: str, b: str) -> bool:
    """Whether two brand names are of one maker."""
    first, second = plain(a), plain(b)
    return first == second or any({first, second} <= group for group in MAKERS)
