"""`perfmodel inspect`."""

from __future__ import annotations

from perfmodel.cli.options import (
    BatchSize,
    Dims,
    Force,
    InputShapes,
    Json,
    Model,
    Output,
    input_shapes,
    sizes,
)


def command(
    model: Model,
    batch_size: BatchSize = None,
    dim: Dims = None,
    input_shape: InputShapes = None,
    output: Output = None,
    force: Force = False,
    as_json: Json = False,
) -> int:
    """Cost of a network op by op.

    Example: perfmodel inspect squeezenet
    """
    from perfmodel.cli.output import answer, check_answer
    from perfmodel.render.network import inspection_data, inspection_result
    from perfmodel.workload import load_at_batch

    check_answer("inspect", output, force=force)
    graph = load_at_batch(model, batch_size, dims=sizes(dim), input_shape=input_shapes(input_shape))
    answer(inspection_result(inspection_data(graph)), "inspect", output, as_json)
    return 0
