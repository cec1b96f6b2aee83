"""Sweeps take every axis of a core: one value, several, and nothing where cores have none."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from hwgen.space.axes import Axes, nullable
from hwgen.space.space import NUMBERS, WORDS, Space
from hwgen.space.sweep_file import SweepConfig
from hwgen.spec.axes import AXES, nested, worth_saying
from hwgen.spec.config import CoreConfig
from hwgen.spec.rows import row_of, values_of
from tests.support.cases import CASES

WORKLOAD = {"name": "w", "layers": [{"name": "l", "in_features": 1, "out_features": 1}]}


def space_of(values, **more):
    """The space of a sweep file that says these axes, by dotted name."""
    content = {"workload": WORKLOAD, "core": nested(values), **more}
    return Space(SweepConfig.model_validate(content), 1, 1)


def test_a_sweep_file_has_the_axes_of_the_table():
    heads = list(dict.fromkeys(axis.path[0] for axis in AXES))
    assert list(Axes.model_fields) == heads
    group = Axes.model_fields["pipeline"].annotation
    assert list(group.model_fields) == [a.path[1] for a in AXES if a.path[0] == "pipeline"]
    assert {*NUMBERS, *WORDS} == {axis.name for axis in AXES} | {"technology", "cores"}
    assert {axis.name for axis in AXES if nullable(axis)} == {
        "fixed_bits",
        "sum_format",
        "acc_bits",
        "acc_overflow",
    }


@pytest.mark.parametrize("core", CASES.values(), ids=CASES)
def test_a_sweep_of_one_core_is_that_core(core):
    space = space_of(worth_saying(values_of(core)))
    assert (space.size, sum(space.dropped.values())) == (1, 0)
    shape, again, cores = space.point(0)
    assert (again.resolved(), cores) == (core.resolved(), 1)
    assert {**shape.columns, **row_of(core)} == {"technology": "generic", **row_of(core)}


def spelled(axis, core):
    """An axis in a list of a sweep file: null for what a core's file leaves out, or its value."""
    if nullable(axis):
        return worth_saying(values_of(core)).get(axis.name)
    return values_of(core)[axis.name]


@pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.name)
def test_a_sweep_spans_the_values_of_an_axis(axis):
    """Two values on each core of the cases that may have either, where the cases have two."""
    cores = [core for core in CASES.values() if axis.broken(values_of(core)) is None]
    values = dict.fromkeys(spelled(axis, core) for core in cores)
    spanned = 0
    for core in cores:
        said = worth_saying(values_of(core))
        for value in values:
            try:
                other = CoreConfig.model_validate(nested(said | {axis.name: value}))
            except ValidationError:
                continue
            if row_of(other) != row_of(core):
                space = space_of(said | {axis.name: [spelled(axis, core), value]})
                found = [row_of(one) for one in space.cores()]
                assert found == [row_of(core), row_of(other)]
                spanned += 1
                break
    assert spanned or len(values) == 1


ELSEWHERE = {
    "arith": ["float", "fixed"],
    "fixed_bits": [None, 12],
    "sum_format": [None, "fp16", "fp32"],
    "codebook": ["ternary"],
    "mu": [1, 2, 3],
    "table": ["half", "full"],
    "storage": ["wires", "registers"],
    "builder": ["minimal", "naive"],
    "acc_bits": [None, 9],
    "acc_overflow": [None, "wrap"],
}
"""Of axes that baselines do not have: several values, all of the same core."""


@pytest.mark.parametrize("axis", [axis for axis in AXES if axis.conditions], ids=lambda a: a.name)
def test_an_axis_does_not_multiply_cores_without_it(axis):
    """Baselines with integers, and with floating-point numbers where the axis is of integers."""
    floating = axis.name.startswith("acc")
    act = {"act": "fp16", "arith": "fixed"} if floating else {"act": "int8"}
    said = {"kind": "signflip", **act, "tables": 1, "ports": 1}
    values = [0, 1] if axis.zero_is_none else ELSEWHERE[axis.name]
    space = space_of(said | {axis.name: values})
    alone = CoreConfig(**said, max_in_features=1, max_out_features=1)
    assert [row_of(core) for core in space.cores()] == [row_of(alone)]
    assert sum(space.dropped.values()) == len(values) - 1
    for reason in space.dropped:
        if axis.zero_is_none:
            assert reason.startswith(f"{axis.name}: ")
            assert reason.endswith("should be 0")
        else:
            assert reason == "same core: differs only in axes that do not concern it"


def test_accumulators_are_an_axis():
    space = space_of(
        {
            "kind": "lut",
            "tables": 1,
            "ports": 1,
            "max_in_features": 4096,
            "acc_bits": [None, 16],
            "acc_overflow": [None, "wrap"],
        },
        where=["acc_bits >= 16 or acc_overflow == 'wrap'"],
    )
    rows = [row_of(core) for core in space.cores()]
    assert [(row["acc_bits"], row["acc_overflow"]) for row in rows] == [(21, ""), (16, "wrap")]
    assert dict(space.dropped) == {
        "acc_overflow: the default accumulator is exact and never overflows; remove it or give "
        "acc_bits": 1,
        "acc_bits: 16 bits can overflow (exact is 21); say acc_overflow: wrap or saturate": 1,
    }


def test_other_processes_get_the_axes():
    space = space_of({"kind": "lut", "tables": [1, 2], "ports": 1, "pipeline.fetch": [0, 1]})
    assert pickle.loads(pickle.dumps(space.config)) == space.config
