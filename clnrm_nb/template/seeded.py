"""Values dealt out by a seed: the source of everything that is generated.

One rule makes them all (``format.md`` 2.8): value k of a call is the SHA-256 of the seed, the function,
its other arguments as canonical JSON, and k. A :class:`Source` deals these values out; nothing here
keeps state, so the same seed gives the same values on every machine.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.filters_data import MAX_ITEMS
from clnrm_nb.template.values import json_text
from clnrm_nb.template.words import words

if TYPE_CHECKING:
    from clnrm_nb.template.runtime import Rendering

__all__ = ["Source", "bounded"]

_TURNS_A_VALUE: Final = 3
"""A value takes as long to make as some turns of a loop, and counts as much (2026-11, CPython 3.11)."""


class Source:
    """The values of one call, dealt out in order.

    Parameters
    ----------
    run : Rendering
        Counts each value like the turn of a loop.
    seed : int or str, optional
        As given to the call; None takes the next one of the rendering.
    function : str
        The name as called.
    arguments : dict
        All its other arguments, defaults filled in.
    """

    __slots__ = ("_count", "_hash", "_run")

    def __init__(self, run: Rendering, seed: Any, function: str, arguments: dict[str, Any]) -> None:
        own = run.seed_for_call() if seed is None else int(seed)
        self._run = run
        prefix = f"clnrm1|{own}|{function}|{json_text(arguments)}|"
        # The prefix is hashed once: it may hold a long array, which each value of `shuffle` would hash again.
        self._hash = hashlib.sha256(prefix.encode("utf-8", "surrogatepass"))
        self._count = 0

    def bytes(self) -> bytes:
        """The next 32 bytes."""
        self._run.turns += _TURNS_A_VALUE
        self._run.take_turn()
        value = self._hash.copy()
        value.update(str(self._count).encode())
        self._count += 1
        return value.digest()

    def integer(self, low: int, high: int) -> int:
        """An int from `low` up to, not including, `high`; `low` if both are equal."""
        if low == high:
            return low
        return low + int.from_bytes(self.bytes()[:8], "big") % (high - low)

    def choice(self, items: Any) -> Any:
        """One of several."""
        return items[self.integer(0, len(items))]

    def word(self, kind: str) -> str:
        """One word of a list."""
        return str(self.choice(words(kind)))

    def hex(self, digits: int) -> str:
        """Hex digits: the leading ones of as many values as it takes."""
        parts: list[str] = []
        while len(parts) * 64 < digits:
            parts.append(self.bytes().hex())
        return "".join(parts)[:digits]


def bounded(name: str, size: int) -> int:
    """A number of values asked for; CLN108 if they are too many for one call."""
    if size > MAX_ITEMS:
        raise Fault("CLN108", f"`{name}` makes at most {MAX_ITEMS} at once, asked for {size}")
    return size
