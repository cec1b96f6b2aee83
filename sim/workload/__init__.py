"""Layers and models: shapes, cycles, references."""
