"""The schemas of the files people edit: made from the declarations, and of one mind with the validator."""

from __future__ import annotations

import copy
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date, datetime, time
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from clnrm_nb.api.initial import default_configuration
from clnrm_nb.codes import CODES
from clnrm_nb.config.descriptions import DESCRIPTIONS
from clnrm_nb.config.keys import WITHOUT_EFFECT
from clnrm_nb.config.sources import KEYS
from clnrm_nb.scenario.build import draft
from clnrm_nb.scenario.descriptions import _DESCRIPTIONS, describe
from clnrm_nb.scenario.findings import Findings
from clnrm_nb.scenario.records import NOTES
from clnrm_nb.scenario.schema_rules import NAMES
from clnrm_nb.schemas.__main__ import SCHEMAS, main, text_of
from clnrm_nb.starters import STARTERS
from clnrm_nb.starters import text_of as starter_text
from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import check

CORPUS = Path(os.environ.get("CLNRM_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus") / "scenarios"
CONFORMANCE = Path(__file__).parents[2] / "conformance"
BASE = '[meta]\nname = "t"\nversion = "1"\n[[steps]]\nname = "s"\ncommand = "true"\n'
OF_SHAPE = {f"CLN{number}" for number in (303, 304, 305, 306, 307, 310, 311, 312, 316, 317, 318)}
"""Errors that are about the shape of one value or table, which is what a schema sees."""
BEYOND_SCHEMAS = {
    "float is no integer",  # 1.0 is one in JSON.
    "service in both tables",  # Names of one table are nothing to another.
}


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, (datetime, date, time)) else value


@pytest.fixture(scope="module")
def scenario():
    return Draft202012Validator(json.loads(text_of("scenario.schema.json")))


@pytest.fixture(scope="module")
def config():
    return Draft202012Validator(json.loads(text_of("config.schema.json")))


def _checked(text, path=Path("a.clnrm.toml"), root=Path(), **given):
    """What the validator says, and the document, if it is one."""
    rendered = render(TemplateRequest(path=path, file=path.name, project_root=root, text=text, **given))
    checked = check(rendered)
    try:
        document = _plain(tomli.loads(rendered.text or ""))
    except tomli.TOMLDecodeError:
        document = None
    return checked, document


def _cases(but=()):
    """Every case and every spelling the validator is tested with, as whole files."""
    for case in tomli.loads((CONFORMANCE / "scenario_codes.toml").read_text("utf-8"))["case"]:
        if case["name"] in but:
            continue
        yield pytest.param(BASE + case["text"], id=case["name"])
    for pair in tomli.loads((CONFORMANCE / "scenario_spellings.toml").read_text("utf-8"))["pair"]:
        base = "" if pair.get("whole") else BASE
        yield pytest.param(base + pair["older"], id=f"{pair['name']}, older")
        yield pytest.param(base + pair["canonical"], id=f"{pair['name']}, canonical")


WHOLE_FILES = [case.values[0] for case in _cases() if _checked(case.values[0])[0].outcome != "error"]


# ------------------------------------------------------------------------------------- made, not written


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_published_schema_is_what_the_declarations_say(name):
    published = files("clnrm_nb.schemas").joinpath(name).read_text(encoding="utf-8")

    assert published == text_of(name), "rewrite them by `python -m clnrm_nb.schemas`"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_published_schema_is_a_schema(name):
    Draft202012Validator.check_schema(json.loads(text_of(name)))


def test_the_schemas_can_be_written_where_an_editor_finds_them(tmp_path, capsys):
    main([str(tmp_path / "schemas")])

    assert sorted(path.name for path in (tmp_path / "schemas").iterdir()) == sorted(SCHEMAS)
    assert capsys.readouterr().out.count("schema.json") == 2


