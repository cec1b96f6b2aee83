"""Mapped netlists: timing and power."""
