"""A stand-in for `ssh` and `scp` to a Jetson, with transcripts of our own in trtexec's formats."""

from __future__ import annotations

import json
import os
import sys

LOG = """[11/21/2026-10:00:00] [I] === Performance summary ===
[11/21/2026-10:00:00] [I] Throughput: 516.7 qps
[11/21/2026-10:00:00] [I] Latency: min = 1.96 ms, max = 2.4 ms, mean = 1.99 ms, median = 1.98 ms, \
percentile(99%) = 2.2 ms
[11/21/2026-10:00:00] [I] GPU Compute Time: min = 1.91 ms, max = 2.31 ms, mean = 1.935 ms, \
median = 1.93 ms, percentile(99%) = 2.1 ms
&&&& PASSED TensorRT.trtexec
"""
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
        return LOG, 0
    if command.startswith("cat ") and "profile.json" in command:
        return json.dumps(PROFILE), 0
    if command.startswith("cat ") and "times.json" in command:
        return json.dumps(TIMES), 0
    if command.startswith("nvpmodel"):
        return "NV Power Mode: MAXN\n0\n", 0
    if "device-tree" in command:
        return "NVIDIA Jetson AGX Xavier\0", 0
    return "", 0


def main() -> int:
    """Log the call and answer it; scp has no command word."""
    with open(os.environ["FAKE_SSH_CALLS"], "a", encoding="utf-8") as file:
        file.write("\x1f".join(sys.argv[1:]) + "\n")
    text, code = answer(os.environ.get("FAKE_SSH_SCENARIO", ""), sys.argv[-1])
    sys.stdout.write(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
