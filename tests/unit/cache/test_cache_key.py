"""The semantic hash: cosmetic edits keep it, each real change gives another one."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clnrm_nb.cache import Key, LocalKey, Surroundings, parts_of, why_uncacheable
from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import check

TEXT = """
[meta]
name = "shop"
version = "1"

[vars]
word = "hello"
unread = "x"

[services.api]
image = "api:1"
args = ["serve", "--port", "80"]
env = { MODE = "fast", LEVEL = "1" }
ports = [80]

[services.db]
image = "db:1"

[[scenario]]
name = "checkout"
service = "api"
run = ["echo", "{{ word }}"]

[scenario.expect]
span = [{ name = "checkout" }]

[[expect.span]]
name = "checkout"
kind = "server"
"""


@pytest.fixture
def made(tmp_path):
    key = LocalKey(tmp_path / "key")

    def make(text=TEXT, *, environ=None, around=None, **request):
        environ = environ or {}
        found = TemplateRequest(
            path=tmp_path / "a.clnrm.toml.tera",
            file="a.clnrm.toml.tera",
            project_root=tmp_path,
            text=text,
            environ=environ,
            **request,
        )
        checked = check(render(found))
        assert checked.test is not None, checked.diagnostics
        given = {"backend": "docker", "isolation": "warm", "environ": environ, **(around or {})}
        return parts_of(checked.test, checked.rendered, Surroundings(**given), seal=key.seal)

    return make


def edited(old, new):
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


COSMETIC = {
    "a comment": "# what it is for\n" + TEXT,
    "a template comment": "{# what it is for #}\n" + TEXT,
    "blank lines and spaces": TEXT.replace("\n", "\n\n").replace(" = ", "  =  "),
    "CRLF": TEXT.replace("\n", "\r\n"),
    "order of keys": edited('image = "api:1"\nargs = ["serve", "--port", "80"]', 'args = ["serve", "--port", "80"]\nimage = "api:1"'),
    "order of tables": TEXT.replace('[services.db]\nimage = "db:1"\n', "").replace("[services.api]", '[services.db]\nimage = "db:1"\n\n[services.api]'),
    "order of the environment": edited('{ MODE = "fast", LEVEL = "1" }', '{ LEVEL = "1", MODE = "fast" }'),
    "an alias": edited("env = {", "environment = {"),
    "another spelling of a command": edited('args = ["serve", "--port", "80"]', 'args = "serve --port 80"'),
    "another spelling of a port": edited("ports = [80]", 'ports = ["80:80"]'),
    "an inline table": edited('[services.db]\nimage = "db:1"', 'services.db = { image = "db:1" }').replace("services.db = {", "[services]\ndb = {"),
    "other quotes": edited('image = "db:1"', "image = 'db:1'"),
    "a default written out": edited('image = "db:1"', 'image = "db:1"\nwait_for_ready = true'),
    "a description": edited('image = "db:1"', 'image = "db:1"\ndescription = "keeps things"'),
    "a description of the file": edited('version = "1"', 'version = "1"\ndescription = "all of it"'),
    "a report": TEXT + '\n[report]\njunit = "out.xml"\n',
    "an expectation": edited('kind = "server"', 'kind = "client"'),
    "an expectation of a scenario": edited('span = [{ name = "checkout" }]', 'span = [{ name = "other" }]'),
    "a tolerance rule": TEXT + '\n[[tolerance]]\nid = "r"\nreason = "x"\nignore = true\nselect = { key = "a" }\n',
    "a variable that nothing reads": edited('unread = "x"', 'unread = "y"'),
    "another way to the same text": edited("{{ word }}", "{{ vars.word }}"),
}  # fmt: skip


@pytest.mark.parametrize("text", COSMETIC.values(), ids=COSMETIC)
def test_a_cosmetic_edit_keeps_the_hash(made, text):
    assert text != TEXT
    assert made(text).hash == made().hash


STEPS = {
    "comment": lambda text: f"# a comment\n{text}",
    "blank lines": lambda text: text.replace("\n", "\n\n"),
    "spaces": lambda text: text.replace(" = ", "  =   "),
    "tabs at the ends": lambda text: re.sub(r"(\r?\n)", r"\t\1", text),
    "CRLF": lambda text: text.replace("\r\n", "\n").replace("\n", "\r\n"),
    "a template comment": lambda text: f"{text}{{# nothing #}}",
    "another variable": lambda text: text.replace("[vars]", '[vars]\nmore = "x"', 1),
    "a description": lambda text: text.replace("[services.db]", '[services.db]\ndescription = "d"', 1),
}


@given(chosen=st.lists(st.sampled_from(sorted(STEPS)), unique=True, max_size=6))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_sequence_of_cosmetic_edits_changes_the_hash(made, chosen):
    text = TEXT
    for name in chosen:
        text = STEPS[name](text)

    assert made(text).hash == made().hash


REAL = {
    "an image": edited('image = "api:1"', 'image = "api:2"'),
    "an argument": edited('"80"', '"81"'),
    "the order of arguments": edited('"serve", "--port"', '"--port", "serve"'),
    "a value of the environment": edited('MODE = "fast"', 'MODE = "slow"'),
    "a name of the environment": edited("MODE", "MODUS"),
    "a variable that is read": edited('word = "hello"', 'word = "bye"'),
    "a command": edited('"echo"', '"printf"'),
    "a service more": TEXT + '\n[services.more]\nimage = "db:1"\n',
    "another service's": edited('service = "api"', 'service = "db"'),
    "a dependency": edited('image = "db:1"', 'image = "db:1"\ndepends_on = ["api"]'),
    "a port": edited("ports = [80]", "ports = [81]"),
    "a mount": edited('image = "db:1"', 'image = "db:1"\nvolumes = ["./d:/d"]'),
    "a limit": edited('image = "db:1"', 'image = "db:1"\nlimits = { memory_mb = 64 }'),
    "a seed": TEXT + "\n[determinism]\nseed = 7\n",
    "the exporter": TEXT + '\n[otel]\nexporter = "stdout"\n',
    "a secret's name": TEXT + '\n[secrets]\nenv = ["TOKEN"]\n',
    "the name of a scenario": edited('name = "checkout"\nservice', 'name = "cart"\nservice'),
    "an exit code": edited('run = ["echo", "{{ word }}"]', 'steps = [{ name = "x", command = ["echo", "{{ word }}"], expected_exit_code = 1 }]'),
}  # fmt: skip


def test_each_real_change_gives_a_hash_of_its_own(made):
    hashes = {name: made(text).hash for name, text in REAL.items()}

    assert len({made().hash, *hashes.values()}) == len(REAL) + 1, hashes


AROUND = {
    "backend": {"backend": "process"},
    "isolation": {"isolation": "fresh"},
    "limits": {"limits": {"test_s": 5}},
    "mounts": {"mounts": {"api:/app": "ab"}},
    "a mount that is not there": {"mounts": {"api:/app": None}},
    "what backends pass on": {"passed_on": ("PATH",)},
    "a recording": {"more": {"recording": "ab"}},
}


def test_everything_around_a_test_counts(made):
    hashes = {name: made(around=around).hash for name, around in AROUND.items()}

    assert len({made().hash, *hashes.values()}) == len(AROUND) + 1, hashes


def test_images_count_by_their_content(made):
    bare = made()

    assert len({bare.hash, bare.with_images({"api:1": "sha256:1"}).hash, bare.with_images({"api:1": "sha256:2"}).hash, bare.with_images({"api:1": None}).hash}) == 4  # fmt: skip


def test_expectations_have_a_hash_of_their_own(made):
    changed = made(COSMETIC["an expectation of a scenario"])

    assert changed.verdict != made().verdict
    assert made(COSMETIC["a description"]).verdict == made().verdict
    assert made(REAL["an image"]).verdict == made().verdict


READS = TEXT.replace("{{ word }}", '{{ env(name="API_URL", default="none") }}')


def test_the_environment_counts_as_far_as_it_is_read_and_is_never_shown(made):
    unset = made(READS, environ={"OTHER": "1"})
    one = made(READS, environ={"API_URL": "s3cr3t-place"})
    other = made(READS, environ={"API_URL": "elsewhere"})

    assert len({unset.hash, one.hash, other.hash, made(READS, environ={"API_URL": ""}).hash}) == 4
    assert made(READS, environ={"API_URL": "s3cr3t-place", "OTHER": "2"}).hash == one.hash
    assert "s3cr3t-place" not in json.dumps(one.parts["environment"])


def test_a_few_variables_are_kept_in_clear(made):
    text = TEXT.replace("{{ word }}", '{{ env(name="CI", default="no") }}')

    assert made(text, environ={"CI": "true"}).parts["environment"] == {"CI": "true"}


def test_a_secret_counts_by_its_value(made):
    text = REAL["a secret's name"]
    one, other = (made(text, environ={"TOKEN": value}) for value in ("hunter2", "hunter3"))

    assert one.hash != other.hash
    assert "hunter2" not in json.dumps(one.parts)


def test_a_standard_variable_from_the_environment_is_sealed(made):
    text = TEXT.replace("{{ word }}", "{{ svc }}")
    key = made(text, environ={"SERVICE_NAME": "hush"})

    assert key.parts["variables"]["svc"].startswith("hmac:")
    assert key.hash != made(text, environ={"SERVICE_NAME": "hash"}).hash


def test_included_files_count_by_content_and_missing_ones_as_missing(made, tmp_path):
    text = TEXT.replace("{{ word }}", '{% include ["extra.txt", "base.txt"] %}')
    (tmp_path / "base.txt").write_text("hello")
    before = made(text)

    (tmp_path / "base.txt").write_text("hello{# #}")
    assert made(text).hash != before.hash

    (tmp_path / "base.txt").write_text("hello")
    assert made(text).hash == before.hash

    (tmp_path / "extra.txt").write_text("hello")
    assert made(text).hash != before.hash


def test_a_combination_of_the_matrix_counts(made):
    text = TEXT + '\n[matrix]\ndb = ["a", "b"]\n'
    one, other = (made(text, matrix={"db": name}) for name in ("a", "b"))

    assert one.hash != other.hash


@pytest.mark.parametrize("text", ["{{ now_unix() }}", "{{ uuid_v4() }}", "{{ rand_hex(n=4) }}"])
def test_an_unfrozen_clock_and_chance_make_a_test_uncacheable(tmp_path, text):
    whole = TEXT.replace("{{ word }}", text)
    frozen = whole + '\n[determinism]\nseed = 1\nfreeze_clock = "2025-01-01T00:00:00Z"\n'
    rendered = {
        name: render(TemplateRequest(path=tmp_path / "a", file="a.tera", project_root=tmp_path, text=source))
        for name, source in {"loose": whole, "frozen": frozen}.items()
    }

    assert str(why_uncacheable(rendered["loose"])).startswith("uncacheable: ")
    assert why_uncacheable(rendered["frozen"]) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value, order):
    """The same with every dict's keys in another order."""
    if isinstance(value, dict):
        keys = sorted(value, reverse=order)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(each, order) for each in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=5))
