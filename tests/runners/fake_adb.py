"""A stand-in for `adb` that replays transcripts of our own in the real formats.

The scenario is the word in FAKE_ADB_SCENARIO; FAKE_ADB_MEAN_US gives mean times by a part of the
file's name, as JSON, where they are not those of the transcript (LiteRT 2's tool then has all its
times longer or shorter in proportion). Every call is appended to FAKE_ADB_CALLS.
"""

from __future__ import annotations

import json
import os
import re
import sys

SUMMARY = """STARTUP: Loaded model {graph}
INFO: Initialized session in 21.5ms.
INFO: Running benchmark for at least 5 iterations and at least 0.5 seconds
count=9 first=60321 curr=57001 min=56803 max=60321 avg=57420.1 std=1040
INFO: Running benchmark for at least 50 iterations and at least 1 seconds
count=50 first=56912 curr=56990 min=56701 max=58231 avg=57010.4 std=221
INFO: Inference timings in us: Init: 21500, First inference: 60321, Warmup (avg): 57420.1, \
Inference (avg): 57010.4
INFO: Peak memory footprint (MB): init=5.1 overall=24.8
"""
GPU = """INFO: Created TensorFlow Lite delegate for GPU.
Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate \
w/ 2 delegate kernels.
INFO: 97 operations will run on the GPU, and the remaining 5 operations will run on the CPU.
"""
LITERT2 = """{ignored}INFO: [litert/runtime/accelerators/auto_registration.cc:148] CPU accelerator \
registered.
INFO: [litert/tools/benchmark_litert_model.cc:96] Loading model from: {graph}
{placed}INFO: The input model file size (MB): 16.9
INFO: Initialized session in 12.418ms.
INFO: Running benchmark for at least 5 iterations and at least 0.5 seconds but terminate if \
exceeding 150 seconds.
INFO: count=42 first=14877 curr=11902 min=11803 max=14877 avg=12011.9 std=455 p5=11820 \
median=11935 p95=12480

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if \
exceeding 150 seconds.
INFO: count=84 first=11874 curr=11921 min=11790 max=12634 avg=11918.4 std=97 p5=11812 \
median=11904 p95=12098

INFO: [./litert/tools/benchmark_litert_model.h:81] 
========== BENCHMARK RESULTS ==========
INFO: [./litert/tools/benchmark_litert_model.h:82] Model initialization: 12.42 ms
INFO: [./litert/tools/benchmark_litert_model.h:84] Warmup (first):       14.88 ms
INFO: [./litert/tools/benchmark_litert_model.h:86] Warmup (avg):         12.01 ms (42 runs)
INFO: [./litert/tools/benchmark_litert_model.h:88] Inference (avg):      11.92 ms (84 runs)
INFO: [./litert/tools/benchmark_litert_model.h:92] Inference (min):      11.79 ms
INFO: [./litert/tools/benchmark_litert_model.h:94] Inference (max):      12.63 ms
INFO: [./litert/tools/benchmark_litert_model.h:96] Inference (std):      0.10
INFO: [./litert/tools/benchmark_litert_model.h:103] Throughput:           50.49 MB/s
INFO: [./litert/tools/benchmark_litert_model.h:112] 
Memory Usage:
INFO: [./litert/tools/benchmark_litert_model.h:114] Init footprint:       20.10 MB
INFO: [./litert/tools/benchmark_litert_model.h:116] Overall footprint:    31.50 MB
INFO: [./litert/tools/benchmark_litert_model.h:120] Peak memory:          33.25 MB
INFO: [./litert/tools/benchmark_litert_model.h:126] ======================================

"""
ON_CPU = """INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 31 out of 31 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 \
partitions for subgraph 0.
"""
ON_GPU = """INFO: [litert/runtime/accelerators/gpu/accelerator.cc:90] GPU accelerator registered.
VERBOSE: Replacing 31 out of 31 node(s) with delegate (LiteRt_GPU) node, yielding 1 partitions \
for subgraph 0.
"""
"""What LiteRT 2's tool prints: written for these tests after litert/tools/benchmark_litert_model.h
(Apache-2.0, google-ai-edge/LiteRT), which gives the lines, and TFLite's benchmark_model.cc."""
LITERT2_US = 11918.4
"""The average of that transcript."""
DEVICES = {
    "none": "",
    "two": "R58M123\tdevice\nemulator-5554\tdevice\n",
    "unauthorized": "R58M123\tunauthorized\n",
    "offline": "R58M123\toffline\n",
}


