"""What a diff shows, in every form; machine formats stand in ``test_report_diff_formats.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from clnrm_nb.baseline.comparison import Comparison
from clnrm_nb.baseline.files import Baseline
from clnrm_nb.diff import DiffOptions
from clnrm_nb.diff.compare import compare
from clnrm_nb.errors import Diagnostic, UsageError
from clnrm_nb.report.baselines import Baselines
from clnrm_nb.report.diffs import Compared, TraceDiff
from clnrm_nb.report.diffwords import change_texts, edit_text
from clnrm_nb.report.render import render_report
from clnrm_nb.report.results import RunResult
from clnrm_nb.report.verdict import Leave
from clnrm_nb.schemas import schema
from clnrm_nb.spans.canonical import canonical, of_scenario
from clnrm_nb.spans.model import Event, Link, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable

MIME = "application/vnd.clnrm.diff.v1+json"
HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e http://evil.example/"


class Page(HTMLParser):
    """Tags, attributes and text of a view."""

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


def two(old: Span, new: Span, **options: Any) -> TraceDiff:
    a, b = SpanTable([old]), SpanTable([new])
    return TraceDiff([Compared("a", None, "changed", compare(a, b), a, b, **options)])


def unpacked(document: dict[str, Any], part: str) -> dict[str, list[str]]:
    return {name: text.split(" ") if text else [] for name, text in document[part].items()}


# ------------------------------------------------------------------------------------------------ verdict


@pytest.mark.parametrize(
    ("part", "leave", "is_ci", "expected"),
    [
        (Compared("a"), Leave(), False, 0),
        (Compared("a", status="missing", code="CLN701"), Leave(), False, 1),
        (Compared("a", status="error", code="CLN702"), Leave(), False, 2),
        (Compared("a", status="rejected", code="CLN705"), Leave(), False, 1),
        (Compared("a", status="unused", code="CLN706"), Leave(), False, 0),
        (Compared("a", status="incomplete", code="CLN707"), Leave(), False, 1),
        (Compared("a", status="incomplete", code="CLN707"), Leave(not_evaluated=True), False, 0),
        (Compared("a", status="incomplete", code="CLN707"), Leave(not_evaluated=True), True, 1),
        (Compared("a", status="unused", code="CLN706"), Leave(warnings=False), False, 1),
    ],
)
def test_the_exit_code_follows_the_table_of_the_format(
    part: Compared, leave: Leave, *, is_ci: bool, expected: int
) -> None:
    diff = TraceDiff([part], leave=leave, is_ci=is_ci)

    assert (diff.exit_code, diff.ok) == (expected, expected == 0)


def test_a_missing_baseline_that_nobody_requires_is_no_failure() -> None:
    info = Diagnostic("CLN701", "no baseline for `a`", severity="info")

    assert TraceDiff([Compared("a", status="missing", code="CLN701", diagnostics=[info])]).ok


def test_two_files_that_differ_exit_with_one_without_a_finding() -> None:
    diff = two(Span("t", "1", "x", attributes={"a": 1}), Span("t", "1", "x", attributes={"a": 2}))

    assert (diff.exit_code, diff.raw["diagnostics"], diff.code) == (1, [], "CLN704")


def test_two_files_beside_each_other_say_what_was_held_against_what() -> None:
    table = SpanTable([Span("t", "1", "x")])

    diff = TraceDiff.of_tables(compare(table, table), table, table, names=("old.json", "new.json"))

    assert (diff.ok, diff.comparisons[0].id) == (True, "new.json")
    assert "new.json  against old.json" in repr(diff)


def test_a_comparison_of_a_run_becomes_one_of_a_report() -> None:
    mine = Span("t", "1", "x", attributes={"k": 2}, start_ns=0, end_ns=2_000_000)
    table = SpanTable()
    table.append(Span("t", "0", "clnrm.run", own=True), None)
    table.append(mine, "checkout")
    reference = SpanTable([Span("t", "1", "x", attributes={"k": 1})])
    found = compare(canonical(reference), of_scenario(table, "checkout"))
    comparison = Comparison(
        "a.clnrm.toml::checkout",
        "a.clnrm.toml",
        "checkout",
        "changed",
        "CLN704",
        (Diagnostic("CLN704", "1 changed"),),
        found,
        "sha256:bb",
        Baseline("a.clnrm.toml::checkout", 4, "sha256:aa", False, reference),
        waits=True,
    )

    diff = TraceDiff.of_run([comparison], {"a.clnrm.toml": table})

    assert diff.exit_code == 1
    assert list(diff.frame["review"]) == ["pending"]
    assert list(diff.spans["duration_ms"]) == [2.0]
    assert "against version 4" in repr(diff)


def test_a_diff_of_nothing_has_every_form() -> None:
    diff = TraceDiff()

    bundle = diff._repr_mimebundle_()

    assert diff.ok
    assert diff.headline == "nothing was compared"
    assert "nothing was compared" in bundle["text/plain"]
    assert "✓" not in bundle["text/html"]
    assert bundle[MIME]["total"]["spans"] == 0
    Draft202012Validator(schema("diff")).validate(bundle[MIME])


def test_what_kept_traces_from_being_compared_is_the_answer_in_every_form() -> None:
    diff = TraceDiff()
    diff.add_findings([Diagnostic("CLN001", "no such path", file="nowhere").to_json()])

    bundle = diff._repr_mimebundle_()
    again = TraceDiff.from_document(bundle[MIME])

    assert (diff.ok, diff.exit_code, diff.code, diff.headline) == (False, 2, "CLN001", "no such path")
    assert all("CLN001" in bundle[kind] for kind in ("text/plain", "text/html"))
    assert "✓" not in bundle["text/html"]
    Draft202012Validator(schema("diff")).validate(bundle[MIME])
    assert (again.exit_code, again.code, again.headline) == (2, "CLN001", "no such path")


def test_side_by_side_left_out_what_is_to_do_and_what_was_not_compared() -> None:
    """It had neither place nor hint of a finding, and nothing at all of a file that could not be read."""
    finding = Diagnostic("CLN704", "it differs", file="a.clnrm.toml", line=8, column=1, hint="decide it")
    old, new = Span("t", "1", "x", attributes={"a": 1}), Span("t", "1", "x", attributes={"a": 2})
    diff = two(old, new, diagnostics=[finding])
    diff.add_findings([Diagnostic("CLN201", "expected `=`", file="b.clnrm.toml").to_json()])

    text = diff.side_by_side()

    assert all(word in text for word in ("a.clnrm.toml:8:1", "decide it", "CLN201", "expected `=`"))


def test_an_error_that_decides_the_exit_code_is_the_headline_beside_differences() -> None:
    diff = two(Span("t", "1", "x", attributes={"a": 1}), Span("t", "1", "x", attributes={"a": 2}))

    diff.add_findings([Diagnostic("CLN201", "expected `=`", file="b.clnrm.toml").to_json()])

    assert (diff.exit_code, diff.code, diff.headline) == (2, "CLN201", "expected `=`")


def test_the_headline_names_what_is_not_the_same(diff: TraceDiff) -> None:
    assert diff.headline == (
        "6 of 7 comparisons not the same: tests/shop.clnrm.toml::checkout changed, "
        "tests/shop.clnrm.toml::refund rejected, tests/mail.clnrm.toml missing and 3 more"
    )


def test_review_says_where_it_can_be_done_or_does_it() -> None:
    with pytest.raises(UsageError, match="cannot be reviewed"):
        TraceDiff().review()
    assert TraceDiff(reviewer=len).review() == 0


# ------------------------------------------------------------------------------------------------- frames


def test_the_frame_has_a_row_an_edit(diff: TraceDiff) -> None:
    frame = diff.frame
    mine = frame[frame["scenario"] == "checkout"]

    assert sorted(mine["op"]) == sorted(["attr~", "attr~", "status", "rename", "insert", "delete", "count"])
    status = mine[mine["key"] == "http.status"].iloc[0]
    assert (status["baseline"], status["current"], status["status"]) == (200, 500, "changed")
    assert status["reason"]
    assert list(mine["review"].dropna()) == ["pending"]


def test_the_documentation_names_every_field_of_an_edit(diff: TraceDiff) -> None:
    page = Path(__file__).parents[3].joinpath("docs", "diff.md").read_text()
    listed = page[page.index("## As data") : page.index("## What makes one cause")]
    entry = diff.raw["data"]["diffs"][0]

    fields = {*entry, *entry["causes"][0], *entry["edits"][0], *diff.frame.columns}

    assert {field for field in fields if f"`{field}`" not in listed} == set()


def test_the_frame_of_spans_has_every_span_of_both_sides_once(diff: TraceDiff) -> None:
    spans = diff.spans
    mine = spans[spans["scenario"] == "checkout"]

    assert mine["status"].value_counts().to_dict() == {
        "same": 5,
        "added": 2,
        "missing": 2,
        "changed": 1,
        "renamed": 1,
        "moved": 0,
    }
    renamed = mine[mine["status"] == "renamed"].iloc[0]
    assert (renamed["path"], renamed["baseline_path"]) == (
        "GET /checkout/render/template.new",
        "GET /checkout/render/template.old",
    )
    assert (renamed["duration_ms"], renamed["baseline_duration_ms"]) == (5.0, 5.0)
    missing = mine[mine["name"].isna()]
    assert list(missing["baseline_path"]) == [
        "GET /checkout/INSERT order",
        "GET /checkout/INSERT order/fsync",
    ]
    assert missing["path"].isna().all()


def test_a_moved_span_has_its_old_path_in_the_frame() -> None:
    def table(parent: str) -> SpanTable:
        ends = [Span("t", "9", "deep", parent, attributes={"k": 1}), Span("t", "8", "leaf", "9")]
        return SpanTable(
            [Span("t", "1", "top"), Span("t", "2", "left", "1"), Span("t", "3", "right", "1"), *ends]
        )

    a, b = table("2"), table("3")
    spans = TraceDiff([Compared("x", None, "changed", compare(a, b), a, b)]).spans
    moved = spans[spans["status"] == "moved"].iloc[0]

    assert (moved["baseline_path"], moved["path"]) == ("top/left/deep", "top/right/deep")
    leaf = spans[spans["name"] == "leaf"].iloc[0]
    assert (leaf["baseline_path"], leaf["path"]) == ("top/left/deep/leaf", "top/right/deep/leaf")


@pytest.mark.parametrize("name", ["frame", "spans", "diagnostics"])
def test_empty_frames_have_the_columns_and_dtypes_of_full_ones(diff: TraceDiff, name: str) -> None:
    full, empty = getattr(diff, name), getattr(TraceDiff(), name)

    assert len(full) > len(empty) == 0
    assert full.dtypes.astype(str).to_dict() == empty.dtypes.astype(str).to_dict()


def test_categories_hold_the_word_lists_of_the_format(diff: TraceDiff) -> None:
    frame = diff.frame

    assert list(frame["status"].cat.categories) == ["same", "changed", "added", "missing", "moved", "renamed"]
    assert list(frame["review"].cat.categories) == ["pending", "accepted", "rejected", "rule", "skipped"]
    assert (str(frame["cost"].dtype), str(frame["counted"].dtype)) == ("Int64", "boolean")


def test_baselines_are_a_frame_and_a_table() -> None:
    record = {
        "scenario_id": "a.clnrm.toml::checkout",
        "version": 2,
        "in_use": True,
        "composed": False,
        "digest": "sha256:aa",
        "spans": 12,
        "accepted_at": "2026-01-02T03:04:05Z",
        "accepted_by": "ada",
        "reason": "new field",
    }
    baselines = Baselines([record])

    assert baselines.frame.dtypes.astype(str).to_dict() == {
        "scenario_id": "string",
        "version": "Int64",
        "in_use": "boolean",
        "composed": "boolean",
        "digest": "string",
        "spans": "Int64",
        "accepted_at": "datetime64[ns, UTC]",
        "accepted_by": "string",
        "reason": "string",
    }
    assert baselines.frame.dtypes.astype(str).to_dict() == Baselines().frame.dtypes.astype(str).to_dict()
    assert baselines.raw["data"]["baselines"] == [record]
    assert "a.clnrm.toml::checkout" in repr(baselines)
    assert set(baselines._repr_mimebundle_()) == {"text/html", "text/plain"}


# ----------------------------------------------------------------------------------------------- document


@pytest.mark.parametrize(("number", "edits"), [(1, 1), (50, 7), (1_500, 300)])
def test_the_document_keeps_to_its_schema_and_its_window(
    make_diff: Callable[..., TraceDiff], number: int, edits: int
) -> None:
    document = json.loads(json.dumps(make_diff(number, edits).document()))

    Draft202012Validator(schema("diff")).validate(document)
    for part, size in (("rows", "spans"), ("edits", "edits"), ("causes", "causes")):
        assert {len(values) for values in unpacked(document, part).values()} == {document["shown"][size]}
    rows = unpacked(document, "rows")
    left_out = sum(map(int, rows["left_out"])) + sum(diff["left_out"] for diff in document["diffs"])
    assert document["shown"]["spans"] + left_out == document["total"]["spans"] == number


def test_the_document_unpacks_to_rows_edits_and_causes(diff: TraceDiff) -> None:
    document = diff.document()
    Draft202012Validator(schema("diff")).validate(document)
    rows, edits = unpacked(document, "rows"), unpacked(document, "edits")

    def word(kind: str, number: str) -> Any:
        return None if number == "-1" else document[kind][int(number)]

    compared = diff.comparisons[0]
    assert compared.diff is not None
    for index, pair in enumerate(compared.diff.spans):
        assert rows["diff"][index] == "0"
        assert word("statuses", rows["status"][index]) == pair.status
        assert word("names", rows["name"][index]) == pair.name
        assert word("names", rows["baseline_name"][index]) == pair.baseline_name
        assert word("services", rows["service"][index]) == pair.service
        assert int(rows["parent"][index]) == (-1 if pair.parent is None else pair.parent)
        mine = rows["edits"][index]
        assert [edits["edit_id"][int(n)] for n in mine.split(",") if n != "-"] == list(pair.edits)
    for index, edit in enumerate(compared.diff.edits):
        assert edits["edit_id"][index] == edit.edit_id
        assert word("ops", edits["op"][index]) == edit.op
        assert word("paths", edits["path"][index]) == edit.path
        assert word("paths", edits["baseline_path"][index]) == edit.baseline_path
        assert word("keys", edits["key"][index]) == edit.key
        values = [document["values"][int(edits[side][index])] for side in ("baseline", "current")]
        assert json.dumps(values) == json.dumps([edit.baseline, edit.current])
        assert word("reasons", edits["reason"][index]) == edit.reason
    assert word("reviews", edits["review"][0]) == "pending"


def test_equal_looking_values_of_different_types_stay_apart() -> None:
    diff = two(Span("t", "1", "x", attributes={"k": 1}), Span("t", "1", "x", attributes={"k": True}))
    document = diff.document()
    edits = unpacked(document, "edits")

    values = [document["values"][int(edits[side][0])] for side in ("baseline", "current")]
    assert [type(value) for value in values] == [int, bool]


def test_a_window_prefers_what_differs(make_diff: Callable[..., TraceDiff]) -> None:
    diff = make_diff(5_000, 40)

    document = diff.document(200)

    assert unpacked(document, "rows")["status"].count("1") == 40
    assert document["shown"]["spans"] <= 200


def test_a_change_below_a_chain_longer_than_the_window_is_shown_with_its_nearest_ancestors() -> None:
    def chain(value: int) -> SpanTable:
        spans = (
            Span(
                "t",
                str(i),
                f"level {i}",
                None if i == 0 else str(i - 1),
                attributes={"v": value} if i == 1_999 else {},
            )
            for i in range(2_000)
        )
        return SpanTable(spans)

    a, b = chain(1), chain(2)
    diff = TraceDiff([Compared("x", None, "changed", compare(a, b), a, b)])

    document = diff.document(100)
    rows = unpacked(document, "rows")

    changed = rows["status"].index("1")
    assert document["names"][int(rows["name"][changed])] == "level 1999"
    assert document["names"][int(rows["name"][int(rows["parent"][changed])])] == "level 1998"
    assert diff.tree(depth=5).count("\n") < 20
    assert "1,995 deeper, 1 of them differ" in diff.tree(depth=5)


@pytest.mark.parametrize(("number", "edits"), [(6, 1), (1_000, 1), (1_000, 1_000), (5_000, 500)])
def test_a_saved_diff_keeps_within_its_weight(
    make_diff: Callable[..., TraceDiff], number: int, edits: int
) -> None:
    assert saved_bytes(make_diff(number, edits)._repr_mimebundle_()) <= 150_000


def test_many_comparisons_keep_within_the_weight(comparisons: list[Compared]) -> None:
    many = [replace(comparisons[0], scenario=f"scenario {i}") for i in range(400)]
    diff = TraceDiff(many)

    bundle = diff._repr_mimebundle_()

    assert saved_bytes(bundle) <= 150_000
    assert bundle[MIME]["total"]["diffs"] == 400
    assert "of 400" in Page(bundle["text/html"]).text
    assert "showing" in bundle["text/plain"]


# --------------------------------------------------------------------------------------------- text, HTML


def test_every_edit_says_sign_place_old_new_and_why_in_every_layer(diff: TraceDiff) -> None:
    bundle = diff._repr_mimebundle_()
    page = Page(bundle["text/html"]).text

    for text in (page, bundle["text/plain"]):
        for sign in ("✓", "✏️", "➕", "❌", "✎"):
            assert sign in text
        assert "200 → 500" in text
        assert '1 → "1"' in text
        assert "×2 → ×3" in text
        assert "template.old → template.new" in text
        assert "the reason" in text


def test_what_is_the_same_is_counted_where_only_differences_are_shown(diff: TraceDiff) -> None:
    text = diff.tree(only_diffs=True)

    assert "… 2 unchanged" in text
    assert "SELECT cart" not in text
    assert "SELECT cart" in diff.tree(only_diffs=False)


def test_the_tree_can_be_drawn_in_ascii(diff: TraceDiff) -> None:
    assert diff.tree(ascii_only=True).isascii()
    assert diff.side_by_side(ascii_only=True).isascii()


def test_no_line_of_plain_text_is_wider_than_it_should_be(diff: TraceDiff) -> None:
    assert max(map(len, repr(diff).splitlines())) <= 120
    assert max(map(len, diff.tree(width=80).splitlines())) <= 80


def test_what_stands_on_one_side_only_shows_that_side() -> None:
    diff = two(Span("t", "1", "x", attributes={"old": 1}), Span("t", "1", "x", attributes={"new": [1, "a"]}))
    texts = {edit.op: (change_texts(edit), edit_text(edit)) for edit in diff.comparisons[0].edits}

    assert texts["attr-"] == (("1", None), "attribute removed old: 1")
    assert texts["attr+"] == ((None, '[1, "a"]'), 'attribute added new: [1, "a"]')


def test_durations_had_no_unit_and_small_ones_were_in_powers_of_ten() -> None:
    """A page said ``8e-06 ms`` of a span, and ``duration changed: 12.0 → 2100.0``."""
    old, new = (
        Span("t", "1", "x", start_ns=0, end_ns=8),
        Span("t", "1", "x", start_ns=0, end_ns=2_100_000_000),
    )
    a, b = SpanTable([old]), SpanTable([new])
    found = compare(a, b, options=DiffOptions(ignore_timestamps=False))
    diff = TraceDiff.of_tables(found, a, b, names=("a", "b"))

    page = render_report(diff, "html")

    assert "8 ns → 2.10 s" in page
    assert "e-06" not in page
    assert edit_text(diff.comparisons[0].edits[0]) == "duration changed: 0 ms → 2.10 s"


def test_html_works_without_script_address_and_ids(diff: TraceDiff) -> None:
    page = Page(diff._repr_mimebundle_()["text/html"])

    assert not set(page.tags) & {"script", "iframe", "img", "link", "a", "object", "form"}
    names = {name for name, _ in page.attributes}
    assert not names & {"src", "href", "id", "onclick", "srcset", "action"}
    assert ("dir", "auto") in page.attributes
    assert page.text.count("edits, by cause") == 2


def test_text_from_strangers_stays_text() -> None:
    resource = Resource({"service.name": HOSTILE})
    old = Span("t", "1", HOSTILE, attributes={HOSTILE: HOSTILE}, resource=resource)
    new = Span("t", "1", HOSTILE, attributes={HOSTILE: f"{HOSTILE}!"}, resource=resource)
    diff = two(old, new, diagnostics=[Diagnostic("CLN704", HOSTILE, file=HOSTILE)])

    bundle = diff._repr_mimebundle_()
    page = Page(bundle["text/html"])

    assert "img" not in page.tags
    assert not {name for name, _ in page.attributes} & {"src", "href", "onerror", "id"}
    assert "\x1b" not in bundle["text/plain"] + bundle["text/html"] + diff.side_by_side()
    assert "\u202e" not in bundle["text/plain"] + bundle["text/html"] + diff.side_by_side()


def test_secrets_are_masked_in_every_form() -> None:
    resource = Resource({"service.name": "s3cret"})
    old = Span("t", "1", "s3cret", attributes={"s3cret": "s3cret 1"}, resource=resource)
    new = Span("t", "1", "s3cret", attributes={"s3cret": ["s3cret 2"]}, resource=resource)
    a, b = SpanTable([old]), SpanTable([new])
    part = Compared("x", None, "changed", compare(a, b), a, b, diagnostics=[Diagnostic("CLN704", "s3cret")])
    diff = TraceDiff([part], mask=lambda text: text.replace("s3cret", "•••"))

    everything = [
        json.dumps(diff._repr_mimebundle_()),
        json.dumps(diff.raw),
        repr(diff.frame.to_dict()),
        repr(diff.spans.to_dict()),
        diff.side_by_side(),
        diff.waterfall().to_json(),
    ]

    assert not [text for text in everything if "s3cret" in text]


def test_the_row_limit_of_the_notebook_holds(make_diff: Callable[..., TraceDiff]) -> None:
    assert make_diff(100, 5, max_rows=10)._repr_mimebundle_()[MIME]["shown"]["spans"] == 10


API, DB, DB2, OTHER = (
    Resource({"service.name": name, "env": env})
    for name, env in (("api", "a"), ("db", "a"), ("db2", "a"), ("api", "b"))
)
TREE = (
    Span("t", "1", "root", resource=API),
    Span("t", "2", "query", "1", attributes={"a": 1, "b": 2}, resource=DB),
    Span("t", "3", "left", "1", resource=API, scope=Scope("s1")),
    Span("t", "4", "right", "1", resource=API),
    Span("t", "5", "leaf", "3", attributes={"x": 1, "y": 2, "z": 3}, resource=API),
    Span("t", "6", "below", "5", resource=API),
)


def changed(drop: str = "", add: tuple[Span, ...] = (), **changes: dict[str, Any]) -> SpanTable:
    spans = (replace(span, **changes.get(f"s{span.span_id}", {})) for span in TREE if span.span_id != drop)
    return SpanTable([*spans, *add])


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (changed(s2={"events": (Event("e", None, {"k": 1}),)}), 'event added e: {"k": 1}'),
        (changed(s2={"events": (Event("e", None, {}),)}), "event added e: no attributes"),
        (changed(s2={"links": (Link("t", "5", {}),)}), "no attributes"),
        (changed(s2={"kind": "client"}), "kind changed: internal → client"),
        (changed(s2={"status_message": "boom"}), "status changed: unset → unset: boom"),
        (changed(s2={"resource": DB2}), "service changed service.name: db → db2"),
        (
            changed(s2={"attributes": {"a": b"\x00", "b": 2}}),
            'attribute changed a: 1 → {"bytesValue": "AA=="}',
        ),
        (changed(s3={"scope": Scope("s2")}), "scope changed: s1 → s2"),
        (changed(s5={"parent_span_id": "4"}), "moved: root/left/leaf → root/right/leaf"),
        (changed("3", s5={"parent_span_id": "1"}), "span between went: left (api)"),
        (
            changed(s5={"parent_span_id": "9"}, add=(Span("t", "9", "mid", "3", resource=API),)),
            "wrapped in a new span: mid (api)",
        ),
        (
            changed(**{f"s{number}": {"resource": OTHER} for number in (1, 3, 4, 5, 6)}),
            "resource changed env: a → b",
        ),
    ],
)
def test_every_kind_of_edit_has_words_and_every_form(new: SpanTable, said: str) -> None:
    old = changed()
    forth = TraceDiff.of_tables(compare(old, new), old, new, names=("old", "new"))
    back = TraceDiff.of_tables(compare(new, old), new, old, names=("new", "old"))

    assert said in " ".join(edit_text(edit) for edit in forth.comparisons[0].edits)
    for diff in (forth, back):
        bundle = diff._repr_mimebundle_()
        Draft202012Validator(schema("diff")).validate(json.loads(json.dumps(bundle[MIME])))
        assert len(diff.frame) == diff.raw["summary"]["edits"] == 1
        assert list(diff.spans["status"]) == [pair.status for pair in diff.layout.pairs]
        assert diff.side_by_side().startswith("✏️ changed")
        assert sum(len(trace.x) for trace in diff.waterfall().data) > 0
        for format_name in ("human", "json", "junit", "tap", "github", "html", "markdown"):
            assert render_report(diff, format_name)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- figure


def test_the_waterfall_shows_both_sides_and_what_is_missing(diff: TraceDiff) -> None:
    figure = TraceDiff(diff.comparisons[:1]).waterfall()
    baseline, current = figure.data

    labels = list(figure.layout.yaxis.ticktext)
    assert [label.strip("· ") for label in labels] == [
        "✏️ GET /checkout",
        "✓ render",
        "✎ template.old → template.new",
        "➕ send mail",
        "✓ log",
        "➕ retry",
        "❌ INSERT order",
        "❌ fsync",
    ]
    assert set(baseline.y) == {0, 1, 2, 4, 6, 7}
    assert set(current.y) == {0, 1, 2, 3, 4, 5}
    assert [shape for shape in baseline.marker.pattern.shape if shape] == ["/", "/"]
    assert "http.status: 200 → 500" in current.hovertext[0]


def test_a_ghost_row_without_times_stands_along_its_parent() -> None:
    old = SpanTable([Span("t", "1", "top"), Span("t", "2", "gone", "1")])
    new = SpanTable([Span("t", "1", "top", start_ns=0, end_ns=8_000_000)])
    figure = TraceDiff([Compared("x", None, "changed", compare(old, new), old, new)]).waterfall()

    baseline = figure.data[0]
    assert (list(baseline.y), list(baseline.base), list(baseline.x)) == ([0, 1], [0.0, 0.0], [8.0, 8.0])
    assert list(baseline.marker.pattern.shape) == ["", "/"]
    assert "time unknown" in baseline.hovertext[1]
    assert "holds no times" in baseline.name


def test_a_figure_holds_at_most_fourteen_hundred_bars(make_diff: Callable[..., TraceDiff]) -> None:
    figure = make_diff(2_000, 3).waterfall(only_diffs=False, rows=10_000)

    assert sum(len(trace.x) for trace in figure.data) == 1_400
    assert "showing 700 of 2,000" in figure.layout.title.text


# ---------------------------------------------------------------------------------------------- of a run


def test_a_run_with_a_diff_shows_it_fails_with_it_and_keeps_its_weight(
    result: RunResult, comparisons: list[Compared]
) -> None:
    test_id = result.tests[0]["id"]
    mine = [replace(compared, test_id=test_id) for compared in comparisons[:2]]
    run = RunResult(result.outcomes[:1], diff=TraceDiff(mine))

    bundle = run._repr_mimebundle_()

    assert run.exit_code == 1
    assert run.diff is not None
    assert "200 → 500" in bundle["text/plain"]
    assert "200 → 500" in Page(bundle["text/html"]).text
    assert [case.outcome for case in run.cases(run.tests[0])].count("failed") == 7
    assert [finding["code"] for finding in run.raw["diagnostics"]] == ["CLN704"]
    assert "%0A- renamed: template.old" in render_report(run, "github")
    assert "| ✏️ **http.status: 200 → 500** |" in render_report(run, "markdown")
    assert saved_bytes(bundle) <= 150_000


def test_a_run_whose_diff_lets_something_pass_passes(result: RunResult) -> None:
    incomplete = Compared(result.tests[0]["id"], None, "incomplete", code="CLN707")
    leave = Leave(not_evaluated=True)

    run = RunResult(result.outcomes[:1], leave=leave, diff=TraceDiff([incomplete], leave=leave))

    assert run.exit_code == 0


def test_a_finding_of_a_diff_is_told_once(result: RunResult, comparisons: list[Compared]) -> None:
    outcome = result.outcomes[0]
    diff = TraceDiff([replace(comparisons[0], test_id=outcome.id)])
    finding = diff.comparisons[0].diagnostics[0]
    outcome.diagnostics.append(finding)

    run = RunResult([outcome], diff=diff)

    assert repr(run).count("CLN704") == 1
    assert len(run.raw["diagnostics"]) == 1


def test_showing_a_diff_imports_neither_plotly_nor_pandas() -> None:
    code = (
        "import sys\n"
        "from clnrm_nb.report.diffs import TraceDiff\n"
        "TraceDiff()._repr_mimebundle_()\n"
        "print(sorted({'plotly', 'pandas', 'numpy', 'IPython', 'ipywidgets'} & set(sys.modules)))\n"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout == "[]\n"


def contrast(first: str, second: str) -> float:
    """As WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("is_dark", [False, True])
