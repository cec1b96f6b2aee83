"""Technologies with Liberty files: where the files are, and how to use them.

The files belong to others and are not part of this project. Folders named in HWGEN_LIBERTY_PATH,
separated as in PATH, hold them as ``<folder>/<technology>/*.lib`` or ``*.lib.gz``; the first folder
with such files is taken.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from costmodel.liberty import read_liberty
from costmodel.synth import (
    GENERIC_LIBERTY,
    AdderMap,
    Language,
    Synthesis,
    SynthesisError,
    synthesise,
)
from costmodel.timing import Conditions
from hwgen.config import ConfigError, Strict

VARIABLE = "HWGEN_LIBERTY_PATH"

_ADDER = r"""
(* techmap_celltype = "$add $sub" *)
module _adder (A, B, Y);
  parameter A_SIGNED = 0; parameter B_SIGNED = 0;
  parameter A_WIDTH = 1; parameter B_WIDTH = 1; parameter Y_WIDTH = 1;
  parameter _TECHMAP_CELLTYPE_ = "";
  parameter [A_WIDTH-1:0] _TECHMAP_CONSTMSK_A_ = 0;
  parameter [B_WIDTH-1:0] _TECHMAP_CONSTMSK_B_ = 0;
  (* force_downto *) input [A_WIDTH-1:0] A;
  (* force_downto *) input [B_WIDTH-1:0] B;
  (* force_downto *) output [Y_WIDTH-1:0] Y;
  localparam SUB = _TECHMAP_CELLTYPE_ == "$sub";
  localparam SIGNED = A_SIGNED && B_SIGNED;
  (* force_downto *) wire [Y_WIDTH-1:0] a, plus, b;
  \$pos #(.A_SIGNED(SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) ea (.A(A), .Y(a));
  \$pos #(.A_SIGNED(SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) eb (.A(B), .Y(plus));
  assign b = SUB ? ~plus : plus;
  wire [Y_WIDTH:0] c;
  assign c[0] = SUB;
  genvar i;
  generate for (i = 0; i < Y_WIDTH; i = i + 1) begin:bits
    localparam KNOWN =
      (i < A_WIDTH ? _TECHMAP_CONSTMSK_A_[i < A_WIDTH ? i : 0] : !SIGNED) ||
      (i < B_WIDTH ? _TECHMAP_CONSTMSK_B_[i < B_WIDTH ? i : 0] : !SIGNED);
    if (KNOWN || i == 0 || i == Y_WIDTH - 1) begin
      assign Y[i] = a[i] ^ b[i] ^ c[i];
      assign c[i + 1] = (a[i] & b[i]) | (c[i] & (a[i] ^ b[i]));
    end else begin
      BIT
    end
  end endgenerate
