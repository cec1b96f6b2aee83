"""What one layer makes of a core: cycles, use of its multiply-accumulates, bits of its streams."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hwgen.base.errors import ConfigError
from hwgen.spec.config import CoreConfig
from hwgen.spec.schedule import Run, Traffic
from hwgen.spec.system import System
from sim.workload.layers import LayerShape, Plan

MAX_VALUES = 1 << 30
"""Most activations, weights or outputs of a layer that is computed."""
Layer = str | tuple[int, int, int]
LAYER = re.compile(r"(\d+),(\d+),(\d+)")


@dataclass(frozen=True)
class LayerUse:
    """One run of a layer. utilisation: multiply-accumulates of the layer per those possible."""

    run: Run
    cycles: int
    utilisation: float
    traffic: Traffic

    def to_dict(self) -> dict[str, Any]:
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
    """What a run without stalls makes of the core, latency included."""
    one = Plan(System(core), LayerShape(run.out_features, run.in_features)).cycles(run.tokens)
    return LayerUse(run, one.total, one.work / one.total, one.traffic)


def parse_layer(layer: Layer) -> Run:
    """A run from the text "T,N,M" of ``--layer``, or from three numbers: tokens, inputs,
    outputs."""
    match = LAYER.fullmatch(layer if isinstance(layer, str) else ",".join(map(str, layer)))
    if match is None or 0 in (sizes := tuple(map(int, match.groups()))):
        raise ConfigError(
            "--layer: should be T,N,M with numbers of at least 1 (tokens, inputs, outputs), "
            f"not {layer!r}"
        )
    return Run(*sizes)


def check_memory(run: Run) -> None:
    """ConfigError unless the arrays of a layer fit into memory."""
    tokens, features, outs = run.tokens, run.in_features, run.out_features
    largest = max(tokens * features, outs * features, tokens * outs)
    if largest > MAX_VALUES:
        raise ConfigError(
            f"--layer: should have at most {MAX_VALUES} activations, weights and outputs each, "
            f"not {largest}; give fewer tokens"
        )


def check_fits(config: CoreConfig, where: str, in_features: int, out_features: int) -> None:
    """ConfigError unless the core takes a layer of that size."""
    for name, size, most in (
        ("in_features", in_features, config.max_in_features),
        ("out_features", out_features, config.max_out_features),
    ):
        if size > most:
            raise ConfigError(
                f"{where}: {name} should be at most the core's max_{name} {most}, not {size}; "
                f"raise max_{name} in the core file"
            )