def _declared_tables(schema):
    """Table name → its keys that are no other spelling, from the made schema."""
    found = {"": schema["properties"]}
    found |= {name: part["properties"] for name, part in schema["$defs"].items() if "properties" in part}
    found["bound"] = schema["$defs"]["bound.whole"]["anyOf"][1]["properties"]
    return {
        table: {key for key, item in keys.items() if not item.get("deprecated")}
        for table, keys in found.items()
    }


def test_every_key_of_a_scenario_file_has_a_sentence_and_none_is_left_over():
    tables = _declared_tables(json.loads(text_of("scenario.schema.json")))
    notes = {key.name for key in NOTES}

    without = [(table, key) for table, keys in tables.items() for key in keys if not describe(table, key)]
    told = {(table, key) for table, keys in _DESCRIPTIONS.items() for key in keys}
    known = {(table, key) for table, keys in tables.items() for key in keys}

    assert without == []
    assert told - known == set()
    assert notes <= {key for key in notes if describe("expect", key)}


def test_every_configuration_key_has_a_sentence_and_none_is_left_over():
    assert set(DESCRIPTIONS) == set(KEYS)


def test_tables_of_the_schema_have_names_of_their_own():
    assert len(set(NAMES.values())) == len(NAMES)


# ------------------------------------------------------------------------- of one mind with the validator


@pytest.mark.parametrize("text", [*_cases()])
def test_what_the_validator_takes_the_schema_takes(text, scenario):
    checked, document = _checked(text)
    codes = {finding.code for finding in checked.diagnostics if finding.severity == "error"}
    is_fine = not codes and "CLN301" not in {finding.code for finding in checked.diagnostics}

    wrong = [
        f"{list(error.absolute_path)}: {error.message}" for error in scenario.iter_errors(document or {})
    ]

    if is_fine:
        assert wrong == []


@pytest.mark.parametrize("text", [*_cases(but=BEYOND_SCHEMAS)])
def test_what_is_of_the_wrong_shape_the_schema_refuses_too(text, scenario):
    checked, document = _checked(text)
    codes = {finding.code for finding in checked.diagnostics}

    if codes & (OF_SHAPE | {"CLN301", "CLN309"}) and document is not None:
        assert not scenario.is_valid(document), codes


VALUES = st.sampled_from(
    [
        *("", " ", "x", "a b", "OK", "server", "any", "internal", "1m30s", "8080:80", "./a:/b", "http/json"),
        *(0, 1, -1, 70_000, 0.5, True, False, [], {}, ["a"], [["a", "b"]], [{"a": 1}], ["K=v"]),
        *({"eq": 1}, {"min": 1, "max": 2}, {"all": ["a"]}, {"a": {"b": "c"}}, {"regex": "a"}, {"x-y": 1}),
    ]
)


def _places(document):
    """The path of every value in a document."""
    waiting = [((), document)]
    while waiting:
        path, value = waiting.pop()
        inner = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, item in inner:
            yield (*path, key)
            waiting.append(((*path, key), item))


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_put_into_a_file_the_schema_takes_what_the_validator_takes(data, scenario):
    text = data.draw(st.sampled_from(WHOLE_FILES))
    document = copy.deepcopy(_plain(tomli.loads(text)))
    *path, last = data.draw(st.sampled_from(sorted(_places(document), key=str)))
    place = document
    for key in path:
        place = place[key]
    place[last] = data.draw(VALUES)
    findings = Findings()

    draft(document, "a.clnrm.toml", {}, findings)

    codes = {item.code for item in findings.items}
    if not any(CODES[code].severity == "error" or code == "CLN301" for code in codes):
        assert [
            f"{list(error.absolute_path)}: {error.message}" for error in scenario.iter_errors(document)
        ] == []


@pytest.mark.parametrize("name", STARTERS)
def test_starters_are_valid_by_the_schema(name, scenario, tmp_path):
    matrix = {"currency": "EUR", "pieces": 1}
    path = tmp_path / f"{name}.clnrm.toml.tera"
    checked, document = _checked(starter_text(name), path, tmp_path, matrix=matrix)

    assert checked.outcome == "ok"
    assert [error.message for error in scenario.iter_errors(document)] == []


