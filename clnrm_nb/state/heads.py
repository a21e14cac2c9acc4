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
_OWN: Final = ("id", "name", "status", "stored_status", "duration_ms", "cached", "backend", "hash", "reason")
_UNKNOWN: Final[dict[str, Any]] = {
    "hermetic": False,
    "replayed": False,
    "isolation": "",
    "matrix": {},
    "hash_reason": None,
    "span_count": 0,
    "complete": True,
    "trace_digest": None,
    "timings_ms": {},
    "scenarios": [],
    "expectations": [],
    "diagnostics": [],
}
"""What is said of a test whose record is gone."""


def pack(document: Mapping[str, Any]) -> bytes:
    """Compressed JSON. Printed output is most of it and shrinks well; escapes carry what is not Unicode."""
    return zlib.compress(json.dumps(document, default=str, separators=(",", ":")).encode(), level=1)


def pack_head(document: Mapping[str, Any], record: str) -> bytes:
    """What is a cached test's own, and the digest of the record that holds the rest."""
    own = {name: document[name] for name in _OWN}
    if document["diagnostics"]:
        own["diagnostics"] = document["diagnostics"]
    own[_RECORD] = record
    return orjson.dumps(own, default=str)


def unpack(packed: bytes, get_object: Callable[[str], bytes | None]) -> dict[str, Any]:
    """The document of a row.

    Raises
    ------
    ValueError, KeyError, zlib.error
        It is damaged.
    """
    if not packed.startswith(b"{"):
        return dict(json.loads(zlib.decompress(packed)))
    own: dict[str, Any] = json.loads(packed)
    content = get_object(own.pop(_RECORD))
    stored = _UNKNOWN if content is None else json.loads(zlib.decompress(content))["outcome"]
    return {**stored, "diagnostics": [], **own}