def test_marks_and_text_of_a_figure_are_seen_on_the_ground_of_their_theme(*, is_dark: bool) -> None:
    from clnrm_nb.report.palette import GROUNDS, INK, palette

    ratios = {word: contrast(colour, GROUNDS[is_dark]) for word, colour in palette(is_dark=is_dark).items()}

    # The specification's own dark purple and violet mark what moved; a double edge says so, too.
    assert {word: ratio for word, ratio in ratios.items() if ratio < 3} == {}
    assert contrast(INK[is_dark], GROUNDS[is_dark]) >= 4.5


def test_the_id_of_an_edit_is_not_taken_for_the_candidate_of_its_reason(diff: TraceDiff) -> None:
    page = diff.html()

    for edit in diff.comparisons[0].diff.edits:  # type: ignore[union-attr]  # the first one was compared
        assert f" · edit {edit.edit_id}" in page


def test_spans_below_an_own_span_are_roots_and_no_orphans() -> None:
    step = Span("t", "01", "clnrm.step", start_ns=0, end_ns=9)
    root = Span("t", "02", "checkout", "01", start_ns=1, end_ns=8)
    lost = Span("t", "03", "charge", "99", start_ns=2, end_ns=3)
    table = SpanTable([step, root, lost])
    table.own[0] = True

    found = of_scenario(table, None)

    assert dict(zip(found.name, found.parent_span_id, strict=True)) == {"checkout": None, "charge": "99"}


