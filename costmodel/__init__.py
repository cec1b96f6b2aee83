"""Analytical area model of generated cores, its calibration, and exploration on top."""
