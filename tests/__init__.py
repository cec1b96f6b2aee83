"""Tests, by the folders of what they test."""

import os

# xdist sets it for its workers; what the tests expect is what a pipe gets.
os.environ.pop("COLUMNS", None)
