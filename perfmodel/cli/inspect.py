"""`perfmodel inspect`."""

from __future__ import annotations

from perfmodel.cli.options import BatchSize, Dims, Json, Model, sizes


def command(
    model: Model, batch_size: BatchSize = None, dim: Dims = None, as_json: Json = False
) -> int:
    """Cost of a network op by op.

    Example: perfmodel inspect squeezenet
    """
    from perfmodel.cli.output import show
    from perfmodel.formats.load import load
    from perfmodel.render.network import inspection_data, inspection_result
    from perfmodel.workload import load_at_batch

    graph = load_at_batch(load(model, dims=sizes(dim)), batch_size)
    show(inspection_result(inspection_data(graph)), as_json)
    return 0
