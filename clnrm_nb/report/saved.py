"""A run out of its durable document: its report, as far as a notebook keeps that, and its spans.

The document (:func:`~clnrm_nb.report.documents.result_document`) is a window: gone are the output of
commands, all but the names of expectations that passed, attributes and events of spans.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from clnrm_nb.spans.model import KINDS, STATUS_CODES, Resource, Span
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["damage_told", "is_durable", "report_of", "spans_of"]

_KNOWN_VERSION: Final = 1
_KEPT: Final = ("command", "ok", "exit_code", "started_at", "duration_ms", "summary", "diagnostics")
_ONLY_IN_DOCUMENT: Final = ("counts", "passed")


def is_durable(document: object, kind: str) -> bool:
    """Whether a document is the durable one of a kind.

    Raises
    ------
    ValueError
        It is, of a version this package does not know.
    """
    if not isinstance(document, dict) or document.get("kind") != kind:
        return False
    version = document.get("version")
    if version != _KNOWN_VERSION:
        raise ValueError(f"it is a {kind} of document version {version}, which needs a newer clnrm_nb")
    return True


def report_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON report of ``format.md`` 11.3, without what the document does not keep.

    Parameters
    ----------
    document : dict
        See ``clnrm_nb/schemas/result.v1.schema.json``.

    Returns
    -------
    dict
        ``summary`` counts all tests, ``data.tests`` are those the document shows.
    """
    with damage_told("result"):
        return {
            "format": "clnrm-report/1",
            **{key: document[key] for key in _KEPT},
            "data": {"tests": [_test(test) for test in document["tests"]]},
        }


@contextmanager
def damage_told(kind: str) -> Iterator[None]:
    """Say in one sentence that a document was changed by hand or torn.

    Raises
    ------
    ValueError
        In place of whatever unpacking it ran into.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the {kind} is damaged: {type(error).__name__} {error}") from error


def _test(test: Mapping[str, Any]) -> dict[str, Any]:
    known = {key: value for key, value in test.items() if key not in _ONLY_IN_DOCUMENT}
    passed = [_passed(name) for name in test["passed"]]
    return {**known, "expectations": [*passed, *test["expectations"]], "diagnostics": []}


def _passed(name: str) -> dict[str, Any]:
    """An expectation of which the name is left; it begins with the kind, as in ``span[GET /]#0``."""
    kind = re.match(r"[a-z]*", name)
    return {"id": name, "kind": kind[0] if kind else "", "status": "passed", "message": "", "reason": None}


def spans_of(document: Mapping[str, Any]) -> list[tuple[str, SpanTable]]:
    """The spans a durable trace keeps, by test.

    Parameters
    ----------
    document : dict
        See ``clnrm_nb/schemas/trace.v1.schema.json``.
    """
    with damage_told("trace"):
        return _spans(document)


def _spans(document: Mapping[str, Any]) -> list[tuple[str, SpanTable]]:
    columns = {name: packed.split() for name, packed in document["columns"].items()}
    span_ids = [unquote(span_id) for span_id in columns["span_id"]]
    tables = [SpanTable() for _ in document["tests"]]
    origins_ns = [_time_ns(origin) for origin in document["origin"]]
    for row, span_id in enumerate(span_ids):
        at = {name: int(values[row]) for name, values in columns.items() if name != "span_id"}
        start_ns, end_ns = _times_ns(at["start_us"], at["duration_us"], origins_ns[at["test"]])
        span = Span(
            document["trace_ids"][at["trace_id"]],
            span_id,
            document["names"][at["name"]],
            None if at["parent"] == -1 else span_ids[at["parent"]],
            KINDS[at["kind"]],
            start_ns,
            end_ns,
            status_code=STATUS_CODES[at["status"]],
            status_message=document["messages"][at["message"]],
            resource=Resource({"service.name": document["services"][at["service"]]}),
            own=bool(at["own"]),
        )
        tables[at["test"]].append(span, document["scenarios"][at["scenario"]])
    return list(zip(document["tests"], tables, strict=True))


def _times_ns(start_us: int, duration_us: int, origin_ns: int | None) -> tuple[int | None, int | None]:
    if origin_ns is None or start_us == -1:
        return None, None
    start_ns = origin_ns + start_us * 1_000
    return start_ns, None if duration_us == -1 else start_ns + duration_us * 1_000


def _time_ns(text: str | None) -> int | None:
    """Epoch nanoseconds of RFC 3339 with nine digits after the second."""
    if text is None:
        return None
    second = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    return int(second.timestamp()) * 10**9 + int(text[20:29])
