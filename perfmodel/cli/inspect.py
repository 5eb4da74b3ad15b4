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
    from perfmodel.inspection import inspect
    from perfmodel.render.answers import described

    check_answer("inspect", output, force=force)
    found = inspect(
        model, batch_size=batch_size, dims=sizes(dim), input_shape=input_shapes(input_shape)
    )
    answer(described(found), "inspect", output, as_json)
    return 0
