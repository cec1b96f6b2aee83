"""Generator of ternary accelerator cores: configuration to structure to Verilog."""

__version__ = "0.1.0"
