"""The command line: parse, call one function, render, exit code.

Exit codes: 0 an answer, 1 the answer is "no" or a check failed, 2 bad input. Every command is
imported when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Optional, cast

import typer

from perfmodel.cli import command_line
from perfmodel.errors import PerfmodelError

app = typer.Typer(
    name="perfmodel",
    help="How fast will this network run on that hardware, and what should I do about it?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

UsageProblem: type[Exception] = typer.BadParameter.__mro__[2]
"""Base class of all that typer finds wrong with a command line; it has no public name there."""

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON on stdout.")]
Profiles = Annotated[
    Optional[list[Path]],  # noqa: UP045  (typer reads this at run time on Python 3.10 too)
    typer.Option("--profile", help="A further profile file; may be given several times."),
]
MODEL_HELP = "A zoo name (mobilenet_v2@width=0.5) or a .tflite, .onnx, .param or .prototxt file."
TARGET_HELP = "device/unit/framework/precision/threads; trailing parts may be left out."


@app.command()
def models(as_json: Json = False) -> int:
    """List the networks of the zoo. Example: perfmodel models"""
    from perfmodel.cli.models import models_command

    return models_command(as_json=as_json)


@app.command()
def devices(
    kind: Annotated[
        str, typer.Option(help="Only phone, jetson, board, laptop, desktop, server or host.")
    ] = "",
    match: Annotated[str, typer.Option(help="Only targets that contain this text.")] = "",
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """List targets with their out-of-sample error and source.

    Example: perfmodel devices --kind phone
    """
    from perfmodel.cli.devices import devices_command

    return devices_command(kind=kind, match=match, profiles=profile or [], as_json=as_json)


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    batch_size: Annotated[Optional[int], typer.Option(min=1, max=65536)] = None,  # noqa: UP045
    dim: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Size of a symbolic ONNX dimension, NAME=SIZE; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Cost of a network op by op. Example: perfmodel inspect squeezenet"""
    from perfmodel.cli.inspect import inspect_command

    return inspect_command(model, batch_size=batch_size, dims=dim or [], as_json=as_json)


@app.command()
def predict(
    model: Annotated[Optional[str], typer.Argument(help=MODEL_HELP)] = None,  # noqa: UP045
    on: Annotated[str, typer.Option("--on", help=TARGET_HELP)] = "",
    batch_size: Annotated[Optional[int], typer.Option(min=1, max=65536)] = None,  # noqa: UP045
    kind: Annotated[str, typer.Option(help="first, steady, sustained or in_app.")] = "steady",
    per_layer: Annotated[bool, typer.Option(help="Every kernel, not only the heaviest.")] = False,
    allow_uncovered: Annotated[
        bool, typer.Option(help="Predict without the operators that are not covered.")
    ] = False,
    dim: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Size of a symbolic ONNX dimension, NAME=SIZE; may be repeated."),
    ] = None,
    queries: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="CSV with columns model,target[,batch_size]."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help="Where the answers to --queries go (CSV)."),
    ] = None,
    export_model_explorer: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write per-layer latencies as Model Explorer node data."),
    ] = None,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """How long a network takes on a target.

    Example: perfmodel predict mobilenet_v2 --on snapdragon-855-plus/cpu
    """
    from perfmodel.cli.predict import predict_command, queries_command

    if queries is not None:
        return queries_command(
            queries,
            output,
            profiles=profile or [],
            allow_uncovered=allow_uncovered,
            as_json=as_json,
        )
    return predict_command(
        model,
        on,
        batch_size=batch_size,
        kind=kind,
        per_layer=per_layer,
        allow_uncovered=allow_uncovered,
        dims=dim or [],
        export_model_explorer=export_model_explorer,
        profiles=profile or [],
        as_json=as_json,
    )


