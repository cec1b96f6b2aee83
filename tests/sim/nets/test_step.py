"""A decode step of a whole model: golden's chain of layers, and the hardware beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hwgen.flow.simulate.step as flow
from hwgen.base.errors import ConfigError
from hwgen.flow.simulate.closed import simulate
from hwgen.flow.simulate.step import simulate_rtl
from hwgen.spec.config import CoreConfig
from hwgen.spec.system import System
from sim.checkpoints import CheckpointError, Reading, open_checkpoint
from sim.checkpoints.architecture import ROLES, Architecture
from sim.golden import fixed as golden_fixed
from sim.golden.codebooks import GroupError
from sim.nets.step import checkpoint_layers, golden_step, quantised, random_layers
from sim.verilated.runner import CoreModel
from sim.workload.layers import Linear, Plan, run_golden, run_rtl
from tests.support.cases import CASES
from tests.support.checkpoint_files import SHAPES, ternary, write_tq
from tests.support.emitted import emitted as emitted_once

TERNARY = CoreConfig(kind="lut", tables=2, ports=2)
SIZES = Architecture(hidden=24, ffn=40, heads=6, kv_heads=2, head_dim=4, layers=3)
FLOATS = (
    "lut_fp16_fixed",
    "signflip_bf16_float_d3",
    "lut_bf16_aligned_d2",
    "signflip_fp16_aligned_pipelined_to_fp32",
    "multiplier_fp8_e5m2_float",
)
CORE = "kind: lut\nmu: 2\ntables: 8\nports: 16\nmax_in_features: 768\nmax_out_features: 300\n"


def norm(x):
    return x / np.sqrt((x * x).mean() + 1e-5)


def test_a_step_is_that_of_the_decoder_block_written_out():
    """Vectors instead of arrays of tokens; real products of the integers that golden was given."""
    layer = random_layers(SIZES, 5, TERNARY)
    core = CoreConfig(kind="lut", tables=3, ports=2)
    pieces = list(golden_step(SIZES, layer, System(core), seed=5))
    assert [piece.linear.name for piece in pieces] == [
        f"layers.{index}.{role}" for index in range(3) for role in ROLES
    ]
    found = iter(pieces)

    def product(index, role, x):
        piece, weights = next(found), layer(index, role)
        scale = 127 / np.abs(x).max()
        np.testing.assert_array_equal(piece.acts[0], np.round(x * scale))
        np.testing.assert_array_equal(piece.linear.weights, weights.weights)
        (((sums,),),) = (piece.expected,)
        np.testing.assert_array_equal(sums[0], weights.weights.astype(int) @ piece.acts[0])
        return sums[0] * weights.scales.values[0, 0] / scale

    x = np.random.default_rng([5, 3]).standard_normal(24)
    for index in range(3):
        n = norm(x)
        product(index, "q", n)
        product(index, "k", n)
        v = product(index, "v", n)
        mixed = np.concatenate([v[:4]] * 3 + [v[4:]] * 3)
        x = x + product(index, "o", norm(mixed))
        n = norm(x)
        gate, up = product(index, "gate", n), product(index, "up", n)
        x = x + product(index, "down", norm(np.maximum(gate, 0) ** 2 * up))


def test_random_weights_depend_on_their_seed_and_place_alone():
    one, other = random_layers(SIZES, 1, TERNARY), random_layers(SIZES, 2, TERNARY)
    first = one(0, "q").weights
    one(2, "down")
    np.testing.assert_array_equal(first, one(0, "q").weights)
    for different in (one(1, "q"), one(0, "o"), other(0, "q")):
        assert (first != different.weights).any()
    large = random_layers(Architecture(1024, 1024, 1, 1, 1024, 1), 0, TERNARY)(0, "q").weights
    shares = [float((large == value).mean()) for value in (-1, 0, 1)]
    # 1,048,576 draws: five standard deviations of a share are below 0.0025.
    assert shares == pytest.approx([74 / 256, 108 / 256, 74 / 256], abs=0.0025)


def test_activations_take_the_type_of_the_core():
    x = np.array([[1.0, -2.0, 0.25]])
    acts, scale = quantised(CoreConfig(kind="lut", act="int4", tables=1, ports=1), x)
    assert (acts.tolist(), scale.tolist()) == ([[4, -7, 1]], [3.5])
    core = CoreConfig(kind="lut", act="fp16", arith="fixed", tables=1, ports=1)
    acts, scale = quantised(core, x)
    assert (acts.view(np.float16).tolist(), scale.tolist()) == (x.tolist(), [1.0])


@pytest.mark.verilator
@pytest.mark.parametrize("name", FLOATS)
def test_cores_of_floating_point_run_a_step(name):
    """Codes of the format in, codes out, and the next layer's input from their values."""
    config = CASES[name]
    emitted = emitted_once(config)
    model = CoreModel(emitted.verilog, emitted.manifest)
    pieces = list(golden_step(SIZES, random_layers(SIZES, 1, config), System(config, 2), 1))
    assert len(pieces) == 21
    for piece in pieces:
        assert golden_fixed.decode(piece.acts, config.act).any()
        result = run_rtl(model, piece.plan, piece.acts, piece.linear)
        for got, wanted in zip(result.products, piece.expected, strict=True):
            np.testing.assert_array_equal(got, wanted)
        assert result.cycles == piece.plan.cycles(1).total


