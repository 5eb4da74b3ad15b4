"""Write perfmodel/devices/socs.csv: `python -m validation.profiles.soc_table --data DIR`.

Year and power of phone processors, from soc_specs.csv and cpu_core_power.csv; the class is ours,
from the maker's own series. A cell without a source stays empty.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from perfmodel.devices.processors import CLASSES, SOC_FILE, soc_slug
from validation.profiles.shipped_table import write_table

SERIES = (
    (r"snapdragon-4\d\d|exynos-850|kirin-6\d\d|helio-p.*", "entry"),
    (r"snapdragon-[67]\d\dg?|exynos-(9611|980)|kirin-[78]\d\d|dimensity-[79]\d\du?", "middle"),
    (r"dimensity-8\d\du?|helio-.*", "middle"),
    (r"snapdragon-8.*|exynos-.*|kirin-9.*|dimensity-.*|apple-.*|.*tensor-.*", "top"),
)
"""Series of processors and the class their makers sell them in; the first that fits."""

COLUMNS = ["slug", "soc", "year", "class", "phones", "core_mw", "source"]


def soc_rows(data: Path) -> Iterator[dict[str, object]]:
    """One row a phone processor of soc_specs.csv."""
    power = core_power(data / "cpu_core_power.csv")
    with open(data / "soc_specs.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            slug = soc_slug(row["soc"])
            grade = next((c for pattern, c in SERIES if re.fullmatch(pattern, slug)), None)
            if grade is None:
                continue  # a Jetson or a laptop
            assert grade in CLASSES
            clusters, source = power.get(slug, ((), ""))
            yield {
                "slug": slug,
                "soc": row["soc"].split(" (")[0],
                "year": row["year"],
                "class": grade,
                "phones": "" if row["phones"].startswith("seed") else row["phones"],
                "core_mw": cluster_text(clusters, core_count(row["cpu_clusters"])),
                "source": ";".join(s for s in (row["source"], source) if s),
            }


Cluster = tuple[int, str]
"""First core of a cluster, and the mW of one busy core of it at full clock."""


def core_power(path: Path) -> dict[str, tuple[tuple[Cluster, ...], str]]:
    """By processor: its clusters from the first core on, and the source."""
    top: dict[str, dict[int, tuple[float, str, str]]] = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            clusters = top.setdefault(soc_slug(row["soc"]), {})
            first, freq = int(row["first_cpu_of_cluster"]), float(row["freq_mhz"])
            if first not in clusters or freq > clusters[first][0]:
                clusters[first] = (freq, row["power_mw"], row["source"].split(" results/")[0])
    return {
        slug: (
            tuple((first, clusters[first][1]) for first in sorted(clusters)),
            clusters[max(clusters)][2],
        )
        for slug, clusters in top.items()
    }


def core_count(clusters: str) -> int | None:
    """Cores of `1x2.84+3x2.42+4x1.8 Kryo 485`; None where the text does not count them."""
    counts = re.findall(r"(?:^|\+)(\d+)x", clusters)
    return sum(map(int, counts)) if counts else None


def cluster_text(clusters: Sequence[Cluster], cores: int | None) -> str:
    """`4x147.1;3x907.6;1x1635.9`, slow to fast; empty where power or the count is not known.

    The tool leaves core 0 to the system, so a first cluster from core 1 on begins at core 0.
    """
    if not clusters or cores is None:
        return ""
    starts = [0, *(first for first, _ in clusters[1:]), cores]
    return ";".join(
        f"{end - start}x{milliwatts}"
        for start, end, (_, milliwatts) in zip(starts, starts[1:], clusters, strict=False)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table beside the module that reads it."""
    return write_table(arguments, __doc__, COLUMNS, soc_rows, SOC_FILE)


if __name__ == "__main__":
    sys.exit(main())
