"""What tomli refuses becomes a finding with its code, at the place a person looks for it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import tomli

from clnrm_nb.errors import Location
from clnrm_nb.scenario.parse import parse


@dataclass(frozen=True)
class Shifted:
    """A source map under which every rendered line stands ten lines further down in the source."""

    file: str = "a.clnrm.toml.tera"

    def to_source(self, line, column):
        return Location(self.file, line + 10, column)


@dataclass(frozen=True)
class Text:
    """A rendered text without a template layer."""

    text: str | None
    file: str = "a.clnrm.toml"
    templated: bool = False
    source: str = ""
    source_map: Shifted = field(default_factory=Shifted)


def _findings(text, **options):
    return [f"{d.code}@{d.line}:{d.column}" for d in parse(Text(text), **options).diagnostics]


def test_toml_1_1_is_what_the_authority_speaks():
    document = parse(Text('a = {\n  b = 1, # one\n  c = "\\e",\n}\nt = 07:32\n')).document

    assert document == tomli.loads('a = { b = 1, c = "\\u001b" }\nt = 07:32:00')


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a = 1\nb = = 2\n", "CLN201@2:5"),
        ("a = 1\n[b\n", "CLN201@2:3"),
        ("a = 1\nb = 'x\nc = 2\n", "CLN201@2:5"),
        ('a = 1\nb = """x\nc = 2\n', "CLN201@2:5"),
        ("a = 1\nb = [1,\n\n", "CLN201@2:5"),
        ("a = 1 b = 2", "CLN201@1:7"),
        ('a = "\\q"', "CLN201@1:8"),
        ("a = 1\nb = 2\na = 3\n", "CLN202@3:1"),
        ("a = 1\n[a]\n", "CLN202@2:1"),
        ("[a]\nb = 1\n[c]\n[a]\n", "CLN202@4:1"),
        ("[a]\nb = 1\n[a.b]\n", "CLN202@3:1"),
        ("[[a]]\n[a]\n", "CLN202@2:1"),
        ("a = { b = 1, b = 2 }", "CLN202@1:14"),
        ("a = { b = 1 }\na.c = 2\n", "CLN202@2:1"),
        ("[t]\na.b = 1\n[t.a]\n", "CLN202@3:1"),
        ("a = 1\nb = 9223372036854775808", "CLN204@2:5"),
        ("a = [0, { b = -9223372036854775809 }]", "CLN204@1:15"),
        ("a = 1e999", "CLN204@1:5"),
        ("a = 1" + "0" * 5_000, "CLN204@1:5"),
        ("a = " + "[" * 5_000, "CLN201@1:5"),
    ],
)
def test_a_text_that_is_not_toml_has_one_finding_at_its_place(text, finding):
    assert _findings(text) == [finding]


@pytest.mark.parametrize(
    "text", ["a = 9223372036854775807", "a = -9223372036854775808", "a = inf", "a = -inf"]
)
def test_numbers_of_64_bits_are_fine(text):
    assert _findings(text) == []


def test_a_second_definition_points_back_to_the_first():
    (finding,) = parse(Text("[s]\nplugin = 1\nplugin = 2\n")).diagnostics

    assert finding.message == "`s.plugin` is defined twice (first on line 2)"
    assert [(place.line, place.column) for place in finding.related] == [(2, 1)]


def test_strict_1_0_refuses_each_thing_that_is_new_in_1_1():
    text = 'a = {\n  b = 1,\n}\nc = "\\e"\nd = 07:32\ne = { f = 1 }\n'

    assert _findings(text) == []
    assert _findings(text, strict_toml="1.0") == ["CLN203@1:5", "CLN203@4:6", "CLN203@5:5"]


@pytest.mark.parametrize("text", ["a = 1\r\nb = = 2\r\n", "\ufeffa = 1\nb = = 2\n"])
def test_line_ends_and_byte_order_marks_do_not_move_places(text):
    assert _findings(text) == ["CLN201@2:5"]


def test_places_go_through_the_source_map_and_keep_the_rendered_place_beside():
    parsed = parse(Text("a = 1\na = 2\n", file="a.clnrm.toml.tera", templated=True))

    (finding,) = parsed.diagnostics

    assert (finding.file, finding.line, finding.column) == ("a.clnrm.toml.tera", 12, 1)
    assert finding.rendered == (2, 1)


def test_a_document_locates_its_key_paths_with_their_ends():
    parsed = parse(Text('[a]\nkey = "value"\n'))

    place = parsed.locate(("a", "key"))

    assert (place.line, place.column, place.end_line, place.end_column) == (2, 7, 2, 14)


def test_a_text_that_failed_to_render_has_no_document_and_no_findings_of_its_own():
    parsed = parse(Text(None))

    assert parsed.document is None
    assert parsed.diagnostics == []
