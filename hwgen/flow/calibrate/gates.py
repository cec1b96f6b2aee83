"""One core in cells, simulated: outputs against golden, and what its nets do and cost.

There are two activity classes. ``random``: all groups of the codebook occur evenly, so that a third
of ``ternary`` weights is 0 (for kind multiplier: any weights of the activations' type); integer
activations are uniform over their range, floating-point ones normally distributed. ``digits``: the
second layer of the packaged ternary network `digits` on its test images, 256 inputs, 64 % of them 0
after a ReLU, by 128
outputs, 33 % of the weights 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.cells.energy_data import ActivityClass
from costmodel.judge.energy_records import MOST_CYCLES
from costmodel.netlist.netlist import Netlist, clock_pins
from costmodel.netlist.power import Activity, Power, power
from costmodel.synth.libraries import TechnologyFiles
from costmodel.synth.mapped import Mapped, map_core
from hwgen.base.errors import ConfigError, HwgenError
from hwgen.spec.config import CoreConfig
from hwgen.spec.schedule import Run
from hwgen.spec.structure import Structure, structure
from hwgen.verilog.emit import Emitted, emit
from sim.checkpoints import TernaryLayer, open_checkpoint
from sim.golden import fixed as golden_fixed
from sim.nets.network import Network, golden_matmul, read_test_set
from sim.nets.packaged import CHECKPOINTS
from sim.verilated.gatelevel import GateModel, Toggles
from sim.verilated.runner import Work
from sim.workload.reference import reference
from sim.workload.stimulus import random_operands

SEED = 1
IN_TILES = 4
"""n-tiles of a random layer: three of four tiles add to an accumulator."""
DIGITS = CHECKPOINTS["digits"]
DIGITS_LAYER = 1


class GateError(HwgenError):
    """A mapped netlist does not compute what it should."""


@dataclass(frozen=True)
class Gates:
    """A core in the cells of a library, compiled for simulation."""

    config: CoreConfig
    library: TechnologyFiles
    emitted: Emitted
    mapped: Mapped
    model: GateModel

    @property
    def spec(self) -> Structure:
        return structure(self.config)


@dataclass(frozen=True)
class Measured:
    """Energy of a core in one activity class. tiles: number of tiles read in the sampled cycles."""

    power: Power
    tiles: int

    @property
    def energy_fj_per_tile(self) -> float:
        return self.power.energy.total_fj / self.tiles

    @property
    def clock_fj_per_cycle(self) -> float:
        return self.power.energy.clock_fj / self.power.cycles


def gates(config: CoreConfig, library: TechnologyFiles, *, flatten: bool = True) -> Gates:
    """Map a core and compile the netlist.

    ``flatten`` as for ``costmodel.synth.mapped.map_core``. Raises SynthesisError, TimingError,
    LibertyError, ModelError.
    """
    emitted = emit(config)
    mapped = map_core(emitted.rtlil, emitted.name, library, flatten=flatten)
    compiled = GateModel(mapped.json, mapped.cells, emitted.manifest)
    return Gates(config, library, emitted, mapped, compiled)


def measure(core: Gates, data: ActivityClass) -> Measured:
    """Simulate, compare every output with the golden model, and add up energies at full speed.

    Raises GateError if an output differs, ConfigError for a technology without energies, and what
    ``costmodel.netlist.power.power`` raises.
    """
    conditions = core.library.info.conditions
    if conditions is None:
        raise ConfigError(
            f"technology {core.library.name}: has no energies, as its cells have none"
        )
    work = random_work(core.config) if data == "random" else digits_work(core.config)
    (tokens, ins), outs = work.acts.shape, len(work.weights)
    # From the cycle where the pipeline is full until keys end.
    first = core.spec.latency + 2
    cycles = min(MOST_CYCLES, core.spec.schedule.cycles([Run(tokens, ins, outs)]) - 2 * first)
    result, toggles = core.model.count([work], first, cycles, SEED)
    expected = reference(core.config, work.acts, work.weights, work.exponents)
    if wrong := int(np.count_nonzero(result.outputs[0] != expected)):
        raise GateError(
            f"{core.emitted.name}: {wrong} of {expected.size} outputs of the netlist in "
            f"{core.library.name} differ from golden"
        )
    activity = activity_of(core.mapped.netlist, toggles)
    total = power(core.mapped.netlist, activity, conditions, core.library.files)
    return Measured(total, toggles.tiles)


def activity_of(netlist: Netlist, toggles: Toggles) -> Activity:
    """Toggles in the order of the netlist's nets; the clock is taken to toggle twice a cycle."""
    if missing := [bit for bit in netlist.bits if bit not in toggles.toggles]:
        raise GateError(f"{netlist.top}: net {missing[0]}: was not counted")
    changes = np.array([toggles.toggles[bit] for bit in netlist.bits], float)
    high = np.array([toggles.high[bit] for bit in netlist.bits], float) / toggles.cycles
    for group in netlist.groups:
        for pin in clock_pins(group.cell):
            changes[group.nets[pin]], high[group.nets[pin]] = 2.0 * toggles.cycles, 0.5
    return Activity(changes, high, toggles.cycles)


