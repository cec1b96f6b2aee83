"""The commands. Each parses, calls its flow, and prints."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated

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
    status,
)
from hwgen.cli.simulate import simulate


def register(app: typer.Typer) -> None:
    """Add every command to ``app``."""
    app.command(epilog="Example: hwgen sweep examples/bitnet-2b4t.yaml")(sweep)
    app.command(epilog="Example: hwgen generate examples/lut.yaml")(generate)
    app.command(epilog="Example: hwgen estimate examples/lut.yaml --layer 1,2560,6912")(estimate)
    app.command(epilog="Example: hwgen verify examples/lut.yaml --model examples/digits")(verify)
    app.command(epilog="Example: hwgen simulate bitnet-2b4t examples/lut.yaml --tech asap7")(
        simulate
    )
    app.command(epilog="Example: hwgen inspect examples/digits")(inspect)
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
        bool, typer.Option("--dry-run", help="check the file, say what it will take, and stop")
    ] = False,
    search: Annotated[
        int | None,
        typer.Option(min=1, help="evaluate so many points, where NSGA-II looks, instead of all"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of --search")] = 0,
    validate: Annotated[
        int | None,
        typer.Option(min=1, help="synthesise so many cores, spread over the front, and compare"),
    ] = None,
    emit: Annotated[
        str | None, typer.Option(help="best: write its Verilog and verify it on a random layer")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate every point of a sweep file; write results, Pareto front, plots and the best core.

    A sweep that was stopped goes on where it was when it is run again.
    """
    from hwgen.cli.tables.front import front_tables
    from hwgen.cli.tables.sweep import forecast_text, sweep_tables
    from hwgen.cli.tables.verify import mismatch_text
    from hwgen.flow.sweep.results import FILES
    from hwgen.flow.sweep.run import prepare, run

    if emit not in (None, "best"):
        raise ConfigError(f"--emit: should be best, not {emit!r}")
    if search is None and seed:
        raise ConfigError("--seed: has no effect without --search; leave it out")
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
    checked, built = [], None
    if validate is not None:
        from hwgen.flow.sweep.finalists import synthesise_front

        with counted("synthesising cores of the front") as progress:
            checked = synthesise_front(result, validate, progress)
    if emit is not None:
        from hwgen.flow.sweep.finalists import emit_best

        with status("generating") as say:
            built = emit_best(result, say)
    if as_json:
        print_json(
            {
                "folder": str(result.folder),
                "files": list(FILES),
                "points": result.tally.points,
                "feasible": result.tally.feasible,
                "kept": result.kept,
                "front": len(result.front),
                "points_per_second": result.points_per_second,
                "seconds": result.seconds,
                "best": json.loads(result.front.loc[result.best].to_json()),
                "dropped": result.dropped,
                "excluded": dict(result.tally.excluded),
                **({"validated": [one.as_json() for one in checked]} if checked else {}),
                **({} if built is None else {"emitted": built.as_json()}),
            }
        )
    else:
        for item in chain(sweep_tables(result), front_tables(checked, built)):
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
        folder = run(core, out)
    typer.echo(folder)


def estimate(
    core: Core,
    tech: Annotated[str, typer.Option(help="technology")] = "generic",
    layer: Annotated[
        str | None,
        typer.Option(
            help="T,N,M: tokens, inputs, outputs; default: one token of the core's largest layer"
        ),
    ] = None,
    activity: Annotated[
        str, typer.Option(help="data that the energy is for: random or digits")
    ] = "random",
    as_json: AsJson = False,
) -> None:
    """Area, energy, counts, cycles and traffic of a core, without building it."""
    from hwgen.cli.tables.estimate import estimate_tables
    from hwgen.flow.estimate.cells import estimate as run

    result = run(core, tech, layer, activity)
    if as_json:
        print_json(result.as_json())
        return
    for item in estimate_tables(result):
        output.print(item)


def verify(
    core: Core,
    layer: Annotated[
        str | None, typer.Option(help="random:T,N,M: tokens, inputs, outputs of a random layer")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="checkpoint folder with ternary layers and test images")
    ] = None,
    seed: Annotated[int, typer.Option(help="of the random layer and of registers at start")] = 0,
    stall: Annotated[int, typer.Option(help="percent of cycles in which each stream stalls")] = 0,
    as_json: AsJson = False,
) -> None:
    """Run the generated Verilog on a layer or a model and compare it with golden, bit for bit."""
    from hwgen.cli.tables.verify import mismatch_text, verify_text
    from hwgen.flow.verify import verify as run

    with status("generating") as progress:
        result = run(core, layer=layer, model=model, seed=seed, stall=stall, progress=progress)
    if as_json:
        print_json(result.as_json())
    else:
        output.print(verify_text(result))
    if not result.match:
        messages.print(f"hwgen: error: {mismatch_text(core.name, result)}", soft_wrap=True)
        raise typer.Exit(1)


