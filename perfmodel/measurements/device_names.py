"""Stable slugs of devices and chips, whatever a source calls them.

The rule: lower case, every run of other characters a hyphen, "+" spelled out. The tables hold
what the rule cannot know: one thing under two names, or a name too short to stand alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_ALIASES = {
    # as their maker writes the boards; the table of ncnn joins the words
    "orange-pi-5": "orangepi-5",
    "orange-pi-5-plus": "orangepi-5-plus",
    "orange-pi-4-lts": "orangepi-4-lts",
    "orange-pi-cm4": "orangepi-cm4",
    "orange-pi-zero-2": "orangepi-zero-2",
    "rk3588s": "rk3588",
    # layers_phones.csv.gz and networks_phones.csv write underscores; the rule does the rest.
    "jetson-agx-xavier-32gb": "jetson-agx-xavier",
    # The same cards under several names (DeepBench, cnn-benchmarks, convnet-benchmarks).
    "nvidia-geforce-gtx-1080-ti": "gtx-1080-ti",
    "nvidia-geforce-gtx-titan-x": "titan-x-maxwell",
    "gtx-titan-x": "titan-x-maxwell",
    "gtx-titan-x-maxwell": "titan-x-maxwell",
    "maxwell-titan-x": "titan-x-maxwell",
    "nvidia-titan-x-pascal": "titan-x-pascal",
    "pascal-titan-x": "titan-x-pascal",
    "nvidia-titan-xp": "titan-xp",
    "nvidia-geforce-rtx-2080-ti": "rtx-2080-ti",
    "nvidia-geforce-rtx-3090": "rtx-3090",
    "nvidia-geforce-rtx-4090": "rtx-4090",
    "nvidia-geforce-rtx-5090": "rtx-5090",
    "nvidia-h200": "h200",
    # as renters call the cards of servers; of an A100 they mean the one with 40 GB on a board
    "a100": "nvidia-a100-sxm4-40gb",
    "a100-40gb": "nvidia-a100-sxm4-40gb",
    "a100-80gb": "nvidia-a100-80gb-pcie",
    "a100-80gb-sxm": "nvidia-a100-sxm4-80gb",
    "a100-80gb-sxm4": "nvidia-a100-sxm4-80gb",
    "a4000": "rtx-a4000",
    "a5000": "rtx-a5000",
    "a6000": "rtx-a6000",
    "h100-sxm": "nvidia-h100-80gb-hbm3",
    "h100-sxm5": "nvidia-h100-80gb-hbm3",
    "v100-sxm2": "tesla-v100-sxm2-16gb",
    "h100": "nvidia-h100-80gb-hbm3",
    "l4": "nvidia-l4",
    "nvidia-t4": "tesla-t4",
    "nvidia-v100": "tesla-v100",
    "t4": "tesla-t4",
    "v100": "tesla-v100",
    "nvidia-titan-rtx": "titan-rtx",
    "nvidia-titan-v": "titan-v",
    "tesla-p100-pcie-16gb": "tesla-p100",
    "tesla-v100-pcie-32gb": "tesla-v100",
    # Boards under a short name, or measured once by the processor and once by its graphics.
    "jetson-nano-2gb": "jetson-nano",
    "raspberry-pi-3": "raspberry-pi-3b",
    "raspberry-pi-4": "raspberry-pi-4b",
    "raspberry-pi-5-vulkan": "raspberry-pi-5",
    "raspberry-pi-5b": "raspberry-pi-5",
    "raspberry-pi-zero-2": "raspberry-pi-zero-2w",
    # boards of one chip of Rockchip's, at its clocks
    "orange-pi-5b": "orangepi-5",
    "khadas-edge-2": "rk3588",
    "nanopc-t6": "rk3588",
    "nanopi-r6s": "rk3588",
    "rock-5a": "rk3588",
    "rock-5b": "rk3588",
    "radxa-rock-5a": "rk3588",
    "radxa-rock-5b": "rk3588",
    # what NVIDIA called the first of its Xavier boards
    "jetson-xavier": "jetson-agx-xavier",
    # Macs have one chip of a generation, as long as no word follows its number
    "m1": "macbook-pro-m1",
    "imac-m1": "macbook-pro-m1",
    "mac-mini-m1": "macbook-pro-m1",
    "macbook-air-m1": "macbook-pro-m1",
    "m3": "macbook-air-m3",
    "imac-m3": "macbook-air-m3",
    "macbook-pro-m3": "macbook-air-m3",
    "macbook-pro-m3-max": "m3-max",
    # One phone, two spellings (TNN and Paddle-Lite; short names of layers_phones.csv.gz).
    "mate-20": "huawei-mate-20",
    "mate-30": "huawei-mate-30",
    "oneplus-5t": "oneplus5t",
    "p40": "huawei-p40",
    "google-pixel-10": "pixel-10",
    "galaxy-s20-plus-sm-g986b": "samsung-galaxy-s20-plus",
    "galaxy-s26-ultra-sm-s948b": "samsung-galaxy-s26-ultra",
    "sd7-plus-gen2-platform": "snapdragon-7-plus-gen-2-platform",
    "xiaomi-6": "xiaomi-mi-6",
    "xiaomi-mix-2": "xiaomi-mi-mix-2",
    "xiaomi-mi-mix-2s-polaris": "xiaomi-mi-mix-2s",
    "honor-v10-bkl-al00": "honor-v10",
    "huawei-p20-pro-mate-10-pro": "huawei-p20-pro",
    # The phone of the study of cuts, which its own table calls by its chip.
    "experimental-phone": "exynos-2200",
    "exynos-2200-phone": "exynos-2200",
    "rk3399-board": "rk3399",
}

_BY_CHIP = {("samsung-galaxy-s24", "exynos"): "samsung-galaxy-s24-exynos"}
"""Phones that were sold with chips of two makers, by name and maker: two devices."""

_HELP = {
    # Column names of the HELP latency tables (README-gpu.md): device and unit.
    "1080ti": ("gtx-1080-ti", "gpu"),
    "2080ti": ("rtx-2080-ti", "gpu"),
    # Which of the two Titan X the authors do not say.
    "titanx": ("titan-x", "gpu"),
    "titanxp": ("titan-xp", "gpu"),
    "titan_xp": ("titan-xp", "gpu"),
    "titan_rtx": ("titan-rtx", "gpu"),
    "v100": ("tesla-v100", "gpu"),
    "gold_6226": ("xeon-gold-6226", "cpu"),
    "gold_6240": ("xeon-gold-6240", "cpu"),
    "silver_4114": ("xeon-silver-4114", "cpu"),
    "silver_4210r": ("xeon-silver-4210r", "cpu"),
    "pixel2": ("pixel-2", "cpu"),
    "pixel3": ("pixel-3", "cpu"),
    "essential_ph_1": ("essential-ph-1", "cpu"),
    "samsung_s7": ("samsung-galaxy-s7", "cpu"),
    "samsung_a50": ("samsung-galaxy-a50", "cpu"),
    "raspi4": ("raspberry-pi-4", "cpu"),
}


def slug(text: str) -> str:
    """Lower case with hyphens: "Samsung Galaxy S9+" is samsung-galaxy-s9-plus; "" stays ""."""
    spelled = re.sub(r"\+", " plus ", text.lower())
    return re.sub(r"[^a-z0-9]+", "-", spelled).strip("-")


def device_slug(device: str, soc: str = "") -> str:
    """The slug of a device as a source names it; of its chip where no device is named."""
    # Reference designs are all called "QRD"; the proxies of AI Hub stand for their chip.
    if slug(device) == "qrd":
        return f"{slug(soc)}-qrd"
    named = slug(device.replace("(Proxy)", "")) or slug(soc)
    return _BY_CHIP.get((named, slug(soc).partition("-")[0]), device_called(named))


def device_called(name: str) -> str:
    """The name that a device has here, of another name it is known by; other names stay."""
    rented = _RENTED.match(name)
    return INSTANCES[rented[1]] if rented else _ALIASES.get(name, name)


def other_names() -> Iterator[tuple[str, str]]:
    """Every other name of a device, as a slug, and the name it has here."""
    yield from _ALIASES.items()


INSTANCES = {
    "g4dn": "tesla-t4",
    "g5": "nvidia-a10g",
    "g6": "nvidia-l4",
    "g6e": "nvidia-l40s",
    "p3": "tesla-v100-sxm2-16gb",
    "p4d": "nvidia-a100-sxm4-40gb",
    "p4de": "nvidia-a100-sxm4-80gb",
    "p5": "nvidia-h100-80gb-hbm3",
}
"""The card of Amazon's instances with GPUs by their family (EC2, instance types); a network runs on
one card however many an instance has."""

_RENTED = re.compile(rf"(?:(?:aws|amazon|ec2)-)*({'|'.join(INSTANCES)})-(?:\d{{1,2}})?x?large$")


MOST_DIGITS = 5
"""Of a batch in a column's name; the study's largest is 256."""


def help_column(column: str) -> tuple[str, str, int, bool] | None:
    """Device, unit, batch and whether it is a sum of blocks, of a HELP latency column; or None.

    The suffix is the batch where there is one; columns without are taken as batch 1, which the
    magnitudes fit (README-gpu.md). `_lutsum` marks sums of measured blocks.
    """
    is_sum = column.endswith("_lutsum")
    name = column.removesuffix("_lutsum")
    if name in _HELP:
        return (*_HELP[name], 1, is_sum)
    stem, _, batch = name.rpartition("_")
    if stem in _HELP and batch.isdecimal() and len(batch) <= MOST_DIGITS:
        return (*_HELP[stem], int(batch), is_sum)
    return None
