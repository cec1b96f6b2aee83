"""Protocol benches under cocotb."""
