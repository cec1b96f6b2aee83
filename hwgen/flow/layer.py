"""What one layer makes of a core: cycles, use of its multiply-accumulates, bits of its streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hwgen.structure import Structure
from sim.cycles import Run, Traffic, total_cycles, traffic


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


def layer_use(spec: Structure, run: Run) -> LayerUse:
    """Of a run without stalls, latency included."""
    cycles = total_cycles(spec, [run])
    macs = run.tokens * run.in_features * run.out_features
    possible = cycles * spec.config.tile_n * spec.config.tile_m
    return LayerUse(run, cycles, macs / possible, traffic(spec, run))
