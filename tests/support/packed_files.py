"""A small packed checkpoint as files, and how a refusal is caught."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sim.checkpoints import (
    CheckpointError,
    pack_rows,
)

TERNARY = np.random.default_rng(1).integers(-1, 2, (10, 3)).astype(np.int8)


QUANTIZATION = {"quant_method": "bitnet", "linear_class": "autobitlinear"}


CONFIG: dict[str, Any] = {
    "hidden_act": "relu",
    "rms_norm_eps": 1e-5,
    "layers": [{"name": "head", "out_features": 10, "in_features": 3}],
    "quantization_config": QUANTIZATION,
}


SCALE = np.array([0.25], np.float32)


TENSORS: dict[str, np.ndarray] = {"head.weight": pack_rows(TERNARY), "head.weight_scale": SCALE}


def write(folder, config=CONFIG, tensors=TENSORS):
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder


def refused(function, *args):
    with pytest.raises(CheckpointError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def quantized(**changes):
    return CONFIG | {"quantization_config": QUANTIZATION | changes}


def listing(**changes):
    return CONFIG | {"layers": [CONFIG["layers"][0] | changes]}