@app.command()
def calibrate(
    source: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--from", help="A table or tool log; or host, cuda, adb, ssh:HOST."),
    ] = None,
    device: Annotated[str, typer.Option(help="Name of the device, such as my-phone.")] = "",
    kind: Annotated[
        str, typer.Option(help="phone, jetson, board, laptop, desktop, server or host.")
    ] = "phone",
    like: Annotated[str, typer.Option(help="A known device to borrow from.")] = "",
    skip_bad: Annotated[bool, typer.Option(help="Leave bad rows out and list them.")] = False,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help="The profile; default: your profile folder."),
    ] = None,
    suggest: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, max=50, help="Which N networks to measure next, and why."),
    ] = None,
    on: Annotated[str, typer.Option("--on", help="The target that --suggest is about.")] = "",
    budget: Annotated[str, typer.Option(help="Time for measuring, such as 10min.")] = "10min",
    journal: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Where measurements are kept, so that a run can go on."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """Learn a device from measurements, or say what to measure next.

    Example: perfmodel calibrate --from examples/ten_rows.csv --device my-phone
    """
    from perfmodel.cli.calibrate import calibrate_command

    return calibrate_command(
        source or [],
        device,
        kind=kind,
        like=like,
        skip_bad=skip_bad,
        output=output,
        suggest=suggest,
        on=on,
        budget=budget,
        journal=journal,
        seed=seed,
        profiles=profile or [],
        as_json=as_json,
    )


@app.command()
def partition(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    on: Annotated[str, typer.Option("--on", help=TARGET_HELP)],
    units: Annotated[
        str, typer.Option(help="Further units of the device, or full targets, by comma.")
    ] = "",
    k: Annotated[Optional[int], typer.Option("-k", help="Number of segments.")] = None,  # noqa: UP045
    by: Annotated[
        str,
        typer.Option(help="layer-count, layer-type, param-count, each-layer or optimal."),
    ] = "optimal",
    server: Annotated[str, typer.Option(help="Target of a server for device/cloud plans.")] = "",
    link: Annotated[
        str,
        typer.Option(help="A named link (lte, wifi, ...) or UPLINK/DOWNLINK/RTT in Mbit/s, ms."),
    ] = "",
    objective: Annotated[str, typer.Option(help="latency, energy or deadline=MS.")] = "latency",
    batch_size: Annotated[Optional[int], typer.Option(min=1, max=65536)] = None,  # noqa: UP045
    emit: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write each segment as its own .tflite into this folder."),
    ] = None,
    plot: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Latency over the cut point, in parts, as .html, .svg or .png."),
    ] = None,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """Cut a network into segments, or find the best plan over units and the cloud.

    Example: perfmodel partition vgg16 --on huawei-p40/gpu --units cpu -k 3
    """
    from perfmodel.cli.partition import partition_command

    return partition_command(
        model,
        on,
        units=units,
        k=k,
        by=by,
        server=server,
        link=link,
        objective=objective,
        batch_size=batch_size,
        emit=emit,
        plot=plot,
        profiles=profile or [],
        as_json=as_json,
    )


@app.command()
def simulate(
    scenario: Annotated[Path, typer.Argument(help="A scenario file (TOML).")],
    replications: Annotated[Optional[int], typer.Option(min=1, max=10_000)] = None,  # noqa: UP045
    seed: Annotated[Optional[int], typer.Option(min=0)] = None,  # noqa: UP045
    trace: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write a Perfetto trace of the first replication."),
    ] = None,
    records: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write one row a request (.csv or .parquet)."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 1,
    as_json: Json = False,
) -> int:
    """Simulate a scenario: device, link, server, load and policy.

    Example: perfmodel simulate examples/mm1.toml
    """
    from perfmodel.cli.simulate import simulate_command

    return simulate_command(
        scenario,
        replications=replications,
        seed=seed,
        trace=trace,
        records=records,
        as_json=as_json,
        workers=workers,
    )


@app.command()
def minspec(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    max_latency_ms: Annotated[float, typer.Option(help="Latency at the percentile, in ms.")],
    percentile: Annotated[float, typer.Option(help="Of the prediction's uncertainty.")] = 95.0,
    max_memory_mb: Annotated[Optional[float], typer.Option()] = None,  # noqa: UP045
    max_energy_mj: Annotated[Optional[float], typer.Option()] = None,  # noqa: UP045
    unit: Annotated[str, typer.Option(help="any, cpu, gpu, npu, dsp or nnapi.")] = "any",
    precision: Annotated[str, typer.Option(help="any, fp32, fp16, int8 or float.")] = "any",
    kind: Annotated[str, typer.Option(help="Kind of device, or any.")] = "phone",
    fleet: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="CSV of device,share; without it a made-up example."),
    ] = None,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """The minimum phone that runs a network within a limit; exit code 1 if none does.

    Example: perfmodel minspec mobilenet_v2 --max-latency-ms 50
    """
    from perfmodel.cli.minspec import minspec_command

    return minspec_command(
        model,
        max_latency_ms,
        percentile=percentile,
        max_memory_mb=max_memory_mb,
        max_energy_mj=max_energy_mj,
        unit=unit,
        precision=precision,
        kind=kind,
        fleet=fleet,
        profiles=profile or [],
        as_json=as_json,
    )


@app.command()
def compare(
    models: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help="Networks: " + MODEL_HELP),
    ] = None,
    on: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--on", help=TARGET_HELP + " Alternatives by comma: DEVICE/cpu,gpu."),
    ] = None,
    batch_size: Annotated[Optional[int], typer.Option(min=1, max=65536)] = None,  # noqa: UP045
    relative: Annotated[bool, typer.Option(help="Times as fast as the first target.")] = False,
    suite: Annotated[str, typer.Option(help="ai-benchmark: its twelve tests.")] = "",
    plot: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A heat map as .html or .svg."),
    ] = None,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """Networks against targets.

    Example: perfmodel compare mobilenet_v2 vgg16 --on snapdragon-888/cpu,gpu
    """
    from perfmodel.cli.compare import compare_command

    return compare_command(
        models or [],
        on or [],
        batch_size=batch_size,
        relative=relative,
        suite=suite,
        plot=plot,
        profiles=profile or [],
        as_json=as_json,
    )


@app.command()
def whatif(
    scenario: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="A scenario file to simulate; or give --model and --on."),
    ] = None,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "",
    on: Annotated[str, typer.Option("--on", help=TARGET_HELP)] = "",
    sets: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="PATH=V1,V2 or PATH=LOW:HIGH:STEP; several make a grid."),
    ] = None,
    samples: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--sample", help="PATH=LAW(...): uniform, normal, lognormal, choice, ..."),
    ] = None,
    n: Annotated[Optional[int], typer.Option("--n", min=1, help="Samples a grid point.")] = None,  # noqa: UP045
    seed: Annotated[int, typer.Option(min=0)] = 0,
    metric: Annotated[str, typer.Option(help="Column that the answer is about.")] = "",
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes that simulate.")
    ] = os.cpu_count() or 1,
    dask: Annotated[str, typer.Option(help="An existing Dask cluster, tcp://HOST:PORT.")] = "",
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help="Rows as .csv or .parquet; a second run goes on."),
    ] = None,
    restart: Annotated[bool, typer.Option(help="Overwrite what is in the output.")] = False,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """Vary anything in a scenario or a prediction; see what moves the answer.

    Example: perfmodel whatif --model mobilenet_v2 --on snapdragon-888/cpu --set width=0.5,1.0
    """
    from perfmodel.cli.whatif import whatif_command

    return whatif_command(
        scenario,
        model=model,
        on=on,
        sets=sets or [],
        samples=samples or [],
        n=n,
        seed=seed,
        metric=metric,
        workers=workers,
        dask=dask,
        output=output,
        restart=restart,
        profiles=profile or [],
        as_json=as_json,
    )


@app.command()
def select(
    models: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help="Networks or families of the zoo; none means all."),
    ] = None,
    max_latency_ms: Annotated[float, typer.Option(help="Latency at the percentile, in ms.")] = 33.3,
    on: Annotated[str, typer.Option("--on", help="A device, or any target of it.")] = "",
    fleet: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Instead of a device: CSV of device,share."),
    ] = None,
    min_share: Annotated[float, typer.Option(help="Share of the fleet that must pass.")] = 0.9,
    percentile: Annotated[float, typer.Option(help="Of the prediction's uncertainty.")] = 95.0,
    max_memory_mb: Annotated[Optional[float], typer.Option()] = None,  # noqa: UP045
    max_energy_mj: Annotated[Optional[float], typer.Option()] = None,  # noqa: UP045
    metric: Annotated[str, typer.Option(help="Published accuracy.")] = "imagenet_top1",
    emit: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write the chosen network as .tflite into this folder."),
    ] = None,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """The most accurate variant within a budget; exit code 1 if none is.

    Example: perfmodel select mobilenet_v2 --on snapdragon-888 --max-latency-ms 10
    """
    from perfmodel.cli.select import select_command

    return select_command(
        models or [],
        on=on,
        fleet=fleet,
        min_share=min_share,
        max_latency_ms=max_latency_ms,
        percentile=percentile,
        max_memory_mb=max_memory_mb,
        max_energy_mj=max_energy_mj,
        metric=metric,
        folder=emit,
        profiles=profile or [],
        as_json=as_json,
    )


@app.command()
def report(
    result: Annotated[Path, typer.Argument(help="What a command printed with --json.")],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help="The page; by default RESULT with .html."),
    ] = None,
    as_json: Json = False,
) -> int:
    """A result as one HTML page that opens anywhere.

    Example: perfmodel report result.json -o report.html
    """
    from perfmodel.cli.report import report_command

    return report_command(result, output, as_json=as_json)


@app.command()
def validate(
    experiment: Annotated[
        str, typer.Argument(help="host, kinds, partition, cuda, adb or ssh.")
    ] = "",
    runner: Annotated[
        str, typer.Option(help="Where no experiment is named: its runner.")
    ] = "tflite",
    profile: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The profile that predicts (of this machine: perfmodel calibrate)."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help="Report (.html) or raw answer (.json)."),
    ] = None,
    budget: Annotated[str, typer.Option(help="Time to spend, for example 5min.")] = "5min",
    journal: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Journal to keep and to resume from."),
    ] = None,
    model: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Only these networks; may be repeated."),
    ] = None,
    files: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of real model files to run as well."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Predict first, run the true workload on hardware, compare.

    Example: perfmodel validate host --profile host.json -o report.html
    """
    from perfmodel.cli.validate import validate_command

    return validate_command(
        experiment,
        runner=runner,
        profile=profile,
        output=output,
        budget=budget,
        journal=journal,
        models=tuple(model or ()),
        files=files,
        as_json=as_json,
    )


INTERRUPTED = 130
"""Exit code after Ctrl-C, by the shells' rule of 128 + the signal."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code. Errors never show a traceback."""
    as_json = "--json" in arguments
    command_line.set(shlex.join(["perfmodel", *(a for a in arguments if a != "--json")]))
    try:
        code = app(arguments or ["--help"], standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:
            # typer turns the interrupt into this code by itself, without a word
            raise KeyboardInterrupt
    except PerfmodelError as error:
        return _report(error.kind, error.message, error.hint, as_json)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except UsageProblem as error:
        context = getattr(error, "ctx", None)
        hint = f"see `{context.command_path} --help`" if context else ""
        return _report("usage", str(cast(Any, error).format_message()), hint, as_json)
    except BrokenPipeError:
        # the reader of our output (head, less) went away: that is no error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _report(kind: str, message: str, hint: str, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": {"kind": kind, "message": message, "hint": hint}}))
    else:
        print(f"perfmodel: {message}", file=sys.stderr)
        if hint:
            print(f"  {hint}", file=sys.stderr)
    return 2
