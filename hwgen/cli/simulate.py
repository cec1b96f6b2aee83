"""hwgen simulate: a model in closed form, a step of it on the hardware, or text from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwgen.base.errors import ConfigError
from hwgen.cli.printing import AsJson, messages, show, staged


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
    quantise: Annotated[str | None, typer.Option(help="as of hwgen inspect")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="as of hwgen inspect")] = False,
    figure: Annotated[
        Path | None, typer.Option(help="draw where the cycles go: .png or .svg")
    ] = None,
    rtl: Annotated[
        bool, typer.Option("--rtl", help="on the generated Verilog, against golden, bit for bit")
    ] = False,
    prompt: Annotated[str | None, typer.Option(help="text that a language model continues")] = None,
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
    in the shapes of the zoo's. With --prompt a checkpoint that has a tokeniser writes text, with
    --rtl every linear layer on the Verilated core.
    """
    from hwgen.flow.simulate.closed import Simulation, draw
    from hwgen.flow.simulate.run import simulate as run

    if figure is not None and (rtl or prompt is not None):
        mode = "--prompt" if prompt is not None else "--rtl, one step of decode"
        raise ConfigError(f"simulate: --figure has no effect with {mode}; leave it out")
    with staged("reading the model") as (say, progress):
        result = run(
            model,
            core,
            prefill=prefill,
            decode=decode,
            bandwidth=bandwidth,
            clock_ns=clock_ns,
            technology=tech,
            activity=activity,
            i2s_layout=i2s_layout,
            scale=scale,
            quantise=quantise,
            partial=partial,
            rtl=rtl,
            prompt=prompt,
            tokens=tokens,
            temperature=temperature,
            seed=seed,
            progress=progress,
            status=say,
        )
    if isinstance(result, Simulation) and figure is not None:
        draw(result, figure)
    show(result, as_json, soft_wrap=prompt is not None)
    if figure is not None and not as_json:
        typer.echo(figure)
    if not isinstance(result, Simulation) and result.match is False:
        messages.print(f"hwgen: error: {core.name}: {result.fault()}", soft_wrap=True)
        raise typer.Exit(1)
