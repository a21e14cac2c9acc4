"""Assignments, variable files, statements of tables and the matrix."""

from __future__ import annotations

import pytest

from clnrm_nb.errors import UsageError
from clnrm_nb.template import TemplateRequest, combinations, parse_assignments, read_vars_file, render
from clnrm_nb.template.lexer import scan
from clnrm_nb.template.tables import find_statements


@pytest.fixture
def request_of(tmp_path):
    def make(text, **given):
        return TemplateRequest(tmp_path / "a.clnrm.toml", "a.clnrm.toml", tmp_path, text=text, **given)

    return make


def test_template_assignments_split_at_the_first_equals_sign():
    assert parse_assignments(["a=b=c", "e=", " k = v"]) == {"a": "b=c", "e": "", "k": " v"}


def test_template_typed_assignments_are_json():
    assert parse_assignments(["a:=1", 'b:=["x", 2.0]', "c:=null", 'd:="x=y"']) == {
        "a": 1,
        "b": ["x", 2.0],
        "c": None,
        "d": "x=y",
    }


@pytest.mark.parametrize("text", ["a", "=1", "a:=x", ":=1", "a:=NaN", "a:=" + "[" * 100_000])
def test_template_bad_assignment_is_a_usage_error(text):
    with pytest.raises(UsageError):
        parse_assignments([text])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.toml", 'a = "1"\nb = [1, 2]\n[c]\nd = 2025-01-01\n'),
        ("v.json", '{"a": "1", "b": [1, 2], "c": {"d": "2025-01-01"}}'),
        ("v", '{"a": "1", "b": [1, 2], "c": {"d": "2025-01-01"}}'),
        ("v.env", '# note\na=1\n\nb:=[1, 2]\nc:={"d": "2025-01-01"}\n'),
    ],
)
def test_template_variable_files_of_all_three_forms_read_the_same(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)

    assert read_vars_file(path) == {"a": "1", "b": [1, 2], "c": {"d": "2025-01-01"}}


@pytest.mark.parametrize(
    ("name", "content"), [("v.toml", "a ="), ("v.json", "[1]"), ("v", "nonsense"), ("v.txt", b"\xff")]
)
def test_template_bad_variable_file_names_the_file(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(UsageError, match=name.replace(".", r"\.")):
        read_vars_file(path)


def test_template_missing_variable_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "staging.toml").write_text("")

    with pytest.raises(UsageError, match=r"did you mean `staging\.toml`"):
        read_vars_file(tmp_path / "stagin.toml")


def _found(text):
    return [(s.table, s.inner, text[s.start : s.end]) for s in find_statements(text, scan(text).opaque)]


def test_template_statements_are_found_in_their_tables_only():
    text = (
        'top = 1\n[vars]\na = 1\n  b = "x" # c\n\n# note\n[meta]\nname = "n"\n'
        "[vars.d.e]\nf = [\n 1, # ]\n 2,\n]\n[matrix]\ndb = ['a']\n[[vars]]\nz = 1\n"
        "[determinism]\nseed = 1\n[template.otel]\ne = 1\n[varsity]\ny = 1\n"
    )

    assert _found(text) == [
        (("vars",), (), "a = 1"),
        (("vars",), (), 'b = "x"'),
        (("vars",), ("d", "e"), "f = [\n 1, # ]\n 2,\n]"),
        (("matrix",), (), "db = ['a']"),
        (("determinism",), (), "seed = 1"),
        (("template", "otel"), (), "e = 1"),
    ]


def test_template_statement_region_ends_at_a_marker_at_the_start_of_a_line():
    assert _found("[vars]\na = 1\n{% if x %}\nb = 2\n") == [(("vars",), (), "a = 1")]
    assert _found("[vars]\na = 1\n {{ x }}\nb = 2\n") == [(("vars",), (), "a = 1")]
    assert _found("[vars]\na = 1\n{# x #}\nb = 2\n")[1:] == [(("vars",), (), "b = 2")]


def test_template_statement_takes_markers_as_opaque():
    statements = [
        'a = "{{ x | default(value="[") }}"',
        'b = """{{ `"""` }}\n[c]"""',
        "c = '{% if \"#\n'\" %}{% endif %}'",
    ]

    assert [found for _, _, found in _found("\n".join(["[vars]", *statements, ""]))] == statements


def test_template_tables_in_comments_and_strings_are_none():
    assert _found("{#\n[vars]\na = 1\n#}\n") == []
    assert _found('x = """\n[vars]\na = 1\n"""\n') == []
    assert _found("x = [\n[vars]\n]\n") == []


def test_template_unclosed_bracket_does_not_hide_later_tables():
    assert _found("x = [\n\n[vars]\na = 1\n") == [(("vars",), (), "a = 1")]


def test_template_statement_inside_a_conditional_is_read_and_rendered_in_place(request_of):
    text = "{% if false %}\n[vars]\na = '{{ svc }}'\n{% endif %}\n{{ a }}"

    assert render(request_of(text)).text == "\nclnrm"


def test_template_file_without_matrix_has_one_empty_combination(request_of):
    assert combinations(request_of("a = 1")) == ([{}], [])
    assert combinations(request_of("# matrix\na = 1")) == ([{}], [])