def test_a_renamed_service_does_not_hide_what_else_changed_in_a_window() -> None:
    def trace(service: str, value: int) -> SpanTable:
        resource = Resource({"service.name": service})
        spans = [Span("t", str(i), f"span {i}", "0" if i else None, resource=resource) for i in range(400)]
        spans[399] = replace(spans[399], attributes={"x": value})
        return SpanTable(spans)

    old, new = trace("a", 1), trace("b", 2)
    diff = TraceDiff.of_tables(compare(old, new), old, new, names=("a", "b"))
    layout = diff.layout

    window = layout.window(10, only_differences=True)

    assert [layout.pairs[place].name for place in window.places] == ["span 0", "span 399"]
    assert "span 399" in Page(diff.html(rows=20)).text
    assert "span 399" in diff.side_by_side()


def test_a_renamed_key_is_said_by_its_two_names_in_every_form() -> None:
    old, new = (
        SpanTable([Span("t", str(i), f"s{i}", attributes={key: f"v{i}"}) for i in range(3)])
        for key in ("http.method", "http.request.method")
    )
    diff = TraceDiff.of_tables(compare(old, new), old, new, names=("a", "b"))
    texts = [diff.tree(), diff.side_by_side(), Page(diff.html()).text, render_report(diff, "markdown")]

    assert edit_text(diff.comparisons[0].edits[0]) == "attribute renamed: http.method → http.request.method"
    assert all("http.request.method" in text and '{"key"' not in text for text in texts)
