"""Golden references, quantisers, checkpoint readers and simulation of generated cores."""
