"""A card that nobody measured: targets from its data sheet and what measured cards share.

The shared part ships as data in hw_profiles/populations. Eager PyTorch in fp32 is learned from the
eager kernels of other cards, fp16 and int8 from calls of their libraries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from perfmodel.cost_models.interval import FitError, Interval
from perfmodel.cost_models.kernel_population import KernelPopulation, SheetLeftOut, TargetTraits
from perfmodel.devices.gpu_specs import GPU_CARDS, GPU_SPECS, SAME_CARD, GpuSpec, spec_of, traits_of
from perfmodel.devices.kernel_populations import EAGER, shipped_population
from perfmodel.devices.profile import DeviceProfile, Provenance, TargetProfile
from perfmodel.errors import MeasurementError
from perfmodel.measurements.device_names import device_slug
from perfmodel.target import Target

AUTOCAST = "amp"
"""Part of the names of frameworks that run networks in mixed precision. Those cards were timed by
whole networks at batches that fill them."""

MIXED = f"{EAGER}-{AUTOCAST}"
"""Eager PyTorch in mixed precision: what cards with tensor cores do has been learned of several."""

DESKTOP_WORDS = ("GeForce", "GTX", "RTX", "TITAN", "Vega")
"""Words in the names of cards for desktops and workstations; the others are for servers."""

SHEET_INTERVAL = Interval(0.9, 0.35, 0.35)
SHEET_ERROR = FitError(
    "GPUs left out, data sheet alone, transformer networks", 62, 0.11, 0.12, 0.84
)
"""Where the known cards are of one family, so that none could be left out: what transformers showed
on cards left out of eager kernels, wide, as few cards made it."""


@lru_cache(maxsize=1)
def sheets_by_device() -> Mapping[str, GpuSpec]:
    """The data sheets of GPUs by the device name of a profile."""
    known = {device_slug(name): spec_of(name) for name in (*GPU_SPECS, *SAME_CARD)}
    return {**{device_slug(name): spec for name, spec in GPU_CARDS.items()}, **known}


def sheet_traits(sheet: GpuSpec, target: Target) -> TargetTraits:
    """A data sheet as traits: eager kernels know the vendor, library calls the tensor cores too.

    Where batches fill a card, its queue never runs empty: a kernel starts while others run.
    """
    if target.framework == EAGER and target.precision == "fp32":
        return traits_of(sheet, "fp32", str(target))
    tensor = target.precision == "fp16" and sheet.tensor_cores
    stated = "fp16_tc" if tensor else target.precision
    traits = traits_of(sheet, stated, str(target))
    if AUTOCAST in target.framework.split("-"):
        machine = replace(traits.machine, winograd="none", overlap="launch")
        return replace(traits, machine=machine, traits=())
    return replace(traits, traits=(*traits.traits, float(tensor)))


def gpu_profile(
    device: str,
    sheet: GpuSpec | None = None,
    *,
    precisions: Sequence[str] = ("fp32",),
    framework: str = EAGER,
    population: KernelPopulation | None = None,
) -> DeviceProfile:
    """The profile of a GPU of which nothing was measured, from its data sheet.

    Eager PyTorch in fp32 is learned from the eager kernels of other cards, fp16 and int8 from
    library calls, another `framework` from what its cards have in common (`learn_speeds`).
    `population` replaces the one that ships, for all `precisions`. Raises `MeasurementError` if no
    data sheet of `device` is known and none is given.
    """
    known = sheet or sheets_by_device().get(device)
    if known is None:
        raise MeasurementError(
            f"no data sheet of {device!r} is known", "give one: GpuSpec(name, vendor, ...)"
        )
    made = []
    for precision in precisions:
        target = Target(device, "gpu", framework, precision)
        used = population or shipped_population(target)
        if used is None:
            raise MeasurementError(
                f"nothing was learned of {framework} in {precision} on GPUs",
                "give what other cards have in common: population=learn_speeds(table).population",
            )
        predictor = used.unmeasured(sheet_traits(known, target))
        note = "data sheet only; no kernel of this card was measured"
        known_by = (
            "model of layers_gpu.csv" if framework == EAGER else f"other cards by {framework}"
        )
        origin = Provenance(f"data sheet; {known_by}", 0, note=note)
        left_out = used.left_out or SheetLeftOut(interval=SHEET_INTERVAL, error=SHEET_ERROR)
        made.append(
            TargetProfile(target, "steady", predictor, left_out.interval, left_out.error, origin)
        )
    return DeviceProfile(device, known.name, "desktop", tuple(made))


def card_profile(device: str) -> DeviceProfile | None:
    """All that a card's data sheet tells of it; None where no sheet of this name is known.

    Boards that share power and memory with a CPU are far from the cards that were learned from.
    """
    sheet = sheets_by_device().get(device)
    if sheet is None or kind_of_card(sheet.name) == "jetson":
        return None
    precisions = ("fp32", "fp16") if sheet.fp16_gflops else ("fp32",)
    made = gpu_profile(device, sheet, precisions=precisions)
    mixed = Target(device, "gpu", MIXED, "fp16")
    if sheet.tensor_cores and shipped_population(mixed) is not None:
        more = gpu_profile(device, sheet, precisions=("fp16",), framework=MIXED).targets
        made = replace(made, targets=(*made.targets, *more))
    return replace(made, kind=kind_of_card(sheet.name))


def kind_of_card(name: str) -> str:
    """What a GPU sits in by its name: a jetson, a desktop or a server."""
    if "Jetson" in name:
        return "jetson"
    return "desktop" if any(w in name for w in DESKTOP_WORDS) else "server"
