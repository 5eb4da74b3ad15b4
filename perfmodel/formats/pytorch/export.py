"""A PyTorch module as a graph, by torch.export on tensors without numbers."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perfmodel.errors import GraphError, ModelFileError
from perfmodel.graph.ir import Graph

EXTRA = "pip install 'perfmodel[torch]' (wheels for CPU suffice)"


def import_torch() -> Any:
    """The package torch; raises `ModelFileError`, which names the extra, where it is absent."""
    try:
        import torch
    except ImportError as error:
        raise ModelFileError("torch", "import", str(error), EXTRA) from None
    return torch


def graph_of_module(
    module: Any,
    example_inputs: Sequence[Any] | Any,
    *,
    name: str = "",
    source: str = "",
    keywords: Mapping[str, Any] | None = None,
) -> Graph:
    """The graph of a `torch.nn.Module` in inference, or of a `torch.export.ExportedProgram`.

    `example_inputs` are its inputs in order, tensors or their shapes; one alone needs no list.
    They and the module's weights are replaced by tensors without numbers, the module itself is
    left as it is. Operators that perfmodel does not know are "custom". Raises `GraphError` where
    torch cannot export the module, with torch's own reason.
    """
    torch = import_torch()
    from perfmodel.formats.pytorch.program import graph_of_program

    label = name or type(module).__name__
    if hasattr(module, "graph_signature"):
        return graph_of_program(module, label, source=source)
    inputs = example_tensors(torch, example_inputs)
    given = {k: example_tensors(torch, [v])[0] for k, v in (keywords or {}).items()}
    try:
        program = _exported(torch, _without_numbers(module), inputs, given)
    except Exception as error:  # whatever the module's own code raises
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise GraphError(
            f"{label}: torch.export cannot trace it: {reason[:300]}",
            "check that module(*example_inputs) runs; control flow on values cannot be exported",
        ) from error
    return graph_of_program(program, label, source=source)


def example_tensors(torch: Any, example_inputs: Sequence[Any] | Any) -> tuple[Any, ...]:
    """Inputs on the device "meta": tensors keep shape and dtype, shapes become floats."""
    alone = hasattr(example_inputs, "dtype") or (
        isinstance(example_inputs, (list, tuple))
        and bool(example_inputs)
        and all(isinstance(i, int) for i in example_inputs)
    )
    listed = [example_inputs] if alone else list(example_inputs)
    return tuple(_without_data(torch, item) for item in listed)


def _without_data(torch: Any, item: Any) -> Any:
    if hasattr(item, "dtype"):
        return torch.empty(tuple(item.shape), dtype=item.dtype, device="meta")
    if isinstance(item, (list, tuple)) and item and all(isinstance(i, int) for i in item):
        return torch.empty(tuple(item), device="meta")
    if isinstance(item, (list, tuple)):
        return type(item)(_without_data(torch, i) for i in item)
    if isinstance(item, dict):
        return {k: _without_data(torch, v) for k, v in item.items()}
    return item


def _without_numbers(module: Any) -> Any:
    """A copy of the module on the device "meta", in inference."""
    import copy

    held = {id(t): t.to("meta") for t in (*module.parameters(), *module.buffers())}
    # deepcopy asks the memo first: no weight is copied
    memo = {key: _as_before(tensor, original) for key, tensor, original in _pairs(module, held)}
    return copy.deepcopy(module, memo).to("meta").eval()


def _pairs(module: Any, held: Mapping[int, Any]) -> Iterator[tuple[int, Any, Any]]:
    for original in (*module.parameters(), *module.buffers()):
        yield id(original), held[id(original)], original


def _as_before(tensor: Any, original: Any) -> Any:
    """A parameter stays a parameter."""
    torch = import_torch()
    if isinstance(original, torch.nn.Parameter):
        return torch.nn.Parameter(tensor, requires_grad=False)
    return tensor


def _exported(torch: Any, module: Any, inputs: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """The program, with the operators of inference and none fused away by a fast path."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of the module's own code
        stack.enter_context(torch.no_grad())
        fast = torch.backends.mha.get_fastpath_enabled()
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)
        return torch.export.export(module, inputs, given, strict=False)
