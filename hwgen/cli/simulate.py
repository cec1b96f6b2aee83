"""hwgen simulate: a model in closed form, a step of it on the hardware, or text from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwgen.base.errors import ConfigError
from hwgen.cli.printing import AsJson, messages, output, print_json, staged, status


def simulate(
    model: Annotated[str, typer.Argument(help="model of the zoo, or a checkpoint")],
    core: Annotated[Path, typer.Argument(help="core or system file, YAML", metavar="CORE.yaml")],
    prefill: Annotated[int, typer.Option(help="tokens of the prompt, in one pass")] = 0,
    decode: Annotated[int, typer.Option(help="tokens after it, each a pass of its own")] = 1,
    bandwidth: Annotated[
        str | None,
        typer.Option(help="of all weight streams: '25.6 GB/s' or '512 bits/cycle'; default: none"),
    ] = None,
    clock_ns: Annotated[
        float | None, typer.Option(help="clock period, ns; default: that of --tech")
    ] = None,
    tech: Annotated[
        str | None, typer.Option(help="technology, for clock and energy; default: none")
    ] = None,
    activity: Annotated[
        str, typer.Option(help="data that the energy is for: random or digits")
    ] = "random",
    i2s_layout: Annotated[str | None, typer.Option(help="as of hwgen inspect")] = None,
    scale: Annotated[str | None, typer.Option(help="as of hwgen inspect")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="draw where the cycles go: .png or .svg")
    ] = None,
    rtl: Annotated[
        bool, typer.Option("--rtl", help="on the generated Verilog, against golden, bit for bit")
    ] = False,
    prompt: Annotated[
        str | None, typer.Option(help="text that a language model of characters continues")
    ] = None,
    tokens: Annotated[int, typer.Option(help="how many, with --prompt")] = 64,
    temperature: Annotated[
        float, typer.Option(help="of the draw of each token, with --prompt; 0: the likeliest")
    ] = 0.8,
    seed: Annotated[
        int, typer.Option(help="of the draw; without --prompt of what is random with --rtl")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Run a model's ternary layers on a core: cycles, tokens/s, energy, and what limits them.

    With --rtl one step of decode runs on the Verilated core, weights of a checkpoint or random ones
    in the shapes of the zoo's. With --prompt a checkpoint that has characters.json writes text,
    with --rtl every linear layer on the Verilated core.
    """
    given = {
        "--prefill": prefill != 0,
        "--decode": decode != 1,
        "--tech": tech is not None,
        "--figure": figure is not None,
        "--activity": activity != "random",
        "--i2s-layout": i2s_layout is not None,
        "--scale": scale is not None,
        "--tokens": tokens != 64,
        "--temperature": temperature != 0.8,
        "--seed": seed != 0,
    }
    shared = {"bandwidth": bandwidth, "clock_ns": clock_ns}
    layout = {"i2s_layout": i2s_layout, "scale": scale}
    if prompt is not None:
        _refuse("--prompt", given, ("--tokens", "--temperature", "--seed"))
        drawn = {"tokens": tokens, "temperature": temperature, "seed": seed}
        _text(model, core, as_json, prompt=prompt, rtl=rtl, **drawn, **shared)
    elif rtl:
        _refuse("--rtl, one step of decode", given, ("--seed", "--i2s-layout", "--scale"))
        _step(model, core, as_json, seed=seed, **shared, **layout)
    else:
        closed = ("--prefill", "--decode", "--tech", "--figure", "--activity")
        _refuse("neither --rtl nor --prompt", given, (*closed, "--i2s-layout", "--scale"))
        if tech is None and given["--activity"]:
            raise ConfigError("simulate: --activity has no effect without --tech; leave it out")
        costs = {"tech": tech, "activity": activity}
        phases = {"prefill": prefill, "decode": decode}
        _closed(model, core, as_json, figure, **phases, **costs, **shared, **layout)


def _closed(model: str, path: Path, as_json: bool, figure: Path | None, **options: Any) -> None:
    """Cycles in closed form."""
    from hwgen.cli.tables.simulate import simulate_tables
    from hwgen.flow.simulate.closed import draw
    from hwgen.flow.simulate.closed import simulate as run

    with status("reading the model"):
        result = run(model, path, **options)
    if figure is not None:
        draw(result, figure)
    if as_json:
        print_json(result.as_json())
        return
    for item in simulate_tables(result):
        output.print(item)
    if figure is not None:
        typer.echo(figure)


def _step(model: str, path: Path, as_json: bool, **options: Any) -> None:
    """One step of decode on the hardware."""
    from hwgen.cli.tables.simulate import rtl_text
    from hwgen.flow.simulate.step import simulate_rtl

    with staged("reading the model") as (say, progress):
        step = simulate_rtl(model, path, progress=progress, status=say, **options)
    if as_json:
        print_json(step.as_json())
    else:
        output.print(rtl_text(step))
    if not step.match:
        _wrong(path, step.fault())


def _text(model: str, path: Path, as_json: bool, **options: Any) -> None:
    """Text from a language model, perhaps through the hardware."""
    from hwgen.cli.tables.simulate import written_text
    from hwgen.flow.simulate.text import simulate_text

    with staged("reading the model") as (say, progress):
        run = simulate_text(Path(model), path, progress=progress, status=say, **options)
    if as_json:
        print_json(run.as_json())
    else:
        output.print(written_text(run), soft_wrap=True)
    if run.match is False:
        _wrong(path, run.fault())


def _wrong(path: Path, fault: str) -> None:
    messages.print(f"hwgen: error: {path.name}: {fault}", soft_wrap=True)
    raise typer.Exit(1)


def _refuse(mode: str, given: dict[str, bool], legal: tuple[str, ...]) -> None:
    """ConfigError for options that would have no effect."""
    idle = [option for option, used in given.items() if used and option not in legal]
    if idle:
        raise ConfigError(f"simulate: {', '.join(idle)} has no effect with {mode}; leave it out")
