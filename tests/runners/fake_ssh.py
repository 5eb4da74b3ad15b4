"""A stand-in for `ssh` and `scp` to a Jetson, with transcripts of our own in trtexec's formats.

The scenario is the word in FAKE_SSH_SCENARIO; FAKE_SSH_MEAN_MS gives times by a part of the file's
name, as JSON, where they are not those of the transcript: in fp32, and half of them in fp16. Every
call is appended to FAKE_SSH_CALLS.
"""

from __future__ import annotations

import json
import os
import re
import sys

LOG = """&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b26] # {command}
[11/21/2026-10:00:00] [I] === Model Options ===
[11/21/2026-10:00:00] [I] Format: ONNX
[11/21/2026-10:00:00] [I] Model: {model}
[11/21/2026-10:00:00] [I] === Build Options ===
[11/21/2026-10:00:00] [I] Memory Pools: workspace: default, dlaSRAM: default, dlaLocalDRAM: \
default, dlaGlobalDRAM: default, tacticSharedMem: default
[11/21/2026-10:00:00] [I] Precision: {precision}
[11/21/2026-10:00:00] [I] === Inference Options ===
[11/21/2026-10:00:00] [I] Batch: Explicit
[11/21/2026-10:00:00] [I] Iterations: 200
[11/21/2026-10:00:00] [I] Duration: 3s (+ 2000ms warm up)
[11/21/2026-10:00:01] [I] === Device Information ===
[11/21/2026-10:00:01] [I] Selected Device: Orin
[11/21/2026-10:00:01] [I] TensorRT version: 10.3.0
[11/21/2026-10:00:40] [I] Engine built in 38.2 sec.
[11/21/2026-10:00:40] [I] [TRT] Loaded engine size: 49 MiB
[11/21/2026-10:00:46] [I] === Trace details ===
[11/21/2026-10:00:46] [I] Trace averages of 10 runs:
[11/21/2026-10:00:46] [I] Average on 10 runs - GPU latency: 1.9352 ms - Host latency: 1.99 ms \
(enqueue 0.3102 ms)
[11/21/2026-10:00:46] [I]
[11/21/2026-10:00:46] [I] === Performance summary ===
[11/21/2026-10:00:46] [I] Throughput: 516.7 qps
[11/21/2026-10:00:46] [I] Latency: min = 1.96 ms, max = 2.4 ms, mean = 1.99 ms, median = 1.98 ms, \
percentile(90%) = 2.05 ms, percentile(95%) = 2.1 ms, percentile(99%) = 2.2 ms
[11/21/2026-10:00:46] [I] Enqueue Time: min = 0.28 ms, max = 0.6 ms, mean = 0.31 ms, median = \
0.3 ms, percentile(90%) = 0.35 ms, percentile(95%) = 0.4 ms, percentile(99%) = 0.5 ms
[11/21/2026-10:00:46] [I] H2D Latency: min = 0.02 ms, max = 0.06 ms, mean = 0.03 ms, median = \
0.03 ms, percentile(90%) = 0.03 ms, percentile(95%) = 0.04 ms, percentile(99%) = 0.05 ms
[11/21/2026-10:00:46] [I] GPU Compute Time: min = 1.91 ms, max = 2.31 ms, mean = 1.935 ms, \
median = 1.93 ms, percentile(90%) = 2 ms, percentile(95%) = 2.05 ms, percentile(99%) = 2.1 ms
[11/21/2026-10:00:46] [I] D2H Latency: min = 0.005 ms, max = 0.02 ms, mean = 0.01 ms, median = \
0.01 ms, percentile(90%) = 0.01 ms, percentile(95%) = 0.01 ms, percentile(99%) = 0.02 ms
[11/21/2026-10:00:46] [I] Total Host Walltime: 3.0038 s
[11/21/2026-10:00:46] [I] Total GPU Compute Time: 2.9993 s
[11/21/2026-10:00:46] [I] Explanations of the performance metrics are printed in the verbose logs.
[11/21/2026-10:00:46] [I]
&&&& PASSED TensorRT.trtexec [TensorRT v100300] [b26] # {command}
"""
"""What the trtexec of TensorRT 10 prints, cut; times of our own."""
PROFILE = [
    {"count": 200},
    {
        "name": "conv1 + relu1",
        "timeMs": 20.4,
        "averageMs": 0.102,
        "medianMs": 0.1,
        "percentage": 51.0,
    },
    {"name": "pool1", "timeMs": 19.6, "averageMs": 0.098, "medianMs": 0.097, "percentage": 49.0},
]
TIMES = [
    {
        "startEnqMs": 0.0,
        "endEnqMs": 0.3,
        "startH2dMs": 0.0,
        "endH2dMs": 0.02,
        "startComputeMs": 0.02,
        "endComputeMs": 1.95,
        "startD2hMs": 1.95,
        "endD2hMs": 1.96,
        "h2dMs": 0.02,
        "computeMs": 1.93,
        "d2hMs": 0.01,
        "latencyMs": 1.96,
    }
] * 5


def answer(scenario: str, command: str) -> tuple[str, int]:
    """What the Jetson prints for a command, and the exit code."""
    if scenario == "unreachable":
        return "ssh: connect to host jetson port 22: Connection timed out\n", 255
    if command.startswith("test -x"):
        return "", 1 if scenario == "no_trtexec" else 0
    if "--onnx=" in command:
        if scenario == "parse_error":
            return "[E] ModelImporter.cpp: no importer for NonZero\n&&&& FAILED trtexec\n", 1
        model = next(w for w in command.split() if w.startswith("--onnx=")).partition("=")[2]
        precision = "FP32+FP16" if "--fp16" in command else "FP32"
        factor = slower(model, "--fp16" in command)
        text = LOG.format(command=command, model=model, precision=precision)
        return re.sub(r"([\d.]+) ms", lambda m: f"{float(m[1]) * factor:.4g} ms", text), 0
    if command.startswith("cat ") and "profile.json" in command:
        return json.dumps(PROFILE), 0
    if command.startswith("cat ") and "times.json" in command:
        factor = slower(command, "fp16" in command)
        return json.dumps([{k: v * factor for k, v in run.items()} for run in TIMES]), 0
    if command.startswith("nvpmodel"):
        return "NV Power Mode: MAXN\n0\n", 0
    if "device-tree" in command:
        return "NVIDIA Jetson AGX Xavier\0", 0
    return "", 0


def slower(name: str, half: bool) -> float:
    """How many times its transcript's time a network takes."""
    asked = json.loads(os.environ.get("FAKE_SSH_MEAN_MS", "{}"))
    found = next((float(ms) for model, ms in asked.items() if model in name), None)
    return 1.0 if found is None else found / TIMES[0]["computeMs"] / (2 if half else 1)


def main() -> int:
    """Log the call and answer it; scp has no command word."""
    with open(os.environ["FAKE_SSH_CALLS"], "a", encoding="utf-8") as file:
        file.write("\x1f".join(sys.argv[1:]) + "\n")
    options = 0
    while sys.argv[1 + options : 2 + options] == ["-o"]:
        options += 2
    command = " ".join(sys.argv[2 + options :])
    text, code = answer(os.environ.get("FAKE_SSH_SCENARIO", ""), command)
    sys.stdout.write(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
