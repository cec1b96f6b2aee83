"""The commands. Each parses, calls its flow, and prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwgen.base.errors import ConfigError
from hwgen.cli.on_workers import on_workers
from hwgen.cli.printing import (
    AsJson,
    Core,
    Count,
    counted,
    messages,
    output,
    print_json,
    show,
    status,
)
from hwgen.cli.simulate import simulate

if TYPE_CHECKING:
    from hwgen.flow.sweep.results import SweepResult

TECH = "technology: generic, asap7, …, an FPGA family such as ecp5, or a user-defined one"


def register(app: typer.Typer) -> None:
    """Add every command to ``app``."""
    app.command(epilog="Example: hwgen sweep examples/bitnet-2b4t.yaml")(sweep)
    app.command(epilog="Example: hwgen generate examples/lut.yaml")(generate)
    app.command(epilog="Example: hwgen estimate examples/lut.yaml --layer 1,2560,6912")(estimate)
    app.command(epilog="Example: hwgen verify examples/lut.yaml --model digits")(verify)
    app.command(epilog="Example: hwgen simulate bitnet-2b4t examples/lut.yaml --tech asap7")(
        simulate
    )
    app.command(epilog="Example: hwgen inspect digits")(inspect)
    app.command(epilog="Example: hwgen synth examples/lut.yaml --tech generic")(synth)
    app.command(epilog="Example: hwgen compare examples/fp16-32x32.yaml --tech generic")(compare)
    app.command(epilog="Example: hwgen calibrate generic")(calibrate)
    app.command(epilog="Example: hwgen validate asap7 --figure errors.png")(validate)
    app.command(epilog="Example: hwgen schema core > core.schema.json")(schema)
    app.command(epilog="Example: hwgen doctor")(doctor)


@on_workers
def sweep(
    config: Annotated[Path, typer.Argument(help="sweep file, YAML", metavar="CONFIG.yaml")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="results folder; default results/<name>")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="processes; default: processors")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="check the file, print what it will take, and stop")
    ] = False,
    search: Annotated[
        int | None,
        typer.Option(min=1, help="evaluate this many points, chosen by NSGA-II, instead of all"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="random seed of --search")] = 0,
    validate: Annotated[
        int | None,
        typer.Option(min=1, help="synthesise this many cores, spread over the front, and compare"),
    ] = None,
    emit: Annotated[
        str | None,
        typer.Option(help="best: write the best core's Verilog and verify it on a random layer"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate every point of a sweep file; write results, Pareto front, plots and the best core.

    A sweep that was stopped resumes where it was when it is run again.
    """
    from hwgen.base.lock import alone
    from hwgen.flow.sweep.run import check_options, prepare, run
    from hwgen.tables.sweep import forecast_text

    if emit not in (None, "best"):
        raise ConfigError(f"--emit: should be best, not {emit!r}")
    check_options(search, seed, jobs)
    if search is not None and not dry_run:
        from hwgen.flow.sweep.search import search as search_space

        with counted("searching", rate=True) as progress:
            result = search_space(config, search, out, seed, progress)
    else:
        work = prepare(config, out, jobs or len(os.sched_getaffinity(0)))
        if dry_run:
            if as_json:
                print_json(asdict(work.forecast))
            else:
                output.print(forecast_text(work.forecast), soft_wrap=True)
            return
        messages.print(forecast_text(work.forecast), soft_wrap=True)
        with counted("evaluating points", rate=True) as progress:
            result = run(work, progress)
    # Nobody else may replace the front that all this belongs to.
    with alone(result.folder):
        _finish(result, validate, emit is not None, as_json)


def _finish(result: SweepResult, validate: int | None, emit: bool, as_json: bool) -> None:
    """Synthesise and emit what was asked for of a sweep's front, and print everything."""
    from hwgen.flow.sweep.finalists import emit_best, synthesise_front
    from hwgen.flow.sweep.results import FILES
    from hwgen.tables.front import front_tables
    from hwgen.tables.verify import mismatch_text

    checked, built = [], None
    if validate is not None:
        with counted("synthesising cores of the front") as progress:
            checked = synthesise_front(result, validate, progress)
    if emit:
        with status("generating") as say:
            built = emit_best(result, say)
    if as_json:
        synthesised = {"validated": [one.to_dict() for one in checked]} if checked else {}
        emitted = {} if built is None else {"emitted": built.to_dict()}
        print_json(result.to_dict() | synthesised | emitted)
    else:
        for item in chain(result.drawing(), front_tables(checked, built)):
            output.print(item)
        for name in FILES:
            typer.echo(result.folder / name)
    if built is not None and not built.verification.match:
        fault = mismatch_text(built.folder.name, built.verification)
        messages.print(f"hwgen: error: {fault}", soft_wrap=True)
        raise typer.Exit(1)


