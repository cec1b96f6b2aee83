"""hwgen estimate: what a core costs and what it does to a layer, without elaborating anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from costmodel.cells.energy_data import ACTIVITIES
from costmodel.target.base import CoreCost
from costmodel.target.choice import find_target
from hwgen.base.errors import ConfigError
from hwgen.base.record import Record
from hwgen.base.yamlfile import Source
from hwgen.flow.layer import Layer, LayerUse, check_fits, layer_use, parse_layer
from hwgen.spec.config import CoreConfig, load_core
from hwgen.spec.schedule import Run
from hwgen.spec.structure import structure


@dataclass(frozen=True)
class Estimate(Record):
    """What a core costs, and what it does to one layer."""

    drawn_in = "estimate"
    core: CoreConfig
    technology: str
    cost: CoreCost
    layer: LayerUse

    def to_dict(self) -> dict[str, Any]:
        """Plain data. ``counts`` maps primitives to their number."""
        cost = self.cost
        return {
            "core": self.core.name,
            "technology": self.technology,
            **cost.status_json(),
            "counts": cost.counts,
            **cost.resources_json(),
            **cost.clock_json(),
            **self.layer.to_dict(),
            "omitted": cost.omitted,
            **cost.energy_json(),
        }


def estimate(
    core: Source | CoreConfig,
    technology: str = "generic",
    layer: Layer | None = None,
    activity: str = "random",
) -> Estimate:
    """Estimate the core in ``core``.

    layer: "T,N,M"; the default is one token of the largest layer that the core takes.
    activity: class of data for the energy.
    Raises ConfigError for the core, the technology or the layer, UncalibratedError.
    """
    if activity not in ACTIVITIES:
        known = " or ".join(ACTIVITIES)
        raise ConfigError(f"--activity: should be {known}, not {activity!r}")
    config = load_core(core)
    run = Run(1, config.max_in_features, config.max_out_features)
    if layer is not None:
        run = parse_layer(layer)
        check_fits(config, "--layer", run.in_features, run.out_features)
    cost = find_target(technology).cost(structure(config), activity)
    return Estimate(config, technology, cost, layer_use(config, run))
