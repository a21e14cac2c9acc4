"""Documents of tests as rows hold them: whole ones packed, of cached tests no more than what is their own.

A cached test has the commands and verdicts of the run in which it really ran. Those stand in the record that
the cache keeps of that run; a row names it, and says what is different now. Where the record is gone, what
the row says is all that is known.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["pack", "pack_head", "unpack"]

_RECORD: Final = "record"
_OF_THE_RECORD: Final = frozenset({"scenarios", "expectations", "timings_ms"})


def pack(document: Mapping[str, Any]) -> bytes:
    """Compressed JSON. Printed output is most of it and shrinks well; escapes carry what is not Unicode."""
    return zlib.compress(json.dumps(document, default=str, separators=(",", ":")).encode(), level=1)


def pack_head(document: Mapping[str, Any], record: str) -> bytes:
    """The head of a cached test, and the digest of the record that holds the rest."""
    return orjson.dumps({**document, _RECORD: record}, default=str)


def unpack(packed: bytes, get_object: Callable[[str], bytes | None]) -> dict[str, Any]:
    """The document of a row.

    Raises
    ------
    ValueError, zlib.error
        It is damaged.
    """
    if not packed.startswith(b"{"):
        return dict(json.loads(zlib.decompress(packed)))
    head: dict[str, Any] = json.loads(packed)
    content = get_object(head.pop(_RECORD))
    if content is None:
        return head
    outcome = json.loads(zlib.decompress(content))["outcome"]
    mine = {name: value for name, value in head.items() if name not in _OF_THE_RECORD}
    return {**outcome, **mine}