def test_the_default_configuration_is_valid_by_the_schema(config):
    every_key = "\n".join(
        line.removeprefix("# ") if " = " in line else line
        for line in default_configuration().splitlines()[1:]
    )

    assert [error.message for error in config.iter_errors(tomli.loads(every_key))] == []


@pytest.mark.parametrize(
    "text",
    [
        "[watch]\ndebounce = 1\n",
        "[executor]\nworker_count = -1\n",
        '[executor]\nbackend = "podman"\n',
        '[executor]\nstep_timeout = "5 parsecs"\n',
        '[baseline]\ncompare = "yes"\n',
    ],
)
def test_a_bad_configuration_is_refused_by_the_schema(text, config):
    assert not config.is_valid(tomli.loads(text))


@pytest.mark.parametrize("key", sorted(WITHOUT_EFFECT))
def test_keys_of_other_peoples_configuration_files_are_taken(key, config):
    text = f"{key} = 1\n" if "." in key else f"[{key}]\nany = 1\n"

    assert config.is_valid(tomli.loads(text))


# ---------------------------------------------------------------------------------------- public files


def _corpus():
    if not (CORPUS / "manifest.csv").is_file():
        pytest.skip(f"no scenario corpus at {CORPUS}; set CLNRM_CORPUS to the folder that holds `scenarios/`")
    with (CORPUS / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
        return list(csv.DictReader(manifest))


@pytest.fixture(scope="module")
def public_files(tmp_path_factory):
    """Every public scenario file that is TOML after rendering: (name, text, document, codes)."""
    found = []
    for row in _corpus():
        root = tmp_path_factory.mktemp("public")
        path = root / row["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((CORPUS / row["file"]).read_bytes())
        given = json.loads(row["variables"] or "{}")
        request = TemplateRequest(
            path=path,
            file=row["path"],
            project_root=root,
            variables=given.get("vars", {}),
            environ=given.get("env", {}),
        )
        rendered = render(request)
        checked = check(rendered)
        codes = {finding.code for finding in checked.diagnostics if finding.severity != "info"}
        if checked.kind == "scenario" and rendered.text and not codes & {"CLN201", "CLN202"}:
            found.append((row["file"], rendered.text, _plain(tomli.loads(rendered.text)), codes))
    return found


def test_of_the_public_files_the_schema_refuses_exactly_those_of_the_wrong_shape(public_files, scenario):
    refused = {name for name, _, document, _ in public_files if not scenario.is_valid(document)}
    of_wrong_shape = {name for name, _, _, codes in public_files if codes & (OF_SHAPE | {"CLN301"})}

    assert len(public_files) > 50
    assert refused == of_wrong_shape
    assert refused


def test_tombi_finds_in_the_public_files_exactly_what_the_schema_refuses(public_files, tmp_path):
    # Beside this Python first: `make` calls it by its path.
    tombi = shutil.which("tombi", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if tombi is None:
        pytest.skip("tombi is not installed: pip install tombi")
    main([str(tmp_path / ".schemas")])
    page = (Path(__file__).parents[3] / "docs" / "editors.md").read_text(encoding="utf-8")
    shown = re.search(r"^```toml\n# tombi.toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "tombi.toml").write_text(shown[1], encoding="utf-8")
    wrong = set()
    for number, (_, text, _, codes) in enumerate(public_files):
        (tmp_path / f"f{number}.clnrm.toml").write_text(text, encoding="utf-8")
        if codes & (OF_SHAPE | {"CLN301"}):
            wrong.add(f"f{number}.clnrm.toml")

    said = subprocess.run(
        [tombi, "lint", "--offline", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )

    lines = [line.strip() for line in (said.stdout + said.stderr).splitlines()]
    pairs = pairwise(lines)
    with_errors = {where.split("/")[-1].split(":")[0] for word, where in pairs if word.startswith("Error:")}
    assert with_errors == wrong
