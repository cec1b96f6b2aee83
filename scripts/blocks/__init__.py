"""What makes the generated parts of the documentation, by subject."""
