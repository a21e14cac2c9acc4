from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from clnrm_nb.report.baselines import Baselines
from clnrm_nb.report.lines import columns, line, to_ansi, to_plain
from clnrm_nb.report.text import (
    clipped,
    duration_text,
    json_ready,
    number_text,
    one_line,
    value_text,
    visible,
    wrapped,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünï 表", "plain ünï 表"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\rb", "a\\x0db"),
        ("a\r\nb", "a\nb"),
        ("bell\x07", "bell\\x07"),
        ("c1\x9b31m", "c1\\x9b31m"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("\u2028\ufeff", "\\u2028\\ufeff"),
        ("half \ud800", "half \\ud800"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("a\tb", "a    b"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_one_line_stays_one_line() -> None:
    assert one_line("a\nb\r\nc") == "a\\nb\\nc"


@given(st.text())
def test_visible_text_holds_no_control_character_and_can_be_written(text: str) -> None:
    shown = visible(text)

    assert not [char for char in shown if (ord(char) < 32 and char != "\n") or 0x7F <= ord(char) < 0xA0]
    shown.encode("utf-8")


@given(st.text(alphabet="ab 表é", max_size=60), st.integers(1, 20))
def test_clipped_text_fits_its_cells(text: str, cells: int) -> None:
    assert cell_len(clipped(text, cells)) <= cells


@given(st.text(alphabet="abc def 表", max_size=120), st.integers(4, 30))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces(text: str, cells: int) -> None:
    lines = wrapped(text, cells)

    assert all(cell_len(part) <= cells for part in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("duration_ms", "shown"),
    [
        (0.0, "0 ms"),
        (8e-06, "8 ns"),
        (0.0012, "1.2 µs"),
        (0.1234, "123 µs"),
        (0.9996, "1 ms"),
        (3.4, "3.4 ms"),
        (41.23, "41.2 ms"),
        (999.9, "1.00 s"),
        (1_240, "1.24 s"),
        (59_000, "59.0 s"),
        (125_000, "2 min 5 s"),
        (None, "?"),
        (math.nan, "?"),
    ],
)
def test_durations_have_three_digits_and_a_unit(duration_ms: float | None, shown: str) -> None:
    assert duration_text(duration_ms) == shown


def test_numbers_are_grouped_and_nouns_agree() -> None:
    assert [number_text(41_310), number_text(1, "span"), number_text(2, "span")] == [
        "41,310",
        "1 span",
        "2 spans",
    ]


def test_values_are_shown_as_json_and_text_as_it_is() -> None:
    assert [value_text("x"), value_text(None), value_text([1, True])] == ["x", "null", "[1, true]"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
)


@given(_json)
def test_anything_becomes_json_and_stays_equal_to_itself(value: object) -> None:
    ready = json_ready(value)

    assert json.loads(json.dumps(ready)) == ready


def test_every_text_is_masked_keys_and_depths_included() -> None:
    secret = {"a": ["s3cret", {"s3cret": ("x s3cret", 1)}], "b": 2}

    ready = json_ready(secret, lambda text: text.replace("s3cret", "•••"))

    assert ready == {"a": ["•••", {"•••": ["x •••", 1]}], "b": 2}
    assert "s3cret" in secret["a"]


def test_depth_of_nesting_is_no_limit() -> None:
    deep: list[object] = []
    for _ in range(50_000):
        deep = [deep]

    assert json_ready(deep) is not deep


def test_plain_and_coloured_lines_say_the_same() -> None:
    lines = [line(("✗ failed", "failed"), " api"), line()]

    plain, coloured = to_plain(lines), to_ansi(lines)

    assert plain == "✗ failed api\n\n"
    assert coloured == "\x1b[1;31m✗ failed\x1b[0m api\n\n"


def test_lines_are_clipped_to_the_width_in_both_forms() -> None:
    lines = [line(("abc", "bold"), "defgh")]

    assert to_plain(lines, 5) == "abcd…\n"
    assert to_ansi(lines, 5) == "\x1b[1mabc\x1b[0md…\n"


def test_columns_are_aligned_by_cells_and_numbers_flush_right() -> None:
    text = to_plain(columns(("name", "n"), [("表", "1"), ("abc", "100")], right=(1,)))

    assert text == "name    n\n表      1\nabc   100\n"


def test_a_list_of_baselines_fits_a_terminal_and_keeps_the_whole_digest_in_its_document():
    digest = "sha256:" + "ab" * 32
    record = {
        "scenario_id": "a::b",
        "version": 2,
        "in_use": True,
        "digest": digest,
        "spans": 3,
        "accepted_by": "Ada Lovelace <ada@example.org>",
    }

    baselines = Baselines([record])

    [_, header, row] = to_plain(baselines.lines()).splitlines()
    assert header.split() == ["scenario_id", "version", "in_use", "digest", "spans", "accepted_by"]
    assert row.endswith("sha256:abababababab      3  Ada Lovelace")
    assert baselines.raw["data"]["baselines"][0]["digest"] == digest
