"""Laws of the formatter: it repeats itself, and neither data nor a comment changes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.formatter import format_source, format_text
from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.template.rendering import is_library, is_templated

ROOT = Path(__file__).parents[3]
CORPUS = ROOT.parent / "shared" / "corpus" / "scenarios"

# -- texts that are TOML, written by somebody without a formatter

_GAP = st.sampled_from(["", " ", "  ", "\t"])
_BREAK = st.sampled_from(["\n", "\n\n", "\n   \n\n\n", "  \n", ' # é = [ "\n', "# '''\n"])
_STRINGS = st.sampled_from(
    [
        '"a # b"',
        "'[ 1,2 ]'",
        '"""\n  a  \n\n\n"b" = 1 # c\n"""',
        "'''x''''",
        '"\\"\\\\"',
        "''",
        '"{{ x }}"',
        "'{{x}}'",
    ]
)
_SCALARS = st.one_of(
    _STRINGS,
    st.sampled_from(
        ["true", "-1", "1_000", "0xff", "1.5e-3", "-inf", "nan", "1979-05-27", "1979-05-27 07:32:00Z"]
    ),
)


@st.composite
def _arrays(draw, values):
    gap = st.one_of(_GAP, _BREAK)
    text = "["
    elements = draw(st.lists(values, max_size=4))
    for index, element in enumerate(elements):
        is_last = index == len(elements) - 1
        comma = draw(st.sampled_from(["", ","])) if is_last else ","
        text += f"{draw(gap)}{element}{draw(gap)}{comma}"
    return f"{text}{draw(gap)}]"


@st.composite
def _inline_tables(draw, values):
    # Line breaks and a last comma in an inline table are TOML 1.1.
    gap = draw(st.sampled_from([_GAP, st.one_of(_GAP, _BREAK)]))
    pairs = draw(st.lists(values, max_size=3))
    comma = draw(st.sampled_from(["", ","])) if pairs else ""
    inside = ",".join(
        f"{draw(gap)}k{index}{draw(_GAP)}={draw(_GAP)}{value}{draw(gap)}" for index, value in enumerate(pairs)
    )
    return f"{{{inside}{comma}{draw(gap)}}}"


_VALUES = st.recursive(_SCALARS, lambda inner: st.one_of(_arrays(inner), _inline_tables(inner)), max_leaves=8)
_KEYS = st.sampled_from(["a", '"b c"', "d.e", "d . 'f'", "g-h"])


@st.composite
def _documents(draw):
    """Tables with unique names, the keys of each unique."""
    text = draw(st.one_of(st.just(""), _BREAK))
    for index in range(draw(st.integers(0, 3))):
        header = draw(st.sampled_from(["[t{0}]", "[ t{0} . u ]", '[["t{0}"]]']))
        text += f"{draw(_GAP)}{header.format(index)}{draw(_GAP)}{draw(_BREAK)}"
        for number, value in enumerate(draw(st.lists(_VALUES, max_size=3))):
            key = f"{draw(_KEYS)}.n{number}"
            text += f"{draw(_GAP)}{key}{draw(_GAP)}={draw(_GAP)}{value}{draw(_GAP)}{draw(_BREAK)}"
    return text


def _comments(text: str) -> Counter[str]:
    """Comments of these documents; each holds what nothing else does."""
    return Counter(re.findall(r"# é = \[ \"|# '''(?=\n)", text))


@settings(max_examples=150, deadline=None)
@given(_documents())
def test_formatting_keeps_data_and_comments_and_repeats_itself(text):
    formatted = format_source(text, templated=False)

    assert formatted.note == ""
    assert repr(tomli.loads(formatted.text)) == repr(tomli.loads(text))
    assert _comments(formatted.text) == _comments(text)
    assert format_text(formatted.text, templated=False) == formatted.text


# -- templates around and inside such texts

