"""What hwgen simulate prints."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from hwgen.base.record import draws
from hwgen.flow.simulate.closed import OMITTED, Energy, Phase, Simulation, limit
from hwgen.flow.simulate.step import RtlStep
from hwgen.flow.simulate.text import TextRun
from hwgen.tables.inspect import left_out_lines


@draws(Simulation)
def simulate_tables(result: Simulation) -> Iterator[Table | str]:
    """A table for each phase, then time and energy."""
    for phase in result.phases:
        yield _phase_table(result, phase)
    for phase in result.phases:
        yield from _summary(result, phase)
    yield from _segments(result)
    if result.clock_ns is None:
        yield "Time and energy need a clock: give --clock-ns or --tech."
    else:
        yield f"Clock {result.clock_ns:.4g} ns ({result.clock_source}).{_first_token(result)}"
    if result.technology is not None and result.energy_note:
        yield f"No energy: {result.energy_note}."
    if result.system.core.book.demand is not None:
        yield f"{result.system.core.book.demand} No weights were checked."
    yield from left_out_lines(result.workload.left_out)
    yield f"Left out: {OMITTED}."


@draws(RtlStep)
def rtl_lines(step: RtlStep) -> Iterator[str]:
    """What a decode step on the hardware came to."""
    cores = f"{step.cores} × " if step.cores > 1 else ""
    equal = "equal the golden model's" if not step.mismatches else f"{step.mismatches:,} differ"
    yield (
        f"{step.model} on {cores}{step.core}, one token: {step.layers} ternary layers, "
        f"{step.ternary_weights:,} weights ({step.weights}, {step.zero_fraction:.2%} zeros).\n"
        f"{step.outputs:,} outputs, {equal}; {step.cycles:,} cycles measured, "
        f"{step.cycles_predicted:,} predicted.\n"
        f"{step.run_seconds:.1f} s after {step.build_seconds:.1f} s of compilation; "
        f"{step.peak_memory_mb:,.0f} MB of memory."
    )


@draws(TextRun)
def written_lines(run: TextRun) -> Iterator[str]:
    """The text, and what it took."""
    cores = f"{run.cores} × " if run.cores > 1 else ""
    yield run.prompt + run.text
    yield ""
    if run.note is not None:
        yield run.note
    yield f"{run.tokens} tokens by {run.model}, {run.layers:,} ternary layers on {cores}{run.core}."
    yield f"Predicted: {_cycles(run.predicted)}."
    if run.measured is None:
        yield "--rtl runs the hardware."
    else:
        equal = "all equal" if run.first_mismatch is None else "not all equal"
        yield f"Measured:  {_cycles(run.measured)}."
        yield f"{run.values:,} activations and products, {equal} to the golden model's."


def _cycles(passes: list[int]) -> str:
    each = f", {passes[1]:,} for each token after it" if passes[1:] else ""
    return f"{passes[0]:,} cycles for the prompt{each}, {sum(passes):,} in all"


def _segments(result: Simulation) -> Iterator[str]:
    """Layers whose scales change along their inputs."""
    by_number: dict[int, list[str]] = {}
    for kind in result.workload.layers:
        if kind.shape.segments > 1:
            by_number.setdefault(kind.shape.segments, []).append(kind.role)
    for number, roles in by_number.items():
        yield (
            f"Scales change along the inputs of {', '.join(dict.fromkeys(roles))}: each layer is "
            f"{number} runs, added up outside the core."
        )


def _phase_table(result: Simulation, phase: Phase) -> Table:
    cores = f"{result.system.cores} × " if result.system.cores > 1 else ""
    tokens = "1 token" if phase.taken.tokens == 1 else f"{phase.taken.tokens:,} tokens"
    table = Table(
        title=f"{result.workload.name} on {cores}{result.system.core.name}: {phase.name}, {tokens}"
    )
    table.add_column("layer", no_wrap=True)
    names = (
        "in → out",
        "layers",
        "cycles each",
        "cycles",
        "used",
        "padding, fill",
        "stalls",
        "limit",
    )
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for kind, one in phase.taken.rows:
        table.add_row(
            kind.role,
            f"{kind.shape.in_features} → {kind.shape.out_features}",
            str(kind.count),
            f"{one.total:,}",
            f"{kind.count * one.total:,}",
            f"{one.work / one.total:.1%}",
            f"{(one.padding + one.waits + one.latency) / one.total:.1%}",
            f"{one.stalls / one.total:.1%}",
            limit(one.bandwidth_bound),
        )
    table.add_section()
    taken = phase.taken
    table.add_row(
        "all",
        "",
        str(sum(kind.count for kind, _ in taken.rows)),
        "",
        f"{taken.cycles:,}",
        f"{taken.utilisation:.1%}",
        f"{1 - taken.utilisation - taken.stalls / taken.cycles:.1%}",
        f"{taken.stalls / taken.cycles:.1%}",
        limit(taken.bandwidth_bound),
        style="bold",
    )
    return table


def _summary(result: Simulation, phase: Phase) -> Iterator[str]:
    taken, clock = phase.taken, result.clock_ns
    parts = [f"{taken.cycles / taken.tokens:,.0f} cycles a token"]
    if clock is not None:
        speed = taken.tokens / phase.seconds(clock)
        parts.append(f"{speed:,.0f} tokens/s" if speed >= 1000 else f"{speed:.4g} tokens/s")
    if isinstance(phase.energy, Energy):
        parts.append(
            f"{phase.energy.total * 1e-6:.4g} µJ of the cores a token "
            f"({phase.energy.leakage / phase.energy.total:.0%} leakage)"
        )
    weights = taken.bits("weight_bits")
    rate = "" if clock is None else f", {weights / 8 / phase.seconds(clock) * 1e-9:.4g} GB/s"
    parts.append(f"{_megabytes(weights / taken.tokens)} of weights a token{rate}")
    parts.append(
        f"{_megabytes(taken.bits('act_bits') / taken.tokens)} of activations in, "
        f"{_megabytes(taken.bits('sum_bits') / taken.tokens)} of results out"
    )
    yield f"{phase.name.capitalize()}: {'; '.join(parts)}."
    if taken.tokens > 1:
        yield "  Weights are read again for every token: a core keeps none."


def _first_token(result: Simulation) -> str:
    assert result.clock_ns is not None
    text = ""
    if result.prefill is not None:
        text += f" First token after {_time(result.prefill.seconds(result.clock_ns))}."
    if result.decode is not None and (result.decode_tokens > 1 or result.prefill is not None):
        seconds = result.cycles * result.clock_ns * 1e-9
        tokens = "1 token" if result.decode_tokens == 1 else f"{result.decode_tokens:,} tokens"
        text += f" All, with {tokens} of decode, after {_time(seconds)}."
    return text


def _megabytes(bits: float) -> str:
    return f"{bits / 8e6:,.3g} MB" if bits < 8e8 else f"{bits / 8e6:,.0f} MB"


def _time(seconds: float) -> str:
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.4g} {unit}"
    return f"{seconds * 1e9:.4g} ns"
