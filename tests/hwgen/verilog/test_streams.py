"""Streams and layouts of components, by hand."""

from __future__ import annotations

import pytest
from amaranth.hdl import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.rtl.base import Formats
from hwgen.spec.config import CoreConfig
from hwgen.verilog.streams import Field, Stream, streams
from tests.support.emitted import emitted


def example(payload: object, formats: Formats | None = None) -> tuple[Stream, ...]:
    """Streams in either direction, some of them inside an interface."""
    inner = wiring.Signature({"far": Out(stream.Signature(payload)), "flag": In(1)})
    signature = wiring.Signature(
        {
            "near": In(stream.Signature(payload)),
            "turned": In(inner),
            "straight": Out(inner),
            "level": In(3),
        }
    )
    return streams(signature, formats or {})


PAYLOAD = data.StructLayout(
    {
        "flag": 1,
        "table": data.ArrayLayout(data.ArrayLayout(signed(5), 3), 2),
        "inner": data.StructLayout({"a": 2, "b": signed(7)}),
    }
)


def test_fields_of_a_structure():
    near, *_ = example(PAYLOAD, {("near", "table"): "int5"})
    assert near.layout == (
        Field("flag", 0, 1, False, ()),
        Field("table", 1, 5, True, (2, 3), "int5"),
        Field("inner.a", 31, 2, False, ()),
        Field("inner.b", 33, 7, True, ()),
    )


def test_a_payload_without_fields_is_called_like_its_stream():
    near, *_ = example(signed(9))
    assert near.layout == (Field("near", 0, 9, True, ()),)


def test_directions_and_names():
    found = {each.role: (each.direction, each.ports["valid"]) for each in example(8)}
    assert found == {
        "near": ("input", "near__valid"),
        "turned__far": ("input", "turned__far__valid"),
        "straight__far": ("output", "straight__far__valid"),
    }


def test_an_array_of_structures_is_refused():
    layout = data.ArrayLayout(data.StructLayout({"a": 1}), 2)
    with pytest.raises(TypeError, match="near: an array of structures is not a field"):
        example(layout)


def test_a_format_of_no_field_is_noticed():
    with pytest.raises(AssertionError, match=r"formats of no field: {\('near', 'nowhere'\)}"):
        example(PAYLOAD, {("near", "nowhere"): "int5"})


def test_a_core_in_the_manifest():
    core = CoreConfig(
        kind="lut", act="bf16", arith="fixed", fixed_bits=24, mu=3, tables=2, ports=4, name="core"
    )
    found = emitted(core).manifest["streams"]
    assert found["acts"] == {
        "direction": "input",
        "payload": "acts__payload",
        "valid": "acts__valid",
        "ready": "acts__ready",
        "layout": [
            {
                "name": "acts",
                "low": 0,
                "bits": 16,
                "signed": False,
                "shape": [1, 6],
                "format": "bf16",
            },
            {"name": "exponent", "low": 96, "bits": 8, "signed": False, "shape": []},
        ],
    }
    assert found["sums"]["direction"] == "output"
    assert [(f["name"], f["low"]) for f in found["sums"]["layout"]] == [
        ("sums", 0),
        ("last", 64),
        ("error", 65),
    ]


def test_signs_of_weights():
    """Those of the multiplier are numbers like its activations; keys are bits."""
    for core, expected in (
        (CoreConfig(kind="multiplier", act="int5", tables=3, ports=2), True),
        (CoreConfig(kind="multiplier", act="fp16", arith="float", tables=3, ports=2), False),
        (CoreConfig(kind="signflip", act="int5", tables=3, ports=2), False),
    ):
        (keys,) = emitted(core).manifest["streams"]["keys"]["layout"]
        assert (keys["signed"], keys["shape"]) == (expected, [2, 3])
