"""Amaranth components of a core; each builds what `hwgen.structure` decided."""
