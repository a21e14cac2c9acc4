"""How the tests of this folder write spans and have them judged."""

from __future__ import annotations

import shlex

import pytest

from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.expect import evaluate
from clnrm_nb.scenario.model import Expect, Metadata, Otel, Scenario, Service, Step, TestFile
from clnrm_nb.spans.model import Event, Resource, Span
from clnrm_nb.spans.table import SpanTable

MS = 1_000_000
EPOCH_NS = 1_735_689_600 * 1_000_000_000


class Spans(SpanTable):
    """A table written as indented text, a span a line: ``name start..end key=value !event``, times in ms."""

    def add(self, text, trace="t1", *, scenario=None, own=False, resource=None, parent=None):
        resource = Resource(resource if resource is not None else {"service.name": "api"})
        above = [(-1, parent)]
        for line in filter(str.strip, text.splitlines()):
            indent = len(line) - len(line.lstrip())
            while above[-1][0] >= indent:
                above.pop()
            span = _span(line, f"{trace}-{len(self):04}", trace, above[-1][1], resource, own=own)
            self.append(span, scenario)
            above.append((indent, span.span_id))
        return self


def _span(line, span_id, trace, parent, resource, *, own):
    name, *words = shlex.split(line)
    fields = {"kind": "internal", "status": "unset", "message": "", "id": span_id, "parent": parent}
    attributes, events, times = {}, [], (None, None)
    for word in words:
        if word.startswith("!"):
            events.append(Event(word[1:], None, {}))
        elif "=" in word:
            key, _, value = word.partition("=")
            (fields if key in fields else attributes)[key] = value
        else:
            times = tuple(None if t == "?" else EPOCH_NS + int(float(t) * MS) for t in word.split(".."))
    return Span(
        trace,
        fields["id"],
        name,
        fields["parent"] or None,
        fields["kind"],
        *times,
        status_code=fields["status"],
        status_message=fields["message"],
        attributes=attributes,
        events=tuple(events),
        resource=resource,
        own=own,
    )


@pytest.fixture
def spans():
    """Make a table: ``spans("a 0..9")``."""
    return lambda text="", *args, **more: Spans().add(text, *args, **more)


def make_test(expect, scenarios, services, exporter):
    step = Step(name="s", command=("true",))
    return TestFile(
        file="t.clnrm.toml",
        metadata=Metadata(name="t"),
        services={name: Service(name=name) for name in services},
        scenarios=tuple(Scenario(name=n, run=(step,), expect=e) for n, e in scenarios.items()),
        otel=Otel(exporter=exporter),
        expect=expect,
    )


@pytest.fixture
def judge():
    """All results of an ``Expect`` over a table: ``judge(table, spans=(…,))``."""

    def judged(table, *, scenarios=None, services=("api", "db"), exporter="otlp", outcome=None, **expect):
        test = make_test(Expect(**expect), scenarios or {}, services, exporter)
        return evaluate(test, TestOutcome("t", "t", spans=table, **(outcome or {})))

    return judged


@pytest.fixture
def judge_one(judge):
    """The only result of an expectation that gives one."""

    def judged(table, **more):
        (result,) = judge(table, **more)
        return result

    return judged