def inspect(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="folder with config.json and safetensors files, .safetensors file or .gguf file",
            metavar="CHECKPOINT",
        ),
    ],
    i2s_layout: Annotated[
        str | None,
        typer.Option(
            help="of I2_S tensors, whose file does not record it: x86, arm or interleaved"
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            help="how scales of packed weights apply where config.json does not say: multiply "
            "(AutoBitLinear) or divide (BitLinear)"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read and check a checkpoint: shape, format, scale and zeros of every ternary tensor."""
    from hwgen.cli.tables.inspect import inspect_tables
    from hwgen.flow.inspect import inspect as run

    with counted("reading tensors") as progress:
        result = run(checkpoint, i2s_layout, scale, progress)
    if as_json:
        print_json(result.as_json())
    else:
        for item in inspect_tables(result):
            output.print(item)
    for warning in result.warnings:
        messages.print(f"hwgen: warning: {warning}", soft_wrap=True)


def synth(
    core: Core,
    tech: Annotated[
        str, typer.Option(help="technology with Liberty files, or an FPGA family: xcup, ecp5")
    ] = "generic",
    clock_ns: Annotated[
        float | None, typer.Option(help="clock period to compare the delay with, ns")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Synthesise a core and set it beside its estimate: area by component, delay, longest path."""
    from hwgen.cli.tables.synth import synth_tables
    from hwgen.flow.synth.run import synth as run

    with status("generating") as progress:
        result = run(core, tech, clock_ns, progress)
    if as_json:
        print_json(result.as_json())
        return
    for item in synth_tables(result):
        output.print(item)


@on_workers
def compare(
    file: Annotated[Path, typer.Argument(help="comparison file, YAML", metavar="FILE.yaml")],
    tech: Annotated[
        list[str] | None,
        typer.Option(help="technology, several times if need be; default: all that are found"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="results folder; default results/<name>")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Synthesise the cores of a comparison file and set them side by side."""
    from hwgen.cli.tables.compare import compare_tables
    from hwgen.flow.compare.run import compare as run

    with counted("synthesising") as progress:
        result = run(file, tech or (), out, progress)
    if as_json:
        print_json(result.as_json())
        return
    for item in compare_tables(result):
        output.print(item)
    typer.echo(result.folder / "comparison.csv")


@on_workers
def calibrate(
    tech: Annotated[str, typer.Argument(help="technology")],
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
        int | None, typer.Option(min=1, help="with these: leave larger cores for another time")
    ] = None,
) -> None:
    """Measure a technology's unit costs by synthesis, or whole cores to judge the model on.

    What was synthesised is kept, so that an interrupted run goes on where it stopped.
    """
    from costmodel.catalog import FAMILIES

    if most_cells is not None and not (training or holdout or energy):
        raise ConfigError("--most-cells: should go with --training, --holdout or --energy")
    if energy and tech in FAMILIES:
        raise ConfigError(f"--energy: should go with cells, not with the FPGA family {tech}")
    if energy:
        from hwgen.flow.calibrate.energy import calibrate_energy

        with counted("simulating cores") as count:
            paths = calibrate_energy(tech, most_cells, _nameless(count))
        for path in paths:
            typer.echo(path)
        return

    fpga = tech in FAMILIES
    if training or holdout:
        from costmodel.judge.cell_records import HOLDOUT, TRAINING
        from hwgen.flow.calibrate import fpga_samples as fpga_holdout
        from hwgen.flow.calibrate.cell_samples import synthesise_samples as of_cells

        synthesise_samples = fpga_holdout.synthesise_samples if fpga else of_cells
        for groups in [TRAINING] * training + [HOLDOUT] * holdout:
            with counted("synthesising cores") as count:
                most = most_cells or 1_000_000
                path = synthesise_samples(tech, groups, most, _nameless(count))
            typer.echo(path)
        return
    from hwgen.flow.calibrate import cells
    from hwgen.flow.calibrate import fpga as fpga_calibrate

    run = fpga_calibrate.calibrate if fpga else cells.calibrate
    with status("calibrating") as say:
        path = run(tech, progress=lambda kind, done, total: say(f"{kind}: {done} of {total}"))
    typer.echo(path)


@on_workers
def validate(
    techs: Annotated[
        list[str] | None,
        typer.Argument(help="technologies; default all with recorded cores", metavar="[TECH]..."),
    ] = None,
    recompute: Annotated[
        int,
        typer.Option(min=0, help="cores of each to synthesise again, the smallest first"),
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
    from costmodel.catalog import FAMILIES
    from costmodel.judge import fpga_records
    from costmodel.judge.judgement import recorded
    from hwgen.cli.tables.markdown import validation_markdown
    from hwgen.cli.tables.validate import validation_tables
    from hwgen.flow.calibrate import fpga_samples as fpga_holdout
    from hwgen.flow.calibrate import validate as cells
    from hwgen.flow.calibrate.validate import write_figure

    if as_json and as_markdown:
        raise ConfigError("--markdown: should stand without --json")
    results = []
    for tech in techs or [*recorded(), *fpga_records.recorded()]:
        run = fpga_holdout.validate if tech in FAMILIES else cells.validate
        with counted(f"{tech}: synthesising again") as count:
            results.append(run(tech, recompute, _nameless(count)))
    if as_json:
        print_json([result.as_json() for result in results])
    elif as_markdown:
        for line in validation_markdown(results):
            typer.echo(line)
    else:
        for item in chain.from_iterable(map(validation_tables, results)):
            output.print(item)
    if figure is not None:
        write_figure(results, figure)
        typer.echo(figure, err=as_json or as_markdown)
    for result in results:
        if result.different:
            messages.print(
                f"hwgen: error: {result.technology}: other numbers than recorded: "
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
    """Say what is installed, what is missing and how to get it; run a short self-test."""
    from hwgen.cli.tables.doctor import doctor_table
    from hwgen.flow.doctor import doctor as run

    with status("looking around") as progress:
        report = run(progress)
    if as_json:
        print_json(report.as_json())
    else:
        output.print(doctor_table(report))
    if not report.healthy:
        raise typer.Exit(1)


def _nameless(count: Count) -> Callable[[str, int, int], None]:
    """``count`` for a flow that also says which core is done."""
    return lambda name, done, total: count(done, total)