endmodule
"""


class FullAdder(Strict):
    """A library cell that adds three bits."""

    cell: Annotated[str, Field(description="name of the cell")]
    inputs: Annotated[list[str], Field(min_length=3, max_length=3, description="carry-in last")]
    total: Annotated[str, Field(description="pin of the sum")]
    carry: Annotated[str, Field(description="pin of the carry-out")]
    inverted: Annotated[bool, Field(description="both outputs are inverted")]

    def adder_map(self) -> AdderMap:
        """Ripple-carry adders of this cell for ``$add`` and ``$sub``; not for multipliers.

        Bits with an operand that is constant, the lowest and the highest bit stay gates, which are
        smaller there. A full adder of inverted inputs has inverted outputs: where the cell inverts,
        every other bit takes inverted inputs instead of inverting its outputs.
        """

        def cell(operands: tuple[str, str, str], total: str, carry: str) -> str:
            pins = dict(zip(self.inputs, operands, strict=True))
            pins |= {self.total: total, self.carry: carry}
            return f"{self.cell} cell_ ({', '.join(f'.{p}({n})' for p, n in pins.items())});"

        bit = cell(("a[i]", "b[i]", "c[i]"), "Y[i]", "c[i + 1]")
        if self.inverted:
            odd = cell(("~a[i]", "~b[i]", "~c[i]"), "Y[i]", "c[i + 1]")
            even = cell(("a[i]", "b[i]", "c[i]"), "s", "k")
            even = f"wire s, k; {even} assign Y[i] = ~s, c[i + 1] = ~k;"
            bit = f"if (i % 2) begin {odd} end else begin {even} end"
        return AdderMap(
            f"(* blackbox *) module {self.cell} (input {', '.join(self.inputs)}, "
            f"output {self.total}, {self.carry}); endmodule\n",
            _ADDER.replace("BIT", bit),
        )


class LibraryInfo(Strict):
    """What is known of one technology besides its Liberty files."""

    source: Annotated[str, Field(description="where the files come from, and their licence")]
    area_unit: Literal["ge", "um2"]
    gate: Annotated[str, Field(description="NAND2 cell whose area is one gate equivalent")]
    dont_use: Annotated[
        dict[str, str], Field(description="pattern of cells to why not to use them")
    ]
    conditions: Annotated[
        Conditions | None, Field(description="null: the files have no delays, only areas")
    ]
    full_adder: Annotated[FullAdder | None, Field(description="null: the library has none")]


_SCAN = "scan flip-flop; there is no scan chain"
_GATE = "clock gate; the clock is not gated"
_LATCH = "latch; cores have none"
_ASYNC = "asynchronous set and reset; cores have neither"
_DELAY = "delay cell, for hold times; ABC would take it for a small buffer"
_CLOCK = "for clock trees"
_STATE = "three-state output"
_CONSTANT = "constants cost nothing here, in any technology"

LIBRARIES: dict[str, LibraryInfo] = {
    "generic": LibraryInfo(
        source="packaged with this project; written from first principles, Apache-2.0",
        area_unit="ge",
        gate="NAND2",
        dont_use={},
        conditions=None,
        full_adder=None,
    ),
    "asap7": LibraryInfo(
        source="ASAP7 7.5-track predictive PDK of Arizona State University, RVT, TT, 0.7 V, 25 °C; "
        "BSD-3-Clause; github.com/The-OpenROAD-Project/asap7",
        area_unit="um2",
        gate="NAND2xp5_ASAP7_75t_R",  # The smallest NAND2, though too weak to be mapped to.
        dont_use={
            "*x1p*_ASAP7*": "fractional drive strength, avoided in the flows of this PDK",
            "*xp*_ASAP7*": "drive strength below 1, too weak for wires; the hold buffers HB*, too",
            "SDF*": _SCAN,
            "ICG*": _GATE,
            "DHL*": _LATCH,
            "DLL*": _LATCH,
            "DFFL*": "flip-flop of the falling edge",
            "DFFASRHQN*": _ASYNC,
            "CKINV*": _CLOCK,
            "TIE*": _CONSTANT,
        },
        conditions=Conditions(
            driving_cell="BUFx2_ASAP7_75t_R",
            input_transition_ns=0.014,
            clock_transition_ns=0.014,
            output_load_ff=2.14,
        ),
        full_adder=FullAdder(
            cell="FAx1_ASAP7_75t_R",
            inputs=["A", "B", "CI"],
            total="SN",
            carry="CON",
            inverted=True,
        ),
    ),
    "ihp-sg13g2": LibraryInfo(
        source="IHP SG13G2 130 nm BiCMOS open PDK, standard cells, typical, 1.2 V, 25 °C; "
        "Apache-2.0; github.com/IHP-GmbH/IHP-Open-PDK",
        area_unit="um2",
        gate="sg13g2_nand2_1",
        dont_use={
            "*_sdf*": _SCAN,
            "*lgcp*": _GATE,
            "*_dl[hl]*": _LATCH,
            "*_dlygate*": _DELAY,
            "*_ebufn*": _STATE,
            "*_einvn*": _STATE,
            "*_sighold*": "bus keeper",
            "*_tie*": _CONSTANT,
        },
        conditions=Conditions(
            driving_cell="sg13g2_buf_2",
            input_transition_ns=0.034,
            clock_transition_ns=0.034,
            output_load_ff=10.48,
        ),
        full_adder=None,
    ),
    "sky130hd": LibraryInfo(
        source="SkyWater SKY130 open PDK, sky130_fd_sc_hd, TT, 1.8 V, 25 °C; "
        "Apache-2.0; github.com/google/skywater-pdk",
        area_unit="um2",
        gate="sky130_fd_sc_hd__nand2_1",
        dont_use={
            "*lpflow*": "for power domains; there is only one",
            "*probe*": "probe point",
            "*_clkdlybuf*": _DELAY,
            "*_dlygate*": _DELAY,
            "*_dlymetal*": _DELAY,
            "*_clkbuf*": _CLOCK,
            "*_clkinv*": _CLOCK,
            "*_sdf*": _SCAN,
            "*_sedf*": _SCAN,
            # ABC does not see the net of the enable and cannot buffer it; and with multiplexers,
            # which ABC optimises, a core of 7000 cells is 0.4 % smaller.
            "*_edf*": "flip-flop with enable",
            "*_dfbb*": _ASYNC,
            "*_dl[rx]*": _LATCH,
            "*_dlclk*": _GATE,
            "*_sdlclk*": _GATE,
            "*_ebufn*": _STATE,
            "*_einv*": _STATE,
            "*_conb*": _CONSTANT,
            "*_macro_sparecell*": "for repairs",
        },
        conditions=Conditions(
            driving_cell="sky130_fd_sc_hd__buf_2",
            input_transition_ns=0.046,
            clock_transition_ns=0.046,
            output_load_ff=6.91,
        ),
        full_adder=FullAdder(
            cell="sky130_fd_sc_hd__fa_1",
            inputs=["A", "B", "CIN"],
            total="SUM",
            carry="COUT",
            inverted=False,
        ),
    ),
}
"""By name. The driving cell is a buffer of strength 2, the load four of its inputs, the transitions
the slower edge of that cell at that load when such an edge drives it, from its tables."""


class TechnologyFiles(NamedTuple):
    """A technology whose Liberty files were found."""

    name: str
    info: LibraryInfo
    files: tuple[Path, ...]

    def synthesise(
        self,
        source: str,
        top: str,
        language: Language = "rtlil",
        *,
        full_adders: bool = False,
        **options: Any,
    ) -> Synthesis:
        """``costmodel.synth.synthesise`` with these files, conditions and cells to avoid.

        full_adders: map sums to the library's adder cell; SynthesisError if it has none. Not the
            default: two of four technologies have no such cell, multipliers do not profit, and
            paths get longer. A core of 7000 cells gets 7 % (sky130hd) and 14 % (asap7) smaller and
            27 % slower with it, one of sign flips, which is mostly adders, 10 % and 25 % smaller
            and 33 % and 14 % slower.
        """
        adder = self.info.full_adder
        if full_adders and adder is None:
            raise SynthesisError(f"{top}: full_adders: {self.name} has no adder cell")
        return synthesise(
            source,
            top,
            self.files,
            language,
            dont_use=tuple(self.info.dont_use),
            conditions=self.info.conditions,
            adders=adder.adder_map() if full_adders and adder else None,
            **options,
        )

    def gate_area(self) -> float:
        """Area of one gate equivalent in ``info.area_unit``, read from the files."""
        return read_liberty(self.files).cell(self.info.gate).area


def find_library(name: str) -> TechnologyFiles:
    """The files of one technology; those of ``generic`` are packaged.

    Raises ConfigError for an unknown name, and if no folder holds the files: it says where was
    looked and what to set.
    """
    if name not in LIBRARIES:
        close = get_close_matches(name, LIBRARIES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(LIBRARIES)}"
        raise ConfigError(f"technology: should be one with Liberty files, not {name!r}; {hint}")
    if name == "generic":
        return TechnologyFiles(name, LIBRARIES[name], (GENERIC_LIBERTY,))
    places = [Path(part) / name for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    for place in places:
        if files := sorted([*place.glob("*.lib"), *place.glob("*.lib.gz")]):
            return TechnologyFiles(name, LIBRARIES[name], tuple(files))
    looked = f"none in {', '.join(map(str, places))}" if places else f"{VARIABLE} is not set"
    raise ConfigError(
        f"technology {name}: should have Liberty files: {looked}; set {VARIABLE} to a folder that "
        f"holds {name}/*.lib or {name}/*.lib.gz (they come from {LIBRARIES[name].source})"
    )
