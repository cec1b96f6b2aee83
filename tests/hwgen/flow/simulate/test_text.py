"""Text from a language model whose linear layers run on the Verilated core."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import hwgen.flow.simulate.text as flow
from hwgen.base.errors import ConfigError
from hwgen.flow.simulate.text import simulate_text
from hwgen.spec.schedule import Run
from hwgen.spec.structure import structure
from hwgen.spec.system import load_system
from sim.nets.generation import generate
from sim.nets.network import golden_matmul
from tests.support.decoder_models import BITNET, CHARACTERS, load_decoder, random_model

CORE = "kind: lut\nmu: 3\ntables: 2\nports: 4\n"
PROMPT = CHARACTERS[1] + CHARACTERS[0] + CHARACTERS[3]


@pytest.fixture
def model(tmp_path):
    (tmp_path / "core.yaml").write_text(CORE)
    (tmp_path / "two.yaml").write_text("system: {core: core.yaml, cores: 2}\n")
    (tmp_path / "cut.yaml").write_text(CORE + "max_in_features: 6\nmax_out_features: 8\n")
    return random_model(BITNET).write(tmp_path / "model")


@pytest.mark.verilator
@pytest.mark.parametrize("core", ["core.yaml", "two.yaml", "cut.yaml"])
def test_the_hardware_writes_what_golden_writes_in_the_predicted_cycles(model, core):
    run = simulate_text(model, model.parent / core, PROMPT, tokens=6, rtl=True)
    decoder = load_decoder(model)
    assert run.text == "".join(generate(decoder, PROMPT, 6, golden_matmul))
    assert run.match
    assert run.measured == run.predicted
    assert len(run.measured) == 6  # The prompt, and five tokens that are fed back.
    assert run.layers == 6 * 14
    content = run.to_dict()
    assert json.loads(json.dumps(content)) == content
    assert content["cycles"] == content["cycles_predicted"] == sum(run.measured)
    assert content["cycles_per_token"] == content["cycles_per_token_predicted"] == run.measured[1]


def test_cycles_are_those_of_every_layer_of_every_pass(model):
    run = simulate_text(model, model.parent / "core.yaml", PROMPT, tokens=2)
    spec = structure(load_system(model.parent / "core.yaml").core)
    layers = [layer for one in load_decoder(model).weights.layers for layer in one.linear.values()]
    expected = [
        sum(
            spec.schedule.cycles([Run(tokens, layer.in_features, layer.out_features)])
            for layer in layers
        )
        for tokens in (3, 1)
    ]
    assert run.predicted == expected
    assert (run.match, run.cycles) == (None, None)


def test_bandwidth_seed_and_temperature_have_their_effect(model):
    core = model.parent / "core.yaml"
    one = simulate_text(model, core, PROMPT, tokens=9)
    slow = simulate_text(model, core, PROMPT, tokens=9, bandwidth="7 bits/cycle")
    assert slow.text == one.text
    assert slow.cycles_predicted > one.cycles_predicted
    hot = [
        simulate_text(model, core, PROMPT, tokens=9, seed=seed, temperature=1e3).text
        for seed in (0, 1)
    ]
    assert hot[0] != hot[1]
    likeliest = [
        simulate_text(model, core, PROMPT, tokens=9, seed=seed, temperature=0.0).text
        for seed in (0, 1)
    ]
    assert likeliest[0] == likeliest[1]


@pytest.mark.verilator
def test_a_wrong_core_is_noticed(model, damaged_emit):
    damaged_emit(flow)
    run = simulate_text(model, model.parent / "core.yaml", PROMPT, tokens=3, rtl=True)
    assert run.match is False
    assert "first in model.layers.0.self_attn.q_proj" in run.fault()


def test_a_text_that_ends_early_counts_its_own_tokens(model):
    whole = simulate_text(model, model.parent / "core.yaml", PROMPT, tokens=6)
    end = CHARACTERS.index(whole.text[2])
    (model / "config.json").write_text(json.dumps(BITNET | {"eos_token_id": [end]}))
    run = simulate_text(model, model.parent / "core.yaml", PROMPT, tokens=6)
    assert run.text == whole.text[: whole.text.index(whole.text[2]) + 1]
    assert run.tokens == len(run.text) < whole.tokens == 6
    assert run.predicted == whole.predicted[: run.tokens]
    (model / "config.json").write_text(json.dumps(BITNET | {"eos_token_id": "x"}))
    with pytest.raises(ConfigError, match="eos_token_id: should be a token id or a list of them"):
        simulate_text(model, model.parent / "core.yaml", PROMPT, tokens=6)


def test_a_model_of_other_activations_is_told(tmp_path, model, hwgen_cli):
    """Weights that are ternary without BitNet's quantization_config."""
    assert simulate_text(model, model.parent / "core.yaml", PROMPT, tokens=1).note is None
    other = random_model(BITNET)
    config = {key: value for key, value in BITNET.items() if key != "quantization_config"}
    tensors = other.real | {f"{k}.weight": w.astype(np.float16) for k, w in other.ternary.items()}
    folder = other.write(tmp_path / "other")
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    run = simulate_text(folder, model.parent / "core.yaml", PROMPT, tokens=1)
    assert run.to_dict()["note"].startswith("The model was not trained with activations of 8 bits")
    options = ["--prompt", PROMPT, "--tokens", "1"]
    outcome = hwgen_cli("simulate", folder, model.parent / "core.yaml", *options)
    assert "was not trained with activations of 8 bits" in outcome.out


def test_what_cannot_be_written_is_refused(model):
    core = model.parent / "core.yaml"
    with pytest.raises(ConfigError, match=r"prompt\[1\]: should be text that "):
        simulate_text(model, core, PROMPT[0] + "€", tokens=2)
    with pytest.raises(ConfigError, match="tokens should be at least 1"):
        simulate_text(model, core, PROMPT, tokens=0)
    with pytest.raises(ConfigError, match="should be a checkpoint or one of"):
        simulate_text(model / "none", core, PROMPT)
    with pytest.raises(ConfigError, match="at most the 12 tokens of max_position_embeddings"):
        simulate_text(model, core, PROMPT, tokens=64)
    core.write_text("kind: signflip\nact: int7\ntables: 2\nports: 2\n")
    with pytest.raises(ConfigError, match=r"core\.yaml: act should be int8 … int16.* not int7"):
        simulate_text(model, core, PROMPT)
    core.write_text("kind: signflip\nact: fp16\narith: fixed\ntables: 2\nports: 2\n")
    with pytest.raises(ConfigError, match="not fp16"):
        simulate_text(model, core, PROMPT)


@pytest.mark.verilator
def test_the_command_prints_text_and_cycles(hwgen_cli, model):
    options = ["--prompt", PROMPT, "--tokens", "4", "--rtl"]
    outcome = hwgen_cli("simulate", model, model.parent / "core.yaml", *options)
    assert outcome.code == 0
    assert outcome.out.startswith(PROMPT)
    assert "all equal to the golden model's" in outcome.out
    outcome = hwgen_cli("simulate", model, "core.yaml", *options, "--json")
    content = json.loads(outcome.out)
    assert content["match"]
    assert content["cycles"] == content["cycles_predicted"]
    assert len(content["text"]) == 4
    outcome = hwgen_cli("simulate", model, "core.yaml", "--prompt", "a", "--tech", "asap7")
    assert outcome.code == 2
    assert "--tech has no effect with --prompt; leave it out" in outcome.err
