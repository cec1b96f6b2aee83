"""Sweep files: the question that an exploration answers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Source, Strict, read, validate
from hwgen.space.axes import Axes, SystemAxes, Words

Quantity = Literal[
    "area",
    "cycles_per_token",
    "first_token_cycles",
    "weight_bits_per_token",
    "act_bits_per_token",
    "sum_bits_per_token",
    "utilisation",
    "clock_ns",
    "ns_per_token",
    "tokens_per_second",
    "latency_ms",
    "bandwidth_gbs",
    "core_energy_fj_per_token",
    "energy_fj_per_token",
    "power_mw",
]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
TIMED = ("clock_ns", "ns_per_token", "tokens_per_second", "latency_ms", "bandwidth_gbs")
"""Quantities that need a clock; the energies need one, too, for leakage."""
ENERGIES = ("core_energy_fj_per_token", "energy_fj_per_token", "power_mw")
MORE_IS_BETTER = ("utilisation", "tokens_per_second")


class LayerConfig(Strict):
    """A linear layer and how often a token passes one of its shape."""

    name: Annotated[str, Field(description="for reports")]
    in_features: Annotated[int, Field(ge=1, le=1 << 20, description="N")]
    out_features: Annotated[int, Field(ge=1, le=1 << 20, description="M")]
    count: Annotated[int, Field(ge=1, le=1 << 20, description="layers of this shape")] = 1


class WorkloadConfig(Strict):
    """What the cores are to run: a published model's layers, or those given.

    Prompt tokens take one pass through all layers, each decoded token a pass of its own.
    ``tokens: 16`` is short for ``prefill: 16, decode: 0``.
    """

    name: Annotated[str | None, Field(description="for reports; default: the model's")] = None
    model: Annotated[str | None, Field(description="a published model, as in sim/models")] = None
    layers: Annotated[
        list[LayerConfig] | None, Field(min_length=1, description="instead of a model")
    ] = None
    tokens: Annotated[int | None, Field(ge=1, le=65535, description="tokens of one run")] = None
    prefill: Annotated[
        int | None, Field(ge=0, le=65535, description="tokens of the prompt; default 0")
    ] = None
    decode: Annotated[
        int | None, Field(ge=0, le=1 << 24, description="tokens after it; default 1")
    ] = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.model is None) == (self.layers is None):
            raise ValueError("should have either model or layers")
        if self.model is None and self.name is None:
            raise ValueError("should have a name")
        if self.tokens is not None and (self.prefill, self.decode) != (None, None):
            raise ValueError("should have tokens, or prefill and decode")
        if not self.passes:
            raise ValueError("should have prefill or decode above 0")
        return self

    @property
    def passes(self) -> tuple[tuple[int, int], ...]:
        """Tokens of a pass through all layers, and how many such passes; the first token is there
        after the first one."""
        if self.tokens is not None:
            return ((self.tokens, 1),)
        both = ((self.prefill or 0, 1), (1, 1 if self.decode is None else self.decode))
        return tuple((tokens, times) for tokens, times in both if tokens and times)


class Bound(Strict):
    """Limits of a quantity, both included."""

    min: Annotated[float | None, Field(allow_inf_nan=False)] = None
    max: Annotated[float | None, Field(allow_inf_nan=False)] = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("should have min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min should be at most max, {self.max}, not {self.min}")
        return self


class Objective(Strict):
    """A quantity to make small, or large."""

    quantity: Quantity
    maximise: bool = False


def _objectives(value: Any) -> Any:
    """Names, {minimise: name} and {maximise: name} as mappings of an `Objective`."""
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise ValueError("should be a list of quantities, or {maximise: quantity}")
    found = []
    for item in value:
        if isinstance(item, str):
            if item in MORE_IS_BETTER:
                raise ValueError(f"more {item} is better; say {{maximise: {item}}}")
            found.append({"quantity": item})
        elif isinstance(item, dict) and len(item) == 1 and {*item} <= {"minimise", "maximise"}:
            ((way, name),) = item.items()
            found.append({"quantity": name, "maximise": way == "maximise"})
        else:
            found.append(item)
    names = [
        str(item["quantity"]) for item in found if isinstance(item, dict) and "quantity" in item
    ]
    if len(set(names)) < len(names):
        raise ValueError("should be different quantities")
    return tuple(found)


class Stream(Strict):
    """Memory behind one of a core's streams."""

    fj_per_bit: Annotated[
        float | None, Field(ge=0, le=1e12, description="of a bit that is moved")
    ] = None


