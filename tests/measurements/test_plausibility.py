"""Work of measured rows by hand, by which times that cannot be are found."""

from __future__ import annotations

from perfmodel.measurements.kernels import table_from_rows
from perfmodel.measurements.plausibility import kernel_macs
from perfmodel.measurements.table import rows_frame


def test_a_gru_has_three_gates_and_an_lstm_four() -> None:
    """Cho et al. 2014: reset, update, candidate; Hochreiter and Schmidhuber 1997 and Gers 2000:
    input, forget, cell, output. Each is a product of hidden x hidden at every step."""
    sizes = {"batch": 2.0, "m": 5.0, "k": 8.0, "line": 1}
    rows = [{"op": op, **sizes} for op in ("lstm", "gru", "rnn")]
    frame = rows_frame(rows, "by_hand.csv")
    # 2 sequences x 5 steps x 8 x 8 = 640
    assert list(kernel_macs(frame)) == [4 * 640, 3 * 640, 640]
    columns = {name: frame[name].to_numpy() for name in ("op", "batch", "m", "k")}
    assert list(table_from_rows(columns)["macs"]) == [4 * 640, 3 * 640, 640]
