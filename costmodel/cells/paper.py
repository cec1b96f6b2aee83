"""The unit-cost model of arXiv 2604.25183, for comparison on the same cores.

Area = γ × sum of counts × unit costs of an adder, a multiplexer, an inverter and a register, with
one fitted coefficient γ. The exact equations were not published. Here

- the adder is a full adder of the row a + b for each bit of the result; a floating-point adder
  counts as a whole;
- the multiplexer is a two-way one for each bit: a fetch of E entries has E - 1;
- the inverter is the XOR for each bit that negates on demand;
- the register is a plain flip-flop for each bit;
- products are rows of full adders.

Control, enables, comparisons and clamps are not in that model. Neither are conversions to fixed
point: a core with conversions has no prediction. Unit costs are those of the technology; γ is
fitted on the training cores, never on the hold-out.
"""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.cells.area import Area
from costmodel.cells.technology import Technology
from hwgen.base.errors import HwgenError
from hwgen.spec.primitive import Counts, Family, Primitive
from hwgen.spec.structure import COMPONENTS, Structure

UNIT_WIDTH = 16
"""Bits of the rows whose area gives the unit cost of one bit."""


class PaperModelError(HwgenError):
    """The model has no unit cost for a part of the core."""


def uncorrected(spec: Structure, technology: Technology) -> dict[str, float]:
    """The sums that γ multiplies, by component, in the technology's unit of area.

    Raises PaperModelError for cores with conversions; UncalibratedError for a missing unit cost.
    """
    parts = dict.fromkeys(COMPONENTS, 0.0)
    for component, number, counts in spec.units:
        parts[component] += number * _unit_sum(component, counts, technology)
    return parts


def paper_unit_area(component: str, counts: Counts, technology: Technology) -> float:
    """Area of one unit of a component; PaperModelError without a prediction or a fitted γ."""
    if technology.paper is None:
        raise PaperModelError(
            f"{technology.name}: model paper has no fitted coefficient; run "
            f"`hwgen calibrate {technology.name} --training`, then `hwgen calibrate "
            f"{technology.name}`"
        )
    return technology.paper.gamma * _unit_sum(component, counts, technology)


def paper_area(spec: Structure, technology: Technology) -> Area:
    """Area by the paper's model; PaperModelError as `paper_unit_area`."""
    parts, total = dict.fromkeys(COMPONENTS, 0.0), 0.0
    for component, number, counts in spec.units:
        area = number * paper_unit_area(component, counts, technology)
        parts[component] += area
        total += area
    return Area(total, technology.area_unit, parts, calibrated=True)


def _unit_sum(component: str, counts: Counts, technology: Technology) -> float:
    """Uncorrected sum of one unit of a component."""
    if component == "control":
        return 0.0
    return sum(
        (number * _area(primitive, technology) for primitive, number in counts.items()), start=0.0
    )


def fit_gamma(sums: Sequence[float], synthesised: Sequence[float]) -> float:
    """The coefficient with the least squares of the relative error."""
    ratios = [some / area for some, area in zip(sums, synthesised, strict=True)]
    return round(sum(ratios) / sum(ratio * ratio for ratio in ratios), 4)


def _area(primitive: Primitive, technology: Technology) -> float:
    kind, width, fan_in = primitive
    match primitive.family:
        case Family.FP_ADD | Family.FP_MUL:
            return technology.unit_area(primitive)
        case Family.ADDER | Family.NEGATE:
            return width * _per_bit("adder", technology)
        case Family.MULTIPLIER:
            return fan_in * (fan_in - 1) * _per_bit("adder", technology)
        case Family.SELECT:
            return (fan_in - 1) * width * _per_bit("mux", technology)
        case Family.REGISTER:
            return width * _per_bit("register", technology)
        case Family.ROW | Family.EQUAL | Family.CLAMP:  # But for the XOR, not in that model.
            return width * _per_bit(kind, technology) if kind == "xor_row" else 0.0
    raise PaperModelError(f"model paper: has no cost for {kind}")


def _per_bit(kind: str, technology: Technology) -> float:
    fan_in = 2 if kind == "mux" else 0
    return technology.unit_area(Primitive(kind, UNIT_WIDTH, fan_in)) / UNIT_WIDTH
