"""Readers of GGUF files."""
