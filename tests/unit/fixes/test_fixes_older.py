"""``migrate`` and the older forms of expectations: what is rewritten, what is listed, and that nothing changes."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.expect import evaluate
from clnrm_nb.fixes import meaning, mend, older_forms
from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import check
from tests.unit.expect.conftest import Spans
from tests.unit.fixes.test_fixes_offered import BASE

CORPUS = Path(os.environ.get("CLNRM_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus") / "scenarios"
MISSING = f"no scenario corpus at {CORPUS}; set CLNRM_CORPUS to the folder that holds `scenarios/`"


def checked(text, *, file="a.clnrm.toml", **given_values):
    request = TemplateRequest(path=Path(file), file=file, project_root=Path(), text=text, **given_values)
    return check(render(request))


def migrated(text, **more):
    def diagnose(text):
        found = checked(text, **more)
        return [*found.diagnostics, *(older_forms(found.parsed, found.test) if found.parsed else [])]

    return mend(text, diagnose, lambda finding: finding.code == "CLN308" and finding.fix and finding.fix.safe)


@pytest.mark.parametrize(
    ("older", "current"),
    [
        (
            "[otel_expectations]\nminimum_spans = 4  # root and steps\n",
            "[expect.counts]\nspans_total = { gte = 4 }  # root and steps\n",
        ),
        (
            "[expect.counts]\nerrors_total = { eq = 0 }\n\n[otel_expectations]\nexpected_minimum_spans = 4\n",
            "[expect.counts]\nerrors_total = { eq = 0 }\nspans_total = { gte = 4 }\n\n",
        ),
        ('[otel_expectations]\nexpected_status = "OK"\n', '[expect.status]\nall = "OK"\n'),
        (
            '[otel_expectations]\nrequired_events = ["a", "b"]\nshould_have_parent_child_edges = true\n',
            (
                '[[expect.span]]\nname = "*"\nevents.all = ["a"]\n\n'
                '[[expect.span]]\nname = "*"\nevents.all = ["b"]\n\n'
                '[expect.graph]\nmust_include = [["*", "*"]]\n'
            ),
        ),
        (
            "[otel_expectations]\nshould_fail = true  # why\nshould_have_parent_child_edges = false\n",
            "# should_fail = true  # why\n",
        ),
        (
            '[[otel_validation.expected_spans]]\nname = "a"\nrequired_attributes = ["http.method", "k"]\n',
            (
                '[[expect.span]]\nname = "a"\n'
                'attrs.all = { "http.method" = { exists = true }, k = { exists = true } }\n'
            ),
        ),
        (
            '[[otel_validation.expected_spans]]\nname = "a"\nattributes = { k = "v" }\nrequired_attributes = ["l"]\n',
            '[[expect.span]]\nname = "a"\nattrs.all = { k = "v", l = { exists = true } }\n',
        ),
        (
            (
                '[[otel_validation.expected_spans]]\nname = "a"\nrequired_attributes = ["l", "m"] # both\n'
                '[otel_validation.expected_spans.attributes]\nk = "v"\n'
            ),
            (
                '[[expect.span]]\nname = "a"\n# both\n'
                '[expect.span.attrs.all]\nk = "v"\nl = { exists = true }\nm = { exists = true }\n'
            ),
        ),
        (
            '[[otel_validation.expected_spans]]\nname = "a"\nmin_count = 2\ncount = 3\n',
            '[[expect.span]]\nname = "a"\ncount = { eq = 3, gte = 2 }\n',
        ),
        (
            '[[otel_validation.expected_traces]]\nspan_names = ["a"]\ncomplete = false\n',
            '[[expect.span]]\nname = "a"\n',
        ),
        (
            '[[otel_validation.expected_traces]]\nspan_names = ["a", "b"]\nparent_child = [["a", "b"]]\n',
            '[[expect.graph]]\nmust_include = [["a", "b"]]\n',
        ),
        (
            (
                '[[otel_validation.expected_traces]]\nspan_names = ["b"]\n\n'
                '[[otel_validation.expected_traces.parent_child]]\nparent = "a"\nchild = "b"\n'
            ),
            '[[expect.graph]]\n\n[[expect.graph.must_include]]\nparent = "a"\nchild = "b"\n',
        ),
        (
            '[otel_validation] # spans\nenabled = true\nvalidate_spans = true # yes\n\n[otel_validation.expect_status]\nall = "OK"\n',
            '# spans\n# yes\n\n[expect.status]\nall = "OK"\n',
        ),
        ("[assertions]\nexecution_should_be_hermetic = false\n", ""),
    ],
)
def test_an_older_form_becomes_the_table_it_stands_for_and_keeps_its_comments(older, current):
    text = f"{BASE}\n{older}"

    result = migrated(text)

    assert result.text == f"{BASE}\n{current}"
    assert [finding for finding in result.remaining if finding.severity == "error"] == []
    assert meaning(checked(text).test) == meaning(checked(result.text).test)


def test_an_older_word_for_the_plugin_goes_and_its_comment_stays():
    """`type` beside `plugin` was left where a comment stood behind it."""
    text = BASE.replace("image", 'plugin = "generic_container"\ntype = "web"  # once\nimage')

    assert migrated(text).text == text.replace('type = "web"  # once', "# once")


def test_a_silencing_comment_does_not_outlive_its_statement():
    text = BASE.replace("image", 'plugin = "generic_container"\ntype = "web" # clnrm: ignore CLN302\nimage')

    assert migrated(text).text == text.replace('type = "web" # clnrm: ignore CLN302\n', "")


@pytest.mark.parametrize(
    ("older", "line", "reason"),
    [
        ('[[otel_validation.expected_spans]]\nname = "a"\nis_root = true\n', 1, "`is_root`"),
        ('[[otel_validation.expected_spans]]\nname = "a"\nrequired = false\n', 1, "may be missing"),
        ('[[otel_validation.expected_traces]]\nspan_names = ["a", "b"]\n', 1, "in one trace"),
        ('[[otel_validation.expected_traces]]\nspan_names = ["a"]\ncomplete = true\n', 1, "`complete` has"),
        ('[[otel_validation.expected_traces]]\nspan_names = ["clnrm.run"]\n', 1, "in one trace"),
        (
            "[expect.counts]\nspans_total.eq = 4\n[otel_expectations]\nminimum_spans = 4\n",
            4,
            "make one of the two",
        ),
        (
            '[otel_expectations]\nrequired_events = ["e"]\n[[expect.span]]\nname = "a"\n',
            2,
            "behind `[[expect.span]]`",
        ),
        (
            '[[otel_validation.expected_spans]]\nname = "b"\n[[expect.span]]\nname = "a"\n',
            1,
            "behind `[[expect.span]]`",
        ),
        (
            "[expect.graph]\nacyclic = true\n[otel_validation.expect_graph]\nmax_depth = 3\n",
            3,
            "there already",
        ),
        ("[assertions]\ncontainer_should_have_executed_commands = 1\n", 2, "counts commands"),
        ("[test.assertions]\nexecution_should_be_hermetic = true\n", 2, "hermetic backend"),
        ("[assertions]\nno_orphans = true\n", 2, "not evaluated"),
        ("[otel_validation]\nenabled = false\n", 1, "switched off"),
    ],
)
def test_what_has_no_current_form_stays_and_is_listed_with_place_and_reason(older, line, reason):
    text = f"{BASE}\n{older}"

    result = migrated(text)

    (finding,) = [one for one in result.remaining if one.code == "CLN308" and reason in one.message]
    assert (finding.line, finding.fix) == (BASE.count("\n") + 1 + line, None)
    assert result.text == text


def test_spans_ahead_of_one_that_stays_are_rewritten_and_those_behind_it_keep_their_order():
    spans = [f'[[otel_validation.expected_spans]]\nname = "{name}"\n' for name in "abc"]
    spans[1] += "is_root = true\n"

    result = migrated(f"{BASE}\n{''.join(spans)}")

    assert result.text == f'{BASE}\n[[expect.span]]\nname = "a"\n{spans[1]}{spans[2]}'


def test_every_round_of_a_loop_that_writes_older_forms_is_rewritten_at_once():
    loop = '{%% for name in ["a", "b"] %%}\n%s\nname = "{{ name }}"\n{%% endfor %%}\n'

    result = migrated(f"{BASE}\n{loop % '[[otel_validation.expected_spans]]'}", file="a.clnrm.toml.tera")

    assert result.text == f"{BASE}\n{loop % '[[expect.span]]'}"


# ------------------------------------------------------------------------------------------------ laws

NAMES = st.sampled_from(["a", "b", "c", "*"])
KEYS = st.sampled_from(["k", "l", "http.method"])


def _text(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {_text(item)}' for key, item in value.items()) + " }"
    return "[" + ", ".join(map(_text, value)) + "]" if isinstance(value, list) else json.dumps(value)


def _table(header, entries):
    return f"{header}\n" + "".join(f"{key} = {_text(value)}\n" for key, value in entries.items()) + "\n"


def _entries(**optional):
    return st.fixed_dictionaries({}, optional=optional)


COUNT = st.integers(0, 3)
SPAN = st.builds(
    lambda name, rest: _table("[[otel_validation.expected_spans]]", {"name": name, **rest}),
    NAMES,
    _entries(
        attributes=st.dictionaries(KEYS, st.sampled_from(["v", "w"]), max_size=2),
        required_attributes=st.lists(KEYS, max_size=2, unique=True),
        min_duration_ms=st.integers(0, 5),
        max_duration_ms=st.integers(5, 9),
        count=COUNT,
        min_count=COUNT,
        parent=NAMES,
        required=st.booleans(),
        is_root=st.just(True),
    ),
)
TRACE = st.builds(
    lambda names, rest: _table("[[otel_validation.expected_traces]]", {"span_names": names, **rest}),
    st.lists(NAMES, min_size=1, max_size=2),
    _entries(
        parent_child=st.lists(st.lists(NAMES, min_size=2, max_size=2), min_size=1, max_size=2),
        complete=st.booleans(),
        ordered=st.booleans(),
    ),
)
EXPECTATIONS = st.builds(
    lambda entries: _table("[otel_expectations]", entries),
    _entries(
        minimum_spans=COUNT,
        expected_minimum_spans=COUNT,
        required_events=st.lists(NAMES, max_size=2),
        should_have_parent_child_edges=st.booleans(),
        expected_status=st.sampled_from(["OK", "ERROR"]),
        note=st.just("x"),
    ),
)
CURRENT = st.sampled_from(
    [
        '[[expect.span]]\nname = "c"\n\n',
        "[expect.counts]\nerrors_total.eq = 0\n\n",
        '[expect.status]\nby_name.a = "OK"\n\n',
        "[expect.graph]\nacyclic = true\n\n",
        "[otel_validation.expect_counts]\nevents_total.gte = 1\n\n",
        "[otel_validation.expect_graph]\nacyclic = true\n\n",
    ]
)
FILES = st.lists(st.one_of(SPAN, TRACE, CURRENT), max_size=5, unique=True).flatmap(
    lambda blocks: st.one_of(st.just([]), EXPECTATIONS.map(lambda one: [one])).flatmap(
        lambda more: st.permutations([*blocks, *more])
    )
)
SPAN_LINES = st.builds(
    lambda indent, name, words: " " * indent + " ".join([name, "0..6", *words]),
    st.integers(0, 2),
    st.sampled_from("abc"),
    st.lists(
        st.sampled_from(["k=v", "l=w", "http.method=v", "!a", "!b", "status=ok", "status=error"]),
        max_size=4,
        unique=True,
    ),
)
TRACES = st.lists(st.lists(SPAN_LINES, max_size=4), max_size=2)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILES, TRACES)
def test_a_migrated_file_gives_the_verdicts_it_gave_and_migrating_it_again_changes_nothing(blocks, traces):
    text = f"{BASE}\n{''.join(blocks)}"
    before = checked(text)
    if before.test is None:
        return
    table = Spans()
    for number, lines in enumerate(traces):
        table.add("\n".join(lines), f"t{number}")

    result = migrated(text)
    after = checked(result.text).test

    assert meaning(after) == meaning(before.test)
    assert _verdicts(after, table) == _verdicts(before.test, table)
    assert migrated(result.text).text == result.text
    assert result.refused == []


def _verdicts(test, table):
    return Counter(result.status for result in evaluate(test, TestOutcome("t", "t", spans=table)))


def _public_files():
    if not (CORPUS / "manifest.csv").is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason=MISSING))]
    with (CORPUS / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["expected"] != "error"]
    return [pytest.param(row, id=row["file"]) for row in rows]


@pytest.mark.parametrize("row", _public_files())
def test_a_public_file_means_the_same_when_it_is_migrated(row):
    text = (CORPUS / row["file"]).read_bytes().decode().replace("\r\n", "\n")
    given_values = json.loads(row["variables"] or "{}")
    more = {
        "file": row["path"],
        "variables": given_values.get("vars", {}),
        "environ": given_values.get("env", {}),
    }
    rendered = render(TemplateRequest(path=Path(row["path"]), project_root=Path(), text=text, **more))

    result = migrated(text, **more)

    assert migrated(result.text, **more).text == result.text
    assert result.refused == []
    before, after = checked(text, **more), checked(result.text, **more)
    assert (before.test is None) == (after.test is None)
    if before.test is not None and not rendered.dependencies.nondeterministic:
        assert meaning(after.test) == meaning(before.test)
