"""The page without a browser: who may ask, what is kept, that it says what commands say."""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from html import unescape
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from ui_server import SMALL, Client

from perfmodel.errors import PerfmodelError
from perfmodel.ui import uploads
from perfmodel.ui.page import page, script, style
from perfmodel.ui.views import MOST_DEVICES, VIEWS, question

ASKED = {
    "time": {"on": ["pixel-7/cpu", "Galaxy S23/gpu"], "unit": "gpu"},
    "side-by-side": {"on": ["Galaxy S23"]},
    "minimum-phone": {"limit_ms": "40", "since": "2019", "unit": "gpu", "percentile": "90"},
    "cloud-or-device": {"on": ["pixel-7"], "unit": "cpu", "server": "titan-v", "link": "wifi"},
}


def first_words(html: str) -> list[str]:
    """The answers of a fragment, as text."""
    found = re.findall(r'<p class="answer">(.*?)</p>', html)
    return [unescape(words).rstrip(".") for words in found]


def test_every_view_says_what_the_command_line_that_it_shows_says(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    from perfmodel.cli.app import run

    assert set(ASKED) == set(VIEWS)
    for view, fields in ASKED.items():
        told = client.answer(view=view, model="squeezenet_1_1", **fields)
        answers = first_words(told["html"])
        assert len(answers) == len(told["commands"]) == len(fields.get("on", [""]))
        for answer, command in zip(answers, told["commands"], strict=True):
            assert unescape(told["html"]).count(command) >= 1
            assert run(shlex.split(command)[1:]) in (0, 1)
            said = capsys.readouterr().out.splitlines()[0]
            assert said.lower() == answer.lower()


def test_a_report_is_the_page_of_the_same_answer(client: Client) -> None:
    fields = {"view": "time", "model": "squeezenet_1_1", "on": ["pixel-7/cpu", "pixel-7/gpu"]}
    told = client.answer(**fields)
    for part, answer in enumerate(first_words(told["html"])):
        got = client.ask("/report?" + urlencode({**fields, "part": part}, doseq=True))
        text = got.body.decode()
        assert first_words(text) == [answer]
        assert told["commands"][part] in unescape(text)
        assert re.match(
            r"attachment; filename\*=UTF-8''\S+\.html$", got.headers["content-disposition"]
        )
    assert client.ask("/report?" + urlencode({**fields, "part": 2}, doseq=True)).status == 400


def test_the_share_beside_the_slider_is_that_of_the_command(client: Client) -> None:
    told = client.answer(view="minimum-phone", model="squeezenet_1_1", limit_ms="20")
    held = re.search(r'data-curve="([^"]*)"', told["html"])
    assert held
    share = max(reached for ms, reached in json.loads(unescape(held[1])) if ms <= 20)
    passing, total = map(int, re.findall(r"(\d+) of (\d+) phones pass", told["html"])[0])
    assert share == pytest.approx(passing / total)


def test_a_dropped_file_is_answered_by_its_own_name(client: Client) -> None:
    drop = client.drop("small.param", SMALL).json["drop"]
    told = client.answer(view="time", model="small.param", on="pixel-7/cpu", drop=drop)
    assert first_words(told["html"])[0].startswith("small takes")
    assert tempfile.gettempdir() not in told["html"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tflite", b"\x00" * 64),
        ("a.onnx", bytes(range(256)) * 8),
        ("a.param", "7767517\n999999 999999\n" + "x " * 1000),
        ("a.prototxt", "layer { " * 5000),
        ("a.json", "[" * 20000),
    ],
)
def test_a_damaged_file_is_refused_in_words(client: Client, name: str, content: str) -> None:
    drop = client.drop(name, content).json["drop"]
    told = client.answer(view="time", model=name, on="pixel-7/cpu", drop=drop)
    assert told["error"].startswith(name)
    assert tempfile.gettempdir() not in told["error"] + told["hint"]


@pytest.mark.parametrize(
    "name", ["", ".param", "..", "../a.onnx", "a/b.onnx", "a\\b.onnx", "a\n.onnx", "a.exe", "a.py"]
)
def test_a_name_that_no_reader_takes_is_not_kept(client: Client, name: str) -> None:
    assert client.drop(name, b"x").status == 400


def test_a_file_beyond_the_limit_leaves_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_FILE_BYTES", 1000)
    # without a length in front the bytes are counted as they come
    reply = client.drop("a.onnx", iter([b"x" * 600, b"x" * 600]))
    assert reply.status == 400
    assert "limit" in reply.json["error"]
    assert client.drop("a.onnx", b"x" * 1000).status == 200


def test_an_announced_length_beyond_the_limit_is_not_read(client: Client) -> None:
    path = "/files?name=a.onnx"
    length = {"Content-Length": str(uploads.MAX_FILE_BYTES + 1)}
    assert client.ask(path, "POST", None, length).status == 400


