"""What commands ask of a technology, whether it is a library of cells or an FPGA family."""
