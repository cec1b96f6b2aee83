"""Highest clock of a core on an FPGA: its slowest stage, from a few unit delays.

The paths are those of `costmodel.cells.paths`, counted in `costmodel.fpga.terms.TERMS`: registers,
look-up tables in series, adders on carry chains, bits of carry, doublings of sinks. The delay of
one of each, wires included, is fitted on placed and routed cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator

from costmodel.catalog import load_family
from costmodel.cells.delay import NoDelaysError
from costmodel.cells.paths import paths
from costmodel.fit.residual import Residual
from costmodel.fpga.terms import TERMS, path_terms
from hwgen.base.yamlfile import Strict
from hwgen.spec.structure import Structure

PRIOR_NS = {"register": 1.2, "level": 0.9, "adder": 1.4, "bit": 0.04, "fanout": 0.2}
"""Where the fit starts; a delay that the training cores say little about stays near it."""
RIDGE, ROUNDS, LEAST = 0.02, 40, 0.1
"""Weight of an additional equation for each term, which says that it equals its prior; number of
rounds; least share of a prior."""


class FpgaDelays(Strict):
    """Unit delays of a family."""

    method: Annotated[str, Field(description="how the training cores' clocks were measured")]
    tool: Annotated[str, Field(description="tools and versions")]
    terms_ns: Annotated[dict[str, float], Field(description="one of each of TERMS, ns")]
    residual: Annotated[Residual, Field(description="of the training cores' periods, fitted")]

    @field_validator("terms_ns")
    @classmethod
    def _known(cls, value: dict[str, float]) -> dict[str, float]:
        if set(value) != set(TERMS) or min(value.values()) <= 0:
            raise ValueError(f"should give each of {', '.join(TERMS)} a delay above 0")
        return value


@dataclass(frozen=True)
class Fmax:
    """Highest clock of a core; ``stage`` names the components on its slowest path."""

    mhz: float
    stage: str

    @property
    def period_ns(self) -> float:
        """Least clock period."""
        return 1000 / self.mhz


def core_fmax(spec: Structure, delays: FpgaDelays | None, family: str) -> Fmax:
    """Highest clock and the stage that limits it; NoDelaysError for a family without delays."""
    if load_family(family).device is None:
        raise NoDelaysError(f"{family}: Fmax is not available; no place and route is known for it")
    if delays is None:
        raise NoDelaysError(
            f"{family}: has no unit delays; run `hwgen calibrate {family} --training`, then "
            f"`hwgen calibrate {family}`"
        )
    units = [delays.terms_ns[name] for name in TERMS]
    timed = paths(spec)
    periods = [sum(a * b for a, b in zip(path_terms(p), units, strict=True)) for p in timed]
    slowest = max(range(len(timed)), key=periods.__getitem__)
    return Fmax(1000 / periods[slowest], timed[slowest].stage)


def fit_delays(
    specs: Sequence[Structure], fmax_mhz: Sequence[float], method: str, tool: str
) -> FpgaDelays:
    """Unit delays that bring the cores' periods nearest to what place and route gave.

    Each of ROUNDS takes, of every core, the path that is the slowest under the delays of the round
    before, and solves least squares of the relative error with RIDGE; the best round is kept.
    """
    prior = np.array([PRIOR_NS[name] for name in TERMS])
    tables = [np.array([path_terms(path) for path in paths(spec)]) * prior for spec in specs]
    periods = np.array([1000 / mhz for mhz in fmax_mhz])
    shares, best, least = np.ones(len(prior)), np.ones(len(prior)), np.inf
    for _ in range(ROUNDS):
        slowest = np.array([table[int((table @ shares).argmax())] for table in tables])
        error = slowest @ shares / periods - 1
        loss = float(error @ error + RIDGE * ((shares - 1) ** 2).sum())
        if loss < least:
            best, least = shares, loss
        shares = (shares + _solve(slowest / periods[:, None])) / 2
    terms_ns = {n: round(float(v), 4) for n, v in zip(TERMS, best * prior, strict=True)}
    rounded = np.array([terms_ns[name] for name in TERMS]) / prior
    errors = [
        float((table @ rounded).max() / period - 1)
        for table, period in zip(tables, periods, strict=True)
    ]
    return FpgaDelays(method=method, tool=tool, terms_ns=terms_ns, residual=Residual.of(errors))


def _solve(rows: np.ndarray) -> np.ndarray:
    """Least squares of ``rows @ shares = 1`` with RIDGE, no share below LEAST."""
    shares, free = np.full(rows.shape[1], LEAST), np.ones(rows.shape[1], bool)
    while free.any():
        ridge = np.sqrt(RIDGE) * np.eye(int(free.sum()))
        left = np.concatenate([rows[:, free], ridge])
        right = np.concatenate([1 - rows[:, ~free].sum(axis=1) * LEAST, np.diag(ridge)])
        solution = np.linalg.lstsq(left, right, rcond=None)[0]
        shares[free] = solution
        if (solution >= LEAST).all():
            break
        free &= shares >= LEAST
        shares[~free] = LEAST
    return shares
