"""Cache folders of a test's or a module's own, so that what is tested is done, not remembered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> None:
    """An empty cache folder for one test."""
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory) -> Iterator[None]:
    """One cache folder for all tests of a module: reading ASAP7 takes 3 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
