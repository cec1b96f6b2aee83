"""What a core should compute on a layer: the golden model that its configuration asks for."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from hwgen.spec.config import CoreConfig
from sim.golden import fixed as golden_fixed
from sim.golden import integers as golden
from sim.golden import rounding as golden_float


def reference(
    config: CoreConfig,
    acts: NDArray[Any],
    weights: NDArray[Any],
    exponents: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Outputs (T, M) int64 of a layer on a core: sums, or codes of floating-point ones.

    acts: (T, N) of the core's type, codes if it is floating-point.
    weights: (M, N) ternary; for kind multiplier of the activations' type.
    exponents: (T,) of the tokens, for a core with ``fixed_bits``.
    GroupError for weights that the core's codebook does not have.
    """
    if not config.book.holds_all:
        golden.keys_from_weights(weights, config.mu, config.codebook_name)
    if config.arith == "float":
        return golden_float.matmul(
            acts,
            weights,
            config.act,
            tables=config.tables,
            mu=config.mu,
            builder=config.builder_name,
            codebook=config.codebook_name,
            product=config.kind == "multiplier",
            sums=config.sum_format,
        )
    if config.arith == "fixed":
        return golden_fixed.matmul(
            acts,
            weights,
            config.act,
            sums=config.sum_format,
            bits=config.fixed_bits,
            exponents=exponents,
        )
    if config.acc_overflow is not None:
        return golden.accumulate(acts, weights, config.tile_n, config.sum_bits, config.acc_overflow)
    return golden.matmul(acts, weights)
