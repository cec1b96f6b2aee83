"""Text of `hwgen generate`."""

from __future__ import annotations

from collections.abc import Iterator

from hwgen.base.record import draws
from hwgen.flow.generate import Generated


@draws(Generated)
def generated_lines(result: Generated) -> Iterator[str]:
    """What was written, and where."""
    modules = len(result.manifest["modules"])
    yield f"{result.folder}: {', '.join(result.files)} ({result.top}, {modules} modules)"
