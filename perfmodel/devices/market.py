"""The market: phone processors and phones, as tables with the source of every field.

Both tables are written by `python -m validation.market.build` from collected facts and are read at
the first question. A field that no source gives is None or empty.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from perfmodel.devices.market_names import latin, plain
from perfmodel.measurements.device_names import slug

CHIP_FILE = Path(__file__).parent / "chips.csv"
PHONE_FILE = Path(__file__).parent / "phones.tsv"

COLUMNS_OF_CHIPS = (
    *("name", "parts", "vendor", "year", "process_nm", "class", "clusters", "isa"),
    *("has_fp16", "has_dotprod", "has_i8mm", "caches", "l3_kb", "slc_kb"),
    *("gpu", "gpu_cores", "gpu_mhz", "gpu_lanes_per_core", "gpu_gflops"),
    *("mem_type", "mem_bus_bits", "mem_bw_gbs", "npu", "npu_tops"),
    *("core_mw", "source", "general_knowledge"),
)
COLUMNS_OF_PHONES = (
    *("brand", "model", "names", "devices", "codes"),
    *("chip", "ram_mb", "sdk", "year", "source", "year_source"),
)

CLASSES = ("entry", "middle", "top")
"""Classes of phones from cheap to dear: the series its processor belongs to."""

SOURCES: Mapping[str, str] = {
    "A": "ARM-software/libGPUInfo",
    "B": "device table of soc_specs.csv",
    "C": "Google Play device catalogue of 2025-12-14 (hossain-khan/android-device-catalog-parser)",
    "D": "Mobiles Dataset (2025)",
    "G": "GSMArena pages of May 2025",
    "H": "hmc-tech.com",
    "K": "general knowledge, read nowhere",
    "L": "rutby/document SocModelSpec.lua",
    "M": "Mesa freedreno_devices.py",
    "N": "nanoreview.net, notebookcheck and other pages",
    "P": "cpufetch",
    "S": "a processor comparison page of March 2026",
    "T": "topcpu.net",
    "W": "LineageOS wiki",
    "X": "cputronic.com",
    "Y": "theworldsbestandworst.com",
    "Z": "azhirnov/cpu-gpu-arch",
}
"""What the letters in the tables' source columns stand for."""


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind: how many, the core's name (Arm's where it is derived of one), its clock
    in MHz."""

    count: int
    core: str
    mhz: int

    def __str__(self) -> str:
        return f"{self.count}x{self.core}@{self.mhz / 1e3:g}"


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A phone's processor. `clusters` go from big to little; None or empty where no source says.

    `fp16`, `dotprod` and `i8mm` say whether every core has these instructions (None: it depends on
    the core's revision). `gpu_gflops` is fp32: cores x lanes x 2 x MHz. `core_mw` is (cores, mW of
    one busy core at its highest clock), slow to fast.
    """

    slug: str
    name: str
    parts: tuple[str, ...]
    vendor: str
    year: int | None
    process_nm: str
    grade: str
    clusters: tuple[Cluster, ...]
    isa: str
    fp16: bool | None
    dotprod: bool | None
    i8mm: bool | None
    caches: str
    l3_kb: float | None
    slc_kb: float | None
    gpu: str
    gpu_cores: int | None
    gpu_mhz: float | None
    gpu_lanes_per_core: float | None
    gpu_gflops: float | None
    mem_type: str
    mem_bus_bits: int | None
    mem_bandwidth_gbs: float | None
    npu: str
    npu_tops: float | None
    core_mw: tuple[tuple[int, float], ...]
    source: str
    general_knowledge: str

    @property
    def cores_text(self) -> str:
        """`1xCortex-X3@3.2+4xCortex-A715@2.8`, clocks in GHz, big to little."""
        return "+".join(map(str, self.clusters))

    @cached_property
    def sources(self) -> Mapping[str, str]:
        """Letters of `SOURCES` by field, such as clusters: "G+S"."""
        found = {"isa": "K", "fp16": "K", "dotprod": "K", "i8mm": "K"}
        for part in self.source.removeprefix("socs.csv: ").split("; "):
            name, _, letters = part.partition(" ")
            for field in _FIELDS_OF_SOURCE.get(name, ()):
                found[field] = letters
        for part in self.general_knowledge.split("; "):
            if part in _KNOWN_BY_HEART:
                found[_KNOWN_BY_HEART[part]] = "K"
        return found

    def confidence(self, field: str) -> str:
        """How sure a field is: "not known", "general knowledge", "one source", "several sources".

        Of 40 rows drawn at random 24 of 126 fields differ from a second source: clusters 1 of 19,
        GPU clock 12 of 33, GFLOPS 10 of 11 (by convention), bandwidth 1 of 6.
        """
        if getattr(self, field) in (None, "", ()):
            return "not known"
        letters = re.findall(r"\b[A-Z]\b", self.sources.get(field, ""))
        read = [x for x in letters if x != "K"]
        if not read:
            return "general knowledge"
        return "several sources" if len(read) > 1 else "one source"


