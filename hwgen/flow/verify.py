"""hwgen verify: the generated Verilog against golden, bit for bit and cycle for cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgen.base.errors import ConfigError
from hwgen.base.record import Record
from hwgen.base.yamlfile import Source
from hwgen.flow.checkpoint import ModelSource
from hwgen.flow.layer import Layer, check_fits, check_memory, parse_layer
from hwgen.spec.config import CoreConfig, load_core
from hwgen.spec.schedule import Run
from hwgen.spec.structure import structure
from hwgen.verilog.emit import emit
from sim.checkpoints import TernaryLayer
from sim.golden import fixed as golden_fixed
from sim.golden.codebooks import GroupError
from sim.nets.network import NetworkValueError, accuracy
from sim.verilated.runner import CoreModel, Result, Stalls, Work
from sim.workload.reference import reference
from sim.workload.stimulus import random_operands

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Mismatch:
    """The first output that differs: its layer, place, and values."""

    layer: str
    token: int
    output: int
    expected: int
    got: int


@dataclass(frozen=True)
class Verification(Record):
    """What was compared, and what came of it. Seconds are wall-clock.

    ``match``: every output equals the golden model's and, without stalls, the cycle
    count equals the formula's.
    ``stall`` is the percentage of cycles in which each stream stalled; ``cycles_predicted`` is
    always that without stalls.
    ``pack_seconds`` turned weights into key beats, ``copy_seconds`` (a part of run_seconds) moved
    beats to and from the model.
    """

    drawn_in = "verify"
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
    layers: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
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

    def run(self, name: str, acts: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.int64]:
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
        tally, first = self.tally, self.tally.first_mismatch
        wrong = np.argwhere(got != expected)
        if len(wrong) and first is None:
            token, output = map(int, wrong[0])
            values = int(expected[token, output]), int(got[token, output])
            first = Mismatch(name, token, output, *values)
        self.tally = replace(
            tally,
            layers=(*tally.layers, name),
            outputs=tally.outputs + got.size,
            mismatches=tally.mismatches + len(wrong),
            first_mismatch=first,
            cycles=tally.cycles + result.cycles,
            cycles_predicted=tally.cycles_predicted + structure(self.config).schedule.cycles([run]),
            run_seconds=tally.run_seconds + result.run_seconds,
            copy_seconds=tally.copy_seconds + result.copy_seconds,
            pack_seconds=tally.pack_seconds + result.pack_seconds,
        )
        return got

    def finish(self) -> Verification:
        tally = self.tally
        if not tally.outputs:
            raise AssertionError("nothing was compared")
        in_time = tally.cycles == tally.cycles_predicted or tally.stall > 0
        return replace(tally, match=tally.mismatches == 0 and in_time)


def verify(
    core: Source | CoreConfig,
    layer: Layer | None = None,
    *,
    model: str | Path | None = None,
    seed: int = 0,
    stall: int = 0,
    progress: Progress = lambda _: None,
) -> Verification:
    """Run a random layer (``layer``: "T,N,M") or a checkpoint's on the core in ``core``.

    A random layer has activations over their whole range and every group of weights of the core's
    codebook (for kind multiplier any weights of the activation's type). A checkpoint folder has
    ternary layers and test images, whose classification by the core's own outputs gives the
    accuracy. With ``stall`` every stream stalls in that percentage of cycles, and cycles are not
    compared.
    """
    if (layer is None) == (model is None):
        raise ConfigError("verify: should have either --layer T,N,M or --model FOLDER")
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
    config: CoreConfig, layer: Layer, seed: int, stall: int, progress: Progress
) -> Verification:
    run = parse_layer(layer)
    check_fits(config, "--layer", run.in_features, run.out_features)
    check_memory(run)
    tokens, features, outs = run.tokens, run.in_features, run.out_features
    rng = np.random.default_rng(seed)
    acts, weights = random_operands(config, rng, tokens, features, outs, "mixed")
    verifier = _Verifier(config, stall, seed, progress)
    verifier.run("random", acts, weights)
    return verifier.finish()


def _verify_model(
    config: CoreConfig, folder: str | Path, seed: int, stall: int, progress: Progress
) -> Verification:
    network, images, labels = ModelSource.find(folder).network()
    for part in network.layers:
        if part.segments > 1:
            raise ConfigError(
                f"--model {folder}: {part.name} should have scales for whole rows, not for "
                f"{part.segments} groups along each; use simulate"
            )
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

    def on_core(layer: TernaryLayer, acts: NDArray[Any]) -> NDArray[np.int64]:
        weights: NDArray[Any] = layer.weights
        if floats is not None and config.kind == "multiplier":
            weights = golden_fixed.encode(weights, floats)
        try:
            return verifier.run(layer.name, acts, weights)[None]
        except GroupError as error:
            raise ConfigError(f"--model {folder}: {error.within(layer.name, 0, 0)}") from None

    try:
        logits = network.infer(images, on_core, config.number.bits, floats, config.sum_format)
        verifier.tally = replace(verifier.tally, accuracy=accuracy(logits, labels))
    except NetworkValueError as error:
        if not verifier.tally.mismatches:  # Else the core is wrong, not the network.
            raise ConfigError(f"--model {folder}: {error}") from None
    return verifier.finish()
