"""Inference of a ternary language model: integer products from outside, the rest in float64.

Decoders of the BitNet, LLaMA and Qwen families, whose linear layers are ternary. Per decoder layer,
with s the norms that only BitNet has::

    x = x + o(s(attention(q(n), k(n), v(n))))   n = norm(x), rotary positions on q and k,
                                                which Qwen3 norms head by head before
    x = x + down(s(act(gate(n)) * up(n)))       n = norm(x)

q, k, v, o, gate, up and down are the ternary layers. The input of each is quantised to int8 by the
largest activation of its token, the integer product comes from ``matmul``, and both scales are
undone. Equal integers so give equal logits, bit for bit: golden and generated hardware can be
compared token by token. Every token is computed by the same operations in the same order whatever
it is processed with, so that decoding one token at a time gives the logits of one long prefill
exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints import Checkpoint, CheckpointError, TernaryLayer
from sim.checkpoints.decoder_config import DecoderConfig, decoder_config
from sim.nets.decoder_weights import DecoderLayer, DecoderWeights, read_weights
from sim.nets.network import (
    Matmul,
    check_finite,
    check_products,
    check_squares,
    relu2,
    rms_norm,
)
from sim.nets.quantise import activations_absmax
from sim.nets.table import Floats
from sim.nets.vocabulary import PromptError, Vocabulary, find_vocabulary

Record = Callable[[str, NDArray[np.int8], NDArray[np.int64]], None]
"""(layer name, acts (T, N), products (T, M)) of every ternary layer, in order of evaluation."""

HINT = "check the scales and gains of the layers before it"


def silu(x: Floats) -> Floats:
    """``x / (1 + exp(-x))``."""
    with np.errstate(over="ignore"):  # exp of a large -x is infinite, and the result 0.
        result: Floats = x / (1 + np.exp(-x))
        return result


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {"relu2": relu2, "silu": silu}


class Cache:
    """Keys and values of the tokens so far; made by :meth:`Decoder.new_cache`.

    length: tokens that it holds.
    """

    def __init__(self, config: DecoderConfig) -> None:
        sizes = config.architecture
        self.length = 0
        # Of each decoder layer: (keys and values, kv_heads, room for tokens, head_dim).
        self._stored = [np.empty((2, sizes.kv_heads, 0, sizes.head_dim))] * sizes.layers

    def append(self, layer: int, keys: Floats, values: Floats) -> NDArray[np.float64]:
        """Store (T, kv_heads, head_dim) after the first ``length`` tokens; all that is stored.

        ``length`` stays as it is, so that a pass that fails leaves the cache as it was.
        """
        stored, end = self._stored[layer], self.length + len(keys)
        if end > stored.shape[2]:
            room = np.zeros((*stored.shape[:2], max(end, 2 * stored.shape[2]), stored.shape[3]))
            room[:, :, : self.length] = stored[:, :, : self.length]
            self._stored[layer] = stored = room
        stored[0, :, self.length : end] = keys.transpose(1, 0, 2)
        stored[1, :, self.length : end] = values.transpose(1, 0, 2)
        return stored


@dataclass(frozen=True, eq=False)
class Decoder:
    """A whole model: a byte of memory per ternary weight, large embeddings left in their files.

    vocabulary: None where there is no tokeniser; tokens are then ids only.
    """

    config: DecoderConfig
    weights: DecoderWeights
    vocabulary: Vocabulary | None

    @classmethod
    def load(cls, checkpoint: Checkpoint) -> Decoder:
        """Read the weights, and the tokeniser if there is one.

        CheckpointError if anything is missing, does not fit, or would go unused.
        """
        config = decoder_config(checkpoint)
        weights = read_weights(checkpoint, config)
        vocabulary = find_vocabulary(checkpoint)
        size = weights.embedding.shape[0]
        if vocabulary is not None and vocabulary.size > size:
            raise CheckpointError(
                f"{vocabulary.source}: should have at most the {size} tokens of the embedding, "
                f"not {vocabulary.size}; the two do not belong together"
            )
        return cls(config, weights, vocabulary)

    @property
    def vocab_size(self) -> int:
        """Token ids are 0 … vocab_size - 1."""
        return self.weights.embedding.shape[0]

    def new_cache(self) -> Cache:
        """The cache of a new sequence."""
        return Cache(self.config)

    def forward(
        self,
        token_ids: Sequence[int],
        cache: Cache,
        matmul: Matmul,
        record: Record | None = None,
    ) -> Floats:
        """Logits (T, vocab) float64, finite, of the next T tokens of the cache's sequence.

        Row t scores what follows token t. The cache then also holds the T tokens; if the pass
        fails, it is as it was.

        token_ids: T of them, at least one, each 0 … vocab_size - 1. ValueError for anything else,
        PromptError for more tokens than the model has positions, NetworkValueError where a value
        on the way is NaN or infinite.
        """
        ids = np.asarray(token_ids)
        vocab = self.vocab_size
        if ids.ndim != 1 or not ids.size or ids.dtype.kind not in "iu":
            raise ValueError(f"token_ids must be (T,) integers, found {ids.dtype} {ids.shape}")
        if not 0 <= ids.min() <= ids.max() < vocab:
            raise ValueError(f"token_ids must be 0 … {vocab - 1}, found {ids.min()} … {ids.max()}")
        end = cache.length + len(ids)
        self.check_length(end)
        run = _Run(self.config, cache, matmul, record, self._angles(cache.length, end))
        x = self.weights.embedding.rows(ids)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # Checked before every norm and quantiser.
            for i, layer in enumerate(self.weights.layers):
                x = x + run.attention(i, layer, x)
                x = x + run.feed_forward(f"model.layers.{i}", layer, x)
            x = run.norm("model.norm", x, self.weights.norm)
            logits = self.weights.head.times(x)
        check_finite("logits", logits, "check the norms and the embedding")
        cache.length = end
        return logits

    def _angles(self, first: int, end: int) -> tuple[Floats, Floats]:
        """cos and sin of positions first … end - 1, each (T, 1, head_dim / 2)."""
        frequencies = self.config.rotary.frequencies(self.config.architecture.head_dim)
        if self.weights.rotary_factors is not None:
            frequencies = frequencies / self.weights.rotary_factors
        angles = np.arange(first, end)[:, None, None] * frequencies
        return np.cos(angles), np.sin(angles)

    def check_length(self, tokens: int) -> None:
        """PromptError for a sequence of more tokens than the model has positions."""
        limit = self.config.max_positions
        if limit is not None and tokens > limit:
            raise PromptError(
                f"the sequence should have at most the {limit} tokens of max_position_embeddings, "
                f"not {tokens}; give a shorter prompt or ask for fewer tokens"
            )


@dataclass(frozen=True, eq=False)
class _Run:
    """One forward pass of T tokens. rotary: cos and sin, each (T, 1, head_dim / 2)."""

    config: DecoderConfig
    cache: Cache
    matmul: Matmul
    record: Record | None
    rotary: tuple[Floats, Floats]

    def attention(self, index: int, layer: DecoderLayer, x: Floats) -> Floats:
        """(T, hidden) -> (T, hidden); the keys and values go into the cache."""
        sizes, linear, name = self.config.architecture, layer.linear, f"model.layers.{index}"
        x = self.norm(f"{name}.input_layernorm", x, layer.input_norm)
        q, k, v = self.linear(x, linear["q"], linear["k"], linear["v"])
        queries = q.reshape(len(x), sizes.heads, sizes.head_dim)
        keys = k.reshape(len(x), sizes.kv_heads, sizes.head_dim)
        queries = self.turned(self.head_norm(f"{name}.self_attn.q_norm", queries, layer.q_norm))
        keys = self.turned(self.head_norm(f"{name}.self_attn.k_norm", keys, layer.k_norm))
        values = v.reshape(len(x), sizes.kv_heads, sizes.head_dim)
        stored = self.cache.append(index, keys, values)
        group = sizes.heads // sizes.kv_heads
        mixed = np.empty((len(x), sizes.heads * sizes.head_dim))
        for t, query in enumerate(queries):  # One by one: the sums must not depend on T.
            seen_keys, seen_values = stored[:, :, : self.cache.length + t + 1]
            grouped = query.reshape(sizes.kv_heads, group, sizes.head_dim)
            scores = grouped @ seen_keys.transpose(0, 2, 1) * sizes.head_dim**-0.5
            weights = np.exp(scores - scores.max(axis=2, keepdims=True))
            weights /= weights.sum(axis=2, keepdims=True)
            mixed[t] = (weights @ seen_values).ravel()
        mixed = self.norm(f"{name}.self_attn.attn_sub_norm", mixed, layer.attn_sub_norm)
        return self.linear(mixed, linear["o"])[0]

    def feed_forward(self, name: str, layer: DecoderLayer, x: Floats) -> Floats:
        """(T, hidden) -> (T, hidden)."""
        x = self.norm(f"{name}.post_attention_layernorm", x, layer.post_attention_norm)
        gate, up = self.linear(x, layer.linear["gate"], layer.linear["up"])
        inner = ACTIVATIONS[self.config.hidden_act](gate) * up
        inner = self.norm(f"{name}.mlp.ffn_sub_norm", inner, layer.ffn_sub_norm)
        return self.linear(inner, layer.linear["down"])[0]

    def linear(self, x: Floats, *layers: TernaryLayer) -> list[Floats]:
        """The outputs (T, M) of ternary layers with the same inputs (T, N)."""
        check_finite(f"{layers[0].name}: inputs", x, HINT)
        plain = activations_absmax(x)
        outputs = []
        for layer in layers:
            acts, act_scale = plain
            if layer.inner_norm is not None:
                eps = self.config.inner_norm_eps
                normed = self.norm(f"{layer.name}.rms_norm", x, layer.inner_norm, eps)
                acts, act_scale = activations_absmax(normed)
            products = self.matmul(layer, acts)
            check_products(layer, products, len(x))
            if self.record is not None:
                self.record(layer.name, acts, products)
            outputs.append(layer.outputs(products.astype(np.float64), act_scale))
        return outputs

    def norm(self, name: str, x: Floats, gain: Floats | None, eps: float | None = None) -> Floats:
        """(T, N) normalised; as it is where there is no such norm."""
        if gain is None:
            return x
        check_squares(f"{name}: inputs", x, HINT)
        return rms_norm(x, self.config.rms_norm_eps if eps is None else eps) * gain

    def head_norm(self, name: str, x: Floats, gain: Floats | None) -> Floats:
        """(T, heads, head_dim), each head normalised."""
        if gain is None:
            return x
        return self.norm(name, x.reshape(-1, x.shape[2]), gain).reshape(x.shape)

    def turned(self, x: Floats) -> Floats:
        """Rotary positions on (T, heads, head_dim)."""
        cos, sin = self.rotary
        if self.config.rotary.pairs == "pairs":
            low, high = x[:, :, ::2], x[:, :, 1::2]
            turned = (low * cos - high * sin, high * cos + low * sin)
            return np.stack(turned, axis=3).reshape(x.shape)
        low, high = np.split(x, 2, axis=2)
        return np.concatenate((low * cos - high * sin, high * cos + low * sin), axis=2)
