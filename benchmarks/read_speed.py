"""How fast and in how much memory a network file is read: `python benchmarks/read_speed.py`.

Writes VGG16 in float32 (553 MB, .tflite) and a chain of dense layers (403 MB, .onnx) to a temporary
folder, then reads each in a fresh process, with the file in the page cache and after dropping it
from there, and prints JSON. Targets: under 2 s and 200 MB of resident memory for the whole process,
of the .onnx file under 1 s and 100 MB. Needs the extra `onnx`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

READ = """
import json, sys, time
start = time.perf_counter()
from pathlib import Path
from perfmodel.formats.load import load
imported = time.perf_counter()
graph = load(Path(sys.argv[1]))
done = time.perf_counter()
print(json.dumps({
    "ops": len(graph.ops),
    "params": sum(t.elements for t in graph.tensors.values() if t.constant),
    "import_s": round(imported - start, 4),
    "read_s": round(done - imported, 4),
    # not getrusage: its peak includes the parent process before exec
    "peak_rss_mb": next(
        int(line.split()[1]) // 1024 for line in open("/proc/self/status") if "VmHWM" in line
    ),
}))
"""


def read_in_fresh_process(path: Path) -> dict[str, float]:
    """Read the file once in a process of its own; its report plus the wall time of all."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True
    )
    report: dict[str, float] = json.loads(done.stdout)
    report["process_s"] = round(time.perf_counter() - start, 3)
    return report


LAYERS, WIDTH, TOKENS = 96, 1024, 128
"""Dense layers of the .onnx file, of 4 MiB weights each: 402,653,184 bytes."""


def write_onnx(path: Path) -> None:
    """A chain of dense layers with their weights inside, as exporters write it."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, last, random = [], [], "x", np.random.default_rng(1)
    for i in range(LAYERS):
        values = random.random((WIDTH, WIDTH), np.float32)
        weights.append(numpy_helper.from_array(values, f"w{i}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{i}"], [f"m{i}"]))
        last = f"m{i}"
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", TOKENS, WIDTH])
        for name in ("x", last)
    ]
    onnx.save(
        helper.make_model(helper.make_graph(nodes, "dense", infos[:1], infos[1:], weights)), path
    )


def drop_from_cache(path: Path) -> None:
    """Ask the system to forget the file's pages."""
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Write, read, print."""
    from perfmodel import zoo
    from perfmodel.formats.tflite.writer import write_tflite

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vgg16.tflite"
        start = time.perf_counter()
        write_tflite(zoo.build("vgg16"), path)
        report: dict[str, object] = {
            "file_mb": round(path.stat().st_size / 1e6, 1),
            "write_s": round(time.perf_counter() - start, 2),
            "write_peak_rss_mb": round(
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1
            ),
            "read_cached": read_in_fresh_process(path),
        }
        drop_from_cache(path)
        report["read_cold"] = read_in_fresh_process(path)
        path = Path(folder) / "dense.onnx"
        write_onnx(path)
        report["onnx_file_mb"] = round(path.stat().st_size / 1e6, 1)
        report["onnx_cached"] = read_in_fresh_process(path)
        drop_from_cache(path)
        report["onnx_cold"] = read_in_fresh_process(path)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
