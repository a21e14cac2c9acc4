"""A store of what was read, bounded by spans: what was used longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Kept"]

_Value = TypeVar("_Value")


class Kept(Generic[_Value]):
    """Values by key, each with its number of spans; safe to use from any thread.

    Parameters
    ----------
    max_spans : int
        Of all values together; a value with more is not kept.

    Examples
    --------
    >>> kept = Kept(max_spans=12)
    >>> for key in "abc":
    ...     kept.put(key, key.upper(), n_spans=5)
    >>> [kept.get(key) for key in "abc"]
    [None, 'B', 'C']
    """

    def __init__(self, *, max_spans: int) -> None:
        self._max_spans = max_spans
        self._n_spans = 0
        self._values: OrderedDict[str, tuple[_Value, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> _Value | None:
        """The value, which now is the one used last; ``None`` if it is not kept."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: str, value: _Value, *, n_spans: int) -> None:
        """Keep a value under a new key."""
        with self._lock:
            # Something without a span takes room too.
            weight = n_spans + 1
            if key in self._values or weight > self._max_spans:
                return
            self._values[key] = value, weight
            self._n_spans += weight
            while self._n_spans > self._max_spans:
                _, (_, weight) = self._values.popitem(last=False)
                self._n_spans -= weight

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._values.clear()
            self._n_spans = 0