def generate(
    core: Core,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="folder; default rtl_out/<name>")
    ] = None,
) -> None:
    """Write a core's Verilog and its manifest."""
    from hwgen.flow.generate import generate as run

    with status("generating"):
        result = run(core, out)
    typer.echo(result.folder)


def estimate(
    core: Core,
    tech: Annotated[str, typer.Option(help=TECH)] = "generic",
    layer: Annotated[
        str | None,
        typer.Option(
            help="T,N,M: tokens, inputs, outputs; default: one token of the core's largest layer"
        ),
    ] = None,
    activity: Annotated[
        str, typer.Option(help="activity class of the data for the energy: random or digits")
    ] = "random",
    as_json: AsJson = False,
) -> None:
    """Predict area, clock, energy, counts, cycles and traffic of a core, without building it."""
    from hwgen.flow.estimate import estimate as run

    result = run(core, tech, layer, activity)
    show(result, as_json)


def verify(
    core: Core,
    layer: Annotated[
        str | None, typer.Option(help="T,N,M: tokens, inputs, outputs of a random layer")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="checkpoint folder with ternary layers and test images, or digits"),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="random seed of the layer and of the registers at start")
    ] = 0,
    stall: Annotated[
        int, typer.Option(help="percentage of cycles in which each stream stalls")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Run the generated Verilog on a layer or a model; compare it with the golden model's results,
    bit for bit."""
    from hwgen.flow.verify import verify as run
    from hwgen.tables.verify import mismatch_text

    with status("generating") as progress:
        result = run(core, layer=layer, model=model, seed=seed, stall=stall, progress=progress)
    show(result, as_json)
    if not result.match:
        messages.print(f"hwgen: error: {mismatch_text(core.name, result)}", soft_wrap=True)
        raise typer.Exit(1)


def inspect(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="digits, a folder with config.json and safetensors files, a .safetensors file or "
            "a .gguf file",
            metavar="CHECKPOINT",
        ),
    ],
    i2s_layout: Annotated[
        str | None,
        typer.Option(
            help="layout of I2_S tensors, which their file does not record: x86, arm or interleaved"
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            help="how scales of packed weights apply if config.json does not say so: multiply "
            "(AutoBitLinear) or divide (BitLinear)"
        ),
    ] = None,
    quantise: Annotated[
        str | None,
        typer.Option(help="make master weights ternary: absmean, as BitNet's online mode"),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="go on with what there is of an incomplete model")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read and check a checkpoint: shape, format, scale and zeros of every ternary matrix.

    A model that lacks one of its matrices, or has one that is not ternary, is refused.
    """
    from hwgen.flow.inspect import inspect as run

    with counted("reading tensors") as progress:
        result = run(checkpoint, i2s_layout, scale, quantise, partial, progress)
    show(result, as_json)
    for warning in result.warnings:
        messages.print(f"hwgen: warning: {warning}", soft_wrap=True)


def synth(
    core: Core,
    tech: Annotated[
        str, typer.Option(help="technology whose Liberty files are here, or an FPGA family")
    ] = "generic",
    clock_ns: Annotated[
        float | None, typer.Option(help="clock period to compare the delay with, ns")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Synthesise a core and compare with its estimate: area by component, delay, longest path."""
    from hwgen.flow.synth import synth as run

    with status("generating") as progress:
        result = run(core, tech, clock_ns, progress)
    show(result, as_json)


@on_workers
def compare(
    file: Annotated[Path, typer.Argument(help="comparison file, YAML", metavar="FILE.yaml")],
    tech: Annotated[
        list[str] | None,
        typer.Option(help="technology; may be repeated; default: all whose Liberty files are here"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="results folder; default results/<name>")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Synthesise the cores of a comparison file and print them side by side."""
    from hwgen.flow.compare.run import compare as run

    with counted("synthesising") as progress:
        result = run(file, tech or (), out, progress)
    show(result, as_json)
    if not as_json:
        typer.echo(result.folder / "comparison.csv")


@on_workers
def calibrate(
    tech: Annotated[str, typer.Argument(help=TECH)],
    training: Annotated[
        bool, typer.Option("--training", help="synthesise the cores of the training set instead")
    ] = False,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="synthesise the cores of the hold-out set instead")
    ] = False,
    energy: Annotated[
        bool,
        typer.Option("--energy", help="simulate cores in cells and fit the energies instead"),
    ] = False,
    most_cells: Annotated[
        int | None, typer.Option(min=1, help="leave out larger cores of these sets")
    ] = None,
) -> None:
    """Measure a technology's unit costs by synthesis, or whole cores to fit and judge the model.

    Results are kept, so that an interrupted run resumes where it stopped. An installed hwgen writes
    them to HWGEN_DATA, or else $XDG_DATA_HOME/hwgen, or else ~/.local/share/hwgen, and reads them
    from there in preference to its own; a checkout keeps them in its folder costmodel.
    """
    from hwgen.flow.calibrate.energy import calibrate_energy
    from hwgen.flow.calibrate.run import calibrate as run
    from hwgen.flow.calibrate.samples import measure_sets

    if most_cells is not None and not (training or holdout or energy):
        raise ConfigError("--most-cells: should go with --training, --holdout or --energy")
    if energy:
        with counted("simulating cores") as count:
            paths = [*calibrate_energy(tech, most_cells, _nameless(count))]
    elif training or holdout:
        with counted("synthesising cores") as count:
            paths = measure_sets(tech, training, holdout, most_cells, _nameless(count))
    else:
        with status("calibrating") as say:
            progress = lambda kind, done, total: say(f"{kind}: {done} of {total}")  # noqa: E731
            paths = [run(tech, progress=progress)]
    for path in paths:
        typer.echo(path)
    _say_where(paths)


def _say_where(paths: Iterable[Path]) -> None:
    """Say that what was written to the user's folder is read in preference."""
    from hwgen.base.datadir import user_folder

    folder = user_folder()
    if folder is not None and any(path.is_relative_to(folder) for path in paths):
        messages.print(
            f"hwgen reads {folder} in preference to the data of the package; remove the files "
            "there to return to those",
            soft_wrap=True,
        )


@on_workers
def validate(
    techs: Annotated[
        list[str] | None,
        typer.Argument(
            help="technologies; default: all with recorded hold-out cores", metavar="[TECH]..."
        ),
    ] = None,
    recompute: Annotated[
        int,
        typer.Option(min=0, help="number of cores of each to synthesise again, smallest first"),
    ] = 0,
    figure: Annotated[
        Path | None, typer.Option(help="draw predicted against synthesised: a .png or .svg file")
    ] = None,
    as_json: AsJson = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="print the README's table of errors")
    ] = False,
) -> None:
    """Judge the cost model on cores that it was never fitted to."""
    from hwgen.flow.calibrate.validate import recorded, write_figure
    from hwgen.flow.calibrate.validate import validate as run
    from hwgen.tables.markdown import validation_markdown

    if as_json and as_markdown:
        raise ConfigError("--markdown: should stand without --json")
    results = []
    for tech in techs or recorded():
        with counted(f"{tech}: synthesising again") as count:
            results.append(run(tech, recompute, _nameless(count)))
    if as_json:
        print_json([result.to_dict() for result in results])
    elif as_markdown:
        for line in validation_markdown(results):
            typer.echo(line)
    else:
        for item in chain.from_iterable(result.drawing() for result in results):
            output.print(item)
    if figure is not None:
        write_figure(results, figure)
        typer.echo(figure, err=as_json or as_markdown)
    for result in results:
        if result.different:
            messages.print(
                f"hwgen: error: {result.technology}: numbers differ from the record: "
                f"{', '.join(result.different)}; other tool versions?",
                soft_wrap=True,
            )
    if any(result.different for result in results):
        raise typer.Exit(1)


def schema(
    what: Annotated[
        str,
        typer.Argument(
            help="core, sweep, compare or system", metavar="[core|sweep|compare|system]"
        ),
    ] = "core",
) -> None:
    """Print the JSON schema of a kind of file, for editors."""
    from hwgen.flow.schema import schema as run

    print_json(run(what))


def doctor(as_json: AsJson = False) -> None:
    """List what is installed, what is missing and how to get it; run a short self-test."""
    from hwgen.flow.doctor import doctor as run
    from hwgen.tables.doctor import doctor_table

    with status("looking for tools") as progress:
        report = run(progress)
    if as_json:
        print_json(report.to_dict())
    else:
        output.print(doctor_table(report))
    if not report.healthy:
        raise typer.Exit(1)


def _nameless(count: Count) -> Callable[[str, int, int], None]:
    """``count`` for a flow that also names the core that is done."""
    return lambda name, done, total: count(done, total)
