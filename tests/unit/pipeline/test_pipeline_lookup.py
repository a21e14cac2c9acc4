"""What a run does where the cache itself is in trouble: it runs the tests."""

import pytest

import clnrm_nb
from clnrm_nb.cache.store import CacheStore

TEXT = '[meta]\nname = "a"\nversion = "1"\n\n[[scenario]]\nname = "s"\nrun = "true"\n'


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / "a.clnrm.toml").write_text(TEXT)
    return tmp_path


def run():
    return clnrm_nb.run(["."], backend="process").tests[0]["status"]


@pytest.mark.parametrize("part", ["find", "are_whole", "manifests"])
def test_a_store_that_breaks_costs_a_run_and_no_verdict(project, monkeypatch, part):
    assert (run(), run()) == ("passed", "cached")

    def broken(*words, **more):
        raise RuntimeError("broken")

    monkeypatch.setattr(CacheStore, part, broken)

    assert run() == "passed"


def test_answers_that_cannot_be_written_down_are_answers(project, monkeypatch):
    assert run() == "passed"
    monkeypatch.setattr(CacheStore, "settle", lambda *words, **more: 1 / 0)

    assert run() == "cached"


@pytest.mark.parametrize("part", ["put", "drop"])
def test_a_result_that_cannot_be_stored_is_a_result(project, monkeypatch, part):
    def broken(*words, **more):
        raise RuntimeError("broken")

    monkeypatch.setattr(CacheStore, part, broken)

    assert run() == "passed"
