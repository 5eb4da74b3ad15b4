"""`partition`: links in words, and pieces that are written."""

from __future__ import annotations

import pytest
from cli_folder import Perform

from perfmodel.cli.partition import named_link
from perfmodel.errors import PerfmodelError


def test_a_link_is_given_by_its_rates_and_round_trip() -> None:
    link = named_link("5/20/50")
    assert (link.uplink_mbps, link.downlink_mbps, link.rtt_ms) == (5.0, 20.0, 50.0)
    assert (link.uplink_mw, link.tail_mj) == (None, 0.0)
    assert named_link("5/20/0").rtt_ms == 0.0


REFUSED = "0/20/50 5/0/50 5/20/-1 nan/20/50 5/nan/50 5/20/nan inf/20/50 5/inf/1 5/20/inf a/20/50"


@pytest.mark.parametrize("name", REFUSED.split())
def test_rates_that_no_link_has_are_refused(name: str) -> None:
    with pytest.raises(PerfmodelError, match="rates must be above 0"):
        named_link(name)


def test_a_named_link_brings_its_radio() -> None:
    link = named_link("lte")
    assert link.uplink_mw is not None
    assert link.downlink_mw is not None
    assert link.uplink_mw != link.downlink_mw


def test_the_radio_of_a_link_follows_its_rates() -> None:
    from perfmodel.sim.resolve import named_link as typical

    spec, link = typical("lte"), named_link("lte")
    radio = spec.radio
    assert radio is not None
    assert spec.uplink_mbps is not None
    # power = base + per Mbit/s x rate; the tail's energy = power x seconds
    sending = radio.base_mw + radio.uplink_mw_per_mbps * spec.uplink_mbps
    assert link.uplink_mw == pytest.approx(sending)
    assert link.tail_mj == pytest.approx(radio.tail_mw * radio.tail_s)


def test_each_piece_becomes_a_file_of_its_own(perform: Perform) -> None:
    words = "partition alexnet --on snapdragon-888/gpu -k 3 --by layer-count --emit pieces --json"
    emitted = perform(*words.split()).json["emitted"]
    assert emitted == [f"pieces/alexnet_{i}_of_3.tflite" for i in (1, 2, 3)]
    for path in emitted:
        assert perform("inspect", path).code == 0
