"""Write the energy of kernels: `python -m validation.profiles.energy_table --data DIR`.

Energy of a kernel on a phone: so much a kernel, a multiply-accumulate and a byte moved, least
squares of relative errors over the measured convolutions of energy_kernels_phones.csv (one phone,
not named by its source). `log_sd` is what an estimate for another phone has to expect, in natural
logarithms: the kernels' own scatter and, squared and added, the scatter of phones and frameworks.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from perfmodel.devices.energy import ENERGY_FILE
from validation.profiles.shipped_table import write_table

COLUMNS = ("unit", "pj_per_mac", "pj_per_byte", "pj_per_kernel", "log_sd", "kernels", "source")
SCATTER_OF_PHONES = 0.62
"""Of phones and frameworks (log): how far the power of busy cores times the predicted latency and
the energies of kernels lie apart over the phones whose cores were measured, the kernels' own
scatter taken off. tests/devices/test_energy.py measures it again; they agree in the median."""
BYTES = 4
"""Of an element: the study ran fp32."""


def energy_rows(data: Path) -> Iterator[dict[str, object]]:
    """One row a unit."""
    frame = pd.read_csv(data / "energy_kernels_phones.csv")
    for unit, kernels in frame.groupby("unit"):
        macs, moved = work(kernels)
        terms = np.column_stack([macs, moved, np.ones(len(kernels))])
        measured_pj = kernels["energy_mj"].to_numpy() * 1e9
        rates, _ = nnls(terms / measured_pj[:, None], np.ones(len(kernels)))
        scatter = np.log(measured_pj / (terms @ rates)).std()
        yield {
            "unit": unit,
            "pj_per_mac": f"{rates[0]:.4g}",
            "pj_per_byte": f"{rates[1]:.4g}",
            "pj_per_kernel": f"{rates[2]:.4g}",
            "log_sd": f"{math.hypot(scatter, SCATTER_OF_PHONES):.3f}",
            "kernels": len(kernels),
            "source": kernels["source"].iloc[0].split(" ")[0],
        }


def work(kernels: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Multiply-accumulates and bytes of input, weights and output of each convolution (SAME)."""
    out = np.ceil(kernels["hw"] / kernels["stride"])
    weights = kernels["k"] ** 2 * kernels["cin"] * kernels["cout"]
    macs = out**2 * weights
    moved = kernels["hw"] ** 2 * kernels["cin"] + weights + out**2 * kernels["cout"]
    return np.asarray(macs, float), BYTES * np.asarray(moved, float)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table beside the module that reads it."""
    return write_table(arguments, __doc__, COLUMNS, energy_rows, ENERGY_FILE)


if __name__ == "__main__":
    sys.exit(main())
