"""Speed of predictions and of the command line: `python -m benchmarks.predict_speed`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.figures import Figure, best_s, process_s
from benchmarks.large_speed import spent
from perfmodel.devices.profile import read_profile
from perfmodel.devices.registry import ProfileFolder, list_targets
from perfmodel.formats.load import load
from perfmodel.kernel_times import NetworkBatch, network_batch
from perfmodel.many_queries import predict_many
from perfmodel.prediction import predict, predict_batch
from perfmodel.workload import fusion_rules, workload

TARGET = "snapdragon-855-plus/cpu"
SHEET_TARGET = "iPhone 15/cpu"
MARKET_TARGET = "Galaxy S23"
KERNEL_TARGET = "huawei-p40/gpu/mnn"
CLI = ("-m", "perfmodel")
WIDTHS, SIZES = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4), (128, 160, 192, 224)
NASBENCH_NETWORKS, NASBENCH_SAMPLE = 10_937, 200


def figures() -> Iterator[Figure]:
    """Every figure of the floor."""
    yield from command_line()
    yield from one_network()
    yield from many_networks()


def command_line() -> Iterator[Figure]:
    """Whole processes."""
    seconds = process_s(*CLI, "--help")
    yield Figure("command line", "perfmodel --help", seconds, "s")
    seconds = process_s(*CLI, "predict", "mobilenet_v2", "--on", TARGET)
    yield Figure("command line", "perfmodel predict mobilenet_v2", seconds, "s")
    seconds = process_s(*CLI, "predict", "mobilenet_v2", "--on", SHEET_TARGET)
    yield Figure("command line", "predict on a phone by its spec sheet", seconds, "s")
    seconds = process_s(*CLI, "predict", "mobilenet_v2", "--on", MARKET_TARGET)
    yield Figure("command line", "predict on a phone of the market", seconds, "s")
    found = [spent("minspec", "mobilenet_v2", "--max-latency-ms", "50") for _ in range(5)]
    name = "minspec over the market"
    yield Figure("command line", name, min(seconds for seconds, _ in found), "s")
    yield Figure("command line", f"{name}, memory", max(memory for _, memory in found), "MB")
    seconds = process_s("-c", "import perfmodel")
    yield Figure("command line", "import perfmodel", seconds, "s")


def one_network() -> Iterator[Figure]:
    """One network, one profile."""
    graph = load("mobilenet_v2")
    milliseconds = 1e3 * best_s(lambda: predict(graph, TARGET), 30)
    yield Figure("profile", "warm predict, 65 kernels", milliseconds, "ms")
    milliseconds = 1e3 * best_s(lambda: predict(graph, SHEET_TARGET), 30)
    yield Figure("profile", "warm predict by a spec sheet", milliseconds, "ms")
    milliseconds = 1e3 * best_s(lambda: predict(graph, KERNEL_TARGET), 30)
    yield Figure("profile", "warm predict by a model of kernels", milliseconds, "ms")
    paths = list(ProfileFolder().paths().values())
    slowest = max(best_s(lambda p=p: read_profile(p), 3) for p in paths)  # type: ignore[misc]
    yield Figure("profile", "loading the slowest profile", 1e3 * slowest, "ms")
    size = sum(p.stat().st_size for p in paths) / 1e6
    yield Figure("profile", "all profiles on disk", size, "MB")


def many_networks() -> Iterator[Figure]:
    """Batches of networks on targets."""
    specs = [f"mobilenet_v2@width={w},resolution={r}" for w in WIDTHS for r in SIZES]
    targets = [line.target for line in list_targets()][:400]
    firsts = {fusion_rules(ProfileFolder().resolve(t)): t for t in targets}
    read = [(m, t, None) for m in specs for t in firsts.values()]
    reading = best_s(lambda: list(predict_many(read)), 2)
    asked = [(m, t, None) for m in specs for t in targets]
    whole = best_s(lambda: list(predict_many(asked)), 2)
    rate = len(asked) / max(whole - reading, 1e-9)
    yield Figure("profile", "queries once networks are read", rate, "rows/s")
    rules = fusion_rules(ProfileFolder().resolve(TARGET))
    resolved = [r for r in map(ProfileFolder().resolve, targets) if fusion_rules(r) == rules]
    batch = network_batch([workload(load(m), rules) for m in specs])
    seconds = best_s(lambda: [predict_batch(batch, r) for r in resolved])
    rate = len(batch) * len(resolved) / seconds
    yield Figure("profile", "pairs once features are cached", rate, "pairs/s")
    seconds = best_s(lambda: predict_batch(nasbench(), resolved[0]), 2)
    name = "NAS-Bench-201 networks on one device"
    yield Figure("profile", name, seconds, "s")


_NASBENCH: list[NetworkBatch] = []


def nasbench() -> NetworkBatch:
    """As many networks as NAS-Bench-201 measured; a sample of them, over and over."""
    if not _NASBENCH:
        step = 15_625 // NASBENCH_SAMPLE
        specs = [f"nasbench201@arch={i * step}" for i in range(NASBENCH_SAMPLE)]
        once = network_batch([workload(load(s), "ncnn") for s in specs])
        times = -(-NASBENCH_NETWORKS // len(once))
        shift = np.repeat(np.arange(times) * len(once), len(once.network))
        network = np.tile(once.network, times) + shift
        kept = network < NASBENCH_NETWORKS
        works = (once.works * times)[:NASBENCH_NETWORKS]
        row = np.tile(once.row, times)[kept]
        _NASBENCH.append(NetworkBatch(works, once.table, row, network[kept]))
    return _NASBENCH[0]


if __name__ == "__main__":
    for figure in figures():
        print(figure)
