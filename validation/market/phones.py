"""Rows of perfmodel/devices/phones.tsv, from Google Play's catalogue, iphones.csv and model codes.

Prices stay behind: they age, and a user gives a table of their own.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from perfmodel.devices.market_names import plain, same_maker
from perfmodel.measurements.device_names import slug

IPHONES_KNOWN = {
    "iPhone 15": "15,4",
    "iPhone 15 Plus": "15,5",
    "iPhone 15 Pro": "16,1",
    "iPhone 15 Pro Max": "16,2",
    "iPhone 16 Pro": "17,1",
    "iPhone 16 Pro Max": "17,2",
    "iPhone 16": "17,3",
    "iPhone 16 Plus": "17,4",
    "iPhone 16e": "17,5",
    "iPhone 17 Pro": "18,1",
    "iPhone 17 Pro Max": "18,2",
    "iPhone 17": "18,3",
    "iPhone Air": "18,4",
}
"""Identifiers that iphone_identifiers.csv is too old for: general knowledge, not read here."""

KNOWN_FILE = Path(__file__).parent / "phones_known.csv"
"""Phones that many have and the catalogue lacks (Huawei's newer ones, folding ones): general
knowledge, read nowhere."""

SE = {
    "iPhone SE (2020)": ("iPhone SE (2nd generation)", "iPhone SE 2"),
    "iPhone SE (2022)": ("iPhone SE (3rd generation)", "iPhone SE 3"),
}
"""What iphones.csv names by year and iphone_identifiers.csv by generation."""


CORRECTED_FILE = Path(__file__).parent / "phones_corrected.csv"
"""Phones whose chip the catalogue has wrong, with where the right one is read: a letter of
`perfmodel.devices.market.SOURCES`, and the page in words."""


def corrected_phones() -> Mapping[tuple[str, str], Mapping[str, str]]:
    """The rows of `CORRECTED_FILE` by brand and model."""
    with open(CORRECTED_FILE, encoding="utf-8", newline="") as file:
        return {(row["brand"], row["model"]): row for row in csv.DictReader(file)}


def phone_rows(data: Path) -> Iterator[dict[str, str]]:
    """Phones in the catalogue's order, then iPhones, then phones that the catalogue lacks."""
    codes, corrected = model_codes(data / "phone_model_codes.csv.gz"), corrected_phones()
    with gzip.open(data / "phones.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            made = _android(row, codes)
            if right := corrected.get((made["brand"], made["model"])):
                made["chip"] = slug(right["soc"])
                made["source"] += f"+{right['letter']}"
            yield made
    with open(data / "iphones.csv", encoding="utf-8", newline="") as file:
        identifiers = iphone_identifiers(data / "iphone_identifiers.csv")
        for row in csv.DictReader(file):
            yield _iphone(row, identifiers)
    with open(KNOWN_FILE, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            chip = slug(row["soc"])
            rest = {"devices": "", "sdk": "", "source": "K", "year_source": "K"}
            yield {**row, **rest, "chip": chip}


def _android(
    row: Mapping[str, str], codes: Mapping[str, list[Mapping[str, str]]]
) -> dict[str, str]:
    devices = row["device"].split(";")
    known = {plain(d) for d in devices} | {plain(row["model"])}
    found: dict[str, None] = {}
    names: dict[str, None] = {}
    for device in devices:
        for other in codes.get(device.lower(), ()):
            alike = plain(other["name"]) == plain(row["model"])
            if not alike and not same_maker(other["brand"], row["brand"]):
                continue
            found.update({other["model"]: None} if plain(other["model"]) not in known else {})
            if not alike and plain(other["name"]) not in known:
                names[other["name"]] = None
    low, high = row["ram_mb_min"], row["ram_mb_max"]
    sdks = [int(s) for s in row["android_sdks"].split(";") if s]
    return {
        "brand": row["brand"],
        "model": _cell(row["model"]) or devices[0],
        "names": _cells(names),
        "devices": _cells(devices),
        "codes": _cells(found),
        "chip": slug(row["soc"]),
        "ram_mb": low if low == high else f"{low}-{high}",
        "sdk": str(min(sdks)) if sdks else "",
        "year": row["year"],
        "source": "C+G" if row["soc_basis"].endswith("gsmarena") else "C",
        "year_source": row["year_source"],
    }


def _iphone(row: Mapping[str, str], identifiers: Mapping[str, list[str]]) -> dict[str, str]:
    name = row["model"]
    own = identifiers.get(SE.get(name, (name,))[0], [])
    if not own and name in IPHONES_KNOWN:
        own = [f"iPhone{IPHONES_KNOWN[name]}"]
    known = row["source"].startswith("general")
    return {
        "brand": "Apple",
        "model": name,
        "names": ";".join(SE.get(name, ())),
        "devices": "",
        "codes": _cells(own),
        "chip": slug(row["soc"]),
        "ram_mb": row["ram_mb"],
        "sdk": "",
        "year": row["year"],
        "source": "K" if known else "G",
        "year_source": "K" if known else "G",
    }


def model_codes(path: Path) -> Mapping[str, list[Mapping[str, str]]]:
    """Rows of the table of model codes, by codename in lower case."""
    found: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["device"].lower()].append(row)
    return found


def iphone_identifiers(path: Path) -> Mapping[str, list[str]]:
    """Identifiers, board names and A numbers of an iPhone, by its name."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for code in (row["identifier"], row["internal"], *row["a_numbers"].split(";")):
                if code:
                    found[row["name"]][code] = None
    return {name: list(codes) for name, codes in found.items()}


def _cell(text: str) -> str:
    return re.sub(r"[\s;]+", " ", re.sub("[®™©]", "", text)).strip()


def _cells(texts: object) -> str:
    assert hasattr(texts, "__iter__")
    return ";".join(_cell(t) for t in texts)
