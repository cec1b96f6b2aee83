"""Unit costs measured by synthesis."""
