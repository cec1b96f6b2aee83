"""Errors that are explained to the user."""

from __future__ import annotations


class HwgenError(Exception):
    """A failure of the work, explained to the user: exit code 1."""


class ConfigError(HwgenError):
    """A wrong request, explained to the user: exit code 2. One fault per line."""
