"""Search spaces of the zoo: networks counted by hand, and everything their tables name builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel import zoo
from perfmodel.errors import GraphError
from perfmodel.kernels import macs, params

# kernels, expansions and depths that differ from MobileNet V3 large in one stage only
V3_LARGE_KS = "3-3-3-3-5-5-5-3-3-3-3-3-3-3-3-3-5-5-5-3"
V3_LARGE_E = "4-3-3-3-3-3-3-3-6-3-3-3-6-6-3-3-6-6-6-3"
V3_LARGE_D = "2-3-4-2-3"


def test_fbnet_of_skips_costs_its_stem_changes_of_shape_and_head() -> None:
    graph = zoo.build("fbnet@ops=" + "|".join(["skip"] * 22))
    stem = 32 * 32 * 9 * 3 * 16
    wider = 32 * 32 * 16 * 24
    halved = 16 * 16 * 24 * 32 + 8 * 8 * 32 * 64 + 4 * 4 * 112 * 184
    same_size = 8 * 8 * 64 * 112 + 4 * 4 * 184 * 352
    head = 4 * 4 * 352 * 1504 + 1504 * 100
    assert macs(graph) == stem + wider + halved + same_size + head


def test_a_grouped_fbnet_block_costs_half_of_its_pointwise_convolutions() -> None:
    rest = ["skip"] * 21
    plain = macs(zoo.build("fbnet@ops=" + "|".join(["skip", *rest])))
    graph = zoo.build("fbnet@ops=" + "|".join(["k5_e6_g2", *rest]))
    # 16 channels to 96 in two groups, 5x5 depthwise, back to 16 in two groups, at 32 x 32
    assert macs(graph) - plain == 32 * 32 * (16 * 96 // 2 + 25 * 96 + 96 * 16 // 2)


def test_a_once_for_all_member_differs_from_mobilenet_v3_only_where_its_expansions_do() -> None:
    member = zoo.build(f"once_for_all@ks={V3_LARGE_KS},e={V3_LARGE_E},d={V3_LARGE_D}")
    v3 = zoo.build("mobilenet_v3_large")
    # blocks of 80 channels at 14 x 14: V3 expands to 200, 184 and 184, expansion 3 to 240
    channels = (240 - 200) + 2 * (240 - 184)
    assert macs(member) - macs(v3) == channels * 14 * 14 * (80 + 9 + 80)
    assert params(member) - params(v3) == channels * (80 + 9 + 80 + 2)


def test_slots_beyond_the_depth_of_a_stage_are_ignored() -> None:
    shallow = zoo.build("once_for_all@d=1-1-1-1-1")
    other = "-".join(["3", "7", "7", "7"] * 5)
    assert macs(zoo.build(f"once_for_all@d=1-1-1-1-1,ks={other}")) == macs(shallow)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fbnet@ops=skip|skip", "2 blocks.*name 22"),
        ("fbnet@ops=" + "|".join(["k9"] * 22), "block 'k9' is unknown"),
        ("fbnet@ops=" + "|".join(["k3_e6_g4"] * 22), "is unknown"),
        ("once_for_all@d=2-2-2-2-9", "d is 5 whole numbers from 1 to 4"),
        ("once_for_all@ks=3-3", "ks is 20 whole numbers"),
    ],
)
def test_a_bad_choice_says_what_is_allowed(spec: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        zoo.build(spec)


def test_every_network_of_the_published_tables_builds(data_dir: Path) -> None:
    import pandas as pd

    fbnet = pd.read_csv(data_dir / "fbnet_latency.csv.gz", usecols=["ops"])
    for ops in fbnet["ops"][::100]:
        assert zoo.build(f"fbnet@ops={ops}").batch_size == 1
    table = pd.read_csv(data_dir / "ofa_latency.csv.gz", usecols=["ks", "e", "d", "resolution"])
    for ks, e, d, resolution in table[::100].itertuples(index=False, name=None):
        graph = zoo.build(f"once_for_all@ks={ks},e={e},d={d},resolution={resolution},width=1.2")
        assert graph.tensors[graph.inputs[0]].shape == (1, resolution, resolution, 3)
