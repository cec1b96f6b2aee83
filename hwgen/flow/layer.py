"""What one layer makes of a core: cycles, use of its multiply-accumulates, bits of its streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hwgen.config import CoreConfig
from hwgen.system import System
from sim.cycles import Run, Traffic
from sim.layers import Plan, Shape


@dataclass(frozen=True)
class LayerUse:
    """One run of a layer. utilisation: multiply-accumulates of the layer per those possible."""

    run: Run
    cycles: int
    utilisation: float
    traffic: Traffic

    def as_json(self) -> dict[str, Any]:
        return {
            "layer": {
                "tokens": self.run.tokens,
                "in_features": self.run.in_features,
                "out_features": self.run.out_features,
            },
            "cycles": self.cycles,
            "utilisation": self.utilisation,
            "weight_bits": self.traffic.weight_bits,
            "act_bits": self.traffic.act_bits,
            "sum_bits": self.traffic.sum_bits,
        }


def layer_use(core: CoreConfig, run: Run) -> LayerUse:
    """Of a run without stalls, latency included."""
    one = Plan(System(core), Shape(run.out_features, run.in_features)).cycles(run.tokens)
    return LayerUse(run, one.total, one.work / one.total, one.traffic)