def test_drops_are_bounded_and_the_oldest_goes() -> None:
    kept = uploads.Uploads()
    home = kept.folder("").parent
    drops = [kept._begin().name for _ in range(uploads.MAX_DROPS + 1)]
    with pytest.raises(PerfmodelError, match="not here any more"):
        kept.folder(drops[0])
    assert all(kept.folder(d).is_dir() for d in drops[1:])
    assert len(list(home.iterdir())) == uploads.MAX_DROPS + 1
    assert home.stat().st_mode & 0o777 == 0o700
    kept.close()
    assert not home.exists()


def test_one_drop_holds_a_few_files_each_once(client: Client) -> None:
    drop = client.drop("a.param", SMALL).json["drop"]
    assert client.drop("a.param", SMALL, drop).status == 400
    assert client.drop("a.bin", b"x", drop).json["drop"] == drop
    assert client.drop("b.bin", b"x", drop).status == 200
    assert client.drop("c.bin", b"x", drop).status == 200
    assert client.drop("d.bin", b"x", drop).status == 400


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"view": "time", "on": "pixel-7"}, "no network"),
        ({"view": "time", "model": "vgg16"}, "no device"),
        ({"view": "other", "model": "vgg16"}, "no view"),
        ({"view": "time", "model": "/etc/passwd", "on": "pixel-7"}, "is a path"),
        ({"view": "time", "model": "../a.onnx", "on": "pixel-7"}, "is a path"),
        ({"view": "time", "model": "vgg61", "on": "pixel-7"}, "vgg61"),
        ({"view": "time", "model": "vgg16", "on": "pixle-7"}, "pixle-7"),
        ({"view": "time", "model": "v" * 401, "on": "pixel-7"}, "longer than"),
        ({"view": "time", "model": "vgg16", "on": [f"d{i}" for i in range(7)]}, "too many"),
        ({"view": "time", "model": "vgg16", "on": "pixel-7", "drop": "none"}, "not here any more"),
        ({"view": "minimum-phone", "model": "vgg16", "limit_ms": "x"}, "no number"),
        ({"view": "minimum-phone", "model": "vgg16", "limit_ms": "nan"}, "above 0"),
        ({"view": "minimum-phone", "model": "vgg16", "since": "1990"}, "1990"),
        ({"view": "cloud-or-device", "model": "vgg16", "on": "pixel-7"}, "no server"),
        ({"view": "time", "model": "vgg16", "on": "pixel-7", "dim": "x"}, "--dim"),
    ],
)
def test_what_makes_no_sense_is_told_in_words(
    client: Client, fields: dict[str, str], words: str
) -> None:
    assert words in client.answer(**fields)["error"]


def test_as_many_devices_as_are_allowed_are_taken() -> None:
    names = [f"d{i}" for i in range(MOST_DEVICES)]
    assert len(question({"view": ["time"], "model": ["vgg16"], "on": names}).devices) == 6


def test_the_command_line_says_everything_that_was_chosen(client: Client) -> None:
    told = client.answer(
        view="time", model="squeezenet_1_1", on="pixel-7/cpu", allow_uncovered="yes"
    )
    assert told["commands"] == [
        "perfmodel predict squeezenet_1_1 --on pixel-7/cpu --per-layer --allow-uncovered"
    ]


@pytest.mark.parametrize(
    "path", ["/", "/style.css", "/script.js", "/answer", "/report", "/suggest"]
)
def test_without_the_cookie_nothing_is_told(address: str, path: str) -> None:
    stranger = Client(urlsplit(address).netloc)
    for cookie in ("", "perfmodel-0=x", f"perfmodel-{stranger.host.split(':')[1]}=wrong"):
        stranger.cookie = cookie
        reply = stranger.ask(path)
        assert reply.status == 403
        assert b"token" in reply.body


@pytest.mark.parametrize("token", ["", "x", "%00", "é"])
def test_a_wrong_token_opens_nothing(address: str, token: str) -> None:
    stranger = Client(urlsplit(address).netloc)
    assert stranger.ask("/?" + urlencode({"token": token})).status == 403
    assert stranger.ask("/answer?" + urlsplit(address).query).status == 403


def test_another_host_or_origin_is_refused_even_with_the_cookie(client: Client) -> None:
    assert client.ask("/").status == 200
    port = client.host.split(":")[1]
    assert client.ask("/", headers={"Host": f"localhost:{port}"}).status == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.2:{port}"):
        assert client.ask("/", headers={"Host": host}).status == 403
    for origin in ("http://evil.example", "null", f"https://{client.host}"):
        assert client.ask("/", headers={"Origin": origin}).status == 403
    assert client.ask("/", headers={"Origin": f"http://{client.host}"}).status == 200


