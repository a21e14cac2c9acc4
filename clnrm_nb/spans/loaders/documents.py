"""One parsed JSON value → the spans in it: which of the known forms it is, decided by its keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from clnrm_nb.spans.loaders import console, flat, jaeger, otlp_json, queries, signoz, zipkin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clnrm_nb.spans.intake import Intake

__all__ = ["FORMS", "SPAN_MARKS", "AmbiguousError", "Form", "blocks", "form_of", "items", "read"]

Form = Literal["otlp-json", "tempo", "jaeger", "signoz", "console", "zipkin", "flat"]

SPAN_MARKS: Final = (
    b'"resourceSpans"',
    b'"resource_spans"',
    b'"trace_id"',
    b'"traceId"',
    b'"traceID"',
    b'"span_id"',
    b'"spanId"',
    b'"spanID"',
)
"""A text without any of these holds no span of a known form: other JSON is passed over without parsing."""

FORMS: Final[tuple[Form, ...]] = get_args(Form)

_TESTS: Final[dict[Form, Callable[[Any], bool]]] = {
    "otlp-json": otlp_json.is_otlp,
    "tempo": queries.is_answer,
    "jaeger": jaeger.is_jaeger,
    "signoz": signoz.is_answer,
    "console": console.is_console,
    "zipkin": zipkin.is_zipkin,
    "flat": flat.is_flat,
}

_ONE_SPAN: Final[dict[Form, Callable[[dict[str, Any], Intake], None]]] = {
    "console": console.read,
    "zipkin": zipkin.read,
    "flat": flat.read,
}
"""Forms in which an object is a span; in the others it holds many."""

_Block = tuple[Any, "Callable[[list[Any]], object]"]


class AmbiguousError(ValueError):
    """An object that may be of either of two forms, named in the arguments."""


def form_of(item: Any, form: Form | None = None) -> Form | None:
    """The form of one object; with `form` given, that or none.

    Raises
    ------
    AmbiguousError
        It may be of more than one.
    """
    if not isinstance(item, dict):
        return None
    if form is not None:
        return form if _TESTS[form](item) else None
    if len(item) == 1 and otlp_json.is_otlp(item):
        return "otlp-json"  # As on each line of a large file: nothing there speaks for another one.
    found = [known for known, test in _TESTS.items() if test(item)]
    if len(found) > 1:
        raise AmbiguousError(*found)
    return found[0] if found else None


def read(document: Any, intake: Intake, *, form: Form | None = None, ours: bool = False) -> set[Form]:
    """Put the spans of a document into the intake.

    Parameters
    ----------
    document : any
        As parsed from JSON.
    intake : Intake
    form : str, optional
        Read it as this; else it is recognised.
    ours : bool
        Believe marks that clnrm_nb wrote itself (see :mod:`clnrm_nb.spans.loaders.write`).

    Returns
    -------
    set of str
        The forms it had; empty if it is nothing known (metrics and logs are counted in the intake).

    Raises
    ------
    AmbiguousError
        An object may be of two forms; those before it are in the intake.
    """
    forms: set[Form] = set()
    for item in items(document):
        found = form_of(item, form)
        if found is None:
            found = _refused(item, intake, form)
        else:
            read_one = _ONE_SPAN.get(found)
            if read_one is not None:
                read_one(item, intake)
            else:
                for listed, take in blocks(item, found, intake, ours=ours):
                    if isinstance(listed, list):
                        take(listed)
        if found is not None:
            forms.add(found)
    return forms


def blocks(document: dict[str, Any], form: Form, intake: Intake, *, ours: bool = False) -> Iterator[_Block]:
    """The lists of spans in a document of a form that holds many, each with what reads (parts of) it.

    The lists themselves are not looked at: a large document has stand-ins in their place.
    """
    signal = otlp_json.other_signal(document)
    if signal is not None:
        intake.other_signals[signal] += 1
    if form == "otlp-json":
        for resource, scope, block in otlp_json.scope_blocks(document, intake):
            mark = block.get("clnrm") if ours else None
            take = partial(otlp_json.read_spans, intake=intake, resource=resource, scope=scope, mark=mark)
            yield block.get("spans"), take
    elif form == "tempo":
        for inner in queries.otlp_documents(document):
            yield from blocks(inner, "otlp-json", intake)
    elif form == "jaeger":
        for trace in jaeger.traces(document):
            yield trace.get("spans"), jaeger.Trace(trace, intake).read
    elif form == "signoz":
        yield signoz.rows(document), partial(signoz.read_rows, intake=intake)


def items(document: Any) -> Iterator[Any]:
    """The objects of a document that may be spans or hold some.

    That is itself, its elements (those of an answer of Zipkin are lists), or what stands below ``spans``.
    """
    if isinstance(document, list):
        for item in document:
            if isinstance(item, list):
                yield from item
            else:
                yield item
    elif (
        isinstance(document, dict)
        and isinstance(document.get("spans"), list)
        and not any(test(document) for test in _TESTS.values())
    ):
        yield from document["spans"]
    else:
        yield document


def _refused(item: Any, intake: Intake, form: Form | None) -> Form | None:
    """Count what was meant as a span, or is of another signal; the form it was meant as."""
    signal = otlp_json.other_signal(item)
    if signal is not None:
        intake.other_signals[signal] += 1
    elif form in (None, "flat") and flat.looks_flat(item):
        intake.refuse("no name" if "name" not in item else "no trace id")
        return "flat"
    elif form in (None, "zipkin") and zipkin.looks_zipkin(item):
        intake.refuse("no span id" if "id" not in item else "no trace id")
        return "zipkin"
    return None
