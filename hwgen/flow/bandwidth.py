"""Bandwidths of weight streams: bits per cycle, exactly."""

from __future__ import annotations

import re
from fractions import Fraction

from hwgen.base.errors import ConfigError

TEXT = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(GB/s|bits?/cycle)\s*")
STEPS = 1000
"""Parts of a bit per cycle that a bandwidth is a whole number of: small fractions, so that cycles
are exact in 64 bits."""
MOST = 10**9


def exact(where: str, bits: Fraction | float) -> Fraction:
    """Bits per cycle as given, of at most three decimals; ConfigError, which says ``where``."""
    rounded = Fraction(round(bits * STEPS), STEPS)
    # A decimal number that is a float is off by its last bit.
    if not 0 < bits <= MOST or abs(rounded - Fraction(bits)) > Fraction(bits) / 10**12:
        raise ConfigError(
            f"{where}: should be above 0, at most {MOST:,} bits per cycle, with at most three "
            f"decimals, not {float(bits):g}"
        )
    return rounded


def parse(text: str, clock_ns: float | None) -> Fraction:
    """Bits per cycle from "25.6 GB/s", rounded to `STEPS`, or "512 bits/cycle", taken as it is.

    The former needs a clock. ConfigError for anything else.
    """
    match = TEXT.fullmatch(text)
    if match is None:
        raise ConfigError(
            "--bandwidth: should be a number above 0 with its unit, '25.6 GB/s' or "
            f"'512 bits/cycle', not {text!r}"
        )
    number = Fraction(match[1])
    if match[2] == "GB/s":
        if clock_ns is None:
            raise ConfigError(
                "--bandwidth: in GB/s needs a clock; give --clock-ns or --tech, or bits/cycle"
            )
        number = Fraction(round(number * 8 * Fraction(clock_ns) * STEPS), STEPS)
    return exact(f"--bandwidth: {text!r}", number)
