"""The statistic that tells I2_S layouts apart: it finds the right one, and knows when it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from sim.checkpoints import LAYOUTS
from sim.checkpoints.gguf.layout_fit import MARGIN, LayoutFit
from sim.nets.quantise import weights_absmean
from tests.support.checkpoint_files import I2_S, METADATA, SHAPES, gguf_bytes, open_partly, refusal

SIDES = {  # rows and columns: by channel of the residual stream (c), neuron (n), or neither
    "attn_q": "-c",
    "attn_k": "-c",
    "attn_v": "-c",
    "attn_output": "c-",
    "ffn_gate": "nc",
    "ffn_up": "nc",
    "ffn_down": "cn",
}


def quick_i2s(weights, layout):
    """As `checkpoint_files.i2s_bytes`, with numpy."""
    codes = (weights + 1).astype(np.uint8)
    if layout == "interleaved":
        four = codes.reshape(-1, 4, weights.shape[1])
    else:
        four = codes.reshape(-1, 4, {"x86": 32, "arm": 16}[layout])
    packed = four[:, 0] << 6 | four[:, 1] << 4 | four[:, 2] << 2 | four[:, 3]
    return packed.tobytes() + np.float32(1).tobytes() + bytes(28)


def model(path, layout, spread, layers=2, seed=0, roles=SHAPES):
    """Normal weights, each row and column as strong as its channel or neuron, quantised.

    spread: standard deviation of the strengths' logarithm; 0: no structure.
    """
    rng = np.random.default_rng(seed)
    tensors = {}
    for layer in range(layers):
        channels, neurons = (np.exp(spread * rng.standard_normal(n)) for n in (256, 768))
        for role in roles:
            shape = SHAPES[role]
            w = rng.standard_normal(shape)
            for axis, side in enumerate(SIDES[role]):
                strength = {"c": channels, "n": neurons, "-": np.ones(shape[axis])}[side]
                w *= np.expand_dims(strength, 1 - axis)
            trits, _ = weights_absmean(w)
            tensors[f"blk.{layer}.{role}"] = (shape, I2_S, quick_i2s(trits, layout))
    path.write_bytes(gguf_bytes(tensors, METADATA | {"block_count": layers}))
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_right_layout_fits_best(tmp_path, layout):
    """A spread of 5 % suffices, also for a few hundred channels; read in any layout."""
    file = model(tmp_path / "m.gguf", layout, 0.05)
    for given in LAYOUTS:
        fit = open_partly(file, given).layout_fit()
        assert fit.best == layout
        assert fit.better(given) == (None if given == layout else layout)
        assert fit.pairs == 4  # Neurons and channels of two layers.
        assert fit.scores[layout] > 2 * MARGIN
    message = refusal(open_partly, file)
    assert message.startswith(
        f"{file}: I2_S layout should be 'x86', 'arm' or 'interleaved', not missing: the file does "
        f"not record it; give --i2s-layout; the weights fit {layout!r} (scores: {layout} "
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_random_weights_give_no_verdict(tmp_path, layout, seed):
    file = model(tmp_path / "m.gguf", layout, 0, seed=seed)
    for given in LAYOUTS:
        fit = open_partly(file, given).layout_fit()
        assert fit.best is None
        assert fit.better(given) is None
        assert max(map(abs, fit.scores.values())) < MARGIN / 2
    assert refusal(open_partly, file).endswith("; the weights do not tell which it is")


def test_chance_scores_are_standard(tmp_path):
    """Mean 0 and variance 1, which is what makes the margin ten standard deviations."""
    scores = []
    for seed in range(12):
        file = model(tmp_path / "m.gguf", "x86", 0, seed=seed, layers=3)
        scores += open_partly(file, "x86").layout_fit().scores.values()
    assert abs(np.mean(scores)) < 4 / len(scores) ** 0.5
    assert 0.5 < np.std(scores) < 2


def test_at_most_four_layers_are_read(tmp_path):
    file = model(tmp_path / "m.gguf", "arm", 0.1, layers=7, roles=("ffn_up", "ffn_down"))
    fit = open_partly(file, "arm").layout_fit()
    assert (fit.pairs, fit.best) == (8, "arm")


def test_a_verdict_needs_a_margin():
    close = LayoutFit({"x86": 100.0, "arm": 105.0, "interleaved": 0.0}, 4)
    assert (close.best, close.better("x86"), close.better("interleaved")) == (None, None, "arm")
    alone = LayoutFit({"arm": 20.0}, 4)  # The shapes allow no other one.
    assert (alone.best, alone.better("x86"), alone.better("arm")) == ("arm", "arm", None)
    assert close.text() == "arm 105.0, x86 100.0, interleaved 0.0"


def test_no_pair_no_verdict(tmp_path):
    file = model(tmp_path / "m.gguf", "arm", 0.1, roles=("ffn_gate", "ffn_up"))
    assert open_partly(file, "x86").layout_fit() is None
