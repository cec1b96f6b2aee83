"""What a core is, as plain data."""
