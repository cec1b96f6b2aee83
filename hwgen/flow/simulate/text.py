"""hwgen simulate --prompt: text from a language model whose linear layers run on the core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgen.base.errors import ConfigError
from hwgen.base.record import Record
from hwgen.base.yamlfile import Source, source_name
from hwgen.flow.bandwidth import parse
from hwgen.flow.checkpoint import ModelSource
from hwgen.spec.config import CoreConfig
from hwgen.spec.system import System, load_system
from hwgen.verilog.emit import emit
from sim.checkpoints import Reading, TernaryLayer
from sim.golden.codebooks import GroupError
from sim.nets.generation import generate
from sim.nets.network import Matmul, NetworkValueError
from sim.nets.vocabulary import PromptError
from sim.verilated.runner import CoreModel
from sim.workload.layers import Linear, Plan, integer_products, run_golden, run_rtl

ACT_BITS = 8
"""Bits of the activations of BitNet b1.58."""
NOT_INT8 = (
    "The model was not trained with activations of 8 bits, to which they are rounded here, token "
    "by token: its own text may differ."
)


@dataclass(frozen=True, eq=False)
class _Use:
    """One linear layer of one pass: what went in and came out."""

    layer: str
    acts: NDArray[Any]
    products: NDArray[np.int64]


@dataclass(frozen=True)
class TextRun(Record):
    """What was written, and what it took. Without hardware ``match`` and ``cycles`` are None.

    match: text, every activation and every product equal the golden model's, and the cycles
    equal the formula's.
    cycles, cycles_predicted: of all ternary layers, for prompt and text; the last token is not fed
    back. measured, predicted: cycles of the prompt, then of each token.
    note: what this text is not, of a model that was not trained for cores of this kind.
    """

    drawn_in = "simulate"
    model: str
    core: str
    cores: int
    prompt: str
    text: str
    tokens: int
    layers: int
    values: int
    match: bool | None
    first_mismatch: str | None
    predicted: list[int]
    note: str | None = None
    measured: list[int] | None = None
    build_seconds: float | None = None

    @property
    def cycles(self) -> int | None:
        return None if self.measured is None else sum(self.measured)

    @property
    def cycles_predicted(self) -> int:
        return sum(self.predicted)

    def to_dict(self) -> dict[str, Any]:
        content = asdict(self)
        del content["measured"], content["predicted"]
        content |= {"cycles": self.cycles, "cycles_predicted": self.cycles_predicted}
        for name, passes in (("", self.measured), ("_predicted", self.predicted)):
            content[f"cycles_of_prompt{name}"] = passes and passes[0]
            # Of every token alike, unless there is only the one that follows the prompt.
            content[f"cycles_per_token{name}"] = passes[1] if passes and passes[1:] else None
        return content

    def fault(self) -> str:
        """Why there is no match."""
        if self.first_mismatch is not None:
            return f"differs from golden, first in {self.first_mismatch}"
        return f"took {self.cycles} cycles, not {self.cycles_predicted}"


class _Meter:
    """Matmuls on a system, and the cycles that they take, pass by pass."""

    def __init__(self, system: System, bits: Fraction | None, model: CoreModel | None) -> None:
        self.system, self.bits, self.model = system, bits, model
        self.measured: list[int] = []
        self.predicted: list[int] = []
        self.uses: list[_Use] = []
        self._first = ""

    def matmul(self, layer: TernaryLayer, acts: NDArray[np.signedinteger]) -> NDArray[np.int64]:
        """Products of one layer; one that comes again begins a new pass."""
        linear = Linear(layer.name, layer.weights, layer.scales)
        plan = Plan(self.system, linear.shape, self.bits)
        self._first = self._first or layer.name
        if layer.name == self._first:
            self.measured.append(0)
            self.predicted.append(0)
        self.predicted[-1] += plan.cycles(len(acts)).total
        if self.model is None:
            products = integer_products(plan, run_golden(plan, acts, linear))
        else:
            found = run_rtl(self.model, plan, acts, linear, seed=len(self.uses))
            self.measured[-1] += found.cycles
            products = integer_products(plan, found.products)
        self.uses.append(_Use(layer.name, acts, products))
        return products


def simulate_text(
    model: str | Path,
    core: Source | CoreConfig | System,
    prompt: str,
    *,
    tokens: int = 64,
    rtl: bool = False,
    seed: int = 0,
    temperature: float = 0.8,
    bandwidth: str | None = None,
    clock_ns: float | None = None,
    how: Reading | None = None,
    status: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TextRun:
    """Continue ``prompt`` by ``tokens`` tokens with the checkpoint in the folder ``model``.

    rtl: every linear layer on the Verilated core, what it gives fed forward, and the whole set
    beside a golden run. seed, temperature: of the draw of each token; temperature 0 takes the
    likeliest.
    """
    system = load_system(core)
    if system.core.float_number is not None or system.core.number.bits < ACT_BITS:
        raise ConfigError(
            f"{source_name(core, 'core')}: act should be int{ACT_BITS} … int16, as the model's "
            f"activations have {ACT_BITS} bits, not {system.core.act}"
        )
    bits = None if bandwidth is None else parse(bandwidth, clock_ns)
    status("reading the model")
    decoder = ModelSource.find(model, how).decoder()

    def write(meter: _Meter) -> str:
        text = ""
        matmul: Matmul = meter.matmul
        drawn = generate(decoder, prompt, tokens, matmul, seed=seed, temperature=temperature)
        for count, token in enumerate(drawn, start=1):
            text += token
            progress(count, tokens)
        return text

    golden = _Meter(system, bits, None)
    status("golden")
    try:
        text = write(golden)
    except (PromptError, NetworkValueError, GroupError) as error:
        raise ConfigError(f"{model}: {error}") from None
    result = TextRun(
        model=Path(model).resolve().name,
        core=str(system.core.name),
        cores=system.cores,
        prompt=prompt,
        text=text,
        tokens=len(golden.predicted),  # Fewer than asked for where one of them ends the text.
        layers=len(golden.uses),
        values=sum(use.acts.size + use.products.size for use in golden.uses),
        match=None,
        first_mismatch=None,
        predicted=golden.predicted,
        note=None if decoder.config.int8 else NOT_INT8,
    )
    if not rtl:
        return result
    status("compiling the Verilog")
    emitted = emit(system.core)
    compiled = CoreModel(emitted.verilog, emitted.manifest)
    hardware = _Meter(system, bits, compiled)
    status("hardware")
    try:
        written = write(hardware)
    except NetworkValueError:  # Only wrong products get here: the golden ones did not.
        written = ""
    first = _first_difference(golden.uses, hardware.uses)
    same = written == text and first is None
    return replace(
        result,
        text=written,
        match=same and hardware.measured == golden.predicted,
        first_mismatch=first,
        measured=hardware.measured,
        build_seconds=compiled.build_seconds,
    )


def _first_difference(golden: list[_Use], hardware: list[_Use]) -> str | None:
    """The first layer whose activations or products differ; None where all are equal."""
    for one, other in zip(golden, hardware, strict=False):
        equal = np.array_equal(one.acts, other.acts) and np.array_equal(
            one.products, other.products
        )
        if not equal or one.layer != other.layer:
            return one.layer
    return None if len(golden) == len(hardware) else "the number of layers"
