from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from time import perf_counter
from typing import Any
from urllib.parse import unquote

import pytest
from jsonschema import Draft202012Validator
from yardstick import slowness, undisturbed

from clnrm_nb.errors import Diagnostic
from clnrm_nb.report.graph import MissingEdge
from clnrm_nb.report.render import render_report
from clnrm_nb.report.spanviews import GraphView, SpanList, Text
from clnrm_nb.report.trace import Trace
from clnrm_nb.schemas import schema
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable

MIME = "application/vnd.clnrm.trace.v1+json"
HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e http://evil.example/"


class Page(HTMLParser):
    """Tags and attributes of a view."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def saved_bytes(bundle: dict[str, Any]) -> int:
    """Weight in a notebook file."""
    return len(json.dumps(bundle, indent=1, ensure_ascii=False).encode())


def small() -> SpanTable:
    api, db = Resource({"service.name": "api"}), Resource({"service.name": "db"})
    ms = 1_000_000
    return SpanTable(
        [
            Span("t", "1", "GET /checkout", kind="server", start_ns=0, end_ns=40 * ms, resource=api),
            Span("t", "2", "SELECT", "1", "client", 5 * ms, 15 * ms, "error", "timeout", resource=db),
            Span("t", "3", "render", "1", start_ns=20 * ms, end_ns=40 * ms, resource=api),
            Span("t", "4", "open", "3", start_ns=25 * ms, resource=api),
        ]
    )


def test_the_tree_shows_order_service_duration_status_and_bars() -> None:
    assert Trace(small()).tree(width=100) == (
        "4 spans, 2 services, 1 error, 40 ms\n"
        "GET /checkout                      api                     40 ms unset  ━━━━━━━━━━━━━━━━━━━━━━━━\n"
        "├─ SELECT                          db                      10 ms error     ━━━━━━\n"
        "└─ render                          api                     20 ms unset              ━━━━━━━━━━━━\n"
        "   └─ open                         api                         ? unset\n"
    )


def test_the_tree_can_be_drawn_in_ascii() -> None:
    short = SpanTable([Span("t", "1", "quick", start_ns=0, end_ns=1_200)])

    assert Trace(small()).tree(ascii_only=True).isascii()
    assert "1.2 us" in Trace(short).tree(ascii_only=True)
    assert "1.2 µs" in Trace(short).tree()


def test_attributes_and_events_are_shown_below_spans_where_asked_for(
    make_table: Callable[..., SpanTable],
) -> None:
    trace = SpanList(make_table(6), attributes=True, events=True)

    text, html = trace.tree(), trace.html()

    assert text.count("http.method = GET") == html.count("http.method = GET") == 6
    assert text.count("event retry: n = 1") == html.count("event retry: n = 1") == 1


def test_a_trace_of_nothing_has_every_form() -> None:
    bundle = Trace()._repr_mimebundle_()

    assert bundle["text/plain"] == "0 spans, 0 services\n"
    assert bundle[MIME]["total"] == 0
    assert "0 spans" in bundle["text/html"]


@pytest.mark.parametrize("number", [0, 1, 50, 1_500])
def test_the_document_keeps_to_its_schema_and_unpacks_to_the_spans(
    make_table: Callable[..., SpanTable], number: int
) -> None:
    table = make_table(number)
    document = json.loads(json.dumps(Trace([("a.toml", table)]).document()))

    Draft202012Validator(schema("trace")).validate(document)
    columns = {name: text.split(" ") if text else [] for name, text in document["columns"].items()}
    assert {len(values) for values in columns.values()} == {document["shown"]}
    row_of = {span_id: row for row, span_id in enumerate(table.span_id)}
    for index, span_id in enumerate(map(unquote, columns["span_id"])):
        row = row_of[span_id]
        assert document["names"][int(columns["name"][index])] == table.name[row]
        assert document["services"][int(columns["service"][index])] == table.resource[row].service
        assert document["scenarios"][int(columns["scenario"][index])] == table.scenario[row]
        parent = int(columns["parent"][index])
        assert parent == -1 or unquote(columns["span_id"][parent]) == table.parent_span_id[row]
        start, duration = int(columns["start_us"][index]), int(columns["duration_us"][index])
        assert start == ((table.start_ns[row] or 0) - min(filter(None, table.start_ns))) // 1_000
        assert duration == ((table.end_ns[row] or 0) - (table.start_ns[row] or 0)) // 1_000


def test_opaque_span_ids_with_spaces_survive_packing() -> None:
    document = Trace(SpanTable([Span("t", "a b%\n", "x")])).document()

    assert unquote(document["columns"]["span_id"]) == "a b%\n"


@pytest.mark.parametrize(("number", "limit_bytes"), [(6, 10_000), (1_000, 120_000), (20_000, 150_000)])
def test_a_saved_trace_keeps_within_its_weight(
    make_table: Callable[..., SpanTable], number: int, limit_bytes: int
) -> None:
    assert saved_bytes(Trace(make_table(number))._repr_mimebundle_()) <= limit_bytes


def test_long_names_do_not_break_the_budget() -> None:
    table = SpanTable(
        Span("t", str(i), "<" * 5_000 + str(i), status_message="&" * 5_000) for i in range(2_000)
    )

    assert saved_bytes(Trace(table)._repr_mimebundle_()) <= 150_000
    assert len(Trace(table).html().encode()) <= 60_000


def test_a_large_trace_says_what_part_of_it_is_shown_in_every_layer(
    make_table: Callable[..., SpanTable],
) -> None:
    bundle = Trace(make_table(41_310))._repr_mimebundle_()

    assert (bundle[MIME]["total"], bundle[MIME]["shown"]) == (41_310, 1_000)
    assert "showing 36 of 41,310" in bundle["text/plain"]
    assert " of 41,310 (all of them: .frame)" in Page(bundle["text/html"]).text


def test_the_row_limit_of_the_notebook_holds(make_table: Callable[..., SpanTable]) -> None:
    bundle = Trace(make_table(100), max_rows=10)._repr_mimebundle_()

    assert bundle[MIME]["shown"] == 10
    assert "showing 10 of 100" in Page(bundle["text/html"]).text


def test_text_from_strangers_stays_text() -> None:
    span = Span(
        "t",
        "1",
        HOSTILE,
        status_code="error",
        status_message=HOSTILE,
        resource=Resource({"service.name": HOSTILE}),
    )
    trace = Trace([(HOSTILE, SpanTable([span])), ("b", small())])

    bundle = trace._repr_mimebundle_()
    page = Page(bundle["text/html"])

    assert set(page.tags) <= {
        "div",
        "style",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "svg",
        "rect",
        "b",
        "p",
    }
    assert not {name for name, _ in page.attributes} & {"src", "href", "onerror", "id"}
    assert not [value for _, value in page.attributes if "http" in value]
    assert "\x1b" not in bundle["text/plain"] + bundle["text/html"]
    assert "\u202e" not in bundle["text/plain"] + bundle["text/html"]


def test_every_name_of_a_span_may_run_in_its_own_direction() -> None:
    assert ("dir", "auto") in Page(Trace(small()).html()).attributes


def test_no_state_is_told_by_colour_alone() -> None:
    page = Page(Trace(small()).html())

    assert page.text.count("error: timeout") == 1
    assert page.text.count("unset") == 3


def test_include_and_exclude_choose_the_forms() -> None:
    trace = Trace(small())

    assert set(trace._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert set(trace._repr_mimebundle_(exclude={MIME})) == {"text/html", "text/plain"}


def test_secrets_are_masked_in_every_form() -> None:
    table = SpanTable(
        [
            Span(
                "t",
                "1",
                "login s3cret",
                attributes={"token": ["s3cret"]},
                status_message="s3cret",
                resource=Resource({"service.name": "s3cret"}),
            ),
        ]
    )
    trace = Trace(table, mask=lambda text: text.replace("s3cret", "•••"))

    everything = json.dumps(trace._repr_mimebundle_()) + json.dumps(trace.raw) + repr(trace.frame.to_dict())

    assert "s3cret" not in everything
    assert table.name == ["login s3cret"]


def test_frames_hold_all_tests_with_the_columns_of_the_format(make_table: Callable[..., SpanTable]) -> None:
    frame = Trace([("b", make_table(5)), ("empty", SpanTable()), ("a", make_table(3))]).frame
    empty = Trace().frame

    assert list(frame["test_id"]) == ["b"] * 5 + ["a"] * 3
    assert frame.dtypes.astype(str).to_dict() == empty.dtypes.astype(str).to_dict()
    assert list(frame["kind"].cat.categories) == list(empty["kind"].cat.categories)


def test_event_frames_hold_all_tests(make_table: Callable[..., SpanTable]) -> None:
    events = Trace([("a", make_table(6)), ("b", make_table(6))]).events

    assert list(events["test_id"]) == ["a", "b"]
    assert list(events["name"]) == ["retry", "retry"]


def test_the_critical_path_is_a_frame_that_adds_up() -> None:
    frame = Trace([("a", small())]).critical_path()

    assert list(frame["name"]) == ["GET /checkout", "SELECT", "render"]
    assert frame["on_path_ms"].sum() == pytest.approx(40.0)
    assert frame["share"].sum() == pytest.approx(1.0)
    assert Trace().critical_path().dtypes.astype(str).to_dict() == frame.dtypes.astype(str).to_dict()


def test_rows_are_selected_across_tests(make_table: Callable[..., SpanTable]) -> None:
    trace = Trace([("a", make_table(4)), ("b", make_table(4))])

    chosen = trace.select([0, 5])

    assert [(part.test_id, part.table.name) for part in chosen.parts] == [
        ("a", [trace.table.name[0]]),
        ("b", [trace.table.name[5]]),
    ]


def test_findings_of_reading_are_shown_with_the_trace() -> None:
    trace = Trace(small(), findings=[Diagnostic("CLN609", "2 records rejected")])

    assert "CLN609 2 records rejected" in repr(trace)
    assert trace.raw["diagnostics"][0]["code"] == "CLN609"


def test_the_report_of_a_trace_keeps_to_the_schema() -> None:
    Draft202012Validator(schema("report")).validate(json.loads(render_report(Trace(small()), "json")))


@pytest.mark.parametrize("view", ["waterfall", "flame"])
def test_figures_hold_one_bar_a_span_and_state_their_window(
    make_table: Callable[..., SpanTable], view: str
) -> None:
    figure = getattr(Trace(make_table(2_000)), view)()

    assert len(figure.data) == 1
    assert len(figure.data[0].x) == 1_400
    assert "showing 1,400 of 2,000" in figure.layout.title.text


@pytest.mark.parametrize("view", ["waterfall", "flame"])
def test_short_spans_of_a_long_trace_are_drawn_and_long_ones_keep_their_gaps(view: str) -> None:
    spans = [
        Span("t", "1", "whole", start_ns=0, end_ns=10**9),
        Span("t", "2", "short", "1", start_ns=5, end_ns=9),
    ]

    (bars,) = getattr(Trace(SpanTable(spans)), view)().data

    assert list(bars.marker.line.width) == [0, 1]


def test_names_in_figures_are_no_markup() -> None:
    figure = Trace(SpanTable([Span("t", "1", "<a href='http://x'>y</a>", start_ns=0, end_ns=1)])).waterfall()

    assert "<a" not in figure.layout.yaxis.ticktext[0]
    assert "<a" not in figure.data[0].hovertext[0]


@pytest.mark.parametrize(
    ("view", "part"),
    [("ascii", "missing render -> cache"), ("dot", "digraph"), ("json", '"edges"'), ("mermaid", "flowchart")],
)
def test_a_graph_has_a_form_for_every_tool(view: str, part: str) -> None:
    graph = GraphView(Trace(small()), view, [MissingEdge("render", "cache")])

    assert part in render_report(graph, "human")
    assert set(graph._repr_mimebundle_()) == {"text/html", "text/plain"}
    assert len(graph.raw["data"]["edges"]) == 3


def test_a_text_for_a_file_comes_out_as_it_went_in() -> None:
    assert render_report(Text("a\tb\n", command="report"), "human") == "a\tb\n"


def test_showing_a_trace_imports_neither_plotly_nor_pandas() -> None:
    code = (
        "import sys\n"
        "from clnrm_nb.report.trace import Trace\n"
        "from clnrm_nb.report.results import RunResult\n"
        "Trace()._repr_mimebundle_(); RunResult([])._repr_mimebundle_()\n"
        "print(sorted({'plotly', 'pandas', 'numpy', 'IPython', 'ipywidgets'} & set(sys.modules)))\n"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout == "[]\n"


def test_a_durable_trace_of_a_thousand_spans_takes_at_most_fifty_milliseconds(
    make_table: Callable[..., SpanTable],
) -> None:
    table = make_table(1_000)

    def once() -> float:
        began = perf_counter()
        Trace(table)._repr_mimebundle_()
        return perf_counter() - began

    def best() -> float:
        return min(once() for _ in range(7))

    assert undisturbed(best, lambda took_s: took_s <= 0.05) <= 0.05 * slowness(perf_counter)