@pytest.mark.verilator
def test_random_weights_are_those_of_the_codebook():
    """Layers of 24 and 40 inputs on a core that takes 23, of which whole groups are 20."""
    fields = {"codebook": "sherry34", "mu": 4, "tables": 3, "ports": 5, "max_in_features": 23}
    config = CoreConfig(kind="lut", **fields)
    emitted = emitted_once(config)
    model = CoreModel(emitted.verilog, emitted.manifest)
    for piece in golden_step(SIZES, random_layers(SIZES, 1, config), System(config, 2), 1):
        groups = piece.linear.weights.reshape(-1, 4)
        assert ((groups == 0).sum(axis=1) == 1).all()
        assert {part.columns.start % 20 for parts in piece.plan.parts for part in parts} == {0}
        result = run_rtl(model, piece.plan, piece.acts, piece.linear)
        for got, wanted in zip(result.products, piece.expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_a_fault_of_a_layer_names_its_own_row_and_column():
    fields = {"codebook": "sherry34", "mu": 4, "tables": 1, "ports": 2, "max_in_features": 8}
    config = CoreConfig(kind="lut", max_out_features=2, **fields)
    weights = np.tile([1, 1, 0, -1], (6, 5)).astype(np.int8)
    weights[5, 14] = -1  # In the third of six blocks of rows, the second of three of columns.
    linear = Linear("some", weights)
    with pytest.raises(GroupError) as caught:
        run_golden(Plan(System(config), linear.shape), np.ones((1, 20), np.int8), linear)
    assert str(caught.value).startswith("some: weights must be groups of 4")
    assert "found [1, 1, -1, -1] at row 5, column 12;" in str(caught.value)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "core.yaml").write_text(CORE)
    (tmp_path / "system.yaml").write_text("system: {core: core.yaml, cores: 3}\n")
    shapes = {f"blk.0.{name}": shape for name, shape in SHAPES.items()}
    tensors = {name: ternary(shape, i) for i, (name, shape) in enumerate(shapes.items())}
    write_tq(tmp_path / "model.gguf", "TQ2_0", tensors)
    return tmp_path


@pytest.mark.verilator
@pytest.mark.parametrize("core", ["core.yaml", "system.yaml"])
@pytest.mark.parametrize("bandwidth", [None, "100 bits/cycle"])
def test_a_checkpoint_runs_on_the_hardware_in_the_cycles_of_the_closed_form(files, core, bandwidth):
    model = str(files / "model.gguf")
    step = simulate_rtl(model, files / core, bandwidth=bandwidth)
    predicted = simulate(model, files / core, bandwidth=bandwidth).decode
    assert step.match
    assert step.cycles == step.cycles_predicted == predicted.taken.cycles
    assert step.outputs == sum(out for out, _ in SHAPES.values())
    assert step.layers == 7
    assert step.ternary_weights == sum(out * inside for out, inside in SHAPES.values())


@pytest.mark.verilator
def test_a_wrong_core_is_noticed(files, damaged_emit):
    damaged_emit(flow)
    step = simulate_rtl(str(files / "model.gguf"), files / "core.yaml")
    assert not step.match
    assert step.fault()


@pytest.mark.verilator
def test_a_model_of_the_zoo_has_random_weights(files):
    step = simulate_rtl("trilm-99m", files / "core.yaml", seed=3)
    assert step.match
    assert step.weights == "random, seed 3"
    assert step.zero_fraction == pytest.approx(108 / 256, abs=1e-3)
    json.dumps(step.to_dict())


def test_what_cannot_run_is_refused(files):
    with pytest.raises(ConfigError, match="should be a checkpoint or one of bitnet"):
        simulate_rtl("gpt", files / "core.yaml")


def test_a_checkpoint_without_all_projections_is_refused(tmp_path):
    tensors = {f"blk.0.{name}": ternary(shape) for name, shape in SHAPES.items()}
    del tensors["blk.0.ffn_up"]
    path = write_tq(Path(tmp_path) / "model.gguf", "TQ2_0", tensors)
    with pytest.raises(CheckpointError, match=r"1 missing \(layer 0: up\)"):
        open_checkpoint(path)
    with pytest.raises(CheckpointError, match="not lack up of layer 0; use a whole decoder"):
        checkpoint_layers(open_checkpoint(path, Reading(partial=True)))
