"""Every page of ``clnrm explain`` says what is true: its wrong example gives the code, its right one does not."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from importlib.resources import files
from pathlib import Path

import pytest

from clnrm_nb.cli.main import run_command_line
from clnrm_nb.codes import CODES
from clnrm_nb.errors import UsageError
from clnrm_nb.explain import page, resolve, summary
from clnrm_nb.report.explained import Explained

META = '\n[meta]\nname = "example"\nversion = "1.0.0"\ndescription = "The rest of the file."\n'
COMMAND = '\n[[scenario]]\nname = "example"\nrun = "true"\n'
REFERENCE = Path(__file__).parents[3] / "docs" / "_ext" / "clnrm_reference.py"
MARK = "# <-"
FINDING = re.compile(r"(?:(\S+?):(\d+):\d+: )?(CLN\d{3})\b")
LINTS = [code for code in CODES if code.startswith("CLN5")]


def _runs(code):
    return not page(code).notes.get("runs", "").startswith("no")


def _completed(name, text, notes):
    """A scenario file with what the example leaves out, behind it, so that lines stay where they are."""
    is_test = name.endswith((".clnrm.toml", ".clnrm.toml.tera")) and not name.startswith("_")
    if notes.get("whole") or not is_test:
        return text
    has_meta = "[meta]" in text or "[test" in text
    has_command = "[[scenario]]" in text or "[[steps]]" in text
    return text + ("" if has_meta else META) + ("" if has_command else COMMAND)


def _lay_down(example, notes, directory):
    (directory / ".clnrm").mkdir()
    for name, text in example.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_completed(name, text, notes), encoding="utf-8")


def _findings(code, example, notes, directory, capsys):
    """(exit status, {(code, file, line)}, all that was said) of the last command of an example."""
    _lay_down(example, notes, directory)
    if any("config.toml" in name for name in example.files):
        (directory / "usual.clnrm.toml").write_text(META + COMMAND, encoding="utf-8")
    usual = "clnrm lint ." if code in LINTS else "clnrm validate ."
    *before, last = [shlex.split(line)[1:] for line in example.commands or (usual,)]
    for words in before:
        assert run_command_line(words) == 0, (words, capsys.readouterr())
    capsys.readouterr()
    exit_code = run_command_line([*last, "-f", "json"])
    said = capsys.readouterr()
    found = {
        (code, file or None, int(line) if line else None) for file, line, code in FINDING.findall(said.err)
    }
    if said.out.startswith("{"):
        document = json.loads(said.out)
        found |= {(f["code"], f["file"], f["line"]) for f in document["diagnostics"]}
        found |= {(_code_of(e), e["file"], None) for e in _expectations(document)}
    return exit_code, found, said


def _expectations(document):
    """Those that do not hold, or were not judged."""
    tests = document["data"].get("tests", ())
    return [e for test in tests for e in test.get("expectations", ()) if e["status"] != "passed"]


def _code_of(expectation):
    if expectation["status"] == "not-evaluated":
        return "CLN612"
    return "CLN607" if expectation["reason"] == "no-spans" else "CLN608"


def _marked(example):
    """File and line of the mark, where there is one."""
    places = [
        (name, number)
        for name, text in example.files.items()
        for number, line in enumerate(text.splitlines(), 1)
        if line.rstrip().endswith(MARK)
    ]
    assert len(places) <= 1
    return places[0] if places else None


@pytest.mark.parametrize("code", [code for code in CODES if _runs(code)])
def test_the_wrong_example_of_a_page_gives_the_code_where_it_is_marked(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shown = page(code)

    _, found, said = _findings(code, shown.wrong, shown.notes, tmp_path, capsys)

    assert code in {one for one, _, _ in found}, said
    if place := _marked(shown.wrong):
        assert (code, *place) in found, said


@pytest.mark.parametrize("code", [code for code in CODES if _runs(code)])
def test_the_right_example_of_a_page_is_right(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shown = page(code)

    exit_code, found, said = _findings(code, shown.right, shown.notes, tmp_path, capsys)

    assert code not in {one for one, _, _ in found}, said
    if code not in LINTS:
        assert exit_code == 0, said
    assert not {one for one, _, _ in found if CODES[one].severity == "error"}, said


@pytest.mark.parametrize("code", [code for code in CODES if "clnrm lint --fix" in page(code).repair])
def test_what_a_page_says_lint_repairs_is_repaired(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shown = page(code)
    _lay_down(shown.wrong, shown.notes, tmp_path)

    run_command_line(["lint", ".", "--fix"])
    capsys.readouterr()
    run_command_line(["lint", ".", "-f", "json"])

    findings = json.loads(capsys.readouterr().out)["diagnostics"]
    assert code not in {finding["code"] for finding in findings}


def test_every_code_has_a_page_and_no_page_is_left_over():
    pages = {path.name for path in files("clnrm_nb.explain").joinpath("pages").iterdir()}

    assert pages == {f"{code}.md" for code in CODES}


@pytest.mark.parametrize("code", CODES)
def test_a_page_says_what_why_and_how_in_a_few_lines(code):
    shown = page(code)

    assert all((shown.meaning, shown.why, shown.repair, shown.wrong.blocks, shown.right.blocks))
    assert len(summary(code)) <= 300
    assert "\n" not in summary(code)


def test_few_examples_are_not_run_and_each_says_why():
    reasons = {code: page(code).notes["runs"] for code in CODES if not _runs(code)}

    assert len(reasons) <= 9
    assert all(len(reason) > len("no, because") for reason in reasons.values())


@pytest.mark.parametrize("word", ["CLN301", "cln301", "301", " 301 "])
def test_a_code_may_be_typed_in_short(word):
    assert resolve(word) == "CLN301"


@pytest.mark.parametrize(
    ("word", "guess"), [("CLN3O1", "CLN301"), ("CLN30", "CLN301"), ("banana", None), ("999", None)]
)
def test_an_unknown_code_is_answered_with_the_nearest(word, guess):
    with pytest.raises(UsageError) as caught:
        resolve(word)

    assert caught.value.exit_code == 2
    said = str(caught.value)
    assert f"did you mean `{guess}`?" in said if guess else "did you mean" not in said


def test_the_command_shows_the_page_as_text_and_as_a_document(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert run_command_line(["explain", "301"]) == 0
    text = capsys.readouterr().out
    assert run_command_line(["explain", "301", "-f", "json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert "CLN301  unknown key" in text
    assert max(map(len, text.splitlines())) <= 100
    assert 'wrokdir = "/srv"' in text
    assert document["data"]["wrong"]["files"]["example.clnrm.toml"].startswith("[services.shell]")


@pytest.mark.parametrize("code", CODES)
def test_the_html_of_a_page_shows_its_signs_and_obeys_none(code):
    html = Explained(page(code)).html()

    assert "<- " not in html
    assert "`" not in re.sub(r"<pre>.*?</pre>", "", html, flags=re.DOTALL)


def test_the_documentation_has_every_page():
    spec = importlib.util.spec_from_file_location("clnrm_reference", REFERENCE)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)

    text = reference.codes()

    for code in CODES:
        assert f"({code.lower()})=\n### {code}: {page(code).title}" in text
        assert page(code).meaning in text
