"""An .onnx file as a program of torch.export: where compilers and exporters of PyTorch begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perfmodel.errors import RunnerError
from perfmodel.runners.pytorch_host import inputs_of
from perfmodel.runners.runner import Job
from perfmodel.runners.torch_network import torch_network


def exported(
    source: Path, shapes: Mapping[str, Sequence[int]] | None = None, seed: int = 0
) -> tuple[Any, tuple[Any, ...]]:
    """The program of an .onnx file, and seeded random inputs for it.

    `shapes` are those of inputs whose size the file leaves open, by name. Raises `RunnerError` for
    what cannot be read or traced.
    """
    import torch

    network = torch_network(source)

    class Module(torch.nn.Module):
        def forward(self, *given: Any) -> tuple[Any, ...]:
            return network(*given)

    sizes = {name: tuple(shape) for name, shape in (shapes or {}).items()}
    inputs = inputs_of(network, torch, Job(source.stem, source, shapes=sizes), seed)
    try:
        with torch.no_grad():
            return torch.export.export(Module().eval(), inputs, strict=False), inputs
    except Exception as error:
        # the tracer raises classes of its own, and whatever a call of torch raises
        words = " ".join(str(error).split())[:200]
        raise RunnerError(f"{source.name}: torch.export cannot trace it: {words}") from None
