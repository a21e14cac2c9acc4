"""`why` names exactly what has changed, at its place, and never a value of the environment."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clnrm_nb.cache import LocalKey, Surroundings, parts_of
from clnrm_nb.cache.causes import between, between_verdicts
from clnrm_nb.cache.entry import Cause, Decision
from clnrm_nb.cache.sight import Sight
from clnrm_nb.cache.why import headline, sentence, sentences
from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import check

FILE = "tests/a.clnrm.toml.tera"
TEXT = """{% import "_m.tera" as m %}
[meta]
name = "shop"
version = "1"

[vars]
word = "hello"

[services.api]
image = "api:1"
args = ["serve", "--port", "80"]
env = { MODE = "fast", URL = "{{ env(name='API_URL') }}" }

[[scenario]]
name = "checkout"
service = "api"
run = ["echo", "{{ word }}", "{{ svc }}"]

[scenario.expect]
span = [{ name = "checkout" }]

[[expect.span]]
name = "checkout"
kind = "server"
{{ m::steps(name=svc) }}
"""
MACROS = """{# steps #}
{% macro steps(name) %}
[[steps]]
name = "{{ name }}"
command = ["true"]
{% endmacro %}
"""
ENVIRON = {"API_URL": "https://very.secret.example", "CI": "true"}


@pytest.fixture
def seen(tmp_path):
    """Key and sight of a text under given variables and surroundings."""
    local = LocalKey(tmp_path / "key")
    (tmp_path / "tests").mkdir()

    def see(text=TEXT, *, macros=MACROS, environ=ENVIRON, variables=None, images=None, sight=None, **around):
        (tmp_path / "tests" / "_m.tera").write_text(macros)
        request = TemplateRequest(
            path=tmp_path / FILE,
            file=FILE,
            project_root=tmp_path,
            text=text,
            environ=environ,
            variables={"svc": "a"} if variables is None else variables,
        )
        checked = check(render(request))
        assert checked.test is not None, checked.diagnostics
        given = {"backend": "docker", "isolation": "warm", "environ": environ, **around}
        key = parts_of(checked.test, checked.rendered, Surroundings(**given), seal=local.seal)
        if images is not None:
            key = key.with_images(images)
        return key, Sight(checked, tmp_path, **(sight or {}))

    return see


def told(before, after):
    (old, _), (new, sight) = before, after
    return [sentence(cause) for cause in between(old.parts, new.parts, sight)]


def edited(old, new, text=TEXT):
    assert text.count(old) == 1, old
    return text.replace(old, new)


def test_nothing_is_said_of_equal_inputs(seen):
    assert told(seen(), seen()) == []


def test_a_variable_is_told_with_both_values_where_it_is_used_and_who_set_it(seen):
    said = told(seen(), seen(variables={"svc": "b"}))
    assert said[0] == f'variable svc: "a" -> "b" (used at {FILE}:17:34, {FILE}:25:18, set by -m)'
    assert f'scenario scenario[0].run[2]: "a" -> "b" (at {FILE}:17:30)' in said


def test_where_a_variable_was_given_is_told_as_it_was_given(seen):
    after = seen(variables={"svc": "b"}, sight={"given": {"svc": "--vars prod.toml"}})
    assert told(seen(), after)[0].endswith("set by --vars prod.toml)")


def test_a_variable_of_the_file_is_told_with_its_line(seen):
    said = told(seen(), seen(edited('word = "hello"', 'word = "hi"')))
    assert said[0] == f'variable word: "hello" -> "hi" (used at {FILE}:17:20, set in [vars] at {FILE}:7:8)'


def test_a_field_of_the_scenario_is_told_by_its_path_and_place(seen):
    assert told(seen(), seen(edited('image = "api:1"', 'image = "api:2"'))) == [
        f'scenario services.api.image: "api:1" -> "api:2" (at {FILE}:10:9)'
    ]


def test_what_is_new_and_what_is_gone_is_told_so(seen):
    more = edited('MODE = "fast"', 'MODE = "fast", MORE = "1"')
    assert told(seen(), seen(more)) == [f'scenario services.api.env.MORE is new: "1" (at {FILE}:12:31)']
    assert told(seen(more), seen()) == [f'scenario services.api.env.MORE is gone: "1" (at {FILE}:12:7)']


def test_a_value_of_the_environment_is_never_shown(seen):
    said = told(seen(), seen(environ={**ENVIRON, "API_URL": "https://other.example"}))
    assert said[0] == f"environment API_URL changed (value not shown) (read at {FILE}:12:34)"
    assert "secret" not in str(said)
    assert "other.example" not in str(said)
    assert said[1].startswith("scenario services.api.env.URL changed (value not shown)")


def test_an_include_is_told_with_the_lines_that_changed(seen):
    said = told(
        seen(), seen(macros=MACROS.replace("steps #", "all steps #"), sight={"lines": {"tests/_m.tera": 1}})
    )
    assert said == ["include tests/_m.tera changed (1 line)"]


def test_images_mounts_and_surroundings_are_told_in_their_own_words(seen):
    base = {
        "images": {"api:1": "sha256:" + "a" * 64},
        "mounts": {"api:/srv": "1" * 64},
        "limits": {"services": {"api": {"memory_mb": 512}}},
    }
    one = seen(**base)
    assert told(one, seen(**{**base, "images": {"api:1": "sha256:" + "b" * 64}})) == [
        "image api:1: digest moved aaaaaaaaaaaa… -> bbbbbbbbbbbb…"
    ]
    after = seen(
        **{**base, "mounts": {"api:/srv": "2" * 64}}, sight={"mounted": {"api:/srv": ("src/x.html",)}}
    )
    assert told(one, after) == ["mounts api:/srv changed: src/x.html"]
    assert told(one, seen(**{**base, "mounts": {"api:/srv": None}})) == [
        "mounts api:/srv: nothing is there any more"
    ]
    assert told(one, seen(**{**base, "limits": {"services": {"api": {"memory_mb": 256}}}})) == [
        "limit services.api.memory_mb: 512 -> 256"
    ]
    assert told(one, seen(**base, isolation="fresh")) == ['isolation: "warm" -> "fresh"']
    assert told(one, seen(**base, backend="process")) == ['backend: "docker" -> "process"']


def test_an_expectation_is_told_by_its_path_and_place(seen):
    (old, _), (new, sight) = seen(), seen(edited('kind = "server"', 'kind = "client"'))
    assert old.hash == new.hash
    said = [sentence(cause) for cause in between_verdicts(old, new, sight)]
    assert said == [f'expectation expect.span[0].kind: "server" -> "client" (at {FILE}:24:8)']


def test_an_expectation_of_a_scenario_is_told_with_its_scenario(seen):
    (old, _), (new, sight) = (
        seen(),
        seen(edited('span = [{ name = "checkout" }]', 'span = [{ name = "other" }]')),
    )
    said = [sentence(cause) for cause in between_verdicts(old, new, sight)]
    assert said == [f'expectation scenario[0].expect.span[0].name: "checkout" -> "other" (at {FILE}:20:18)']


def test_of_a_long_value_the_part_that_differs_is_shown(seen):
    long = "x" * 500
    said = told(seen(variables={"svc": long + "1"}), seen(variables={"svc": long + "2"}))
    assert said[0].startswith('variable svc: …xxxxxxxxxxxxxxxxxxxx1" -> …xxxxxxxxxxxxxxxxxxxx2"')


# ------------------------------------------------------------------------------------------------ laws

_TEXTS = st.text(st.characters(codec="ascii", exclude_characters="\\"), min_size=1, max_size=8)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)
_NAMED = st.dictionaries(_TEXTS, _TEXTS | st.none(), max_size=4)
_PARTS = st.fixed_dictionaries(
    {
        "scenario": st.dictionaries(_TEXTS, _VALUES, max_size=4),
        "matrix": _NAMED,
        "variables": _NAMED,
        "environment": _NAMED,
        "files": _NAMED,
        "mounts": _NAMED,
        "images": _NAMED,
        "macros": _TEXTS,
        "limits": st.dictionaries(_TEXTS, _VALUES, max_size=3),
        "backend": _TEXTS,
        "isolation": _TEXTS,
    }
)


@given(parts=_PARTS, data=st.data())
@settings(max_examples=80, deadline=None)
def test_a_random_change_of_a_random_part_is_named_and_nothing_else(parts, data):
    kind = data.draw(st.sampled_from(sorted(parts)))
    changed = json.loads(json.dumps(parts))
    if isinstance(changed[kind], dict):
        name = data.draw(st.sampled_from(sorted(changed[kind])) | _TEXTS if changed[kind] else _TEXTS)
        value = data.draw(_VALUES if kind in ("scenario", "limits") else _TEXTS | st.none())
        changed[kind][name] = value
        is_same = name in parts[kind] and json.dumps(parts[kind][name]) == json.dumps(value)
    else:
        name = ""
        changed[kind] = data.draw(_TEXTS)
        is_same = changed[kind] == parts[kind]

    causes = between(parts, changed)

    assert bool(causes) is not is_same
    assert {cause.kind for cause in causes} <= {kind}
    assert all(cause.name.startswith(name) for cause in causes)
    assert all(sentence(cause) for cause in causes)
    back = between(changed, parts)
    assert [cause.name for cause in back] == [cause.name for cause in causes] or kind in (
        "scenario",
        "limits",
    )


@given(
    value=st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=4, max_size=30),
    other=st.text(min_size=4, max_size=30),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_secret_is_ever_in_the_words(tmp_path, value, other):
    local = LocalKey(tmp_path / "key")
    text = (
        edited("URL = \"{{ env(name='API_URL') }}\"", "URL = {{ env(name='API_URL') | json_encode }}")
        .replace('{% import "_m.tera" as m %}', "")
        .replace("{{ m::steps(name=svc) }}", "")
    )
    said = []
    keys = []
    for url in (f"q7Zx{value}", f"q7Zx{other}"):
        environ = {"API_URL": url, "DB_PASSWORD": url + "!"}
        request = TemplateRequest(
            path=Path(FILE),
            file=FILE,
            project_root=tmp_path,
            text=text + '[secrets]\nenv = ["DB_PASSWORD"]\n',
            environ=environ,
            variables={"api_token": url[::-1]},
        )
        checked = check(render(request))
        if checked.test is None:
            return
        around = Surroundings(backend="docker", isolation="warm", environ=environ)
        keys.append(
            (parts_of(checked.test, checked.rendered, around, seal=local.seal), Sight(checked, tmp_path))
        )
    causes = between(keys[0][0].parts, keys[1][0].parts, keys[1][1])
    said = json.dumps([[sentence(cause), cause.to_json()] for cause in causes], ensure_ascii=False)
    assert "q7Zx" not in said
    assert "xZ7q" not in said


# -------------------------------------------------------------------------------------------- decisions


def test_a_decision_has_a_headline_and_all_its_sentences():
    causes = (
        Cause("variables", "svc", '"a"', '"b"', ("t:1:2",), "-m"),
        Cause("isolation", "", '"warm"', '"fresh"'),
    )
    miss = Decision("tests/a", "miss", causes=causes)
    assert (
        headline(miss)
        == 'tests/a: MISS because variable svc: "a" -> "b" (used at t:1:2, set by -m) and 1 more'
    )
    assert len(sentences(miss)) == 2
    assert headline(Decision("tests/a", "hit")) == "tests/a: HIT, not run: nothing it depends on has changed"


def test_an_edit_that_does_not_count_is_told_as_cosmetic():
    cause = Cause("files", "tests/a.clnrm.toml.tera", lines=3, is_cosmetic=True)
    assert sentence(cause) == (
        "tests/a.clnrm.toml.tera changed (3 lines): comments and spelling only, the scenario it renders to is the same"
    )


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause("forced"), "--force"),
        (Cause("no-cache"), "--no-cache"),
        (Cause("no-entry"), "first run"),
        (Cause("evicted"), "evicted, cleared, or its run kept none"),
        (Cause("object"), "missing or damaged"),
        (Cause("failed"), "did not pass"),
        (Cause("audit"), "--audit"),
        (Cause("version", "", "0.1.0/1", "0.2.0/2"), "0.1.0/1 -> 0.2.0/2"),
        (Cause("environment", "X", '"not set"', "hmac:12"), "is set now (value not shown)"),
        (Cause("environment", "X", "hmac:12", '"not set"'), "is not set any more"),
        (Cause("files", "_m.tera", '"missing"', '"' + "a" * 64 + '"'), "is there now"),
        (Cause("files", "_m.tera", '"' + "a" * 64 + '"', '"missing"'), "is gone"),
    ],
)
def test_what_has_no_parts_to_compare_is_told_too(cause, words):
    assert words in sentence(cause)