@settings(max_examples=50)
def test_the_order_of_keys_never_counts(parts):
    assert Key(shuffled(parts, False)).hash == Key(shuffled(parts, True)).hash


@given(
    st.dictionaries(st.text(max_size=6), JSON, max_size=4),
    st.dictionaries(st.text(max_size=6), JSON, max_size=4),
)
@settings(max_examples=50)
def test_hashes_are_equal_iff_the_parts_are(one, other):
    def typed(value):
        return json.dumps(value, sort_keys=True)

    assert (Key(one).hash == Key(other).hash) == (typed(one) == typed(other))


def test_another_process_with_another_hash_seed_gives_the_same_hash(tmp_path):
    code = (
        "from clnrm_nb.cache import Key;"
        "print(Key({'b': {'y': 1, 'x': [1, 2.0]}, 'a': dict.fromkeys({'q', 'r', 's', 't'})}, {'z': 1}).hash)"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }  # fmt: skip

    assert len(said) == 1


def test_the_local_key_is_private_and_one_for_all(tmp_path):
    one, other = LocalKey(tmp_path / "s" / "key"), LocalKey(tmp_path / "s" / "key")

    assert one.seal("x") == other.seal("x") != one.seal("y")
    assert (tmp_path / "s" / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["key"]


def test_a_damaged_local_key_is_replaced(tmp_path):
    (tmp_path / "key").write_bytes(b"")

    sealed = LocalKey(tmp_path / "key").seal("x")

    assert LocalKey(tmp_path / "key").seal("x") == sealed
    assert len((tmp_path / "key").read_bytes()) == 32


def test_a_key_that_cannot_be_kept_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError):
        LocalKey(tmp_path / "file" / "key").seal("x")
