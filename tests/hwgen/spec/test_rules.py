"""Rules for sizes: the same for one core, for a copy with other sizes, and for arrays of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from hwgen.base.yamlfile import explain
from hwgen.spec.axes import SIZES
from hwgen.spec.config import CoreConfig
from hwgen.spec.rules import SIZE_RULES, Sizes, in_size_range, reason_of
from tests.support.cases import CASES

NEAR = {
    "tables": (0, 1, 2, 20, 21, 22, 63, 64, 65, 4096, 4097),
    "ports": (0, 1, 47, 48, 49, 5000),
    "reuse": (1, 4096, 4097),
}
SHAPES = {
    "lut": CoreConfig(kind="lut", mu=3, tables=1, ports=1, max_in_features=64, max_out_features=48),
    "signflip": CoreConfig(
        kind="signflip", tables=1, ports=1, max_in_features=64, max_out_features=48
    ),
    "large tables": CoreConfig(kind="lut", mu=8, tables=1, ports=1, max_in_features=1 << 20),
}


def faults(core: CoreConfig, sizes: dict[str, int]) -> list[str]:
    """What is said of the core with other sizes, as a file."""
    try:
        CoreConfig.model_validate(core.model_dump(exclude_unset=True) | sizes)
    except ValidationError as error:
        return [explain(CoreConfig, "", fault).removeprefix(": ") for fault in error.errors()]
    return []


@pytest.mark.parametrize("core", SHAPES.values(), ids=SHAPES)
def test_arrays_and_copies_are_refused_as_files_are(core):
    arrays = Sizes(*np.ix_(*(np.array(NEAR[name]) for name in SIZES)))
    passed = {rule.reason: rule.holds(core, arrays) for rule in SIZE_RULES}
    ranges = [in_size_range(size) for size in arrays]
    legal = np.broadcast_arrays(*passed.values(), *ranges)
    legal = np.logical_and.reduce(legal)
    assert 0 < legal.sum() < legal.size
    for place, sizes in zip(
        np.ndindex(legal.shape), itertools.product(*(NEAR[name] for name in SIZES)), strict=True
    ):
        given = dict(zip(SIZES, sizes, strict=True))
        said = faults(core, given)
        assert (said == []) == legal[place]
        if not said:
            assert core.with_sizes(**given).model_dump() == core.model_dump() | given
            continue
        with pytest.raises(ValueError, match=r"should be ") as error:
            core.with_sizes(**given)
        assert type(error.value) is ValueError
        if all(in_size_range(size) for size in sizes):
            assert str(error.value).splitlines() == said[0].replace("\n: ", "\n").splitlines()
            reasons = [reason_of(line) for line in str(error.value).splitlines()]
            broken = [
                reason
                for reason, ok in passed.items()
                if not np.broadcast_to(ok, legal.shape)[place]
            ]
            assert reasons == broken


@pytest.mark.parametrize("core", CASES.values(), ids=CASES)
def test_no_other_rule_knows_sizes(core):
    """Or `with_sizes`, which looks at none, would make cores that no file can have."""
    for tables, ports, reuse in ((1, 1, 1), (7, 1, 3), (1, 9, 4096), (4096, 4096, 1), (40, 4, 2)):
        sizes = {"tables": tables, "ports": ports, "reuse": reuse}
        if not faults(core, sizes):
            assert core.with_sizes(**sizes) == CoreConfig.model_validate(core.model_dump() | sizes)
        else:
            with pytest.raises(ValueError, match="should be at "):
                core.with_sizes(**sizes)


def test_a_size_that_is_not_given_stays():
    core = CASES["lut_mu3_wires_d2_fetch1"]
    assert core.with_sizes(ports=5) == core.model_copy(update={"ports": 5})
    with pytest.raises(ValueError, match=r"^tables: should be 1 … 4096, not 0$"):
        core.with_sizes(tables=0)
