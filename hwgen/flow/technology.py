"""What a technology of cells is made of: unit costs and fitted factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from costmodel.cells.technology import Technology as UnitCosts
from costmodel.cells.technology import load_technology
from hwgen.base.record import Record
from hwgen.spec.primitive import Primitive


@dataclass(frozen=True)
class Technology(Record):
    """Unit costs of a technology of cells, measured by synthesis, and its factors.

    >>> asap7 = Technology.load("asap7")
    >>> asap7.unit
    'um2'
    >>> asap7.unit_area("adder", 8) < asap7.unit_area("adder", 16)
    True
    """

    drawn_in = "technology"

    costs: UnitCosts

    @classmethod
    def load(cls, name: str) -> Technology:
        """A technology by its name; ConfigError for an unknown one or an FPGA family."""
        return cls(load_technology(name))

    @property
    def name(self) -> str:
        """Name of the technology."""
        return self.costs.name

    @property
    def unit(self) -> str:
        """Unit of areas: ``um2``, or ``ge`` for gate equivalents."""
        return self.costs.area_unit

    @property
    def factors(self) -> dict[str, float]:
        """Factors of groups of primitives, fitted on whole cores; empty if none were fitted."""
        return {} if self.costs.corrections is None else dict(self.costs.corrections.factors)

    def unit_area(self, kind: str, width: int, fan_in: int = 0) -> float:
        """Area of one primitive in ``unit``, uncorrected.

        kind: a key of an estimate's ``counts`` without its sizes, such as ``fetch_mux``. width:
        bits. fan_in: its second size, such as the words that a multiplexer selects from. Raises
        UncalibratedError, a HwgenError, for what was not measured.
        """
        return self.costs.unit_area(Primitive(kind, width, fan_in))

    def to_dict(self) -> dict[str, Any]:
        """Name, unit, kinds of primitives that were measured, and factors."""
        kinds = sorted(self.costs.costs)
        return {"name": self.name, "unit": self.unit, "kinds": kinds, "factors": self.factors}
