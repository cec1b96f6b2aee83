"""From a core to Verilog and its manifest."""
