"""Technologies whose Liberty files may be missing where the tests run."""

from __future__ import annotations

import pytest

from costmodel.synth.libraries import MissingFilesError, TechnologyFiles, find_library


def real(name: str) -> TechnologyFiles:
    """A technology's files; without them the test is skipped, with what is missing."""
    try:
        return find_library(name)
    except MissingFilesError as error:
        pytest.skip(str(error))
