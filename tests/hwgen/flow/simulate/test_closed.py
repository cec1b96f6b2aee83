"""hwgen simulate: cycles, time and energy of a model's layers, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from costmodel.cells.technology import load_technology
from hwgen.base.errors import ConfigError
from hwgen.flow.estimate import estimate
from hwgen.flow.inspect import inspect
from hwgen.flow.simulate.closed import draw, simulate
from hwgen.spec.schedule import Run
from hwgen.spec.structure import structure
from hwgen.spec.system import System, load_system
from hwgen.tables.simulate import simulate_tables
from sim.checkpoints import Reading
from sim.workload.workload import of_zoo
from sim.workload.zoo import load_model, model_names
from tests.sim.checkpoints import test_matrices as whole_models
from tests.support.checkpoint_files import write_folder

CORE = "kind: lut\nmu: 2\ntables: 32\nports: 32\nmax_in_features: 6912\nmax_out_features: 6912\n"


@pytest.fixture
def core(tmp_path):
    path = tmp_path / "core.yaml"
    path.write_text(CORE)
    return path


def system_file(core: Path, cores: int) -> Path:
    path = core.parent / f"{cores}.yaml"
    path.write_text(f"system: {{core: {core.name}, cores: {cores}, split: out_features}}\n")
    return path


def test_a_decode_step_of_2b4t_takes_a_cycle_for_2048_weights(core):
    """2,084,044,800 weights divide by 2,048; 210 layers have 3 cycles of latency each."""
    result = simulate("bitnet-2b4t", core)
    assert result.workload.weights == 2_084_044_800
    assert structure(result.system.core).latency == 2
    assert result.cycles == 2_084_044_800 // 2048 + 210 * 2
    assert result.clock_ns is None
    assert result.to_dict()["decode"]["tokens_per_second"] is None


@pytest.mark.parametrize("name", model_names())
def test_cycles_are_those_of_every_layer_in_turn(name, core):
    """Of cores that are large enough: a run for each segment, queued, and nothing else."""
    core.write_text(CORE.replace("6912", "32768"))
    model = load_model(name)
    spec = structure(load_system(core).core)
    for tokens in (1, 3):
        expected = 0
        for matrix in model.matrices:
            parts = model.shards if matrix.role in ("o", "down") else 1
            run = Run(tokens, matrix.in_features // parts, matrix.out_features)
            expected += matrix.count * spec.schedule.cycles([run] * parts)
        found = simulate(name, core, prefill=tokens, decode=0)
        assert found.cycles == found.prefill.taken.cycles == expected


def test_prefill_and_decode_add_up_and_time_follows(core):
    result = simulate("bitnet-2b4t", core, prefill=10, decode=7, clock_ns=2.0)
    content = result.to_dict()
    prefill, decode = content["prefill"], content["decode"]
    assert content["cycles"] == prefill["cycles"] + 7 * decode["cycles"]
    assert decode["tokens_per_second"] == pytest.approx(1e9 / (2 * decode["cycles"]))
    assert prefill["seconds"] == pytest.approx(prefill["cycles"] * 2e-9)
    assert prefill["weight_bits"] == 10 * decode["weight_bits"]  # Read again for every token.
    assert json.loads(json.dumps(content)) == content


def test_energy_is_that_of_the_tiles_and_leakage(core):
    """At full speed as `hwgen estimate` has it; with stalls the clock ticks on."""
    result = simulate("bitnet-2b4t", core, tech="asap7")
    one = estimate(core, "asap7").cost
    tiles = result.decode.taken.tiles
    leakage = one.energy.leakage_mw * result.cycles * one.clock.period_ns
    assert result.clock_ns == one.clock.period_ns
    assert result.decode.energy.leakage == pytest.approx(leakage)
    # The cycles of latency clock the flip-flops: 420 of a million.
    dynamic = result.decode.energy.total - leakage
    assert dynamic == pytest.approx(tiles * one.energy.fj_per_tile * 1e-3, rel=1e-3)
    slow = simulate("bitnet-2b4t", core, tech="asap7", bandwidth="2048 bits/cycle")
    idle = slow.cycles - result.cycles
    more = idle * (
        one.energy.clock_fj_per_tile * 1e-3 + one.energy.leakage_mw * one.clock.period_ns
    )
    assert idle > 900_000
    assert slow.decode.energy.total - result.decode.energy.total == pytest.approx(more)


def test_four_cores_take_four_times_the_energy_in_a_quarter_of_the_time(core):
    one, four = (
        simulate("bitnet-2b4t", path, tech="asap7") for path in (core, system_file(core, 4))
    )
    assert four.decode.taken.tiles == one.decode.taken.tiles
    assert four.cycles - 420 == pytest.approx((one.cycles - 420) / 4, rel=1e-9)
    assert four.decode.energy.total == pytest.approx(one.decode.energy.total, rel=2e-3)
    assert four.system.weights_per_cycle == 4 * one.system.weights_per_cycle


def test_what_binds_is_the_slower_of_weights_and_tiles(core):
    """A beat has 4,096 bits: at that many bits a cycle nothing waits, at one less all does."""
    enough = simulate("bitnet-2b4t", core, bandwidth="4096 bits/cycle").to_dict()
    scarce = simulate("bitnet-2b4t", core, bandwidth="4095 bits/cycle").to_dict()
    assert [one["decode"]["limit"] for one in (enough, scarce)] == ["compute", "bandwidth"]
    assert enough["decode"]["stall_cycles"] == 0
    layers = scarce["decode"]["layers"]
    assert sum(one["count"] * one["cycles"] for one in layers) == scarce["cycles"]
    for one in layers:
        assert sum(one["cycles_by_cause"].values()) == pytest.approx(one["cycles"])


def test_a_codebook_that_lacks_groups_is_said(core):
    assert simulate("bitnet-2b4t", core).to_dict()["codebook_note"] is None
    core.write_text(CORE.replace("mu: 2", "mu: 4\ncodebook: sherry34"))
    result = simulate("bitnet-2b4t", core)
    assert result.to_dict()["codebook_note"].startswith("Codebook sherry34 (exactly one zero)")
    assert any("No weights were checked." in str(part) for part in simulate_tables(result))


def test_systems_are_read_beside_their_core(core):
    assert load_system(system_file(core, 3)) == System(load_system(core).core, 3)
    core.with_name("bad.yaml").write_text("system: {core: core.yaml, cores: 0}\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml: system\.cores: .*equal to 1"):
        load_system(core.with_name("bad.yaml"))


def test_a_shard_of_inputs_takes_a_run_of_its_own():
    layers = {layer.role: layer.shape.segments for layer in of_zoo(load_model("trilm-3.9b")).layers}
    assert layers == {"q": 1, "k": 1, "v": 1, "o": 6, "gate": 1, "up": 1, "down": 6}


def test_layers_in_several_runs_are_told(core, hwgen_cli):
    outcome = hwgen_cli("simulate", "trilm-3.9b", core)
    said = " ".join(outcome.out.split())
    assert "Scales change along the inputs of o, down: each layer is 6 runs, added up" in said
    assert "Scales change" not in hwgen_cli("simulate", "bitnet-2b4t", core).out


def test_a_model_is_whole_or_says_what_it_lacks(core, tmp_path, hwgen_cli):
    """The same answer from every command and from Python, and the same cycles of the same model."""
    tensors = whole_models.stored()
    folder = write_folder(tmp_path / "whole", tensors, whole_models.LLAMA)
    cycles = simulate(folder, core).cycles
    fused = whole_models.fused("self_attn.qkv_proj", "mlp.gate_up_proj")
    other = write_folder(tmp_path / "fused", fused, whole_models.LLAMA)
    assert simulate(other, core).cycles == cycles
    lost = "model.layers.1.mlp.down_proj.weight"
    del tensors[lost]
    folder = write_folder(tmp_path / "lacking", tensors, whole_models.LLAMA)
    said = "13 are as they should be: 1 missing (layer 1: down)"
    for request in (lambda: simulate(folder, core), lambda: inspect(folder)):
        with pytest.raises(ConfigError, match=re.escape(said)):
            request()
    for arguments in (
        ("inspect", folder),
        ("simulate", folder, core),
        ("simulate", folder, core, "--rtl"),
        ("simulate", folder, core, "--prompt", "a"),
        ("verify", core, "--model", folder),
    ):
        outcome = hwgen_cli(*arguments)
        assert outcome.code == 2
        assert said in outcome.err
    result = simulate(folder, core, how=Reading(partial=True))
    one = structure(result.system.core).schedule.cycles([Run(1, 20, 12)])
    assert result.cycles == cycles - one
    left = {"name": "layers.1.down", "shape": (12, 20), "type": None, "reason": "missing"}
    assert result.to_dict()["left_out"] == [left]
    outcome = hwgen_cli("simulate", folder, core, "--partial")
    assert outcome.code == 0
    assert "Not counted, missing: layers.1.down." in outcome.out
    content = json.loads(hwgen_cli("simulate", folder, core, "--partial", "--json").out)
    assert content["left_out"] == [left | {"shape": [12, 20]}]
    assert (
        "--partial: is of checkpoints"
        in hwgen_cli("simulate", "bitnet-2b4t", core, "--partial").err
    )


def test_pictures_are_drawn(core, tmp_path):
    result = simulate("bitnet-2b4t", core, prefill=2, bandwidth="100 bits/cycle")
    draw(result, tmp_path / "cycles.png")
    draw(result, tmp_path / "cycles.svg")
    assert (tmp_path / "cycles.png").read_bytes()[:4] == b"\x89PNG"
    text = (tmp_path / "cycles.svg").read_text()
    for part in (
        "waiting for weights",
        "decode, 1 token",
        "down, 30 ×",
        "2B4T on core",
    ):
        assert part in text
    with pytest.raises(ConfigError, match="should end in"):
        draw(result, tmp_path / "cycles.jpg")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gpt", "core.yaml"], "should be a checkpoint or one of bitnet-b1.58-0.7b"),
        (["bitnet-2b4t"], "Missing argument 'CORE.yaml'"),
        (["bitnet-2b4t", "none.yaml"], "none.yaml: no such file"),
        (["bitnet-2b4t", "core.yaml", "--prefill", "-1"], "should be at least 0"),
        (["bitnet-2b4t", "core.yaml", "--decode", "0"], "not both 0"),
        (["bitnet-2b4t", "core.yaml", "--clock-ns", "0"], "should be above 0"),
        (["bitnet-2b4t", "core.yaml", "--tech", "generic"], "give --clock-ns"),
        (["bitnet-2b4t", "core.yaml", "--tech", "xcup"], "give --clock-ns"),
        (["bitnet-2b4t", "core.yaml", "--activity", "digits"], "no effect without --tech"),
        (
            ["bitnet-2b4t", "core.yaml", "--tech", "asap7", "--activity", "idle"],
            "should be random or digits",
        ),
        (["bitnet-2b4t", "core.yaml", "--prompt", "a"], "only shapes are known"),
        (["bitnet-2b4t", "core.yaml", "--scale", "divide"], "leave it out"),
        (["core.yaml", "core.yaml"], "not plain text"),
        (
            ["bitnet-2b4t", "core.yaml", "--rtl", "--decode", "2"],
            "no effect with --rtl, one step",
        ),
        (
            ["bitnet-2b4t", "core.yaml", "--rtl", "--tech", "asap7"],
            "--tech has no effect",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_a_line(hwgen_cli, arguments, said):
    outcome = hwgen_cli("simulate", *arguments)
    assert outcome.code == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_the_tables_have_every_layer_and_the_summary(hwgen_cli):
    options = ["--tech", "asap7", "--prefill", "4", "--bandwidth", "1 GB/s"]
    outcome = hwgen_cli("simulate", "falcon3-1.58-1b", "core.yaml", *options)
    assert outcome.code == 0
    for part in (
        "gate",
        "2048 → 8192",
        "bandwidth",
        "tokens/s",
        "µJ",
        "First token after",
        "Left out",
    ):
        assert part in outcome.out
    assert load_technology("asap7").name in outcome.out


def test_fpga_clocks_but_no_energies(hwgen_cli):
    outcome = hwgen_cli("simulate", "trilm-99m", "core.yaml", "--tech", "ecp5", "--json")
    content = json.loads(outcome.out)
    assert content["decode"]["tokens_per_second"] > 0
    assert content["decode"]["core_energy_pj_per_token"] is None
    assert "FPGA" in content["energy_note"]