def answer(scenario: str, words: list[str]) -> tuple[str, int]:
    """What adb prints for these words, and its exit code."""
    if words[0] == "devices":
        return "List of devices attached\n" + DEVICES.get(scenario, "R58M123\tdevice\n") + "\n", 0
    if words[:1] == ["-s"]:
        words = words[2:]
    if words[0] == "push":
        if scenario == "push_denied":
            return "adb: error: failed to copy: remote couldn't create file: Permission denied\n", 1
        return f"{words[1]}: 1 file pushed, 0 skipped. 35.1 MB/s\n", 0
    return shell(scenario, words[1])


def shell(scenario: str, command: str) -> tuple[str, int]:
    """What the phone's shell prints for a command."""
    if "getprop" in command:
        return ("Pixel 6\n" if "model" in command and "soc" not in command else "\n"), 0
    if "thermalservice" in command:
        hot = scenario == "throttling"
        return f"IsStatusOverride: false\nThermal Status: {3 if hot else 0}\nCached temps:\n", 0
    if "battery" in command:
        return "Current Battery Service state:\n  level: 85\n  temperature: 312\n", 0
    if "--graph=" not in command:
        return "", 0
    if scenario == "exec_denied":
        return "/system/bin/sh: benchmark_model: can't execute: Permission denied\n", 126
    if scenario == "disconnect":
        return SUMMARY.format(graph="m")[:200] + "\nadb: device 'R58M123' not found\n", 1
    if scenario == "delegate_refuses":
        return "ERROR: Failed to apply GPU delegate.\nERROR: Benchmarking failed.\n", 0
    graph = next(w for w in command.split() if w.startswith("--graph=")).removeprefix("--graph=")
    threads = next(w for w in command.split() if w.startswith("--num_threads=")).partition("=")[2]
    if scenario == "litert2":
        unknown = [w for w in command.split() if w.startswith(("--use_nnapi", "--enable_op_prof"))]
        ignored = f"WARN: Unconsumed cmdline flags: {' '.join(unknown)}\n" if unknown else ""
        placed = ON_GPU if "--use_gpu" in command else ON_CPU
        text = LITERT2.format(graph=graph, ignored=ignored, placed=placed)
        return of_duration(text, mean_us(graph) or LITERT2_US), 0
    head = f"Graph: [{graph}]\n#threads used for CPU inference: [{threads}]\n"
    summary = SUMMARY.format(graph=graph)
    if asked := mean_us(graph):
        summary = summary.replace("Inference (avg): 57010.4", f"Inference (avg): {asked}")
    return head + (GPU if "--use_gpu" in command else "") + summary, 0


def mean_us(graph: str) -> float | None:
    """The time that is asked for the file, if one is."""
    asked = json.loads(os.environ.get("FAKE_ADB_MEAN_US", "{}"))
    return next((float(us) for name, us in asked.items() if name in graph), None)


def of_duration(text: str, average_us: float) -> str:
    """LiteRT 2's transcript with its times in proportion to an average."""
    factor = average_us / LITERT2_US
    whole = r"\b(first|curr|min|max|avg|std|p5|median|p95)=([\d.]+)"
    text = re.sub(whole, lambda m: f"{m[1]}={round(float(m[2]) * factor)}", text)
    return re.sub(r"([\d.]+) ms", lambda m: f"{float(m[1]) * factor:.2f} ms", text)


def main() -> int:
    """Log the call and answer it."""
    with open(os.environ["FAKE_ADB_CALLS"], "a", encoding="utf-8") as file:
        file.write("\x1f".join(sys.argv[1:]) + "\n")
    text, code = answer(os.environ.get("FAKE_ADB_SCENARIO", ""), sys.argv[1:])
    sys.stdout.write(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