_PARTS = st.sampled_from(
    [
        ("{% if yes %}", "{% endif %}"),
        ("{%- if no -%}\n", "{%else%}", "\n{% endif %}"),
        ("{% for i in [1, 2] %}\n[[i]]\n", "{%- endfor %}"),
        ("{% raw %}", "{% endraw %}"),
        ('{% set later = "', '" %}'),
        ("'''", "'''"),
        ('"""', '"""'),
        ("a = [", "]"),
        ("b={", "}"),
    ]
)
_PIECES = st.sampled_from(
    [
        *"\"'[]{}=,#. \n\\",
        *("'''", '"""', "\n\n\n", "\r\n", "# c\n", "{# # #}"),
        *("x = 1\n", "[t]\n", "y=[1,\n2]\n", "z={ a=1 }\n", "e = '''\n"),
        *("k{{i}}=1", "{{quote}}", "{{ quote }}", "{{-x-}}", "'{{x}}'", 'f = "{{x}}"\n'),
    ]
)
_SNIPPETS = st.recursive(
    st.lists(_PIECES, max_size=5).map("".join),
    lambda inner: st.tuples(_PARTS, inner, inner, inner).map(
        lambda drawn: (
            drawn[0][0]
            + "".join(f"{text}{mark}" for text, mark in zip(drawn[1:], drawn[0][1:], strict=False))
        )
    ),
    max_leaves=5,
)


def _said(text: str, quote: str) -> str | None:
    """The data of a template; ``None`` where it has none."""
    request = TemplateRequest(
        Path("/a.clnrm.toml.tera"),
        "a.clnrm.toml.tera",
        Path("/"),
        text=text,
        variables={"yes": True, "no": False, "x": "v", "i": 5, "quote": quote},
    )
    rendered = render(request).text
    try:
        return None if rendered is None else repr(tomli.loads(rendered))
    except tomli.TOMLDecodeError:
        return None


@settings(max_examples=300, deadline=None)
@given(st.lists(_SNIPPETS, max_size=4).map("".join), st.sampled_from(["", '"', "'", "#"]))
def test_whatever_a_template_says_before_it_says_after(text, quote):
    formatted = format_source(text, templated=True)

    assert format_text(formatted.text, templated=True) == formatted.text
    assert not formatted.note.startswith("left as it is: formatting")
    said = _said(text, quote)
    assert said is None or _said(formatted.text, quote) == said


@settings(max_examples=150, deadline=None)
@given(st.text(st.one_of(st.characters(), st.sampled_from("\"'[]{}=,#%\n\r\t")), max_size=60), st.booleans())
def test_any_text_is_taken(text, templated):
    formatted = format_text(text, templated=templated)

    assert format_text(formatted, templated=templated) == formatted


# -- files people wrote


def _files() -> list[Path]:
    own = [path for path in ROOT.glob("clnrm_nb/**/*.clnrm.toml*") if path.is_file()]
    return sorted([*own, *CORPUS.glob("*.toml*")])


@pytest.mark.parametrize("path", _files(), ids=lambda path: path.name)
def test_files_of_examples_and_corpus_keep_what_they_say(path):
    text = path.read_text("utf-8")
    request = TemplateRequest(path, path.name.replace("___", "/_"), path.parent, text=text)
    kind = {"templated": is_templated(request, text), "library": is_library(request.file)}

    formatted = format_source(text, **kind)

    assert format_text(formatted.text, **kind) == formatted.text
    before = render(request)
    if before.text is not None and not before.dependencies.nondeterministic:
        after = render(TemplateRequest(path, request.file, path.parent, text=formatted.text))
        assert after.text is not None
        assert _loaded(after.text) == _loaded(before.text)


def _loaded(text: str) -> str | None:
    try:
        return repr(tomli.loads(text))
    except tomli.TOMLDecodeError:
        return None


@pytest.mark.parametrize("path", sorted(ROOT.glob("clnrm_nb/**/*.clnrm.toml*")), ids=lambda path: path.name)
def test_our_own_scenarios_are_formatted(path):
    text = path.read_text("utf-8")

    assert format_text(text, templated=path.name.endswith(".tera")) == text
