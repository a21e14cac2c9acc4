"""What `redact` rules take out of spans: the selected places, all of their text, and nothing beside them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.spans.model import Event, Link, Resource, Scope, Span
from clnrm_nb.spans.redaction import Redaction, redact
from clnrm_nb.spans.table import SpanTable

API, DB = (
    Resource({"service.name": "api", "owner": "id-1"}),
    Resource({"service.name": "db", "owner": "id-2"}),
)


def table():
    made = SpanTable(
        [
            Span(
                "t",
                "1",
                "GET id-3",
                kind="server",
                attributes={"user": "id-4", "n": 4, "deep": {"a": ["id-5", 5]}},
                events=(Event("login id-6", 1, {"user": "id-7"}),),
                links=(Link("t", "2", {"user": "id-8"}),),
                status_message="no id-9",
                resource=API,
                scope=Scope("lib"),
            ),
            Span("t", "2", "read", "1", attributes={"user": "id-4"}, resource=DB, scope=Scope("lib")),
            Span("t", "3", "cache", "1", attributes={"user": "none"}, resource=API, scope=Scope("lib")),
        ]
    )
    made.scenario[:] = ["buys", "buys", None]
    return made


def rule(**select):
    return Redaction("r", "id-[0-9]", select)


def text_of(spans):
    return [repr(spans.span(row)) for row in range(len(spans))]


def test_without_a_key_every_text_of_a_span_is_hidden():
    spans = table()

    found = redact(spans, [rule(span="GET*")]).texts

    assert found == {f"id-{n}" for n in (1, 3, 4, 5, 6, 7, 8, 9)}
    assert "id-" not in text_of(spans)[0]
    assert spans.attributes[0]["n"] == 4
    assert spans.attributes[0]["deep"] == {"a": ["<redacted:r>", 5]}
    assert "id-4" in text_of(spans)[1]


def test_a_resource_stays_one_for_all_its_spans():
    spans = table()

    redact(spans, [rule(span="GET*")])

    assert spans.resource[0] is spans.resource[2]
    assert spans.resource[0].attributes["owner"] == "<redacted:r>"
    assert spans.resource[1] is DB


def test_a_key_names_attributes_and_those_of_events_and_resources():
    spans = table()

    found = redact(spans, [rule(key="user")]).texts

    assert found == {"id-4", "id-7", "id-8"}
    assert spans.name[0] == "GET id-3"
    assert spans.attributes[1]["user"] == "<redacted:r>"


def test_a_status_message_is_named_in_full():
    spans = table()

    assert redact(spans, [rule(key="status.*")]).texts == set()
    assert redact(spans, [rule(key="status.message")]).texts == {"id-9"}


@pytest.mark.parametrize(
    ("select", "rows"),
    [
        ({"service": "d?"}, [1]),
        ({"kind": "server"}, [0]),
        ({"path": "*/read"}, [1]),
        ({"scenario": "buys"}, [0, 1]),
        ({"scenario": "a.toml::buys", "service": "db"}, [1]),
        ({"scenario": "sells"}, []),
        ({"scope": "other"}, []),
    ],
)
def test_selectors_are_those_of_every_rule(select, rows):
    spans = table()

    redact(spans, [rule(key="user", **select)], "a.toml")

    assert [row for row in (0, 1) if spans.attributes[row]["user"] != "id-4"] == rows


@given(st.text("ab1<>:redct", max_size=20), st.sampled_from(["a", "[ab]+", "1|b", "r", "<.*>", "", "a*"]))
@settings(max_examples=200, deadline=None)
def test_a_text_that_was_redacted_is_not_changed_again(text, pattern):
    one = Redaction("r", pattern, {})

    once = one.blanked(text)

    assert one.blanked(once) == once


def test_a_text_that_cannot_be_searched_is_hidden_whole_and_that_is_said():
    text = "a" * 2_000 + "!"
    spans = SpanTable([Span("t", "1", "get", attributes={"user": text, "n": 1})])

    hidden = redact(spans, [Redaction("r", "(a{1,999}){1,999}$", {"key": "user"})])

    assert spans.attributes[0] == {"user": "<redacted:r>", "n": 1}
    assert hidden.texts == {text}
    (finding,) = hidden.findings
    assert (finding.code, finding.severity) == ("CLN314", "warning")
    assert "rule `r`" in finding.message
