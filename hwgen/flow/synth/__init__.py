"""hwgen synth: cores really synthesised."""
