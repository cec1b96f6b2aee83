"""Spaces of cores: axes, expressions, numbered points."""