def random_work(config: CoreConfig) -> Work:
    """A random layer of `IN_TILES` n-tiles for `MOST_CYCLES`, with about as many blocks as tokens.

    Every token reads the same weights, and every block the same activations.
    """
    rng = np.random.default_rng(SEED)
    ins, block = IN_TILES * config.tile_n, config.tile_m * config.reuse
    blocks = math.isqrt(_tokens(config, ins, block)) + 1
    ins, outs = min(ins, config.max_in_features), min(blocks * block, config.max_out_features)
    tokens = _tokens(config, ins, outs)
    acts, weights = random_operands(config, rng, tokens, ins, outs, "normal")
    return _work(config, acts, weights)


def digits_work(config: CoreConfig) -> Work:
    """A layer of the network with the activations of enough test images for `MOST_CYCLES`."""
    if not config.book.holds_all:
        raise ConfigError(
            f"codebook: should be ternary for the weights of {DIGITS.name}, not "
            f"{config.codebook!r}; take random data"
        )
    network = Network.load(open_checkpoint(DIGITS))
    images, _ = read_test_set(DIGITS)
    layer = network.layers[DIGITS_LAYER]
    outs, ins = layer.weights.shape
    tokens = min(len(images), _tokens(config, ins, outs))
    floats = None if config.float_number is None else config.act
    inputs: dict[str, NDArray[Any]] = {}

    def keep(this: TernaryLayer, acts: NDArray[Any]) -> NDArray[np.int64]:
        """Exact products; of floating-point codes, the products of their values."""
        inputs[this.name] = acts
        if floats is None:
            return golden_matmul(this, acts)
        values = golden_fixed.decode(acts, floats) @ this.weights.T.astype(np.float64)
        return golden_fixed.encode(values, "fp32").astype(np.int64)[None]

    network.infer(images[:tokens], keep, config.number.bits, floats, "fp32" if floats else None)
    weights: NDArray[Any] = layer.weights
    if config.kind == "multiplier" and floats is not None:
        weights = golden_fixed.encode(weights, floats)
    return _work(config, inputs[layer.name], weights)


def _tokens(config: CoreConfig, ins: int, outs: int) -> int:
    """Tokens that take more than `MOST_CYCLES` after the pipeline is full."""
    spec = structure(config)
    wanted = MOST_CYCLES + 3 * spec.latency
    one = spec.schedule.cycles([Run(2, ins, outs)]) - spec.schedule.cycles([Run(1, ins, outs)])
    return -(-wanted // one)


def _work(config: CoreConfig, acts: NDArray[Any], weights: NDArray[Any]) -> Work:
    exponents = None
    if config.exponent_bits:
        exponents = golden_fixed.token_exponents(acts, config.act)
    return Work(acts, weights, exponents)
