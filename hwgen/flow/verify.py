"""hwgen verify: the generated Verilog against golden, bit for bit and cycle for cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgen.base.errors import ConfigError
from hwgen.flow.layer import check_fits, parse_layer
from hwgen.spec.config import CoreConfig, load_core
from hwgen.spec.number import FloatFormat
from hwgen.spec.structure import structure
from hwgen.verilog.emit import emit
from sim.checkpoints import CheckpointError, TernaryLayer
from sim.golden import fixed as golden_fixed
from sim.golden.codebooks import GroupError
from sim.nets.network import Network, NetworkValueError, accuracy, read_test_set
from sim.verilated.runner import CoreModel, Result, Stalls, Work
from sim.workload.cycles import Run, total_cycles
from sim.workload.reference import reference
from sim.workload.weights import random_weights

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Mismatch:
    """The first output that differs: its layer, place, and values."""

    layer: str
    token: int
    output: int
    expected: int
    got: int


@dataclass
class Verification:
    """What was compared, and what came of it. Seconds are wall-clock.

    ``match``: every output equals golden's and, without stalls, the cycle count the formula's.
    ``stall`` is the percentage of cycles in which each stream stalled; ``cycles_predicted`` is
    always that without stalls.
    ``pack_seconds`` turned weights into key beats, ``copy_seconds`` (a part of run_seconds) moved
    beats to and from the model.
    """

    match: bool = True
    outputs: int = 0
    mismatches: int = 0
    cycles: int = 0
    cycles_predicted: int = 0
    stall: int = 0
    build_seconds: float = 0.0
    run_seconds: float = 0.0
    copy_seconds: float = 0.0
    pack_seconds: float = 0.0
    accuracy: float | None = None
    first_mismatch: Mismatch | None = None
    layers: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain data; accuracy only where a model with a test set was run."""
        content = asdict(self)
        if self.accuracy is None:
            del content["accuracy"]
        return content


class _Verifier:
    """One compiled core, and the tally of all that ran on it."""

    def __init__(self, config: CoreConfig, stall: int, seed: int, progress: Progress) -> None:
        self.config = config
        self.stalls = Stalls(stall, stall, stall, stall)
        self.seed = seed
        self.progress = progress
        emitted = emit(config)
        progress("compiling the Verilog")
        self.model = CoreModel(emitted.verilog, emitted.manifest)
        self.tally = Verification(stall=stall, build_seconds=self.model.build_seconds)

    def run(self, name: str, acts: NDArray, weights: NDArray) -> NDArray[np.int64]:
        """Run one layer, compare it with golden, and return the core's own outputs."""
        (tokens, features), outs = acts.shape, weights.shape[0]
        exponents = None
        if self.config.exponent_bits:
            exponents = golden_fixed.token_exponents(acts, self.config.act)
        self.progress(f"running {name}: {tokens} × {features} → {outs}")
        result: Result = self.model.run([Work(acts, weights, exponents)], self.stalls, self.seed)
        (got,) = result.outputs
        expected = reference(self.config, acts, weights, exponents)
        run = Run(tokens, features, outs)
        tally = self.tally
        wrong = np.argwhere(got != expected)
        if len(wrong) and tally.first_mismatch is None:
            token, output = map(int, wrong[0])
            tally.first_mismatch = Mismatch(
                name, token, output, int(expected[token, output]), int(got[token, output])
            )
        tally.layers.append(name)
        tally.outputs += got.size
        tally.mismatches += len(wrong)
        tally.cycles += result.cycles
        tally.cycles_predicted += total_cycles(structure(self.config), [run])
        tally.run_seconds += result.run_seconds
        tally.copy_seconds += result.copy_seconds
        tally.pack_seconds += result.pack_seconds
        return got

    def finish(self) -> Verification:
        tally = self.tally
        if not tally.outputs:
            raise AssertionError("nothing was compared")
        in_time = tally.cycles == tally.cycles_predicted or tally.stall > 0
        tally.match = tally.mismatches == 0 and in_time
        return tally


