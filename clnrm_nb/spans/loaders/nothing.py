"""What a JSON document without any span holds instead, in half a sentence for the one who gave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.loaders import documents, jaeger

if TYPE_CHECKING:
    from clnrm_nb.spans.loaders.documents import Form

__all__ = ["held_instead"]

_MAX_KEYS: Final = 4
_MAX_KEY: Final = 30


def held_instead(document: Any, place: str, form: Form | None = None) -> str | None:
    """Why there is no span in a document; ``None`` where nothing is known of it.

    Parameters
    ----------
    document : any
        As parsed.
    place : str
        Where it begins.
    form : str, optional
        What it was to be read as.
    """
    other = next(filter(None, map(_form_of, documents.items(document))), None)
    if form is not None and other is not None:
        return f"{place}: nothing there is of the form {form}; it looks like {other}"
    if document == []:
        return "the list of spans is empty"
    said = _of_answer(document) if isinstance(document, dict) else None
    if said is not None or other is not None:
        return said
    what = "a list whose first element is " if isinstance(document, list) else ""
    first = document[0] if what else document
    return f"{place}: JSON of no known form, {what}{_described(first)}" if isinstance(first, dict) else None


def _form_of(item: Any) -> Form | None:
    try:
        return documents.form_of(item)
    except documents.AmbiguousError:
        return None


def _of_answer(document: dict[str, Any]) -> str | None:
    """What is said by an answer of a query service that has no spans."""
    if (said := jaeger.why_nothing(document)) is not None:
        return said
    data, traces = document.get("data"), document.get("traces")
    if data == [] or (data is None and "data" in document and "errors" in document):
        return "it is an answer of Jaeger without any trace"
    if document.get("result") == [] or (isinstance(data, dict) and data.get("result", 0) in ([], None)):
        return "it is an answer without any result"
    if isinstance(traces, list) and any(isinstance(trace, dict) and "traceID" in trace for trace in traces):
        return "it is a search answer of Tempo, which names traces and holds none of their spans"
    return None


def _described(document: dict[str, Any]) -> str:
    keys = [key if len(key) <= _MAX_KEY else f"{key[:_MAX_KEY]}…" for key in list(document)[:_MAX_KEYS]]
    more = " and more" * (len(document) > _MAX_KEYS)
    return f"an object with {', '.join(map(repr, keys))}{more}" if keys else "an empty object"