_FIELDS_OF_SOURCE: Mapping[str, tuple[str, ...]] = {
    "year": ("year",),
    "nm": ("process_nm",),
    "clusters": ("clusters",),
    "caches": ("caches", "l3_kb", "slc_kb"),
    "gpu": ("gpu", "gpu_cores"),
    "gpu_mhz": ("gpu_mhz",),
    "flops/clk": ("gpu_lanes_per_core", "gpu_gflops"),
    "npu": ("npu", "npu_tops"),
    "mem": ("mem_type", "mem_bus_bits", "mem_bandwidth_gbs"),
    "core_mw": ("core_mw",),
}
_KNOWN_BY_HEART: Mapping[str, str] = {
    "year": "year",
    "clusters": "clusters",
    "gpu": "gpu",
    "gpu_mhz": "gpu_mhz",
    "gpu_fp32_lanes_per_core": "gpu_lanes_per_core",
    "mem_type": "mem_type",
    "mem_bus_bits": "mem_bus_bits",
    "mem_mhz": "mem_bandwidth_gbs",
    "npu": "npu",
}


@dataclass(frozen=True, kw_only=True)
class Phone:
    """A phone as it is sold, with one kind of chip: phones sold with two are two of these.

    `devices` are Android codenames, `codes` model codes (SM-S911B) or Apple's identifiers, `chip`
    the slug of its processor (empty where the catalogue does not know it), `ram_mb` what Android
    reports, least and most; `sdk` the oldest Android the catalogue has seen on it (API level).
    """

    brand: str
    model: str
    names: tuple[str, ...]
    devices: tuple[str, ...]
    codes: tuple[str, ...]
    chip: str
    ram_mb: tuple[float, float] | None
    sdk: int | None
    year: int | None
    source: str
    year_source: str

    @property
    def title(self) -> str:
        """Brand and model, without saying the brand twice."""
        return phone_title(self.brand, self.model)


def phone_title(brand: str, model: str) -> str:
    """Brand and model, without saying the brand twice."""
    spelt = _SPELT.get(brand.lower(), brand)
    return model if model.lower().startswith((brand.lower(), spelt.lower())) else f"{spelt} {model}"


_SPELT: Mapping[str, str] = {
    "samsung": "Samsung",
    "google": "Google",
    "motorola": "Motorola",
    "lge": "LG",
    "htc": "HTC",
    "asus": "Asus",
    "docomo": "DOCOMO",
}
"""Brands that the catalogue writes small."""


@lru_cache(maxsize=1)
def chips() -> Mapping[str, Chip]:
    """Every chip of the market, by slug."""
    with open(CHIP_FILE, encoding="utf-8", newline="") as file:
        found = (_chip(row) for row in csv.DictReader(file))
        return {chip.slug: chip for chip in found}


def _chip(row: Mapping[str, str]) -> Chip:
    return Chip(
        slug=slug(row["name"]),
        name=row["name"],
        parts=_split(row["parts"]),
        vendor=row["vendor"],
        year=_whole(row["year"]),
        process_nm=row["process_nm"],
        grade=row["class"],
        clusters=_clusters(row["clusters"]),
        isa=row["isa"],
        fp16=_has(row["has_fp16"]),
        dotprod=_has(row["has_dotprod"]),
        i8mm=_has(row["has_i8mm"]),
        caches=row["caches"],
        l3_kb=_number(row["l3_kb"]),
        slc_kb=_number(row["slc_kb"]),
        gpu=row["gpu"],
        gpu_cores=_whole(row["gpu_cores"]),
        gpu_mhz=_number(row["gpu_mhz"]),
        gpu_lanes_per_core=_number(row["gpu_lanes_per_core"]),
        gpu_gflops=_number(row["gpu_gflops"]),
        mem_type=row["mem_type"],
        mem_bus_bits=_whole(row["mem_bus_bits"]),
        mem_bandwidth_gbs=_number(row["mem_bw_gbs"]),
        npu=row["npu"],
        npu_tops=_number(row["npu_tops"]),
        core_mw=_powers(row["core_mw"]),
        source=row["source"],
        general_knowledge=row["general_knowledge"],
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(";")))


def _whole(text: str) -> int | None:
    return int(text) if text else None


def _number(text: str) -> float | None:
    return float(text) if text else None


def _has(text: str) -> bool | None:
    return {"y": True, "n": False}.get(text)


def _clusters(text: str) -> tuple[Cluster, ...]:
    found = (re.fullmatch(r"(\d+)x(.+)@(\d+)", part) for part in text.split("+") if part)
    return tuple(Cluster(int(m[1]), m[2], int(m[3])) for m in found if m)


