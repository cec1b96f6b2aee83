"""What a core's file may say, field by field; what is legal between fields is in `rules`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from hwgen.base.yamlfile import Strict
from hwgen.spec.codebook import CODEBOOKS, MEANINGS
from hwgen.spec.keywords import KEYWORDS
from hwgen.spec.number import FLOATS, FORMATS
from hwgen.spec.ports import is_port
from hwgen.spec.primitive import ACT_FLOATS

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_SIZE = 4096
"""Of tables, of ports, of reuse, and of cores side by side."""


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


class CoreFields(Strict):
    """The fields of a core, each legal on its own."""

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
        str | None,
        Field(
            description=f"the weight groups a table accepts: {MEANINGS}; lut only",
            json_schema_extra={"enum": [*CODEBOOKS, None]},
        ),
    ] = None
    mu: Annotated[
        int, Field(ge=1, le=8, description="activations that share one table; lut only")
    ] = 1
    tables: Annotated[
        int, Field(ge=1, le=MAX_SIZE, description="tables in parallel, each on its own group")
    ]
    ports: Annotated[
        int, Field(ge=1, le=MAX_SIZE, description="fetch ports per table: outputs served at once")
    ]
    reuse: Annotated[
        int,
        Field(ge=1, le=MAX_SIZE, description="fetch cycles per build; accumulators per port"),
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

    @field_validator("codebook")
    @classmethod
    def _known_codebook(cls, value: str | None) -> str | None:
        if value is not None and value not in CODEBOOKS:
            raise ValueError(f"should be one of {', '.join(CODEBOOKS)}")
        return value

    @field_validator("name")
    @classmethod
    def _identifier(cls, value: str | None) -> str | None:
        if value is not None:
            check_identifier(value)
        return value


def check_identifier(name: str) -> None:
    """Raise ValueError unless ``name`` can name a core's top module."""
    if is_port(name):
        raise ValueError("should be other than a port of the core")
    if not IDENTIFIER.fullmatch(name) or name in KEYWORDS:
        raise ValueError("should be a Verilog identifier (letters, digits, _; no keyword)")


def _range_text(names: list[str]) -> str:
    return f"{names[0]} … {names[-1]}"
