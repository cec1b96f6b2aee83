"""The network of this example in PyTorch, for training: BitNet b1.58 as Hugging Face has it.

A decoder of the LLaMA family with root-mean-square norms, rotary positions, grouped queries,
squared ReLU with a gate, norms before the output and down projections (``attn_sub_norm``,
``ffn_sub_norm``), a tied embedding and no biases. Parameters carry the names of Hugging Face's
``BitNetForCausalLM``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-5  # of both quantisers, as in sim.nets.quantise


@dataclass(frozen=True)
class Sizes:
    """Sizes and constants of a network; ``context`` is the longest sequence."""

    vocab: int
    hidden: int = 192
    ffn: int = 512
    layers: int = 4
    heads: int = 6
    kv_heads: int = 3
    head_dim: int = 32
    context: int = 256
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5


class StraightThrough(torch.autograd.Function):
    """``quantised`` in place of ``x``; the gradient goes to ``x`` as if nothing was rounded."""

    @staticmethod
    def forward(ctx: object, x: Tensor, quantised: Tensor) -> Tensor:
        return quantised

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


def ternarise(w: Tensor) -> tuple[Tensor, Tensor]:
    """Weights -1, 0, +1 (M, N) and the scale that multiplies them, the mean magnitude."""
    scale = w.abs().mean().clamp(min=EPS)
    return (w / scale).round_().clamp_(-1, 1), scale


class BitLinear(nn.Module):
    """``x @ weight.T`` with ternary weights; ``ternary`` False leaves the weights as they are.

    The gradient passes the quantiser unchanged (straight through).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * inputs**-0.5)
        self.ternary = True

    def forward(self, x: Tensor) -> Tensor:
        if not self.ternary:
            return functional.linear(x, self.weight)
        values, scale = ternarise(self.weight.detach())
        return functional.linear(x, StraightThrough.apply(self.weight, values * scale))


class ActQuant(nn.Module):
    """Activations rounded to int8 by the largest of each token, and back; straight through."""

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True

    def forward(self, x: Tensor) -> Tensor:
        if not self.enabled:
            return x
        with torch.no_grad():
            scale = 127 / x.abs().amax(dim=-1, keepdim=True).clamp_(min=EPS)
            quantised = (x * scale).round_().div_(scale)  # Never beyond 127: no clamp.
        return StraightThrough.apply(x, quantised)


class RMSNorm(nn.Module):
    """``weight * x / sqrt(mean(x^2) + eps)``."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class Attention(nn.Module):
    """Causal attention with grouped queries and rotary positions."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        queries, keys = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
        self.heads, self.kv_heads = sizes.heads, sizes.kv_heads
        self.q_proj = BitLinear(sizes.hidden, queries)
        self.k_proj = BitLinear(sizes.hidden, keys)
        self.v_proj = BitLinear(sizes.hidden, keys)
        self.o_proj = BitLinear(queries, sizes.hidden)
        self.attn_sub_norm = RMSNorm(queries, sizes.rms_norm_eps)
        self.quantise_in, self.quantise_out = ActQuant(), ActQuant()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, _ = x.shape
        x = self.quantise_in(x)
        q = self.q_proj(x).view(batch, length, self.heads, -1).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        group = self.heads // self.kv_heads
        mixed = functional.scaled_dot_product_attention(
            rotate(q, cos, sin),
            rotate(k, cos, sin).repeat_interleave(group, dim=1),
            v.repeat_interleave(group, dim=1),
            is_causal=True,
        )
        mixed = mixed.transpose(1, 2).reshape(batch, length, -1)
        return self.o_proj(self.quantise_out(self.attn_sub_norm(mixed)))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the two halves of each head by the angles of its position."""
    low, high = x.chunk(2, dim=-1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1)


class FeedForward(nn.Module):
    """``down(norm(relu(gate(x))^2 * up(x)))``."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.gate_proj = BitLinear(sizes.hidden, sizes.ffn)
        self.up_proj = BitLinear(sizes.hidden, sizes.ffn)
        self.down_proj = BitLinear(sizes.ffn, sizes.hidden)
        self.ffn_sub_norm = RMSNorm(sizes.ffn, sizes.rms_norm_eps)
        self.quantise_in, self.quantise_out = ActQuant(), ActQuant()

    def forward(self, x: Tensor) -> Tensor:
        x = self.quantise_in(x)
        inner = functional.relu(self.gate_proj(x)).square() * self.up_proj(x)
        return self.down_proj(self.quantise_out(self.ffn_sub_norm(inner)))


class DecoderLayer(nn.Module):
    """Attention and feed-forward network, each after a norm and beside the residual stream."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(sizes.hidden, sizes.rms_norm_eps)
        self.self_attn = Attention(sizes)
        self.post_attention_layernorm = RMSNorm(sizes.hidden, sizes.rms_norm_eps)
        self.mlp = FeedForward(sizes)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class TinyLM(nn.Module):
    """Token ids (B, T) -> logits (B, T, vocab). ``quantised`` False: float weights and inputs."""

    def __init__(self, sizes: Sizes, quantised: bool = True) -> None:
        super().__init__()
        self.sizes = sizes
        self.embed_tokens = nn.Embedding(sizes.vocab, sizes.hidden)
        nn.init.normal_(self.embed_tokens.weight, std=sizes.hidden**-0.5)
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.layers))
        self.norm = RMSNorm(sizes.hidden, sizes.rms_norm_eps)
        for module in self.modules():
            if isinstance(module, BitLinear):
                module.ternary = quantised
            elif isinstance(module, ActQuant):
                module.enabled = quantised

    def forward(self, tokens: Tensor) -> Tensor:
        table = self.embed_tokens.weight
        half = torch.arange(0, self.sizes.head_dim, 2, dtype=torch.float64)
        frequencies = self.sizes.rope_theta ** (-half / self.sizes.head_dim)
        angles = torch.arange(tokens.shape[1])[:, None] * frequencies
        cos, sin = angles.cos().to(table.dtype), angles.sin().to(table.dtype)
        x = functional.embedding(tokens, table)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return functional.linear(self.norm(x), table)

    def bit_linears(self) -> dict[str, BitLinear]:
        """The ternary layers by name, in order of evaluation."""
        return {n: m for n, m in self.named_modules() if isinstance(m, BitLinear)}
