"""hwgen estimate for an FPGA family: its resources and its clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from costmodel.catalog import load_family
from costmodel.cells.area import labelled
from costmodel.fpga.clock import Fmax, NoFmaxError, core_fmax
from costmodel.fpga.resources import Resources, load_fpga, predict
from hwgen.flow.layer import LayerUse, layer_use
from hwgen.spec.config import CoreConfig
from hwgen.spec.schedule import Run
from hwgen.spec.structure import structure

OMITTED = (
    "as Yosys maps it, products made of LUTs; a vendor's tool may pack two small LUTs into one; "
    "memory around the core is not priced"
)


@dataclass(frozen=True)
class FpgaEstimate:
    """What a core takes of an FPGA family, and what it does to one layer."""

    core: CoreConfig
    technology: str
    counts: dict[str, int]
    resources: Resources
    corrected: bool
    """Whether factors fitted on whole cores are in it; without, it is a sum of its parts."""
    fmax: Fmax | str
    """Or why there is none."""
    layer: LayerUse

    @property
    def note(self) -> str:
        """What the columns count, and what is left out."""
        return (
            f"LUTs of up to {load_family(self.technology).lut_inputs} inputs; carry: "
            f"{load_family(self.technology).carry_cells}; {OMITTED}"
        )

    def as_json(self) -> dict[str, Any]:
        """Plain data. ``counts`` maps primitives to their number; resources are expected numbers,
        not rounded."""
        clock: dict[str, Any] = {"fmax_mhz": None, "why_no_fmax": self.fmax}
        if isinstance(self.fmax, Fmax):
            clock = {"fmax_mhz": self.fmax.mhz, "limiting_stage": self.fmax.stage}
        return {
            "core": self.core.name,
            "technology": self.technology,
            "corrected": self.corrected,
            "counts": self.counts,
            **self.resources.total,
            "components": {name: dict(part) for name, part in self.resources.by_component.items()},
            **clock,
            **self.layer.as_json(),
            "omitted": self.note,
        }


def estimate_fpga(config: CoreConfig, family: str, run: Run) -> FpgaEstimate:
    """Estimate a core. Raises ConfigError for an unknown family, UncalibratedError."""
    costs = load_fpga(family)
    spec = structure(config)
    try:
        fmax: Fmax | str = core_fmax(spec, costs.delays, family)
    except NoFmaxError as error:
        fmax = str(error)
    return FpgaEstimate(
        core=config,
        technology=family,
        counts=labelled(spec.total),
        resources=predict(spec, costs),
        corrected=bool(costs.corrections),
        fmax=fmax,
        layer=layer_use(config, run),
    )
