"""Bulk work without the cyclic garbage collector, which would walk over all new objects again and again.

Loading and comparing make millions of objects that live on and form no cycles: for them the collector is a
third to two thirds of the time, and the more there are, the larger its share. What other threads throw away
meanwhile waits until the work is done, which is seconds at most; reference counts free everything else.
"""

from __future__ import annotations

import gc
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["without_collector"]


class _Pauses:
    """How many threads are at such work; the collector is as it was once the last one is done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_running = 0
        self._was_on = False
        os.register_at_fork(after_in_child=self._forget)

    def enter(self) -> None:
        with self._lock:
            if not self._n_running:
                self._was_on = gc.isenabled()
                gc.disable()
            self._n_running += 1

    def leave(self) -> None:
        with self._lock:
            self._n_running -= 1
            if not self._n_running and self._was_on:
                gc.enable()

    def _forget(self) -> None:
        """In a forked child, which has none of the other threads and may have copied a lock that is held."""
        self._lock = threading.Lock()
        if self._n_running:
            self._n_running = 0
            if self._was_on:
                gc.enable()


_pauses = _Pauses()


@contextmanager
def without_collector() -> Iterator[None]:
    """Pause cyclic collection, also for other threads; may be nested."""
    _pauses.enter()
    try:
        yield
    finally:
        _pauses.leave()
