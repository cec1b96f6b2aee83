"""Text from a ternary language model, token by token."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sim.nets.decoder import Decoder, Record
from sim.nets.network import Matmul
from sim.nets.table import Floats
from sim.nets.vocabulary import TOKENISER_FILE, PromptError


def generate(
    decoder: Decoder,
    prompt: str,
    tokens: int,
    matmul: Matmul,
    *,
    seed: int = 0,
    temperature: float = 0.8,
    record: Record | None = None,
) -> Iterator[str]:
    """Continue a text, token by token: the prompt is one pass, each token after it another.

    It ends early with a token that the tokeniser has for that. What a token adds to the text may be
    nothing, where a character takes several.

    Each token is drawn with probability softmax(logits / temperature), by one number of
    ``numpy.random.default_rng(seed)`` each; temperature 0 takes the most probable one, the first
    of equals. Equal logits give equal text.

    prompt: at least one token.
    tokens: how many to yield at most, at least 1.
    seed: at least 0. temperature: at least 0, finite.
    PromptError for anything else, and where prompt and tokens exceed the model's positions, before
    the first pass.
    """
    if decoder.vocabulary is None:
        raise PromptError(
            f"the model should have a {TOKENISER_FILE} beside its weights, or a vocabulary in its "
            "GGUF file, which names its tokens"
        )
    if not prompt:
        raise PromptError("the prompt should have at least one character, not none")
    if tokens < 1:
        raise PromptError(f"tokens should be at least 1, not {tokens}")
    if seed < 0:
        raise PromptError(f"seed should be at least 0, not {seed}")
    if not 0 <= temperature < np.inf:
        raise PromptError(f"temperature should be at least 0 and finite, not {temperature}")
    ids = decoder.vocabulary.encode(prompt)
    if not ids:
        raise PromptError("the prompt should have at least one token, not none")
    decoder.check_length(len(ids) + tokens - 1)  # The last one is not fed back.
    return _generated(decoder, ids, tokens, matmul, seed, temperature, record)


def _generated(
    decoder: Decoder,
    ids: list[int],
    tokens: int,
    matmul: Matmul,
    seed: int,
    temperature: float,
    record: Record | None,
) -> Iterator[str]:
    assert decoder.vocabulary is not None
    rng, cache = np.random.default_rng(seed), decoder.new_cache()
    decoding = decoder.vocabulary.texts()
    for _ in range(tokens):
        logits = decoder.forward(ids, cache, matmul, record)[-1]
        token = choose(logits, temperature, float(rng.random()))
        ids = [token]
        yield decoding.step(token)
        if token in decoder.vocabulary.stops:
            return


def choose(logits: Floats, temperature: float, u: float) -> int:
    """The token that a number u in [0, 1) draws from softmax(logits / temperature).

    >>> choose(np.log([0.5, 0.25, 0.25]), 1.0, 0.6)
    1
    """
    if temperature == 0:
        return int(np.argmax(logits))
    with np.errstate(over="ignore"):
        weights = np.exp((logits - logits.max()) / temperature)
    sums = np.cumsum(weights)
    # The product stays below the last sum, as u is at most 1 - 2^-53: some token is always drawn.
    return int(np.searchsorted(sums, u * sums[-1], side="right"))
