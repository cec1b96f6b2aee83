"""Bandwidths: exact bits per cycle from text with a unit, and every refusal."""

from __future__ import annotations

from fractions import Fraction

import pytest

from hwgen.base.errors import ConfigError
from hwgen.flow.bandwidth import parse


def test_bandwidth_has_a_unit():
    assert parse("512 bits/cycle", None) == 512
    assert parse("0.5bit/cycle", None) == Fraction(1, 2)
    assert parse("25.6 GB/s", 1.25) == 256
    for wrong in ("512", "-1 GB/s", "1 GiB/s", "1e3 bits/cycle", ""):
        with pytest.raises(ConfigError, match=f"should be a number above 0 .*, not {wrong!r}"):
            parse(wrong, 1.0)
    with pytest.raises(ConfigError, match="in GB/s needs a clock"):
        parse("1 GB/s", None)


@pytest.mark.parametrize(
    "text", ["0 GB/s", "0.00001 GB/s", "0.0001 bits/cycle", "1.2345 bits/cycle"]
)
def test_a_bandwidth_that_would_be_rounded_is_refused(text):
    """Bits per cycle have three decimals, so that cycles are exact in 64 bits."""
    with pytest.raises(ConfigError, match=f"--bandwidth: {text!r}: should be above 0"):
        parse(text, 1.0)
