"""From counts to area, clock and energy in standard cells."""