class KeyStream(Stream):
    """Memory behind the weight streams."""

    bits_per_cycle: Annotated[
        float | None,
        Field(gt=0, le=1e9, description="of all cores' weight streams together; default: no limit"),
    ] = None


class Memory(Strict):
    """Memory around the core."""

    acts: Stream = Stream()
    keys: KeyStream = KeyStream()
    sums: Stream = Stream()

    @model_validator(mode="after")
    def _all_priced(self) -> Self:
        streams = {"acts": self.acts, "keys": self.keys, "sums": self.sums}
        missing = [name for name, stream in streams.items() if stream.fj_per_bit is None]
        if 0 < len(missing) < len(streams):
            raise ValueError(
                f"{missing[0]}.fj_per_bit: is required where another stream has one; add it"
            )
        return self

    @property
    def priced(self) -> bool:
        """Whether the streams have energies."""
        return self.keys.fj_per_bit is not None


class SweepConfig(Strict):
    """One exploration: axes of cores, a workload, technologies, and what counts as good."""

    format: Literal["hwgen.sweep/1"] = "hwgen.sweep/1"
    name: Annotated[str | None, Field(description="results folder; default: the file's stem")] = (
        None
    )
    technology: Annotated[Words, Field(description="unit costs to use, one or several")] = (
        "generic",
    )
    model: Annotated[
        Literal["hwgen", "paper"],
        Field(description="of the area; paper: that of arXiv 2604.25183, for comparison"),
    ] = "hwgen"
    workload: WorkloadConfig
    core: Axes
    system: SystemAxes = SystemAxes()
    where: Annotated[
        Words, Field(description="conditions over the axes that every point fulfils")
    ] = ()
    activity: Annotated[
        Literal["random", "digits"], Field(description="data that energies are for")
    ] = "random"
    clock_ns: Annotated[
        Annotated[float, Field(gt=0, lt=1e6)] | Literal["predicted"],
        Field(description="clock period; a given one excludes the cores that need a longer one"),
    ] = "predicted"
    memory: Memory = Memory()
    constraints: Annotated[
        dict[Quantity, Bound], Field(description="what a feasible point keeps to")
    ] = Field(default_factory=dict)
    objectives: Annotated[
        tuple[Objective, ...],
        BeforeValidator(_objectives, json_schema_input_type=list[Quantity | dict[str, Quantity]]),
        Field(min_length=2, description="to minimise, or {maximise: quantity}"),
    ] = (Objective(quantity="area"), Objective(quantity="cycles_per_token"))
    keep: Annotated[
        Literal["all", "feasible", "front"],
        Field(
            description="points in the results: all legal ones, those that keep to the "
            "constraints, or those on the front"
        ),
    ] = "feasible"

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if "energy_fj_per_token" in self.wanted and not self.memory.priced:
            raise ValueError(
                "memory: is required for energy_fj_per_token, fj_per_bit of acts, keys and sums; "
                "add them, or take core_energy_fj_per_token"
            )
        return self

    @property
    def wanted(self) -> tuple[Quantity, ...]:
        """Quantities of objectives and constraints."""
        return (*(objective.quantity for objective in self.objectives), *self.constraints)


def load_sweep(source: Source | SweepConfig) -> SweepConfig:
    """A sweep from a file, YAML text or a mapping; a sweep is returned as it is.

    Its ``name`` defaults to the file's stem, or ``sweep``.
    """
    if isinstance(source, SweepConfig):
        return source if source.name else source.model_copy(update={"name": "sweep"})
    content = read(source, "sweep")
    config = validate(SweepConfig, content.mapping, content.where)
    if config.name and not re.fullmatch(r"\w[\w.-]*", config.name):
        raise ConfigError(
            f"{content.where}: name: should be letters, digits, '_', '-' and '.', "
            f"not {config.name!r}"
        )
    return config if config.name else config.model_copy(update={"name": content.name("sweep")})
