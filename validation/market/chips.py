"""Rows of perfmodel/devices/chips.csv: phone processors, from socs.csv and cpu_core_power.csv.

Facts carry over with their sources; the class is ours, from the maker's own series. A cell without
a source stays empty.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from perfmodel.devices.market import CLASSES, COLUMNS_OF_CHIPS
from perfmodel.measurements.device_names import slug

SERIES = (
    (
        r"snapdragon-(4|2|s1|s4-play).*|qc[ms]-?[24].*|exynos-(850|[34]\d\d\d|75\d\d|78\d\d.*)",
        "entry",
    ),
    (r"kirin-6\d\d|helio-[pa].*|helio-g([37]\d|25|8\d)|mt[68]\d\d\d.*|sc\d.*", "entry"),
    (r"tiger-t310|t6(0\d|1[0-69])|ums.*|bcm.*|pxa.*|atom.*|asr.*|a\d+|rk3[13]\d\d.*", "entry"),
    (r"tegra.*|omap.*|novathor.*|k3v2|i-mx.*|dimensity-6\d\d\d.*|exynos-7904", "entry"),
    (r"snapdragon-[67].*|snapdragon-s[34].*|qc[ms].*|sg8175p|surge.*", "middle"),
    (r"exynos-(9609|961\d|[89]80|1[2345]80|1330)|kirin-[78].*", "middle"),
    (r"dimensity-[789]\d\du?|dimensity-([78]\d\d\d|1050)|helio-.*|t\d\d\d|rk3.*", "middle"),
    (r"snapdragon-8.*|exynos-.*|kirin-9.*|dimensity-.*|apple-.*|tensor-.*|xring.*", "top"),
)
"""Series of processors and the class their makers sell them in; the first that fits."""

MAKERS_OF_PARTS = (
    r"^(Qualcomm|QTI|Mediatek|Spreadtrum|Samsung|Google|HiSilicon|Intel|NVidia|TI|NXP) "
)
"""What Google Play writes before a part's number."""


def chip_rows(data: Path) -> Iterator[dict[str, str]]:
    """One row a processor of socs.csv, in its order."""
    power = core_power(data / "cpu_core_power.csv")
    with open(data / "socs.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = slug(row["soc"])
            source = [f"socs.csv: {row['source']}"]
            milliwatts = ""
            if name in power:
                starts, where = power[name]
                milliwatts = cluster_text(starts, int(row["cores"]) if row["cores"] else None)
                source += [f"core_mw {where}"] if milliwatts else []
            yield {
                **{column: row.get(column, "") for column in COLUMNS_OF_CHIPS},
                "name": row["soc"],
                "parts": _parts(row["part_names"]),
                "class": grade_of(name),
                "clusters": row["clusters_arm"],
                "caches": row["l2_l3_kb"],
                "gpu_lanes_per_core": row["gpu_fp32_lanes_per_core"],
                "gpu_gflops": row["gpu_fp32_gflops"],
                "core_mw": milliwatts,
                "source": "; ".join(source),
                "general_knowledge": row["general_knowledge_not_read_here"],
            }


def _parts(text: str) -> str:
    return ";".join(dict.fromkeys(re.sub(MAKERS_OF_PARTS, "", p) for p in text.split(";") if p))


def grade_of(name: str) -> str:
    """The class of a processor's series."""
    grade = next(c for pattern, c in SERIES if re.fullmatch(pattern, name))
    assert grade in CLASSES
    return grade


Starts = tuple[tuple[int, str], ...]
"""First core of each cluster, and the mW of one busy core of it at full clock."""


def core_power(path: Path) -> Mapping[str, tuple[Starts, str]]:
    """By processor: its clusters from the first core on, and the source."""
    top: dict[str, dict[int, tuple[float, str, str]]] = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            clusters = top.setdefault(slug(row["soc"]), {})
            first, freq = int(row["first_cpu_of_cluster"]), float(row["freq_mhz"])
            if first not in clusters or freq > clusters[first][0]:
                clusters[first] = (freq, row["power_mw"], row["source"].split(" results/")[0])
    return {
        name: (
            tuple((first, clusters[first][1]) for first in sorted(clusters)),
            clusters[max(clusters)][2],
        )
        for name, clusters in top.items()
    }


def cluster_text(starts: Sequence[tuple[int, str]], cores: int | None) -> str:
    """`4x147.1;3x907.6;1x1635.9`, slow to fast; empty where the count of cores is not known.

    The tool leaves core 0 to the system, so a first cluster from core 1 on begins at core 0.
    """
    if not starts or cores is None:
        return ""
    bounds = [0, *(first for first, _ in starts[1:]), cores]
    return ";".join(
        f"{end - start}x{milliwatts}"
        for start, end, (_, milliwatts) in zip(bounds, bounds[1:], starts, strict=False)
    )
