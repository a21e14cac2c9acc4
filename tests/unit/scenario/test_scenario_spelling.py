"""One value, many spellings: each reads as one canonical form, the rest is refused with its code."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.config.nearest import nearest
from clnrm_nb.scenario.model import PortMapping
from clnrm_nb.scenario.spelling import (
    MisspelledError,
    check_glob,
    flatten,
    parse_artifact,
    parse_cpu_millicores,
    parse_image,
    parse_instant,
    parse_memory_mb,
    parse_port,
    parse_volume_text,
    split_command,
)


def _code(function, *arguments):
    with pytest.raises(MisspelledError) as refusal:
        function(*arguments)
    return refusal.value.code


# -------------------------------------------------------------------------------------------- commands


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo hello", ("echo", "hello")),
        ("  echo  'a b'  ", ("echo", "a b")),
        ('echo "a b" c', ("echo", "a b", "c")),
        ("sh -c 'echo a && echo b | cat > x'", ("sh", "-c", "echo a && echo b | cat > x")),
        ("echo '$HOME `id`'", ("echo", "$HOME `id`")),
        (r"echo \$HOME a\ b \*", ("echo", "$HOME", "a b", "*")),
        # Inside double quotes Python's shlex takes a backslash only off quotes and backslashes.
        (r'echo "\$HOME \"a\""', ("echo", r'\$HOME "a"')),
        ("echo a~b a#b", ("echo", "a~b", "a#b")),
        ("echo '~' '#'", ("echo", "~", "#")),
        ("echo A=b", ("echo", "A=b")),
        ("echo a \\\n  b", ("echo", "a", "b")),
        ("echo {a,b} ]", ("echo", "{a,b}", "]")),
    ],
)
def test_a_command_without_shell_syntax_is_split_into_words(text, words):
    assert split_command(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "a | b", "a && b", "a; b", "a > b", "a < b", "(a)", "ls *", "ls a?", "ls [a]", "a\nb", "echo $HOME",
        'echo "$HOME"', "echo `id`", 'echo "`id`"', "ls ~", "ls ~/x", "# nothing", "a #b", "A=1 b",
        "echo a | cat 'open", "  a | b",
    ],
)  # fmt: skip
def test_a_command_with_active_shell_syntax_goes_to_the_shell_as_it_is(text):
    assert split_command(text) == ("sh", "-c", text)


@pytest.mark.parametrize("text", ["echo 'open", 'echo "open', "echo it's", 'echo "a $HOME', "echo \\"])
def test_an_unbalanced_quote_ahead_of_any_shell_syntax_is_refused(text):
    assert _code(split_command, text) == "CLN323"


@pytest.mark.parametrize("text", ["", " \n\t ", "''", '"  "'])
def test_a_blank_command_is_refused(text):
    assert _code(split_command, text) == "CLN305"


def _is_program(word):
    return bool(word.strip()) and "=" not in word  # `A=` as the first word sets a variable.


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5).filter(lambda words: _is_program(words[0])))
def test_quoted_words_come_back_as_they_were(words):
    assert split_command(shlex.join(words)) == tuple(words)


@given(st.text(st.sampled_from("ab '\"\\$`|~#=*\n"), max_size=12))
def test_a_command_is_words_of_its_own_or_the_whole_text_for_the_shell(text):
    try:
        words = split_command(text)
    except MisspelledError as error:
        words = (error.code,)

    assert words == ("sh", "-c", text) or words[0].strip()


# -------------------------------------------------------------------------------------------- services


@pytest.mark.parametrize(
    ("value", "port"),
    [
        (8080, PortMapping(host=8080, container=8080)),
        ("8080", PortMapping(host=8080, container=8080)),
        ("8080:80", PortMapping(host=8080, container=80)),
        ("0:80", PortMapping(host=0, container=80, fixed=False)),
        ("127.0.0.1:8080:80/tcp", PortMapping(host=8080, container=80, ip="127.0.0.1")),
        ("[::1]:53:53/udp", PortMapping(host=53, container=53, protocol="udp", ip="::1")),
        ("53/UDP", PortMapping(host=53, container=53, protocol="udp")),
    ],
)
def test_a_port_reads_in_every_spelling(value, port):
    assert parse_port(value) == port


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (65_536, "CLN307"),
        (0, "CLN307"),
        ("80:0", "CLN307"),
        (-1, "CLN303"),
        ("http", "CLN303"),
        ("1:2:3:4", "CLN303"),
    ],
)
def test_what_is_no_port_is_refused(value, code):
    assert _code(parse_port, value) == code


@pytest.mark.parametrize(
    ("text", "host", "container", "read_only"),
    [
        ("./data:/data", "./data", "/data", False),
        ("/a:/b:ro", "/a", "/b", True),
        ("/a:/b:rw", "/a", "/b", False),
        ("${PWD}:/app", "${PWD}", "/app", False),
        ("C:/data:/data:ro", "C:/data", "/data", True),
    ],
)
def test_a_volume_reads_from_text(text, host, container, read_only):
    assert parse_volume_text(text) == {
        "host_path": host,
        "container_path": container,
        "read_only": read_only,
    }


@pytest.mark.parametrize(
    "image",
    [
        "alpine", "alpine:latest", "library/alpine", "registry.example:5000/a/b:1.0", "localhost/a",
        "ghcr.io/a/b__c/d-e.f:V1_2", "a@sha256:" + "0" * 64, "a:1@sha256:" + "f" * 64, "[::1]:5000/a",
        "registry/clnrm:1.0.0",
    ],
)  # fmt: skip
def test_an_image_reference_is_taken_as_it_is(image):
    assert parse_image(image) == image


@pytest.mark.parametrize(
    "image", ["my image", "Alpine", "alpine:", "a//b", "a:b:c", "/a", "a@sha256:0", "${IMAGE}"]
)
def test_a_malformed_image_reference_is_refused(image):
    assert _code(parse_image, image) == "CLN416"


@pytest.mark.parametrize(
    ("text", "size_mb"), [("256m", 256), ("1g", 1_024), ("0.5GiB", 512), (536_870_912, 512)]
)
def test_memory_reads_as_mebibytes(text, size_mb):
    assert parse_memory_mb(text) == size_mb


@pytest.mark.parametrize(("value", "millicores"), [("0.5", 500), (2, 2_000), (0.25, 250)])
def test_cpu_reads_as_thousandths_of_a_core(value, millicores):
    assert parse_cpu_millicores(value) == millicores


def test_nonsense_amounts_are_refused():
    assert _code(parse_memory_mb, "much") == "CLN303"
    assert _code(parse_cpu_millicores, "some") == "CLN303"
    assert _code(parse_cpu_millicores, "-1") == "CLN307"
    assert _code(parse_cpu_millicores, "nan") == "CLN307"


@pytest.mark.parametrize("text", ["spans:default", "logs:all", "files:/tmp/*.json", "files:a:b"])
def test_an_artifact_spec_is_a_kind_and_a_value(text):
    spec = parse_artifact(text)

    assert f"{spec.kind}:{spec.value}" == text


@pytest.mark.parametrize("text", ["log:all", "logs:some", "spans:", "spans", "files: ", ""])
def test_a_bad_artifact_spec_is_refused(text):
    assert _code(parse_artifact, text) == "CLN316"


# -------------------------------------------------------------------------------- names, times, tables


@pytest.mark.parametrize("text", ["a*", "a?b", "[abc]", "[!a]x", "[]]", "[!]]", "[a-z][0-9]", "]"])
def test_a_glob_with_every_bracket_closed_is_fine(text):
    assert check_glob(text) == text


@pytest.mark.parametrize("text", ["a[b", "[", "[]", "[!]", "[a][b"])
def test_a_glob_with_an_open_bracket_is_refused(text):
    assert _code(check_glob, text) == "CLN315"


@pytest.mark.parametrize(
    "value", ["2025-01-01T00:00:00Z", "2025-01-01 00:00:00.5+01:00", "2025-01-01t00:00:00z"]
)
def test_an_rfc_3339_time_is_kept_as_written(value):
    assert parse_instant(value) == value


def test_a_toml_date_time_reads_as_rfc_3339():
    assert parse_instant(datetime(2025, 1, 1, tzinfo=UTC)) == "2025-01-01T00:00:00Z"


@pytest.mark.parametrize("value", ["2025-01-01", "2025-13-01T00:00:00Z", "2025-01-01T00:00:00", "now"])
def test_what_is_no_rfc_3339_time_is_refused(value):
    assert _code(parse_instant, value) == "CLN313"


def test_nested_tables_read_as_dotted_names_and_operators_stay_whole():
    table = {"http": {"method": "GET", "status": {"gte": 200}}, "a.b": 1, "empty": {}}

    entries = [(name, value) for name, value, _ in flatten(table, (), ("gte",))]

    assert entries == [("http.method", "GET"), ("http.status", {"gte": 200}), ("a.b", 1), ("empty", {})]


@pytest.mark.parametrize(
    ("word", "guess"),
    [
        ("imge", "image"),
        ("imaeg", "image"),
        ("cmomand", "command"),
        ("zzzzzz", None),
        ("x", None),
    ],
)
def test_the_nearest_name_is_offered_only_when_it_is_near(word, guess):
    assert nearest(word, ("command", "image", "env", "ports")) == guess
