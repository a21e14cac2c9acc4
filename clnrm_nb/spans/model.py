"""The normalised span (``format.md`` 6.1): what every loader produces and every reader may rely on.

:class:`Span` is a *view of one row*, made for the few spans somebody looks at. Spans in bulk live in the
columns of :class:`clnrm_nb.spans.table.SpanTable`; nothing loops over objects of this class where it could
loop over a column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

__all__ = ["KINDS", "STATUS_CODES", "Event", "Link", "Resource", "Scope", "Span"]

KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""Words by OTLP number."""

STATUS_CODES: Final = ("unset", "ok", "error")
"""Words by OTLP number."""


class Event(NamedTuple):
    """Something that happened during a span; ``time_ns`` is epoch nanoseconds or ``None``."""

    name: str
    time_ns: int | None
    attributes: dict[str, Any]


class Link(NamedTuple):
    """A reference to another span, ids in lower-case hex."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """Where spans come from. Tables share one object among all spans of equal content."""

    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def service(self) -> str:
        """``service.name``, or ``unknown_service``."""
        return str(self.attributes.get("service.name", "unknown_service"))


@dataclass(frozen=True, slots=True)
class Scope:
    """The instrumentation scope, and the schema its spans say they follow; only the name is compared."""

    name: str = ""
    version: str = ""
    schema_url: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """One span.

    Parameters
    ----------
    trace_id, span_id : str
        Lower-case hex of 32 and 16 digits; opaque text where a source has other ids.
    parent_span_id : str or None
        ``None`` for a root.
    kind : str
        A word of :data:`KINDS`.
    start_ns, end_ns : int or None
        Epoch nanoseconds; ``None`` where unknown.
    status_code : str
        A word of :data:`STATUS_CODES`, by the rules of ``format.md`` 6.1 (status, ``otel.status_code``,
        ``status``).
    """

    trace_id: str
    span_id: str
    name: str
    parent_span_id: str | None = None
    kind: str = "internal"
    start_ns: int | None = None
    end_ns: int | None = None
    status_code: str = "unset"
    status_message: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    resource: Resource = field(default_factory=Resource)
    scope: Scope = field(default_factory=Scope)
    own: bool = False
    """Recorded by clnrm_nb itself (scope ``clnrm_nb``)."""

    @property
    def duration_ms(self) -> float | None:
        """End minus start in milliseconds; ``None`` if a bound is missing or end < start."""
        if self.start_ns is None or self.end_ns is None or self.end_ns < self.start_ns:
            return None
        return (self.end_ns - self.start_ns) / 1e6

    @property
    def is_error(self) -> bool:
        """Whether the status is error."""
        return self.status_code == "error"

    @property
    def service(self) -> str:
        """Resource ``service.name``."""
        return self.resource.service
