"""Whether a network fits a phone's memory beside the system and the runtime."""

from __future__ import annotations

from perfmodel.devices.market import Phone
from perfmodel.units import MB, MIB

MB_OF_MIB = MIB / MB
"""Megabytes in a mebibyte: phones' memory is told in mebibytes."""

RUNTIME_MB = 30.0
"""What a runtime takes beside weights and activations. Measured here on x86, resident memory: the
library itself 3 (ncnn), 4 (MNN), 9 (TFLite) and 20 MB (ONNX Runtime), and what TFLite keeps for
MobileNet V2 in int8 beyond its weights and activations about 8 MB."""

ANDROID_KEEPS_MIB, SMALL_ANDROID_KEEPS_MIB, SMALL_MIB = 944.0, 512.0, 1536.0
"""What Android keeps for itself: the least memory that Android's compatibility definition lets a
phone have, section 7.6.1: 944 MiB of 64-bit phones with an xhdpi screen (H-6-1), 512 MiB of 32-bit
ones with a small screen (H-1-1), which is taken below 1536 MiB."""

IPHONE_SHARE = 0.375
"""Of an iPhone's memory, what one app may have: the least of the shares that developers measured
(37.5 % on 8 GB since version 26.4, 75 % before; developer.apple.com/forums/thread/826325)."""

SAID = (
    "a phone's memory must hold weights, peak activations and "
    f"{RUNTIME_MB:g} MB of a runtime beside what Android keeps ({ANDROID_KEEPS_MIB:g} MiB, or "
    f"{SMALL_ANDROID_KEEPS_MIB:g} below {SMALL_MIB:g}: Android's compatibility definition, 7.6.1); "
    f"an iPhone's app may have {100 * IPHONE_SHARE:g} % of it"
)
"""The assumption in words."""


def free_mb(phone: Phone) -> float | None:
    """Memory of a phone's least version that an app may have, in MB; None where it is not known."""
    if phone.ram_mb is None:
        return None
    least = phone.ram_mb[0]
    if phone.brand == "Apple":
        return IPHONE_SHARE * least * MB_OF_MIB
    kept = ANDROID_KEEPS_MIB if least >= SMALL_MIB else SMALL_ANDROID_KEEPS_MIB
    return max(least - kept, 0.0) * MB_OF_MIB


def lacks_memory(phone: Phone, needs_mb: float) -> bool:
    """Whether a phone is known to have too little memory for a network of so many MB."""
    free = free_mb(phone)
    return free is not None and needs_mb + RUNTIME_MB > free
