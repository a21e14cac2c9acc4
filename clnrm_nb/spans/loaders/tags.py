"""What OpenTelemetry knows of a span and other formats do not, found in the tags where exporters put it.

The names are those of the OpenTelemetry specification, "Mapping to Non-OTLP Formats", the older ones
(``otel.library.*``) included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clnrm_nb.spans.loaders.ids import kind_of, status_code_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.spans.intake import Intake

__all__ = ["Told", "collected", "owned_by_resource", "take"]

_SCOPE_NAMES: Final = ("otel.scope.name", "otel.library.name")
_SCOPE_VERSIONS: Final = ("otel.scope.version", "otel.library.version")
_DROPPED: Final = (
    "otel.dropped_attributes_count",
    "otel.dropped_events_count",
    "otel.dropped_links_count",
)
_NOT_THE_PROGRAMS: Final = ("w3c.tracestate", "internal.span.format")
"""Tags about the transport: a span's flags and trace state are not kept from any format."""

_RESOURCE_KEYS: Final = (
    "service.",
    "telemetry.",
    "process.",
    "host.",
    "os.",
    "container.",
    "k8s.",
    "cloud.",
    "deployment.",
)
"""Namespaces that the semantic conventions use for resources only."""


class Told(NamedTuple):
    """What the tags said. `kind` is ``None`` where they said nothing of it."""

    kind: int | None
    status_code: int
    status_message: str
    scope: tuple[str, str]


def take(tags: dict[str, Any], intake: Intake) -> Told:
    """Take out of `tags` what is no attribute of the span; dropped counters go to the intake."""
    if not tags:
        return Told(None, 0, "", ("", ""))
    kind = None
    if "span.kind" in tags and (found := kind_of(tags["span.kind"], default=-1)) >= 0:
        kind = found
        del tags["span.kind"]
    code = 0
    if "otel.status_code" in tags and (code := status_code_of(tags["otel.status_code"])):
        del tags["otel.status_code"]
    message = ""
    if isinstance(tags.get("otel.status_description"), str):
        message = tags.pop("otel.status_description")
    for key in _DROPPED:
        if key in tags:
            count = str(tags.pop(key))
            intake.dropped += int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 0  # noqa: PLR2004  32 bits
    for key in _NOT_THE_PROGRAMS:
        tags.pop(key, None)
    return Told(kind, code, message, (_first(tags, _SCOPE_NAMES), _first(tags, _SCOPE_VERSIONS)))


def _first(tags: dict[str, Any], keys: tuple[str, ...]) -> str:
    """The first text under these keys, all of which are taken out."""
    texts = [text for key in keys if isinstance(text := tags.pop(key, None), str)]
    return texts[0] if texts else ""


def owned_by_resource(tags: dict[str, Any]) -> dict[str, Any]:
    """Take out of `tags` what can only have been said of a resource."""
    keys = [key for key in tags if key.startswith(_RESOURCE_KEYS)]
    return {key: tags.pop(key) for key in keys}


def collected(pairs: Iterable[tuple[str, Any]], intake: Intake) -> dict[str, Any]:
    """A table of pairs; of a key with two different values the last one counts, and that is said."""
    values = intake.shared.values
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table and table[key] != value:
            intake.repeated_keys += 1
        table[values.setdefault(key, key)] = value
    return table
