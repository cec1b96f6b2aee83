"""Cores compiled by Verilator, driven in batches."""
