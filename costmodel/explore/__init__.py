"""Fronts, sensitivities, plots and the report page."""
