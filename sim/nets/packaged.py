"""Checkpoints that come with this package."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
CHECKPOINTS = {"digits": FOLDER / "digits"}
"""Checkpoint folders by name.

``digits``: a ternary network of 64 -> 256 -> 128 -> 10 for handwritten digits, with its test
images; ``examples/digits/train.py`` of the project trains it.
"""


def checkpoint_path(name: str) -> Path:
    """The folder of the packaged checkpoint of that name, or else ``name`` as a path."""
    return CHECKPOINTS.get(name, Path(name))
