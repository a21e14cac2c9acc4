"""``lint`` and ``migrate`` on files: what is written, what is left, and what the exit status says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clnrm_nb import api
from clnrm_nb.fixes import mend
from clnrm_nb.report.render import render_report
from tests.unit.fixes.test_fixes_offered import BASE, findings

LINTED = BASE.replace('version = "1"', 'version = "1"\ndescription = "d"') + '\n[expect.status]\nall = "OK"\n'


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project, text, name="a.clnrm.toml"):
    (project / name).write_bytes(text.encode())
    return project / name


def test_a_clean_file_is_exit_0(project):
    write(project, LINTED)

    assert api.lint(".").exit_code == 0


def test_a_finding_of_style_is_exit_1_and_silenced_by_configuration_or_comment(project):
    write(project, BASE.replace("[meta]", "[meta]  # clnrm: ignore CLN501"))
    (project / ".clnrm" / "config.toml").write_text('[lint]\ndisable = ["CLN505"]\n')
    with_both = api.lint(".")
    (project / ".clnrm" / "config.toml").unlink()

    assert (with_both.exit_code, with_both.raw["diagnostics"]) == (0, [])
    assert [one["code"] for one in api.lint(".").raw["diagnostics"]] == ["CLN505"]
    assert api.lint(".").exit_code == 1


def test_fix_repairs_and_says_what_remains(project):
    path = write(
        project, LINTED.replace("image", "imge").replace("OK", "ok").replace("command = ", "command  = ")
    )

    result = api.lint(".", fix=True)

    assert path.read_text() == LINTED
    assert (result.exit_code, result.raw["diagnostics"]) == (0, [])
    assert result.raw["data"]["files"][0]["fixes"] == 3


def test_diff_writes_nothing(project):
    text = LINTED.replace("image", "imge")
    path = write(project, text)

    result = api.lint(".", diff=True)

    assert path.read_text() == text
    assert result.exit_code == 1
    assert "+image" in result.raw["data"]["files"][0]["diff"]


def test_lint_shows_the_lines_it_is_about_as_validate_does(project):
    write(project, LINTED.replace("image", "imge"))

    text = render_report(api.lint("."))

    assert "│ imge = " in text
    assert "+ image = " in text


def test_the_summary_says_what_keeps_the_command_red(project):
    write(project, LINTED.replace("image", "imge") + "[nonsense]\n")

    shown, done = api.lint(".", diff=True), api.lint(".", fix=True)

    assert shown.headline == "1 file would change; 1 warning remains"
    assert done.headline == "1 file changed; 1 warning remains"
    assert "would fix 1 CLN301" in shown.raw["data"]["files"][0]["notes"][0]


def test_an_unsafe_fix_needs_to_be_asked_for(project):
    text = f'{LINTED}\n[[scenario]]\nname = "a b"\nrun = "true"\n'
    path = write(project, text)

    api.lint(".", fix=True)
    before = path.read_text()
    api.lint(".", fix=True, unsafe_fixes=True)

    assert before == text
    assert 'name = "a-b"' in path.read_text()


def test_what_remains_after_repairs_is_annotated_on_github(project):
    write(project, LINTED.replace("image", "imge").replace('description = "d"\n', ""))

    result = api.lint(".", fix=True)

    assert render_report(result, format="github").startswith("::warning file=a.clnrm.toml,line=1,")


def test_line_ends_and_byte_order_mark_stay(project):
    path = write(project, "\ufeff" + LINTED.replace("image", "imge").replace("\n", "\r\n"))

    api.lint(".", fix=True)

    assert path.read_bytes() == ("\ufeff" + LINTED.replace("\n", "\r\n")).encode()


def test_a_fix_that_would_make_a_file_worse_is_left_out():
    """Two names, one of them blank: the only word near the wrong one leads to a cycle of its own."""
    calls = []

    def diagnose(text):
        calls.append(text)
        found = findings(text)
        return (
            found
            if len(calls) == 1
            else [*found, *(one for one in findings('a = "') if one.severity == "error")]
        )

    text = BASE.replace("image", "imge")

    mended = mend(text, diagnose, lambda finding: True)

    assert mended.text == text
    assert mended.refused


MIGRATED = '[[expect.span]]\nname = "a"\nattrs.all = { k = "v" }\nduration_ms.lte = 5\n'
OLDER = '[[otel_validation.expected_spans]]\nname = "a"\nattributes = { k = "v" }\nmax_duration_ms = 5\n'


def test_older_forms_become_current_ones_with_their_comments(project):
    path = write(project, f"{BASE}\n# spans\n{OLDER}\n[otel_validation.expect_graph]\nacyclic = true # yes\n")

    result = api.migrate(".")

    assert path.read_text() == f"{BASE}\n# spans\n{MIGRATED}\n[expect.graph]\nacyclic = true # yes\n"
    assert result.exit_code == 0


def test_what_has_no_current_form_is_listed_with_its_reason(project):
    text = f"{BASE}\n{OLDER}is_root = true\n"
    path = write(project, text)

    result = api.migrate(".", check=True)

    assert path.read_text() == text
    (finding,) = result.raw["diagnostics"]
    assert (finding["code"], finding["line"], "`is_root` has no current form" in finding["message"]) == (
        "CLN308",
        12,
        True,
    )


def test_check_is_exit_1_where_a_file_would_change(project):
    write(project, BASE.replace("image", 'type = "generic_container"\nimage'))

    assert api.migrate(".", check=True).exit_code == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mending_any_mutilated_file_is_idempotent_and_never_worse(data):
    text = f'{LINTED}[[scenario]]\nname = "x"\nrun = "{{{{ 1 }}}}"\nservice = "api"\n'
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text = text[:at] + data.draw(st.sampled_from(["", "x", '"', "]", "=", "\n", "}}"])) + text[at + 1 :]

    once = mend(text, findings, lambda finding: finding.fix.safe)
    twice = mend(once.text, findings, lambda finding: finding.fix.safe)

    errors = [sum(one.severity == "error" for one in found) for found in (findings(text), once.remaining)]
    assert twice.text == once.text
    assert errors[1] <= errors[0] or findings(text)[0].code < "CLN3"
