"""From counts to look-up tables, flip-flops and clock on an FPGA."""
