"""The command lines that people paste above what a tool printed."""

from __future__ import annotations

import pytest

from perfmodel.measurements.readers.command_line import command_of, is_on

ON_DEVICE = "/data/local/tmp/tool --graph=a.tflite --use_gpu -t 4 b.onnx"
WAYS = {
    "as typed": "$ ./tool --graph=a.tflite --use_gpu=true -t 4 b.onnx",
    "with a value behind": "tool --graph a.tflite --use_gpu true -t 4 b.onnx",
    "through adb": f'adb shell "taskset f0 {ON_DEVICE}"',
    "over lines of Unix": "$ tool --graph=a.tflite \\\n    --use_gpu=true \\\n    -t 4 b.onnx",
    "over lines of Windows": (
        "C:\\work>.\\bin\\tool.exe ^\n  --graph=C:\\models\\a.tflite ^\n  --use_gpu=1 -t 4 b.onnx"
    ),
    "with a quote left open": "$ tool --graph=a.tflite --use_gpu=yes -t 4 b.onnx # it's",
}


@pytest.mark.parametrize("way", WAYS)
def test_options_are_found_however_the_command_is_written(way: str) -> None:
    options = command_of(["INFO: tools are many", *WAYS[way].splitlines(), "1 ms"], "tool")
    assert options is not None
    assert options["graph"].rsplit("/", 1)[-1] == "a.tflite"
    assert is_on(options, "use_gpu")
    assert not is_on(options, "use_npu")
    assert options["t"] == "4"
    assert options[""].startswith("b.onnx")


@pytest.mark.parametrize(
    "line", ["the tool was run", "[tool.cc:94] text", "mytool -t 4", "tool" + " x" * 20_000, ""]
)
def test_a_line_that_calls_nothing_is_no_command(line: str) -> None:
    options = command_of([line], "tool")
    assert options is None or options == {"": "was run"}


def test_the_last_line_may_still_go_on() -> None:
    assert command_of(["tool --a=1 \\"], "tool") == {"": "", "a": "1"}
