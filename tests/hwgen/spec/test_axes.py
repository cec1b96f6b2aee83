"""The table of axes against the fields of a core, and every case through it and back."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from hwgen.spec.axes import AXES, BY_NAME, NO_AXES, SIZES, dotted, in_effect, nested, worth_saying
from hwgen.spec.config import CoreConfig, Pipeline
from hwgen.spec.structure import structure
from tests.support.cases import CASES

LUT_ONLY = {"codebook", "table", "storage", "builder"}


def fields(model: type[BaseModel], head: str = "") -> dict[str, object]:
    """Every field and its default; settings of groups by dotted name."""
    defaults: dict[str, object] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            defaults |= fields(field.annotation, f"{name}.")
        else:
            defaults[head + name] = None if field.is_required() else field.default
    return defaults


def test_every_field_is_an_axis_or_is_said_to_be_none():
    names = [name for name in fields(CoreConfig) if name not in NO_AXES]
    assert names == [axis.name for axis in AXES]
    assert set(NO_AXES) == set(fields(CoreConfig)) - set(names)
    assert all(NO_AXES.values())
    assert set(fields(Pipeline)) == {a.path[1] for a in AXES if a.path[0] == "pipeline"}


@pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.name)
def test_a_row_of_the_table_agrees_with_its_field(axis):
    default = fields(CoreConfig)[axis.name]
    assert default is None or default == axis.default
    assert axis.default is None or axis.implied is None
    assert {condition.axis for condition in axis.conditions} <= set(BY_NAME) - {axis.name}
    values = [in_effect(core.axis_values()).get(axis.name) for core in CASES.values()]
    assert {type(value) for value in values if value is not None} == {axis.type}
    usual = [value for value in (axis.default, axis.elsewhere, axis.swept) if value is not None]
    assert all(type(value) is axis.type for value in usual)
    if axis.zero_is_none:
        assert (axis.default, axis.elsewhere or 0) == (0, 0)


@pytest.mark.parametrize("axis", [axis for axis in AXES if axis.conditions], ids=lambda a: a.name)
def test_an_axis_is_refused_where_it_does_not_belong(axis):
    """What some case says of it, said of cores whose other axes break each of its conditions."""
    said = {"acc_overflow": "wrap", "codebook": "ternary", "table": "half", "builder": "minimal"}
    value = said.get(axis.name, {"arith": "float", "storage": "wires"}.get(axis.name, 2))
    if axis.name == "sum_format":
        value = "fp32"
    other = {"kind": "signflip", "act": "int8"}
    if axis.name.startswith("acc"):
        other = {"kind": "signflip", "act": "fp16", "arith": "fixed"}
    content = {**other, "tables": 2, "ports": 2, axis.name: value}
    with pytest.raises(ValidationError) as error:
        CoreConfig.model_validate(nested(content))
    message = str(error.value.errors()[0]["ctx"]["error"]).splitlines()[0]
    assert message.startswith(f"{axis.name}: ")
    condition = axis.broken({name: content.get(name, BY_NAME[name].default) for name in BY_NAME})
    assert condition is not None
    assert message == f"{axis.name}: " + condition.fault.format(**{**other, "value": value})


def test_faults_for_one_reason_are_one_line():
    with pytest.raises(ValidationError) as error:
        CoreConfig(kind="lut", tables=1, ports=1, arith="fixed", sum_format="fp32")
    assert str(error.value.errors()[0]["ctx"]["error"]) == (
        "arith, sum_format: belong to floating-point activations, not to int8; remove them"
    )


@pytest.mark.parametrize("core", CASES.values(), ids=CASES)
def test_values_in_effect_are_a_file_again(core):
    values = in_effect(core.axis_values())
    assert None not in values.values()
    again = CoreConfig.model_validate(nested(worth_saying(values)))
    assert in_effect(again.axis_values()) == values
    assert structure(again).units == structure(core).units
    assert dotted(nested(values)) == values


@pytest.mark.parametrize("core", CASES.values(), ids=CASES)
def test_a_resolved_configuration_says_everything_that_applies(core):
    resolved = core.model_copy(update={"name": "mine"}).resolved()
    assert CoreConfig.from_resolved(resolved).resolved() == resolved
    assert CoreConfig.from_resolved(resolved).name == "mine"
    lut, floating = core.kind == "lut", core.float_number is not None
    assert LUT_ONLY & {*resolved} == (LUT_ONLY if lut else set())
    assert ("arith" in resolved, "sum_format" in resolved) == (floating, floating)
    assert resolved.get("fixed_bits") == (core.number.bits if core.arith == "fixed" else None)
    assert resolved.get("acc_bits") == (None if floating else core.sum_bits)
    assert resolved.get("acc_overflow") == core.acc_overflow
    assert resolved["pipeline"] == core.pipeline.model_dump()


def test_sizes_are_those_of_the_table():
    assert SIZES == ("tables", "ports", "reuse")