def test_template_matrix_is_the_product_with_the_last_key_fastest(request_of):
    text = "[matrix]\ndb = ['pg', 'my']\nn = [1, 2.5, true]\n"

    expanded, findings = combinations(request_of(text))

    assert findings == []
    assert expanded == [
        {"db": "pg", "n": 1},
        {"db": "pg", "n": 2.5},
        {"db": "pg", "n": True},
        {"db": "my", "n": 1},
        {"db": "my", "n": 2.5},
        {"db": "my", "n": True},
    ]


def test_template_matrix_exclude_include_and_max(request_of):
    text = "[matrix]\na = [1, 2]\nb = ['x', 'y']\nexclude = [{ a = 1, b = 'y' }]\n"
    text += "include = [{ a = 9, b = 'z' }, { a = 2, b = 'x' }]\n"

    full, _ = combinations(request_of(text))
    some, _ = combinations(request_of(text + "max = 2\n"))

    assert full == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}, {"a": 9, "b": "z"}]
    assert len(some) == 2
    assert [c for c in full if c in some] == some
    assert combinations(request_of(text + "max = 2\n"))[0] == some


def test_template_matrix_may_be_computed(request_of):
    text = '[vars]\nall = ["a", "b"]\n[matrix]\ndb = {{ vars.all | toml_encode }}\n'

    assert combinations(request_of(text)) == ([{"db": "a"}, {"db": "b"}], [])


def test_template_combination_is_seen_by_the_whole_file(request_of):
    text = "[vars]\nname = 'on-{{ matrix.db }}'\n[matrix]\ndb = ['pg']\n[template.matrix]\nall = [1]\n\n"
    text += "{{ name }} {{ matrix.db }} {{ matrix.all }}"

    assert render(request_of(text, matrix={"db": "pg"})).text.splitlines()[-1] == "on-pg pg [1]"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("db = []", "`matrix.db` must be a non-empty array of scalars"),
        ("db = 'x'", "`matrix.db` must be a non-empty array of scalars"),
        ("db = [[1]]", "`matrix.db` must be a non-empty array of scalars"),
        ("max = 0", "`matrix.max` must be a positive integer"),
        ("exclude = [1]", "`matrix.exclude` must be an array of tables of scalars"),
    ],
)
def test_template_bad_matrix_is_reported_at_its_entry(request_of, line, message):
    text = f"[matrix]\na = [1]\n{line}\n"

    expanded, (finding,) = combinations(request_of(text))

    assert (finding.code, finding.message, finding.line) == ("CLN113", message, 3)
    assert len(expanded) == 1


def test_template_matrix_of_more_than_256_combinations_is_a_warning(request_of):
    numbers = ", ".join(map(str, range(17)))

    expanded, (finding,) = combinations(request_of(f"[matrix]\na = [{numbers}]\nb = [{numbers}]\n"))

    assert len(expanded) == 289
    assert (finding.code, finding.message, finding.line) == ("CLN114", "matrix has 289 combinations", 2)


def test_template_matrix_of_a_file_that_is_no_template_expands_too(request_of):
    text = "[matrix]\ndb = ['{{ x', 'b']\n"

    assert combinations(request_of(text, no_template=True))[0] == [{"db": "{{ x"}, {"db": "b"}]


def test_template_matrix_that_is_excluded_in_part_is_still_whole(request_of):
    """Beyond ten thousand combinations the rest was left out in silence, if enough of the first were excluded."""
    numbers = ", ".join(map(str, range(150)))
    excluded = ", ".join(f"{{ a = {number} }}" for number in range(140))
    text = f"[matrix]\na = [{numbers}]\nb = [{numbers}]\nexclude = [{excluded}]\n"

    expanded, _ = combinations(request_of(text))

    assert len(expanded) == 10 * 150
    assert expanded[-1] == {"a": 149, "b": 149}


@pytest.mark.parametrize("excluded", ["", "exclude = [{ a = 0 }]"])
def test_template_matrix_beyond_ten_thousand_combinations_is_refused(request_of, excluded):
    numbers = ", ".join(map(str, range(400)))

    expanded, (finding,) = combinations(
        request_of(f"[matrix]\na = [{numbers}]\nb = [{numbers}]\n{excluded}\n")
    )

    assert (finding.code, finding.message) == ("CLN113", "the matrix has more than 10000 combinations")
    assert expanded == [{"a": 0, "b": 0}]


def test_template_matrix_of_lone_surrogates_is_a_finding(request_of):
    """`max` wants the JSON of every combination, which these do not have: it raised."""
    text = "[matrix]\na = ['\ud800', 'b', 'c']\nmax = 1\n"

    expanded, findings = combinations(request_of(text))

    assert [finding.code for finding in findings] == ["CLN113"]
    assert len(expanded) == 1


def test_variables_of_a_file_with_crlf_are_known(tmp_path):
    text = '[vars]\r\nword = "hello"\r\n\r\n[a]\r\nb = "{{ word }}"\r\n'

    rendered = render(
        TemplateRequest(path=tmp_path / "a.tera", file="a.tera", project_root=tmp_path, text=text)
    )

    assert rendered.text == text.replace("{{ word }}", "hello")