def verify(
    core: Path,
    *,
    layer: str | None = None,
    model: Path | None = None,
    seed: int = 0,
    stall: int = 0,
    progress: Progress = lambda _: None,
) -> Verification:
    """Run a random layer (``layer``: "random:T,N,M") or a checkpoint's on the core in ``core``.

    A random layer has activations over their whole range and every group of weights of the core's
    codebook (for kind multiplier any weights of the activation's type). A checkpoint folder has
    ternary layers and test images, whose classification by the core's own outputs gives the
    accuracy. With ``stall`` every stream stalls in that percentage of cycles, and cycles are not
    compared.
    """
    if (layer is None) == (model is None):
        raise ConfigError("verify: should have either --layer random:T,N,M or --model FOLDER")
    if not 0 <= stall <= 95:
        raise ConfigError(f"--stall: should be 0 … 95 percent, not {stall}")
    if not 0 <= seed < 1 << 63:
        raise ConfigError(f"--seed: should be 0 … 2^63 - 1, not {seed}")
    config = load_core(core)
    if layer is not None:
        return _verify_random(config, layer, seed, stall, progress)
    assert model is not None
    return _verify_model(config, model, seed, stall, progress)


def _verify_random(
    config: CoreConfig, layer: str, seed: int, stall: int, progress: Progress
) -> Verification:
    tokens, features, outs = parse_layer(layer)
    check_fits(config, "--layer", features, outs)
    rng = np.random.default_rng(seed)
    number = config.number
    if config.float_number is None:
        low, high = number.lowest, number.highest
        acts = rng.integers(low, high, (tokens, features), np.int16, endpoint=True)
    else:
        acts = random_floats(config.act, config.float_number, rng, (tokens, features))
    if config.kind == "multiplier" and config.float_number is not None:
        weights = random_floats(config.act, config.float_number, rng, (outs, features))
    elif config.kind == "multiplier":
        weights = rng.integers(
            number.lowest, number.highest, (outs, features), np.int16, endpoint=True
        )
    else:
        weights = random_weights(config, rng, (outs, features))
    verifier = _Verifier(config, stall, seed, progress)
    verifier.run("random", acts, weights)
    return verifier.finish()


def random_floats(
    name: str, number: FloatFormat, rng: np.random.Generator, shape: tuple[int, int]
) -> NDArray:
    """Codes of finite activations: even tokens normally distributed, odd ones any code at all."""
    normal = golden_fixed.encode(rng.standard_normal(shape), name)
    magnitude = rng.integers(0, number.largest, shape, endpoint=True)
    any_code = magnitude | rng.integers(0, 2, shape) << (number.bits - 1)
    return np.where(np.arange(shape[0])[:, None] % 2 == 0, normal, any_code.astype(normal.dtype))


def _verify_model(
    config: CoreConfig, folder: Path, seed: int, stall: int, progress: Progress
) -> Verification:
    try:
        network = Network.load(folder)
        images, labels = read_test_set(folder)
    except CheckpointError as error:
        raise ConfigError(str(error)) from None
    wanted = network.layers[0].in_features
    if not len(images) or images.shape[1] != wanted:
        raise ConfigError(
            f"--model {folder}: test images should be (T, {wanted}) with T of at least 1, "
            f"not {images.shape}"
        )
    classes = network.layers[-1].out_features
    if labels.max() >= classes:
        raise ConfigError(
            f"--model {folder}: labels should be below the {classes} outputs, not {labels.max()}"
        )
    for info in network.layers:
        check_fits(config, f"--model {folder}: {info.name}", info.in_features, info.out_features)
    verifier = _Verifier(config, stall, seed, progress)

    floats = None if config.float_number is None else config.act

    def on_core(layer: TernaryLayer, acts: NDArray) -> NDArray[np.int64]:
        weights: NDArray = layer.weights
        if floats is not None and config.kind == "multiplier":
            weights = golden_fixed.encode(weights, floats)
        try:
            return verifier.run(layer.name, acts, weights)
        except GroupError as error:
            raise ConfigError(f"--model {folder}: {error.within(layer.name, 0, 0)}") from None

    try:
        logits = network.infer(images, on_core, config.number.bits, floats, config.sum_format)
        verifier.tally.accuracy = accuracy(logits, labels)
    except NetworkValueError as error:
        if not verifier.tally.mismatches:  # Else the core is wrong, not the network.
            raise ConfigError(f"--model {folder}: {error}") from None
    return verifier.finish()
