"""Configurations of checkpoints: every fault of config.json, word for word."""

from __future__ import annotations

import pytest

from sim.checkpoints import open_checkpoint, read_config
from tests.support.packed_files import CONFIG, listing, quantized, refused, write

SIZES = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
}
CONFIG_FAULTS = {
    "list": ([1], "should be a JSON object, not [1]"),
    "quantization_text": (
        CONFIG | {"quantization_config": "bitnet"},
        "quantization_config: should be an object, not 'bitnet'",
    ),
    "method": (
        quantized(quant_method="gptq"),
        "quantization_config.quant_method: should be 'bitnet', not 'gptq'; "
        "only BitNet checkpoints can be read",
    ),
    "mode": (
        quantized(quantization_mode="both"),
        "quantization_config.quantization_mode: should be 'offline' or 'online', not 'both'; "
        "use the release with packed weights",
    ),
    "linear_class": (
        quantized(linear_class="linear"),
        "quantization_config.linear_class: should be 'autobitlinear' (scales multiply) or "
        "'bitlinear' (scales divide), not 'linear'",
    ),
    "linear_class_list": (
        quantized(linear_class=[]),
        "quantization_config.linear_class: should be a string, not []",
    ),
    "eps": (
        CONFIG | {"rms_norm_eps": 0},
        "rms_norm_eps: should be above 0 and below 1, not 0",
    ),
    "eps_nan": (
        CONFIG | {"rms_norm_eps": float("nan")},
        "rms_norm_eps: should be above 0 and below 1, not nan",
    ),
    "eps_infinite": (
        CONFIG | {"rms_norm_eps": float("inf")},
        "rms_norm_eps: should be above 0 and below 1, not inf",
    ),
    "eps_huge": (
        CONFIG | {"rms_norm_eps": 10**99},
        f"rms_norm_eps: should be above 0 and below 1, not 1{'0' * 36}...",
    ),
    "eps_text": (CONFIG | {"rms_norm_eps": "1e-5"}, "rms_norm_eps: should be a number, not '1e-5'"),
    "act": (CONFIG | {"hidden_act": True}, "hidden_act: should be a string, not True"),
    "layers_object": (
        CONFIG | {"layers": {"head": [10, 3]}},
        "layers: should be a list, not {'head': [10, 3]}",
    ),
    "layer_text": (
        CONFIG | {"layers": ["x" * 99]},
        f"layers[0]: should be an object, not '{'x' * 36}...",
    ),
    "layer_name": (
        CONFIG | {"layers": [{"out_features": 10, "in_features": 3}]},
        "layers[0].name: should be a string, not missing; "
        "the file has 'in_features', 'out_features'",
    ),
    "no_outputs": (listing(out_features=0), "layers[0].out_features: should be at least 1, not 0"),
    "true_inputs": (
        listing(in_features=True),
        "layers[0].in_features: should be an integer, not True",
    ),
    "norm_text": (
        quantized(use_rms_norm="yes"),
        "quantization_config.use_rms_norm: should be true or false, not 'yes'",
    ),
    "norm_eps": (
        quantized(use_rms_norm=True, rms_norm_eps=0),
        "quantization_config.rms_norm_eps: should be above 0 and below 1, not 0",
    ),
    "experts": (
        CONFIG | {"model_type": "llama", "num_local_experts": 8},
        "num_local_experts: should be missing or 0, not 8; use a model without experts",
    ),
    "too_few_heads": (
        CONFIG | SIZES | {"num_attention_heads": [4]},
        "num_attention_heads: should have a size for every decoder layer, not 1 sizes",
    ),
    "no_heads": (
        CONFIG | SIZES | {"num_attention_heads": [4, 0]},
        "num_attention_heads[1]: should be at least 1, not 0",
    ),
    "many_layers": (
        CONFIG | SIZES | {"num_hidden_layers": 10**8},
        "should have at most 10000 layers, not 100000000",
    ),
    "half_inputs": (
        listing(in_features=2.5),
        "layers[0].in_features: should be an integer, not 2.5",
    ),
}


@pytest.mark.parametrize(("config", "message"), CONFIG_FAULTS.values(), ids=CONFIG_FAULTS)
def test_unfit_config(tmp_path, config, message):
    write(tmp_path, config)
    assert refused(read_config, tmp_path) == f"{tmp_path / 'config.json'}: {message}"
    assert refused(open_checkpoint, tmp_path) == f"{tmp_path / 'config.json'}: {message}"


BROKEN_JSON = {
    "cut_off": (
        b"{",
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    "empty": (b"", "Expecting value: line 1 column 1 (char 0)"),
}


@pytest.mark.parametrize(("data", "reason"), BROKEN_JSON.values(), ids=BROKEN_JSON)
def test_broken_json(tmp_path, data, reason):
    file = tmp_path / "config.json"
    file.write_bytes(data)
    assert refused(read_config, tmp_path) == f"{file}: should be JSON: {reason}; download it again"


def test_config_that_is_not_text(tmp_path):
    (tmp_path / "config.json").write_bytes(b'"\xff"')
    assert refused(read_config, tmp_path).startswith(
        f"{tmp_path / 'config.json'}: should be JSON: "
    )
