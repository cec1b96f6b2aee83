"""Golden references: numpy and ml_dtypes only, no code shared with the design."""
