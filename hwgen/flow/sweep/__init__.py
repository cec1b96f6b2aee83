"""hwgen sweep: spaces of cores evaluated."""
