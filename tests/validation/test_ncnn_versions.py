"""Which rows of ncnn's table were measured by versions that did not use wide vector units yet."""

from __future__ import annotations

import pandas as pd
import pytest

from perfmodel.measurements.table import MeasurementTable
from perfmodel.target import full_target
from validation.accuracy.market import of_versions, sheet_of
from validation.profiles.ncnn import OF_OLD_VERSION, version_words

OLD, NEWEST = "ncnn_models/squeezenet.param", "ncnn_models/FastestDet.param"


def rows(device: str, unit: str, *models: str) -> MeasurementTable:
    return MeasurementTable(
        pd.DataFrame([{"device": device, "unit": unit, "model": model} for model in models])
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (rows("rk3588", "cpu", OLD), OF_OLD_VERSION),
        (rows("rk3588", "cpu", OLD, NEWEST), ""),
        (rows("rk3588", "gpu", OLD), ""),
        # its cores have no wide units
        (rows("raspberry-pi-3b-plus", "cpu", OLD), ""),
        # no sheet tells its cores
        (rows("unheard-of", "cpu", OLD), ""),
    ],
)
def test_a_device_measured_by_an_old_version_says_so(table: MeasurementTable, words: str) -> None:
    assert version_words(table) == words


def test_phones_of_old_versions_are_asked_by_the_target_of_old_versions() -> None:
    names = ("snapdragon-675/cpu/ncnn/float/t1@all", "snapdragon-855-plus/cpu/ncnn/float/t1@big")
    gpu, narrow = "snapdragon-675/gpu/ncnn/float", "kirin-970/cpu/ncnn/float/t1@big"
    found = of_versions(
        {
            **{(name, OLD): 1.0 for name in (*names, gpu, narrow)},
            (names[1].replace("t1", "t4"), NEWEST): 2.0,
        }
    )
    old = names[0].replace("ncnn/", "ncnn@2021/")
    asked = {old, names[1], names[1].replace("t1", "t4"), gpu, narrow}
    assert {name for name, _ in found} == asked
    flags = {n: s.old for n in asked if (s := sheet_of(full_target(n))) is not None}
    assert flags == {name: name == old for name in asked}
