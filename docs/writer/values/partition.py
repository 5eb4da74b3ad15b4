"""The figures of docs/partition.md that predictions make."""

from __future__ import annotations

import perfmodel
from docs.writer.page import Made, on_lines
from perfmodel.cli.partition import named_link
from perfmodel.units import format_ms

PHONES = ("huawei-p40", "lenovo-k5", "mi9", "oneplus5t", "redmi", "snapdragon-855")
DEVICE, CLOUD = "snapdragon-410/cpu", "rtx-3090/gpu"


def inception_v4() -> str:
    """The plans of a network that nobody measured on these phones, a row a phone."""
    rows = ["| phone | GPU ms | CPU ms | best plan ms | operators off the GPU |", "|---" * 5 + "|"]
    for phone in PHONES:
        gpu, cpu = f"{phone}/gpu/mnn", f"{phone}/cpu/mnn"
        plan = perfmodel.partition("inception_v4", gpu, units=[cpu], k=8)
        moved = [s for s in plan.segments if s.target.startswith(f"{phone}/cpu")]
        count = sum(s.last_op - s.first_op + 1 for s in moved)
        total = sum(s.last_op - s.first_op + 1 for s in plan.segments)
        alone = perfmodel.predict("inception_v4", cpu).latency_ms
        cells = [f"{v:,.0f}" for v in (plan.unpartitioned_ms, alone, plan.latency_ms)]
        rows.append(f"| {phone} | {' | '.join(cells)} | {count} of {total} |")
    return "\n".join(rows)


def alexnet() -> dict[str, str]:
    """AlexNet between a phone and a server: here, there, and cut at the best place."""
    link = named_link("wifi")
    plan = perfmodel.partition("alexnet", DEVICE, server=CLOUD, link=link)
    assert plan.curve is not None
    total_ms = plan.curve.total_ms
    return {
        "ALEXNET_DEVICE": format_ms(total_ms[-1]),
        "ALEXNET_CLOUD": format_ms(total_ms[0]),
        "ALEXNET_CUT": format_ms(plan.latency_ms),
        "ALEXNET_AFTER": f"`{plan.segments[0].last_name}`",
    }


def make() -> Made:
    """The values of the page."""
    return Made({**alexnet(), "INCEPTION_V4": on_lines(inception_v4())}, {})
