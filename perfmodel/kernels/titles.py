"""What people call a kernel and the part of a network that it belongs to.

A title says what is computed and how large: `3x3 conv 64->128 @56x56` is a convolution from 64 to
128 channels whose output is 56 pixels high and wide, `/2` a stride. Parts are the stages of a
network over images, by the size of their output, else the blocks that repeat in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby, islice

from perfmodel.graph.kinds import POOLS
from perfmodel.kernels.kernel import Kernel
from perfmodel.kernels.kernel_classes import ATTENTION, MASKED_ATTENTION

_WORDS = {
    "conv2d": "conv",
    "transpose_conv2d": "transposed conv",
    "max_pool2d": "max pool",
    "avg_pool2d": "average pool",
    "bmm": "matmul",
    "gemm": "matmul",
}
_CONVOLUTIONS = ("conv2d", "transpose_conv2d")
_RESIZES = "resize"

LEAST_STAGES, MOST_STAGES = 3, 24
"""Fewer sizes of images say nothing of where a network spends its time, more runs of one size are
those of branches: they are joined by size."""
MOST_ASIDE = 3
"""Kernels of another size between two runs of one size that do not end a stage: those of shortcuts
and of parallel branches stand there."""
MOST_COMPARED, MOST_PERIODS = 4000, 12
"""Kernels of a network in which blocks that repeat are looked for, and lengths that are tried."""
LEAST_REPEATS, LEAST_COVERED = 3, 0.5
"""How often a block must repeat, and the share of kernels that its repeats must hold."""

STEM, HEAD = "stem", "head"


CLASS_TITLES = {
    "conv1x1": "1x1 convolutions",
    "conv3x3": "3x3 convolutions",
    "convkxk": "convolutions of other sizes",
    "conv_first": "convolutions of the image",
    "depthwise": "depthwise convolutions",
    "grouped": "grouped convolutions",
    "transpose_conv": "transposed convolutions",
    "fully_connected": "fully connected layers",
    "matmul": "matrix products",
    "sparse_matmul": "sparse matrix products",
    "recurrent": "recurrent layers",
    "pool": "pooling",
    "reduce": "reductions",
    "elementwise": "elementwise operators",
    "transcendental": "transcendental functions",
    "softmax": "softmax",
    "norm": "normalisations",
    "data_movement": "data movement",
    "resize": "resizing",
    "detection": "detection",
}
"""What people call the kernels of a class."""


def kernel_title(kernel: Kernel) -> str:
    """What a kernel computes and how large, for people: `3x3 conv 3->32 /2 @112x112`."""
    words = _WORDS.get(kernel.op, kernel.op.replace("_", " "))
    if kernel.op in ("bmm", "gemm", ATTENTION, MASKED_ATTENTION):
        times = f"{kernel.batch}x " if kernel.batch > 1 else ""
        return f"{times}{words} {kernel.m}x{kernel.k}x{kernel.n}"
    if kernel.op == "fully_connected":
        rows = f" x{kernel.m}" if kernel.m > 1 else ""
        return f"{words} {kernel.cin}->{kernel.cout}{rows}"
    windowed = kernel.op in _CONVOLUTIONS or kernel.op in POOLS
    parts = [f"{kernel.kh}x{kernel.kw}"] if windowed else []
    parts += [_named(kernel, words), _channels(kernel)]
    if windowed and max(kernel.sh, kernel.sw) > 1:
        parts.append(f"/{kernel.sh}" if kernel.sh == kernel.sw else f"/{kernel.sh}x{kernel.sw}")
    if kernel.hout * kernel.wout > 1:
        parts.append(f"@{kernel.hout}x{kernel.wout}")
    return " ".join(p for p in parts if p)


def _named(kernel: Kernel, words: str) -> str:
    if kernel.op not in _CONVOLUTIONS or kernel.groups == 1:
        return words
    if kernel.groups == kernel.cin:
        return words.replace("conv", "depthwise")
    return f"{words} in {kernel.groups} groups"


def _channels(kernel: Kernel) -> str:
    if not kernel.cout:
        return ""
    return str(kernel.cout) if kernel.cin == kernel.cout else f"{kernel.cin}->{kernel.cout}"


def kernel_blocks(kernels: Sequence[Kernel]) -> tuple[str, ...]:
    """The part of the network that each kernel belongs to, in order; all empty where none is plain.

    Stages are named by the size of their output (`56x56`), the last part without one is the head;
    blocks that repeat are counted (`block 1`), what stands before and behind them is stem and head.
    """
    return _stages(kernels) or _repeats(kernels) or ("",) * len(kernels)


def _size(kernel: Kernel) -> tuple[int, int] | None:
    """The size of the image that a kernel writes, if it is one that can change it."""
    if kernel.op in _CONVOLUTIONS or kernel.op in POOLS or kernel.kernel_class == _RESIZES:
        return (kernel.hout, kernel.wout) if min(kernel.hout, kernel.wout) > 1 else None
    return None


def _stages(kernels: Sequence[Kernel]) -> tuple[str, ...]:
    known = [_size(k) for k in kernels]
    first = next((s for s in known if s is not None), None)
    if first is None:
        return ()
    sizes, at = [], first
    for size in known:
        at = size or at
        sizes.append(f"{at[0]}x{at[1]}")
    last = max(i for i, s in enumerate(known) if s is not None)
    flat = (i for i in range(last + 1, len(sizes)) if kernels[i].hout * kernels[i].wout <= 1)
    head = next(flat, len(sizes))
    sizes[head:] = [HEAD] * (len(sizes) - head)
    sizes = _without_side_ways(sizes)
    runs = [name for name, _ in groupby(sizes)]
    if len(set(runs)) < LEAST_STAGES:
        return ()
    return tuple(sizes) if len(runs) > MOST_STAGES else _told_apart(sizes)


def _without_side_ways(sizes: Sequence[str]) -> list[str]:
    """Sizes where a few kernels between two runs of one size (a shortcut beside) belong to them."""
    runs = [(name, len(list(run))) for name, run in groupby(sizes)]
    found: list[str] = []
    for i, (name, length) in enumerate(runs):
        around = {found[-1], runs[i + 1][0]} if found and i + 1 < len(runs) else set()
        aside = length <= MOST_ASIDE and len(around) == 1
        found += [found[-1] if aside else name] * length
    return found


def _told_apart(sizes: Sequence[str]) -> tuple[str, ...]:
    """Runs of one size by one name; a later run of the same size is counted: `56x56 (2)`."""
    times: dict[str, int] = {}
    found: list[str] = []
    for name, run in groupby(sizes):
        times[name] = times.get(name, 0) + 1
        shown = name if times[name] == 1 else f"{name} ({times[name]})"
        found += [shown for _ in run]
    return tuple(found)


def _repeats(kernels: Sequence[Kernel]) -> tuple[str, ...]:
    """Blocks of kernels that repeat one after the other; nothing where most of them do not."""
    count = len(kernels)
    if count > MOST_COMPARED:
        return ()
    titles = [kernel_title(k) for k in kernels]
    best = (0, 0, 0)  # kernels in repeats, minus the period, where they begin
    for period in _periods(titles):
        run = 0
        for i in range(count - period):
            run = run + 1 if titles[i] == titles[i + period] else 0
            repeats = run // period + 1
            if repeats >= LEAST_REPEATS and (repeats * period, -period) > best[:2]:
                best = (repeats * period, -period, i + 1 - run)
    covered, period, start = best[0], -best[1], best[2]
    if covered < LEAST_COVERED * count or not covered:
        return ()
    names = [f"block {i // period + 1}" for i in range(covered)]
    return (*[STEM] * start, *names, *[HEAD] * (count - start - covered))


def _periods(titles: Sequence[str]) -> list[int]:
    """How many kernels apart equal ones stand, the most common distances first."""
    seen: dict[str, int] = {}
    apart: Counter[int] = Counter()
    for i, title in enumerate(titles):
        if title in seen:
            apart[i - seen[title]] += 1
        seen[title] = i
    least = (p for p, _ in apart.most_common() if 1 < p <= len(titles) // LEAST_REPEATS)
    return list(islice(least, MOST_PERIODS))
