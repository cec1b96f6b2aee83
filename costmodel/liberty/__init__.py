"""Reading Liberty files."""
