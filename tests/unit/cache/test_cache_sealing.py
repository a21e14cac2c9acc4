"""No value of the environment stands in the parts of a key, wherever the rendering has put it."""

import json

import pytest

from clnrm_nb.cache import LocalKey, Surroundings, parts_of
from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import check

TEXT = """
[meta]
name = "shop"
version = "1"

[vars]
url = "{{ env(name='API_URL') }}/v1"

[services.api]
image = "api:1"
args = ["{{ env(name='API_URL') | upper }}", "{{ url }}", "-p", "{{ env(name='API_URL') | urlencode_strict }}"]
env = { WORD = "{{ word }}" }
ports = [{{ env(name='PORT') }}]

[[scenario]]
name = "checkout"
service = "api"
run = "echo {{ api_token }} {{ env(name='CI') }}"

[secrets]
env = ["DB_PASSWORD"]
"""
ENVIRON = {
    "API_URL": "https://very.secret.example",
    "DB_PASSWORD": "hunter2-and-more",
    "CI": "visible",
    "PORT": "8765",
}


@pytest.fixture
def made(tmp_path):
    key = LocalKey(tmp_path / "key")

    def make(environ=ENVIRON, **variables):
        given = {"word": "hello", "api_token": "tok-en-123", **variables}
        request = TemplateRequest(
            path=tmp_path / "a.clnrm.toml.tera",
            file="a.clnrm.toml.tera",
            project_root=tmp_path,
            text=TEXT,
            environ=environ,
            variables=given,
        )
        checked = check(render(request))
        assert checked.test is not None, checked.diagnostics
        around = Surroundings(backend="docker", isolation="warm", environ=environ)
        return parts_of(checked.test, checked.rendered, around, seal=key.seal)

    return make


def test_no_value_of_the_environment_and_no_secret_is_in_the_parts(made):
    key = made()
    text = json.dumps([key.parts, key.expectations])
    hidden = ["very.secret", "VERY.SECRET", "hunter2", "tok-en-123", "8765", "https%3A"]
    assert [word for word in hidden if word in text] == []
    assert "hello" in text
    assert "visible" in text


def test_what_is_sealed_counts_all_the_same(made):
    base = made().hash
    assert made().hash == base
    for name, changed in {"API_URL": "https://x", "DB_PASSWORD": "y", "CI": "z", "PORT": "8766"}.items():
        assert made({**ENVIRON, name: changed}).hash != base, name
    assert made(api_token="tok-en-124").hash != base
