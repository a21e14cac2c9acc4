"""What all benchmarks share: tests that are run again to be measured are run, and not taken from the cache."""

from __future__ import annotations

import pytest

_WITH_CACHE = ("test_bench_cache", "test_bench_watch", "test_bench_save")
"""Beginnings of the names of modules that measure it, or are measured with it."""


@pytest.fixture(autouse=True)
def no_cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is run is run."""
    if not request.module.__name__.rpartition(".")[2].startswith(_WITH_CACHE):
        monkeypatch.setenv("CLNRM_NB_CACHE_ENABLED", "false")
