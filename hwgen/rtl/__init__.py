"""Amaranth components of a core; each builds what `hwgen.spec.structure` decided."""
