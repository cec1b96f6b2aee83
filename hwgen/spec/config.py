"""Configurations: frozen data that cannot be wrong, read from YAML with every fault explained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Strict, _Loader, load
from hwgen.spec.codebook import Codebook, ternary
from hwgen.spec.fixed import FixedPoint
from hwgen.spec.keywords import KEYWORDS
from hwgen.spec.number import FLOATS, FORMATS, MAX_FIXED_BITS, FloatFormat, Interval, IntFormat
from hwgen.spec.ports import is_port
from hwgen.spec.primitive import ACT_FLOATS

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_TABLE_PORTS = 1 << 24


class Pipeline(Strict):
    """Pipeline registers of a core; 0 everywhere is one tile per cycle from combinational logic."""

    build: Annotated[
        int,
        Field(
            ge=0,
            le=8,
            description="levels of the sum DAG per register; one stands after the last level "
            "anyhow; 0, or more levels than it has: no other",
        ),
    ] = 0
    fetch: Annotated[
        int, Field(ge=0, le=1, description="registers after the fetch multiplexers")
    ] = 0
    reduce: Annotated[
        int,
        Field(
            ge=0,
            le=12,
            description="levels of the reduction tree per register; 0, or more than its "
            "⌈log2 tables⌉ levels: none",
        ),
    ] = 0
    fp_add: Annotated[
        int,
        Field(
            ge=0,
            le=4,
            description="registers in each floating-point adder, with arith: float only; 0: none",
        ),
    ] = 0
    fp_mul: Annotated[
        int,
        Field(
            ge=0,
            le=4,
            description="registers in each floating-point multiplier, of kind multiplier with "
            "arith: float only; 0: none",
        ),
    ] = 0


class CoreConfig(Strict):
    """One accelerator core for ternary weights and integer or floating-point activations."""

    format: Annotated[
        Literal["hwgen.core/1"], Field(description="version of this file's meaning")
    ] = "hwgen.core/1"
    name: Annotated[
        str | None,
        Field(description="Verilog identifier of the top module; default: the file's stem"),
    ] = None
    kind: Annotated[
        Literal["lut", "signflip", "multiplier"],
        Field(
            description="lut: tables of sums; signflip: each weight keeps, negates or drops its "
            "activation; multiplier: full products"
        ),
    ]
    act: Annotated[
        str,
        Field(
            description="activation format: int2 … int16, or with arith a floating-point one",
            json_schema_extra={"enum": [*FORMATS, *ACT_FLOATS]},
        ),
    ] = "int8"
    arith: Annotated[
        Literal["float", "fixed"] | None,
        Field(
            description="of floating-point activations, required for them; float: every addition "
            "rounds; fixed: they become integers at the input, sums are exact, and each output is "
            "rounded once"
        ),
    ] = None
    fixed_bits: Annotated[
        int | None,
        Field(
            ge=1,
            description="width of a fixed-point activation, bits, which aligns each token to an "
            "exponent that comes with it: at least sign and significand, less than exact, at most "
            "128; default: exact, for formats that allow it",
        ),
    ] = None
    sum_format: Annotated[
        str | None,
        Field(
            description="format of floating-point outputs, with arith: float of accumulators too "
            "(tables and the reduction tree keep the activations'): the activations' (default, "
            "but not for fp8 with arith: float) or one that holds all their numbers",
            json_schema_extra={"enum": [*FLOATS, None]},
        ),
    ] = None
    codebook: Annotated[
        Literal["ternary"] | None, Field(description="the weight groups a table accepts; lut only")
    ] = None
    mu: Annotated[
        int, Field(ge=1, le=8, description="activations that share one table; lut only")
    ] = 1
    tables: Annotated[
        int, Field(ge=1, le=4096, description="tables in parallel, each on its own group")
    ]
    ports: Annotated[
        int, Field(ge=1, le=4096, description="fetch ports per table: outputs served at once")
    ]
    reuse: Annotated[
        int,
        Field(ge=1, le=4096, description="fetch cycles per build; accumulators per port"),
    ] = 1
    table: Annotated[
        Literal["half", "full"] | None,
        Field(description="half: entries up to sign (default); full: with negatives; lut only"),
    ] = None
    storage: Annotated[
        Literal["wires", "registers"] | None,
        Field(
            description="wires: activations are held, sums are not registered (default); "
            "registers: entries are held; lut only"
        ),
    ] = None
    builder: Annotated[
        Literal["minimal", "chain", "naive"] | None,
        Field(
            description="minimal: fewest adders at least depth (default); chain: prefix sums; "
            "naive: each entry on its own; lut only"
        ),
    ] = None
    pipeline: Pipeline = Pipeline()
    acc_bits: Annotated[
        int | None,
        Field(ge=2, le=64, description="accumulator width, bits; default: exact, never overflows"),
    ] = None
    acc_overflow: Annotated[
        Literal["wrap", "saturate"] | None,
        Field(description="what an accumulator narrower than exact does; required exactly then"),
    ] = None
    max_in_features: Annotated[
        int, Field(ge=1, le=1 << 20, description="longest dot product of a layer")
    ] = 32768
    max_out_features: Annotated[
        int, Field(ge=1, le=1 << 20, description="most outputs of a layer")
    ] = 32768

    @field_validator("act")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in FORMATS and value not in ACT_FLOATS:
            floats = ", ".join(ACT_FLOATS)
            raise ValueError(f"should be one of {_range_text(list(FORMATS))}, {floats}")
        return value

    @field_validator("sum_format")
    @classmethod
    def _known_sum_format(cls, value: str | None) -> str | None:
        if value is not None and value not in FLOATS:
            raise ValueError(f"should be one of {', '.join(FLOATS)}")
        return value

    @field_validator("name")
    @classmethod
    def _identifier(cls, value: str | None) -> str | None:
        if value is not None:
            check_identifier(value)
        return value

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        if faults := list(self._broken_rules()):
            raise ValueError("\n".join(faults))
        return self

    def _broken_rules(self) -> Iterator[str]:
        """What is wrong between fields, one line each."""
        yield from self._broken_number_rules()
        if self.kind != "lut":
            for field in ("mu", "codebook", "table", "storage", "builder"):
                if field in self.model_fields_set and getattr(self, field) not in (None, 1):
                    yield (
                        f"{field}: belongs to kind lut, a {self.kind} core has no tables; "
                        f"remove it, not {getattr(self, field)!r}"
                    )
            if self.pipeline.build:
                yield (
                    f"pipeline.build: a {self.kind} core builds nothing; should be 0, "
                    f"not {self.pipeline.build}"
                )
        elif self.pipeline.build and self.storage != "registers":
            yield (
                "pipeline.build: tables on wires have no registers to cut; should be 0 "
                f"(or storage: registers), not {self.pipeline.build}"
            )
        size = self.tables * self.ports * (len(self.book.entries) + 1)
        if size > MAX_TABLE_PORTS:
            yield (
                f"tables × ports × (entries + 1): should be at most {MAX_TABLE_PORTS}, not {size}; "
                "make mu, tables or ports smaller"
            )
        if self.max_in_features < self.tile_n:
            yield (
                f"max_in_features: should be at least tables × mu = {self.tile_n}, "
                f"not {self.max_in_features}"
            )
        if self.max_out_features < self.ports:
            yield (
                f"max_out_features: should be at least ports = {self.ports}, "
                f"not {self.max_out_features}"
            )
        yield from self._broken_accumulator_rules()

    def _broken_fixed_rules(self, number: FloatFormat) -> Iterator[str]:
        """Faults of the fixed point that activations of the format ``number`` become."""
        exact, found = number.fixed_bits, self.fixed_bits
        if self.arith != "fixed":
            if found is not None:
                yield "fixed_bits: belongs to arith: fixed; remove it"
        elif found is None:
            if exact > MAX_FIXED_BITS:
                yield (
                    f"fixed_bits: is required: {exact} bits would hold every {self.act} exactly, "
                    f"at most {MAX_FIXED_BITS} are possible; add fixed_bits: 24, say, which "
                    "aligns every token to the exponent that comes with it"
                )
        elif found > MAX_FIXED_BITS:
            yield f"fixed_bits: should be at most {MAX_FIXED_BITS}, not {found}"
        elif found < number.mantissa_bits + 2:
            yield (
                f"fixed_bits: should hold sign and significand of {self.act}, at least "
                f"{number.mantissa_bits + 2} bits, not {found}"
            )
        elif found >= exact:
            yield f"fixed_bits: {exact} bits hold every {self.act} exactly; remove it, not {found}"

    def _broken_number_rules(self) -> Iterator[str]:
        for field, fits in (
            ("fp_add", self.arith == "float"),
            ("fp_mul", self.arith == "float" and self.kind == "multiplier"),
        ):
            if (found := getattr(self.pipeline, field)) and not fits:
                kind = "arith: float" if field == "fp_add" else "multiplier cores with arith: float"
                yield f"pipeline.{field}: belongs to {kind}; should be 0, not {found}"
        if self.float_number is None:
            for field in ("arith", "sum_format", "fixed_bits"):
                if getattr(self, field) is not None:
                    yield (
                        f"{field}: belongs to floating-point activations, not to {self.act}; "
                        "remove it"
                    )
            return
        if self.arith == "float" and self.sum_format is None and self.float_number.bits <= 8:
            yield (
                f"sum_format: is required for arith: float on {self.act}, in which the sum of a "
                "few activations overflows; add sum_format: fp16, say, for the accumulators "
                f"(tables and the reduction tree stay {self.act}: they can overflow within a tile)"
            )
        if self.sum_number is not None and not self.sum_number.holds(self.float_number):
            formats = ", ".join(f.name for f in FLOATS.values() if f.holds(self.float_number))
            yield (
                f"sum_format: should hold every number of {self.act} ({formats}), "
                f"not {self.sum_format!r}"
            )
        if self.arith is None:
            yield f"arith: is required for {self.act} activations; add arith: float or fixed"
        yield from self._broken_fixed_rules(self.float_number)
        if self.kind == "multiplier" and self.arith == "fixed":
            yield (
                "kind: a multiplier's weights have the activations' type, whose products are "
                "too wide for fixed point; should be lut or signflip, not 'multiplier'"
            )

    def _broken_accumulator_rules(self) -> Iterator[str]:
        exact = self.exact_acc_bits
        if self.float_number is not None:
            given = [f for f in ("acc_bits", "acc_overflow") if getattr(self, f) is not None]
            if given:
                belong, them = ("belong", "them") if len(given) > 1 else ("belongs", "it")
                yield (
                    f"{', '.join(given)}: {belong} to integer activations, not to {self.act}; "
                    f"remove {them}"
                )
        elif self.acc_bits is None:
            if self.acc_overflow is not None:
                yield (
                    "acc_overflow: the default accumulator is exact and never overflows; remove it "
                    "or give acc_bits"
                )
        elif self.acc_bits < self.term_bits:
            yield (
                f"acc_bits: should hold at least one fetched term, {self.term_bits} bits, "
                f"not {self.acc_bits}"
            )
        elif self.acc_bits < exact and self.acc_overflow is None:
            yield (
                f"acc_bits: {self.acc_bits} bits can overflow (exact is {exact}); "
                "say acc_overflow: wrap or saturate"
            )
        elif self.acc_bits >= exact and self.acc_overflow is not None:
            yield f"acc_overflow: {self.acc_bits} bits never overflow (exact is {exact}); remove it"

    @property
    def float_number(self) -> FloatFormat | None:
        """Format of activations and outputs where they are floating-point, else None."""
        return FLOATS.get(self.act)

    @property
    def sum_number(self) -> FloatFormat | None:
        """Format of outputs where they are floating-point, else None."""
        return self.float_number if self.sum_format is None else FLOATS.get(self.sum_format)

    @property
    def fixed_point(self) -> FixedPoint | None:
        """What floating-point activations become where sums do not round; else None."""
        if self.float_number is None:
            return None
        return FixedPoint(self.float_number, self.fixed_bits)

    @property
    def exponent_bits(self) -> int:
        """Width of the exponent that comes with aligned activations, bits; 0 without one."""
        aligned = self.float_number is not None and self.fixed_bits is not None
        return self.float_number.exponent_bits if aligned and self.float_number else 0

    @property
    def number(self) -> IntFormat:
        """Format of one activation as tables see it: its own, or that of its fixed point."""
        if self.fixed_point is not None:
            return IntFormat(self.fixed_point.bits)
        return FORMATS[self.act]

    @property
    def table_number(self) -> IntFormat | FloatFormat:
        """What tables hold: floating-point numbers where additions round, else integers."""
        if self.arith == "float" and self.float_number is not None:
            return self.float_number
        return self.number

    @property
    def act_bits(self) -> int:
        """Width of one activation in the core's stream, bits."""
        return self.number.bits if self.float_number is None else self.float_number.bits

    @property
    def out_bits(self) -> int:
        """Width of one output in the core's stream, bits."""
        return self.sum_bits if self.sum_number is None else self.sum_number.bits

    @property
    def book(self) -> Codebook:
        """The codebook of one table; that of single weights for the other kinds."""
        return ternary(self.mu)

    @property
    def half_table(self) -> bool:
        """True where entries are stored up to sign and negated when fetched."""
        return self.kind == "signflip" or (self.kind == "lut" and self.table != "full")

    @property
    def registered_table(self) -> bool:
        return self.storage == "registers"

    @property
    def builder_name(self) -> str:
        return self.builder or "minimal"

    @property
    def tile_n(self) -> int:
        """Inputs consumed by one tile: n = L·µ."""
        return self.tables * self.mu

    @property
    def tile_m(self) -> int:
        """Outputs served by one tile: m = K."""
        return self.ports

    @property
    def weight_bits(self) -> int:
        """Bits of the key stream per table and port and tile: a key, or one full weight."""
        return self.act_bits if self.kind == "multiplier" else self.book.key_bits

    @property
    def max_in_tiles(self) -> int:
        return -(-self.max_in_features // self.tile_n)

    @property
    def max_out_tiles(self) -> int:
        return -(-self.max_out_features // self.tile_m)

    @property
    def term(self) -> Interval:
        """Range of one activation times one weight; both ends are reached."""
        acts = Interval(self.number.lowest, self.number.highest)
        if self.kind == "multiplier":
            corners = [a * w for a in (acts.low, acts.high) for w in (acts.low, acts.high)]
            return Interval(min(corners), max(corners))
        return acts.union(-acts).union(Interval(0, 0))

    @property
    def term_bits(self) -> int:
        """Width of what one port fetches from one table, bits.

        B + ⌈log2 µ⌉ for a half table, whose entries leave as one's complements with a carry;
        B + ⌊log2 µ⌋ + 1 for a full one; 2·B for a product.
        """
        if self.kind == "multiplier":
            return 2 * self.number.bits
        group = self.term.times(self.mu)
        return Interval(group.low, group.high - self.half_table).bits

    @property
    def exact_acc_bits(self) -> int:
        """Signed bits that hold every sum of ``max_in_features`` terms, all at either end."""
        return self.term.times(self.max_in_features).bits

    @property
    def sum_bits(self) -> int:
        """Width of one accumulator, bits."""
        return self.exact_acc_bits if self.acc_bits is None else self.acc_bits


def check_identifier(name: str) -> None:
    """Raise ValueError unless ``name`` can name a core's top module."""
    if is_port(name):
        raise ValueError("should be other than a port of the core")
    if not IDENTIFIER.fullmatch(name) or name in KEYWORDS:
        raise ValueError("should be a Verilog identifier (letters, digits, _; no keyword)")


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def load_core(path: Path) -> CoreConfig:
    """Read one core; its ``name`` defaults to the file's stem."""
    core = load(CoreConfig, path)
    if core.name is not None:
        return core
    try:
        check_identifier(path.stem)
    except ValueError as error:
        raise ConfigError(
            f"{path}: name: {error}, not {path.stem!r} (taken from the file's name); give name"
        ) from None
    return core.model_copy(update={"name": path.stem})


def _range_text(names: list[str]) -> str:
    return f"{names[0]} … {names[-1]}"
