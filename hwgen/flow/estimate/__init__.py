"""hwgen estimate: what a core costs, predicted."""
