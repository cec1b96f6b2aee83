"""hwgen simulate: whole models on a core."""