def test_the_cookie_is_not_for_scripts_nor_for_other_sites(address: str) -> None:
    parts = urlsplit(address)
    sent = Client(parts.netloc).ask(f"/?{parts.query}").headers["set-cookie"]
    assert "HttpOnly" in sent
    assert "SameSite=Strict" in sent


@pytest.mark.parametrize("path", ["/", "/answer", "/files"])
def test_every_response_forbids_what_comes_from_outside(client: Client, path: str) -> None:
    headers = client.ask(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "unsafe-inline" not in policy.replace("style-src-attr 'unsafe-inline'", "")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_the_page_asks_nobody_else() -> None:
    for text in (page(), style(), script()):
        assert not re.search(r"https?://|//[a-z]", text.replace("// ", ""))
    assert "<script>" not in page()
    assert not re.search(r"\son\w+=", page())
    assert len((page() + style() + script()).encode()) < 30_000


def test_names_are_offered_while_typing(client: Client) -> None:
    def names(of: str, text: str) -> list[str]:
        return client.ask("/suggest?" + urlencode({"of": of, "text": text})).json["names"]

    assert names("model", "mobilenet_v2")[0] == "mobilenet_v2"
    assert "timm:resnet50" in names("model", "resnet50")
    # the name that means the phone with all that is known of its chip
    assert names("on", "galaxy s23")[0] == "Galaxy S23"
    assert {"Samsung Galaxy S22 (Exynos 2200)", "Samsung Galaxy S22 (Snapdragon 8 Gen 1)"} <= set(
        names("on", "galaxy s22")
    )
    assert "jetson-agx-orin" in names("on", "jetson")
    assert names("on", "x" * 500) == []
    assert names("other", "x") == []


def test_a_taken_port_is_told_in_words() -> None:
    pytest.importorskip("uvicorn")
    from perfmodel.ui.server import listening

    with listening(0) as taken:
        port = taken.getsockname()[1]
        assert taken.getsockname()[0] == "127.0.0.1"
        with pytest.raises(PerfmodelError, match=f"port {port} cannot be used"):
            listening(port)


def test_no_static_file_is_left_out_of_the_package() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert '"ui/static/*"' in text


def test_a_question_whose_browser_left_takes_no_worker() -> None:
    pytest.importorskip("uvicorn")
    import asyncio

    from perfmodel.ui.workers import Workers

    async def left() -> bool:
        return True

    async def both() -> tuple[dict[str, object], int]:
        workers = Workers(0)
        workers._free.put_nowait(None)  # type: ignore[arg-type]
        told = await workers.ask({}, left)
        return told, workers._free.qsize()

    assert asyncio.run(both()) == ({}, 1)


@pytest.mark.slow
def test_a_worker_that_takes_too_long_or_dies_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from perfmodel.ui import workers

    fields = {"view": ["time"], "model": ["alexnet"], "on": ["pixel-7/cpu"]}
    request = {"fields": fields, "folder": str(tmp_path)}
    worker = workers.AnswerWorker()
    try:
        assert "html" in worker.ask(request)
        first = worker._process.pid
        monkeypatch.setattr(workers, "LONGEST_S", 0.0)
        assert "more than 0 s" in worker.ask(request)["error"]
        monkeypatch.undo()
        assert worker._process.pid != first
        assert "html" in worker.ask(request)
        worker._process.kill()
        worker._process.join()
        assert "ended the process" in worker.ask(request)["error"]
        assert "html" in worker.ask(request)
    finally:
        worker.stop()
    assert not worker._process.is_alive()


def test_the_fastest_of_each_unit_stands_in_its_cell() -> None:
    from perfmodel.render.comparison import comparison_result
    from perfmodel.render.result import ResultTable
    from perfmodel.ui.side_by_side import best_of_each

    def cell(target: str, latency_ms: float | None) -> dict[str, object]:
        return {
            "model": "one",
            "target": target,
            "latency_ms": latency_ms,
            "interval_ms": [1.0, 9.0],
            "ratio": 1.0,
            "extrapolated": target.endswith("mnn/fp32"),
            "stands_for": "a reason",
        }

    cells = [
        cell("a/npu/qnn/w8a8", 2.0),
        cell("a/cpu/ncnn/fp32", 5.0),
        cell("a/cpu/mnn/fp32", 4.0),
        cell("a/cpu/mnn/fp16", None),
    ]
    data = {"models": ["one"], "targets": [c["target"] for c in cells], "cells": cells}
    shown = best_of_each(comparison_result(data), "a")
    first = shown.parts[0]
    assert isinstance(first, ResultTable)
    assert list(map(tuple, first.rows)) == [
        ("CPU", "4.00 ms (1.00 ms to 9.00 ms; mnn/fp32, extrapolated)", "-"),
        ("NPU", "-", "2.00 ms (1.00 ms to 9.00 ms; qnn/w8a8)"),
    ]
    assert len(shown.facts) == 1
    assert sum("a reason" in text for text in shown.assumptions) == 4