def _powers(text: str) -> tuple[tuple[int, float], ...]:
    pairs = (part.split("x") for part in _split(text))
    return tuple((int(cores), float(milliwatts)) for cores, milliwatts in pairs)


@lru_cache(maxsize=1)
def phone_lines() -> tuple[str, ...]:
    """The rows of the table of phones, as text: a look-up makes records of few of them only."""
    text = PHONE_FILE.read_text(encoding="utf-8")
    return tuple(text.split("\n")[1:-1])


@lru_cache(maxsize=2)
def phone_titles(without: tuple[str, ...] = ()) -> tuple[tuple[str, str], ...]:
    """Title and model of every phone, a row each; those of some brands (in small letters) apart."""
    rows = (line.split("\t", 2)[:2] for line in phone_lines())
    return tuple((phone_title(b, m), m) for b, m in rows if b.lower() not in without)


@lru_cache(maxsize=1)
def phones() -> tuple[Phone, ...]:
    """Every phone of the market, in the catalogue's order and iPhones after."""
    return tuple(map(phone_of_line, phone_lines()))


def phone_of_line(line: str) -> Phone:
    """The record of one row of the table of phones."""
    brand, model, names, devices, codes, chip, ram, sdk, year, source, dated = line.split("\t")
    low, _, high = ram.partition("-")
    return Phone(
        brand=brand,
        model=model,
        names=_split(names),
        devices=_split(devices),
        codes=_split(codes),
        chip=chip,
        ram_mb=(float(low), float(high or low)) if low else None,
        sdk=_whole(sdk),
        year=_whole(year),
        source=source,
        year_source=dated,
    )


CHIP_MAKERS = (
    *("qualcomm", "qti", "mediatek", "samsung", "google", "hisilicon", "huawei", "apple"),
    *("unisoc", "spreadtrum", "intel", "nvidia", "rockchip", "amlogic", "allwinner"),
)
CHIP_LINES = ("snapdragon", "dimensity", "helio", "exynos", "kirin", "tensor", "mediatek")
"""Words that begin a chip's name; what stands before them in a name is a phone."""


@lru_cache(maxsize=1)
def chip_keys() -> dict[str, str]:
    """Slug of a chip by every plain name that means it alone: its own, its parts, its maker's."""
    sure: dict[str, str] = {}
    short: dict[str, set[str]] = {}
    for chip in chips().values():
        bare = chip.name.partition(" (")[0]
        for name in (chip.name, *chip.parts):
            sure.setdefault(plain(name), chip.slug)
        for name in (bare, *(bare.removesuffix(end) for end in (" Bionic", " Fusion"))):
            short.setdefault(plain(name.removeprefix("Apple ")), set()).add(chip.slug)
            short.setdefault(plain(name), set()).add(chip.slug)
        for part in (*chip.parts, *re.findall(r"[A-Z]{2,4}\d{4}-?[A-Z]*", chip.name)):
            short.setdefault(plain(re.split(r"[-/ _]", part)[0]), set()).add(chip.slug)
    alone = {key: slugs.pop() for key, slugs in short.items() if len(slugs) == 1}
    return {**alone, **sure}


def chip_slug(text: str) -> str:
    """The slug of the chip that a text names outright; empty where it names none.

    "Snapdragon 778G", "qualcomm snapdragon 778g", "SM7325-AB", "Exynos 990", "A15", "Snapdragon
    855 (SM8150)" are understood; a name that several chips share is none.
    """
    name = latin(text)
    outside = re.sub(r"\([^)]*\)", " ", name).strip()
    tried = [name, outside]
    if set(outside.split()[:2]) & set(CHIP_LINES) or re.match(r"(apple )?a\d", outside):
        tried += re.findall(r"\(([^)]*)\)", name)
    return next(filter(None, map(_chip_of_words, tried)), "")


def _chip_of_words(text: str) -> str:
    keys, words = chip_keys(), re.split(r"[\s_-]+", text.strip())
    while words and words[0] in CHIP_MAKERS and plain(" ".join(words)) not in keys:
        words = words[1:]
    joined = plain(" ".join(words))
    for end in ("5g", "4g", "mobile", "soc"):
        if joined not in keys:
            joined = joined.removesuffix(end)
    found = keys.get(joined, "")
    if not found and len(words) == 2 and re.fullmatch(r"[a-z]{2,4}\d{4}", words[0]):
        found = keys.get(words[0], "")  # the letters after a part number name a bin of it
    return found or keys.get(re.sub(r"^sd(?=\d)", "snapdragon", joined), "")


def chip(name: str) -> Chip | None:
    """The chip that a text names outright, as "Snapdragon 778G", "SM7325" or "A15"; else None."""
    return chips().get(chip_slug(name))
