"""hwgen calibrate and validate: unit costs measured, the model judged."""
