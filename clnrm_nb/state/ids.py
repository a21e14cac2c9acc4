"""Run ids: ULIDs, so that ids sort as their runs began and two machines never make the same one."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Final

__all__ = ["new_run_id"]

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH: Final = 26
_RANDOM_BITS: Final = 80

_lock = threading.Lock()
_last: list[int] = [0]


def new_run_id(now_ms: int | None = None) -> str:
    """A new id: 48 bits of milliseconds, 80 random bits, 26 characters of Crockford's base 32.

    Ids of one process always ascend: within one millisecond, and when the clock is set back, the last one is
    counted up.

    Parameters
    ----------
    now_ms : int, optional
        Epoch milliseconds; default: the clock.
    """
    now = int(time.time() * 1000) if now_ms is None else now_ms
    number = now << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        if now_ms is None and number >> _RANDOM_BITS <= _last[0] >> _RANDOM_BITS:
            number = _last[0] + 1
        if now_ms is None:
            _last[0] = number
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
