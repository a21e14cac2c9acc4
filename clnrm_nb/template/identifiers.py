"""Identifiers from seeded values: UUIDs, ULIDs, trace and span ids, each valid for its kind."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.seeded import Source

if TYPE_CHECKING:
    from clnrm_nb.template.runtime import Rendering

__all__ = ["milliseconds", "nonzero_hex", "traceparent", "ulid", "uuid_v4", "uuid_v5", "uuid_v7"]

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _versioned(raw: bytes, version: int) -> str:
    bits = int.from_bytes(raw, "big")
    bits = bits & ~(0xF << 76) | version << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=bits))


def uuid_v4(source: Source) -> str:
    """A random UUID."""
    return _versioned(source.bytes()[:16], 4)


def milliseconds(run: Rendering, time: int | None) -> int:
    """The time in an identifier, in ms since 1970: as given, else of the rendering's clock."""
    value = run.now_ns() // 1_000_000 if time is None else time
    if not 0 <= value < 2**48:
        raise Fault("CLN104", f"`time` must be milliseconds below 2^48, got {value}")
    return value


def uuid_v7(source: Source, at_ms: int) -> str:
    """A UUID that begins with a time."""
    return _versioned(at_ms.to_bytes(6, "big") + source.bytes()[:10], 7)


def ulid(source: Source, at_ms: int) -> str:
    """A time and 80 random bits in 26 characters that sort by time."""
    bits = at_ms << 80 | int.from_bytes(source.bytes()[:10], "big")
    return "".join(_CROCKFORD[bits >> shift & 31] for shift in range(125, -1, -5))


_NAMESPACES: Final = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}


def uuid_v5(namespace: str, name: str) -> str:
    """The UUID of a name in a namespace (RFC 9562, 5.5)."""
    known = _NAMESPACES.get(namespace.lower())
    if known is None:
        try:
            known = uuid.UUID(namespace)
        except ValueError:
            message = f"`uuid_v5` needs a UUID or dns, url, oid, x500 for `ns`, got `{namespace}`"
            raise Fault("CLN104", message) from None
    # Not `uuid.uuid5`, which cannot take a lone surrogate.
    digest = hashlib.sha1(known.bytes + name.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def nonzero_hex(source: Source, digits: int) -> str:
    """Hex digits that are not all zero, as trace and span ids must be."""
    while not (text := source.hex(digits)).strip("0"):
        continue
    return text


def traceparent(run: Rendering, trace_id: str | None, span_id: str | None, sampled: bool, seed: Any) -> str:  # noqa: FBT001 - bound by name
    """The header of W3C Trace Context; ids that are not given are drawn."""
    parts = {"trace_id": (trace_id, 32), "span_id": (span_id, 16)}
    text = []
    source: Source | None = None
    for name, (given, digits) in parts.items():
        if given is None:
            source = source or Source(run, seed, "traceparent", {"sampled": sampled})
            given = nonzero_hex(source, digits)  # noqa: PLW2901  # What was not given is made.
        is_hex = len(given) == digits and not given.lower().strip("0123456789abcdef") and given.strip("0")
        if not is_hex:
            raise Fault("CLN104", f"`traceparent` needs {digits} hex digits for `{name}`, got `{given}`")
        text.append(given.lower())
    return f"00-{text[0]}-{text[1]}-{'01' if sampled else '00'}"
