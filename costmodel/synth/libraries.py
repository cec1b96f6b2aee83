"""Technologies with Liberty files: where the files are, and how to use them.

The files belong to others and are not part of this project. Folders named in HWGEN_LIBERTY_PATH,
separated as in PATH, hold them as ``<folder>/<technology>/*.lib`` or ``*.lib.gz``; the first folder
with such files is taken. ``libraries/<technology>.yaml`` of this package describes how to use them,
or ``technology.yaml`` beside the files of a user-defined technology.
"""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from costmodel.catalog import (
    OWN_FILE,
    PACKAGE,
    PACKAGED,
    VARIABLE,
    family_names,
    library_folders,
    library_names,
    unknown_technology,
)
from costmodel.liberty.library import read_liberty
from costmodel.netlist.timing import Conditions
from costmodel.synth.yosys import (
    GENERIC_LIBERTY,
    AdderMap,
    Language,
    Synthesis,
    SynthesisError,
    synthesise,
)
from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Strict, read_yaml, validate

INFO_DIR = PACKAGE / "libraries"

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


class MissingFilesError(ConfigError):
    """A technology that is described, but whose Liberty files are in no folder."""


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
    """The description of one technology besides its Liberty files."""

    format: Annotated[
        Literal["hwgen.library/1"], Field(description="version of this file's meaning")
    ] = "hwgen.library/1"
    source: Annotated[str, Field(description="where the files come from, and their licence")]
    area_unit: Annotated[Literal["ge", "um2"], Field(description="of the Liberty files")]
    gate: Annotated[str, Field(description="NAND2 cell whose area is one gate equivalent")]
    dont_use: Annotated[
        dict[str, str],
        Field(default_factory=dict, description="pattern of cells to why not to use them"),
    ]
    conditions: Annotated[
        Conditions | None,
        Field(
            description="null: the files have no delays, only areas. Packaged ones: the driving "
            "cell is a buffer of strength 2, the load four of its inputs, the transitions the "
            "slower edge of that cell at that load when such an edge drives it"
        ),
    ]
    full_adder: Annotated[
        FullAdder | None, Field(description="null: the library has none, or it is not used")
    ] = None


class TechnologyFiles(NamedTuple):
    """A technology whose Liberty files are there."""

    name: str
    info: LibraryInfo
    files: tuple[Path, ...]

    def synthesise(
        self,
        source: str,
        top: str,
        language: Language = "rtlil",
        *,
        full_adders: bool | None = None,
        **options: Any,
    ) -> Synthesis:
        """``costmodel.synth.yosys.synthesise`` with these files, conditions and cells to avoid.

        full_adders: map sums to the library's adder cell; SynthesisError if it has none. Default:
            where it has one, as other tools do. Paths get longer: a table core of 7000 cells is
            7 % (sky130hd) and 14 % (asap7) smaller and 27 % slower with it, one of sign flips,
            which is mostly adders, 10 % and 25 % smaller and 33 % and 14 % slower. Products stay
            gates.
        """
        return synthesise(
            source, top, language=language, **self.options(top, full_adders), **options
        )

    def options(self, top: str, full_adders: bool | None = None) -> dict[str, Any]:
        """Options of ``costmodel.synth.yosys.synthesise`` for this technology."""
        adder = self.info.full_adder
        if full_adders is None:
            full_adders = adder is not None
        if full_adders and adder is None:
            raise SynthesisError(f"{top}: full_adders: {self.name} has no adder cell")
        return {
            "liberty": self.files,
            "dont_use": tuple(self.info.dont_use),
            "conditions": self.info.conditions,
            "adders": adder.adder_map() if full_adders and adder else None,
        }

    def gate_area(self) -> float:
        """Area of one gate equivalent in ``info.area_unit``, read from the files."""
        return read_liberty(self.files).cell(self.info.gate).area

    def check(self) -> None:
        """ConfigError, a line for each cell or pin of the description that is not in the files."""
        cells, info = read_liberty(self.files).cells, self.info
        named = {"gate": info.gate}
        if info.conditions is not None:
            named["conditions.driving_cell"] = info.conditions.driving_cell
        if info.full_adder is not None:
            named["full_adder.cell"] = info.full_adder.cell
        faults = [
            f"{field}: should be a cell of the Liberty files, not {cell!r}"
            for field, cell in named.items()
            if cell not in cells
        ]
        if (adder := info.full_adder) is not None and adder.cell in cells:
            pins = cells[adder.cell].pins
            faults += [
                f"full_adder: {adder.cell} should have the pin {pin!r}; it has {', '.join(pins)}"
                for pin in (*adder.inputs, adder.total, adder.carry)
                if pin not in pins
            ]
        faults += [
            f"dont_use: {pattern!r} should match a cell of the Liberty files; correct or remove it"
            for pattern in info.dont_use
            if not fnmatch.filter(cells, pattern)
        ]
        if faults:
            raise ConfigError("\n".join(f"technology {self.name}: {fault}" for fault in faults))


def find_library(name: str) -> TechnologyFiles:
    """Description and files of one technology; those of ``generic`` are packaged.

    Raises ConfigError for an unknown name, an FPGA family, faults in the description, and a
    user-defined technology with the name of a packaged one; MissingFilesError if no folder holds
    the files, with the folders that were searched and the variable to set.
    """
    if name in family_names():
        raise ConfigError(
            f"technology: should be one with Liberty files, not {name!r}, an FPGA family; take "
            f"one of {', '.join(library_names())}"
        )
    if name not in library_names():
        raise unknown_technology(name)
    places = [folder / name for folder in library_folders()]
    own_files = [file for place in places if (file := place / OWN_FILE).is_file()]
    if name not in PACKAGED:
        places = [own_files[0].parent]
        info = _load_info(own_files[0])
    elif own_files:
        raise ConfigError(
            f"technology {name}: is described by this package, so {own_files[0]} has no effect; "
            "rename that folder"
        )
    else:
        info = _load_info(INFO_DIR / f"{name}.yaml")
    if name == "generic":
        return TechnologyFiles(name, info, (GENERIC_LIBERTY,))
    for place in places:
        if files := sorted([*place.glob("*.lib"), *place.glob("*.lib.gz")]):
            return TechnologyFiles(name, info, tuple(files))
    looked = f"none in {', '.join(map(str, places))}" if places else f"{VARIABLE} is not set"
    raise MissingFilesError(
        f"technology {name}: should have Liberty files: {looked}; set {VARIABLE} to a folder that "
        f"holds {name}/*.lib or {name}/*.lib.gz (they come from {info.source})"
    )


def _load_info(path: Path) -> LibraryInfo:
    """A description; faults give the whole path, as all such files have the same name."""
    return validate(LibraryInfo, read_yaml(path), str(path))
