"""`perfmodel doctor`: what perfmodel can use here, and what to do for what it cannot."""

from __future__ import annotations

from perfmodel.cli.options import Force, Json, Output


def command(output: Output = None, force: Force = False, as_json: Json = False) -> int:
    """What runtimes, profiles, phones and programs are here, and what to do for the others.

    Example: perfmodel doctor
    """
    from perfmodel.cli.checkup import MISSING, WRONG, checks
    from perfmodel.cli.output import answer, check_answer
    from perfmodel.render.result import Result, ResultTable, plain

    check_answer("doctor", output, force=force)
    found = checks()
    rows = [(c.topic, c.name, c.state, c.found, c.todo) for c in found]
    wrong = [c for c in found if c.state == WRONG]
    missing = sum(c.state == MISSING for c in found)
    said = f"{len(found) - missing - len(wrong)} of {len(found)} things are here"
    result = Result(
        title="What is here",
        answer=f"{said}, {missing} are missing (nobody needs all of them)",
        data={"answer": said, "checks": plain(found)},
        warnings=[f"{c.topic} {c.name}: {c.found}; {c.todo}" for c in wrong],
        parts=(
            ResultTable(
                headers=("what", "name", "", "found", "what to do"),
                rows=rows,
                optional=("found",),
            ),
        ),
    )
    answer(result, "doctor", output, as_json)
    return 0
