"""Synthesis with Yosys."""
