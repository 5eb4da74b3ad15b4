"""`perfmodel simulate`: run a scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perfmodel.cli.options import Force, Json, Output


def command(
    scenario: Annotated[Path, typer.Argument(help="A scenario file (TOML).")],
    replications: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Runs with other random numbers.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of everything random; else the scenario's.")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Write a Perfetto trace of the first replication.")
    ] = None,
    records: Annotated[
        Path | None, typer.Option(help="Write one row a request (.csv or .parquet).")
    ] = None,
    output: Output = None,
    force: Force = False,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 1,
    as_json: Json = False,
) -> int:
    """Simulate a scenario: device, link, server, load and policy.

    Example: perfmodel simulate examples/mm1.toml
    """
    from perfmodel.cli.output import answer, check_answer, check_outputs
    from perfmodel.files import need_pyarrow
    from perfmodel.render.simulation import simulation_result
    from perfmodel.sim import Tracer, simulate
    from perfmodel.sim.records import RECORDS_MARKS, write_records
    from perfmodel.sim.tracing import TRACE_MARK

    check_answer("simulate", output, force=force, others=[trace, records])
    if records is not None:
        mark = RECORDS_MARKS.get(records.suffix, b"")
        check_outputs(records, suffixes=tuple(RECORDS_MARKS), mark=mark, force=force)
    check_outputs(trace, mark=TRACE_MARK, force=force)
    need_pyarrow(records)
    tracer = Tracer() if trace is not None else None
    found = simulate(
        scenario,
        replications=replications,
        seed=seed,
        workers=workers,
        keep_records=records is not None,
        tracer=tracer,
    )
    written = []
    if records is not None:
        write_records(found.records, records)
        written.append(f"records: {records}")
    if tracer is not None and trace is not None:
        tracer.write(trace)
        more = f" ({tracer.left_out} slices left out)" if tracer.left_out else ""
        written.append(f"trace: {trace}{more}; open it at https://ui.perfetto.dev")
    answer(simulation_result(found.to_json(), written), "simulate", output, as_json)
    return 0
