"""hwgen compare: cores side by side."""
