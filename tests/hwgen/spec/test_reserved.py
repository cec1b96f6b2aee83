"""Names that tools take for their own."""

from __future__ import annotations

from collections import Counter

import pytest

from hwgen.spec.keywords import KEYWORDS
from hwgen.spec.reserved import PRIMITIVES, SYSTEM_VERILOG, VHDL, reserved

GATES = """and buf bufif0 bufif1 cmos nand nmos nor not notif0 notif1 or pmos pulldown pullup rcmos
    rnmos rpmos rtran rtranif0 rtranif1 tran tranif0 tranif1 xnor xor"""
MEANINGS = {
    "endmodule": "a keyword of Verilog",
    "process": "a name that every SystemVerilog design has already",
    "std": "a name that every SystemVerilog design has already",
    "entity": "a word of VHDL",
    "Entity": "a word of VHDL",
    "LUT6": "a primitive of AMD FPGAs",
    "FDRE": "a primitive of AMD FPGAs",
    "CARRY4": "a primitive of AMD FPGAs",
    "RAM32M": "a primitive of AMD FPGAs",
    "DSP48E2": "a primitive of AMD FPGAs",
    "TRELLIS_FF": "a primitive of Lattice FPGAs",
    "SB_LUT4": "a primitive of Lattice FPGAs",
    "altsyncram": "a primitive of Intel FPGAs",
    "rPLL": "a primitive of Gowin FPGAs",
    "EFX_ADD": "a primitive of Efinix FPGAs",
    "CFG4": "a primitive of Microchip FPGAs",
    "core": None,
    "lut6": None,
    "lut": None,
}


@pytest.mark.parametrize(("name", "meaning"), MEANINGS.items(), ids=MEANINGS)
def test_what_a_name_means(name, meaning):
    assert reserved(name) == meaning


def test_gates_of_verilog_are_keywords():
    assert set(GATES.split()) <= KEYWORDS


def test_no_list_has_a_name_twice():
    for names in PRIMITIVES.values():
        assert {name for name, number in Counter(names.split()).items() if number > 1} == set()
    assert all(word == word.lower() for word in VHDL)
    assert not SYSTEM_VERILOG & KEYWORDS
