"""Cold loads on the real runtime: the file must be out of the page cache before each of them."""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path

import pytest

from perfmodel.runners import host_bench
from perfmodel.runners.host_bench import HostBench, RunConfig, in_situ
from perfmodel.runners.random_nets import random_network, random_recurrent

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux forgets a file's pages and tells which it holds"
)


def resident_share(path: Path) -> float:
    """Share of a file's pages that are in memory, by mincore(2)."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE) as mapped:
        size = len(mapped)
        pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        start = ctypes.c_char.from_buffer(mapped)
        libc = ctypes.CDLL(None, use_errno=True)
        status = libc.mincore(
            ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(size), pages
        )
        del start
    assert status == 0
    return sum(page & 1 for page in pages) / len(pages)


@pytest.mark.parametrize("recurrent", [False, True])
def test_every_load_finds_the_file_on_disk_only(
    recurrent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the profiler refuses some recurrent files: what it had loaded by then must be let go
    graph = random_recurrent(52) if recurrent else random_network(5, blocks=2)
    dropped: list[float] = []
    drop = host_bench.drop_from_cache

    def watched(path: Path) -> bool:
        done = drop(path)
        dropped.append(resident_share(path))
        return done

    with HostBench() as bench:
        path = bench.write(graph, "fp32")
        assert resident_share(path) > 0.5
        if not drop(path) or resident_share(path) > 0:
            pytest.skip("this file system keeps files in memory")
        monkeypatch.setattr(host_bench, "drop_from_cache", watched)
        entry = bench.measure("net", path, RunConfig("fp32", 1), in_situ(1.0), loads=3)
    assert len(entry["loads"]) == 2
    assert all(load > 0 and first > 0 for load, first in entry["loads"])
    assert len(dropped) >= 3
    assert dropped == [0.0] * len(dropped)
