"""Query answers that hold OTLP: of Tempo and of version 3 of Jaeger's query service.

``{"result": {"resourceSpans": …}}``, a list of such results, ``{"trace": {"resourceSpans": …}}``, and the
older ``{"batches": [{"resource": …, "scopeSpans": …}]}`` of Tempo. Ids in them are base64, as protobuf's JSON
printer has them.
"""

from __future__ import annotations

from typing import Any, Final

from clnrm_nb.spans.loaders import otlp_json

__all__ = ["is_answer", "otlp_documents"]

_BLOCK: Final = (
    "resource",
    "scopeSpans",
    "scope_spans",
    "instrumentationLibrarySpans",
    "instrumentation_library_spans",
)


def is_answer(document: Any) -> bool:
    """Whether it is such an answer, be it an empty one."""
    return isinstance(document, dict) and (_has_batches(document) or bool(_inner(document)))


def otlp_documents(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The OTLP documents inside."""
    found = _inner(document)
    if _has_batches(document):
        found.append({"resourceSpans": document["batches"]})
    return found


def _has_batches(document: dict[str, Any]) -> bool:
    batches = document.get("batches")
    return isinstance(batches, list) and all(
        isinstance(batch, dict) and any(key in batch for key in _BLOCK) for batch in batches
    )


def _inner(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for key in ("result", "results", "trace", "traces"):
        held = document.get(key)
        for item in held if isinstance(held, list) else [held]:
            if not isinstance(item, dict):
                continue
            if otlp_json.is_otlp(item):
                found.append(item)
            elif _has_batches(item):
                found.append({"resourceSpans": item["batches"]})
    return found
