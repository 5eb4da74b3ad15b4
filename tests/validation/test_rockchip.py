"""NPUs of Rockchip's chips: which rows are taken, and what the boards of the chips answer."""

from pathlib import Path

import pytest

import perfmodel
from perfmodel.devices.market import chip
from perfmodel.devices.npu_sheets import npu_targets
from perfmodel.kernels import macs
from validation.data.rockchip import CHIPS, network_name, newest_rows, table_of
from validation.profiles.rockchip import CHIPS as BUILT

HEAD = "source,device,soc,unit,framework,precision,threads,model,input,batch,latency_ms,note"


def rows_of(tmp_path: Path, *rows: str):
    lines = [HEAD, *(f"airockchip/zoo@{r}" for r in rows)]
    (tmp_path / "rockchip_npu.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return newest_rows(tmp_path)


def test_the_newest_release_of_a_network_on_a_chip_counts(tmp_path):
    found = rows_of(
        tmp_path,
        "333f9514dec4 README.md,x,RK3588,npu,RKNN,int8,1 core,mobilenetv2-12,x,1,3.0,",
        "bad6c7334531 README.md,x,RK3588,npu,RKNN,int8,1 core,mobilenetv2-12,x,1,2.0,",
        "7a6984bc0e55 README.md,x,RK3588,npu,RKNN,int8,1 core,mobilenetv2-12,x,1,4.0,",
        "7a6984bc0e55 README.md,x,RK3588,npu,RKNN,int8,1 core,yolov5s,x,1,9.0,",
        "bad6c7334531 README.md,x,RK3588,npu,RKNN,fp16,1 core,yolov5n,x,1,1.0,",
        "bad6c7334531 README.md,x,RK3588,npu,RKNN,int8,1 core,nobody-knows,x,1,1.0,",
        "0123456789ab README.md,x,RK3588,npu,RKNN,int8,1 core,yolox_s,x,1,1.0,",
    )
    table = table_of(found)
    assert table.column("latency_ms").tolist() == [2.0, 9.0]
    assert set(table.column("device")) == {"rk3588"}
    assert set(table.column("precision")) == {"int8"}


@pytest.mark.parametrize(
    ("name", "published_gmacs"),
    [
        # the YOLO repositories print FLOPs at 640 x 640: 4.5, 16.5, 28.6, 73.8 and 6.5 GFLOPs
        *(("yolov5n", 2.25), ("yolov5s", 8.25), ("yolov8s", 14.3), ("yolox_m", 36.9)),
        ("yolo11n", 3.25),
    ],
)
def test_rebuilt_detectors_do_the_work_that_is_published(name, published_gmacs):
    graph = perfmodel.load(network_name(name))
    assert macs(graph) / 1e9 == pytest.approx(published_gmacs, rel=0.06)


@pytest.mark.parametrize(
    ("asked", "published_ms"),
    [
        # the model zoo's README, v2.3.2: 450.7, 450.7, 467.0, 180.7 and 281.3 frames a second
        *(("orange pi 5/npu", 2.2188), ("rk3588/npu", 2.2188), ("rk3576/npu", 2.1413)),
        *(("rk3566/npu", 5.534), ("rk3562/npu", 3.5549)),
    ],
)
def test_boards_and_chips_answer_with_the_time_of_their_chip(asked, published_ms):
    said = perfmodel.predict("mobilenet_v2", asked)
    assert said.latency_ms == pytest.approx(published_ms, rel=0.05)
    assert "/npu/rknn/int8" in said.target
    assert "one core" in said.provenance.note


def test_a_board_keeps_the_default_that_it_had_for_floats():
    assert perfmodel.predict("mobilenet_v2", "orangepi-5").target.split("/")[1] == "cpu"
    assert perfmodel.predict("mobilenet_v2", "rk3568").target.split("/")[1] == "cpu"


def test_a_chip_of_the_market_has_the_npu_that_its_vendor_measured():
    (found,) = npu_targets(chip("rk3562"), "some-tablet")
    assert str(found.target) == "some-tablet/npu/rknn/int8"
    assert npu_targets(chip("rk3399"), "some-tablet") == ()


def test_every_chip_of_the_table_is_built():
    assert set(CHIPS.values()) == set(BUILT)
