"""Laws of the validator: it never raises, and its findings are in order and in the file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.codes import CODES
from clnrm_nb.scenario.records import Table, TableOf, TablesByName, TablesOf
from clnrm_nb.scenario.tables import FILE
from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import check


def _check(text):
    request = TemplateRequest(
        path=Path("a.clnrm.toml"), file="a.clnrm.toml", project_root=Path(), text=text, no_template=True
    )
    return check(render(request))


def _assert_sound(text):
    checked = _check(text)
    last_line = text.count("\n") + 1
    places = [(finding.line, finding.column, finding.code) for finding in checked.diagnostics]
    assert places == sorted(places)
    assert all(1 <= line <= last_line and column >= 1 for line, column, _ in places)
    assert all(code in CODES for _, _, code in places)
    assert (checked.test is None) == (checked.outcome == "error" or checked.kind != "scenario")


@given(st.text(max_size=200))
def test_any_text_is_checked_without_raising(text):
    _assert_sound(text)


@given(st.binary(max_size=200))
def test_any_decoded_bytes_are_checked_without_raising(data):
    _assert_sound(data.decode("utf-8", errors="replace"))


def _all_keys():
    """Every key that any declared table knows."""
    names, waiting, seen = {"all", "any", "regex", "exact", "must_match", "a.b"}, [FILE], set()
    while waiting:
        table = waiting.pop()
        if id(table) in seen:
            continue
        seen.add(id(table))
        for key in table.keys:
            names.update((key.name, *key.aliases))
            kinds = [key.kind, *(kind for _, kind in getattr(key.kind, "by_type", ()))]
            waiting.extend(
                kind.table
                for kind in kinds
                if isinstance(kind, TableOf | TablesOf | TablesByName) and isinstance(kind.table, Table)
            )
    return sorted(names)


_KEYS = st.sampled_from(_all_keys())
_WORDS = st.sampled_from(
    ["", " ", "a", "b", "OK", "any", "5s", "(", "[", "a*", "80:80", "a:/b", "it's", "x=y", "spans:a", "otlp",
     "docker.sock:/x"]
)  # fmt: skip
_SCALARS = st.one_of(
    _WORDS,
    st.booleans(),
    st.integers(-2, 70_000),
    st.floats(allow_nan=True, allow_infinity=True),
    st.just(datetime(2025, 1, 1, tzinfo=UTC)),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=25,
)


def _written(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_written(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, datetime):
        return value.isoformat()
    return repr(value) if isinstance(value, float) else json.dumps(value)


def _as_file(document):
    return "".join(f"{json.dumps(key)} = {_written(value)}\n" for key, value in document.items())


@given(st.dictionaries(_KEYS, _VALUES, max_size=6))
def test_any_values_under_known_keys_are_checked_without_raising(document):
    _assert_sound(_as_file(document))


@given(
    st.sampled_from([key.name for key in FILE.keys]),
    st.dictionaries(_KEYS, _VALUES, max_size=4),
    st.booleans(),
)
def test_any_values_in_each_top_level_table_are_checked_without_raising(name, table, in_array):
    _assert_sound(_as_file({name: [table] if in_array else table}))


@given(
    st.sampled_from(["span", "counts", "graph", "window", "order", "temporal", "status", "hermeticity",
                     "resource"]),
    st.dictionaries(_KEYS, _VALUES, max_size=4),
    st.booleans(),
)  # fmt: skip
def test_any_values_in_each_expectation_are_checked_without_raising(name, table, in_array):
    _assert_sound(_as_file({"expect": {name: [table] if in_array else table}}))


@given(st.dictionaries(_KEYS, _VALUES, max_size=4), st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_any_values_in_services_and_steps_are_checked_without_raising(service, step):
    _assert_sound(_as_file({"services": {"a": service}, "steps": [step], "scenario": [step]}))
