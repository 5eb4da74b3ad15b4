"""One stream of random numbers per source of chance, independent of everything else that runs."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def stream(seed: int, replication: int, source: str, index: int = 0) -> np.random.Generator:
    """Return the generator of one source of chance in one replication.

    The same four arguments give the same numbers in every process, and changing a policy does not
    shift the arrivals: common random numbers for fair comparisons.
    """
    import numpy as np

    key = (replication, zlib.crc32(source.encode()), index)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
