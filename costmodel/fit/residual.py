"""How well a fit meets what it was fitted on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field

from hwgen.base.yamlfile import Strict


class Residual(Strict):
    """Relative error of the fitted form, |fitted − measured| / measured."""

    max_relative: Annotated[float, Field(ge=0, description="largest")]
    mean_relative: Annotated[float, Field(ge=0, description="mean")]
    points: Annotated[int, Field(ge=1, description="synthesised sizes that were compared")]

    @classmethod
    def of(cls, errors: Iterable[float]) -> Self:
        """Of relative errors, signed or not."""
        sizes = [abs(error) for error in errors]
        return cls(
            max_relative=round(max(sizes), 4),
            mean_relative=round(sum(sizes) / len(sizes), 4),
            points=len(sizes),
        )
