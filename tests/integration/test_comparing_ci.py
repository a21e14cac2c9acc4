"""Comparisons in CI: told apart by code in every format, nothing written, unused only after a whole run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import resources

import pytest

import clnrm_nb
from clnrm_nb import api
from clnrm_nb.errors import UsageError
from clnrm_nb.pipeline.request import Cell
from clnrm_nb.report.render import render_report

FILE = "green.clnrm.toml.tera"
ID = f"{FILE}::prints"
CODES = {
    "changed": "CLN704",
    "missing": "CLN701",
    "rejected": "CLN705",
    "unused": "CLN706",
    "incomplete": "CLN707",
}
WHAT_TO_DO = {
    "changed": f"clnrm review '{ID}'",
    "missing": f"clnrm baseline accept '{ID}'",
    "rejected": f"clnrm baseline undo '{ID}'",
    "unused": "clnrm baseline gc --unused",
    "incomplete": "clnrm explain CLN614",
}
FORMS = ("human", "json", "junit", "tap", "github", "markdown", "html")


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        shutil.copy(source / FILE, tmp_path / FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(path=FILE, **options):
    return clnrm_nb.run(path, backend="process", **{"baseline": True, **options})


def rewritten(project, old, new):
    text = (project / FILE).read_text(encoding="utf-8")
    assert old in text
    (project / FILE).write_text(text.replace(old, new), encoding="utf-8")


def in_ci(project, kind):
    """A run under ``--ci`` that comes to one kind of comparison."""
    if kind != "missing":
        run(update_baseline=True)
    if kind == "changed":
        return run(ci=True, vars={"root": "other"})
    if kind == "rejected":
        run(vars={"root": "other"})
        api.baseline_reject(ID, message="lost its name", by="ada")
        return run(ci=True, vars={"root": "other"})
    if kind == "unused":
        rewritten(project, 'name = "prints"', 'name = "says"')
        run(update_baseline=True)
        return run(".", ci=True)
    if kind == "incomplete":
        rewritten(project, '"parent_span_id": "b7ad6b7169203331"', '"parent_span_id": "b7ad6b7169203339"')
    return run(ci=True)


@pytest.mark.parametrize("kind", CODES)
def test_each_kind_of_comparison_has_its_code_and_its_advice_in_every_format(project, kind):
    result = in_ci(project, kind)

    assert result.exit_code == 1
    texts = {form: render_report(result, form) for form in FORMS}
    for form, text in texts.items():
        told = set(re.findall(r"CLN70[1-7]", text))
        assert told == {CODES[kind]}, form
        # Escaped as the format wants it.
        words = re.sub(r"\\|&#x27;|&#39;|&apos;", lambda found: "" if found[0] == "\\" else "'", text)
        words = re.sub(r"\s+", " ", words)
        assert WHAT_TO_DO[kind] in words, form


@pytest.mark.parametrize("kind", CODES)
def test_the_report_of_clnrm_diff_tells_the_kinds_apart_too(project, kind):
    result = in_ci(project, kind).diff

    assert result.raw["summary"][kind] == 1
    for form in FORMS:
        assert CODES[kind] in render_report(result, form), form


@pytest.mark.parametrize(
    ("kind", "again"), [("changed", "diff"), ("missing", "run"), ("rejected", "run --baseline")]
)
def test_the_command_to_copy_had_no_backend_though_one_was_given(project, kind, again):
    """On a machine without an engine it ended with CLN601, and with one it ran something else."""
    result = in_ci(project, kind)

    (finding,) = [one for one in result.raw["diagnostics"] if one["code"] == CODES[kind]]
    assert f"`clnrm {again} '{FILE}' --backend process`" in finding["hint"]
    if kind == "changed":
        assert f"`clnrm diff {FILE} --backend process`" in render_report(result.diff, "markdown")


def test_findings_of_a_scenario_stand_at_its_line(project):
    result = in_ci(project, "changed")

    (finding,) = [one for one in result.raw["diagnostics"] if one["code"] == "CLN704"]
    lines = (project / FILE).read_text(encoding="utf-8").splitlines()
    assert finding["file"] == FILE
    assert lines[finding["line"] - 1] == "[[scenario]]"


def test_many_edits_are_twenty_items_and_a_count_in_text_and_annotations(project):
    spans = [
        json.dumps(
            {
                "name": f"n{number}",
                "trace_id": "0af7651916cd43dd8448eb211c80319c",
                "span_id": f"c7ad6b71692033{number:02x}",
                "parent_span_id": "b7ad6b7169203331",
                "attributes": {f"k{number}": "V"},
            }
        ).replace('"V"', "{{ v | default(value=1) }}")
        for number in range(30)
    ]
    more = "".join(f", '{span}'" for span in spans)
    rewritten(project, "'%s\\n%s\\n'", "'" + "%s\\n" * 32 + "'")
    rewritten(project, '"status": "ok"}\'] }]', '"status": "ok"}\'' + more + "] }]")
    rewritten(project, "spans_total = 2", "spans_total = 32")
    run(update_baseline=True)

    result = run(ci=True, vars={"v": 2})

    assert result.exit_code == 1
    (finding,) = [one for one in render_report(result, "github").splitlines() if "CLN704" in one]
    assert finding.count("%0A- ") == 21
    assert "and 10 more causes" in finding
    assert "and 10 more causes" in render_report(result.diff, "markdown")
    assert re.search(r"10 more (edits|causes)", render_report(result.diff, "human"))


# --------------------------------------------------------------------------------------------- no writing


def state_of(directory):
    return {
        path.relative_to(directory).as_posix(): (
            path.read_bytes() if path.is_file() else None,
            path.stat().st_mtime_ns,
        )
        for path in [directory, *sorted(directory.rglob("*"))]
    }


@pytest.mark.parametrize("kind", CODES)
def test_ci_leaves_baselines_decisions_and_reviews_as_they_are_times_included(project, kind, monkeypatch):
    directory = project / ".clnrm" / "baselines"
    directory.mkdir()
    (directory / "rules.toml").write_text("", encoding="utf-8")
    before, real = {}, clnrm_nb.run

    def remembering(*args, **options):
        if options.get("ci"):
            before.update(all_of_it())
        return real(*args, **options)

    def all_of_it():
        return {**state_of(directory), "reviews": api.review(()).frame.to_dict()}

    monkeypatch.setattr(clnrm_nb, "run", remembering)
    in_ci(project, kind)

    assert all_of_it() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: run the tests as another user")
def test_a_read_only_checkout_is_compared_all_the_same(project):
    run(update_baseline=True)
    directory = project / ".clnrm" / "baselines"
    before = state_of(directory)
    for path in [*directory.rglob("*"), directory]:
        path.chmod(0o555 if path.is_dir() else 0o444)

    try:
        result = run(ci=True, vars={"root": "other"})
    finally:
        for path in [directory, *directory.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)

    assert result.exit_code == 1
    assert "CLN704" in result.diagnostics["code"].tolist()
    assert state_of(directory) == before


def test_update_baseline_is_the_only_way_to_write_in_ci_and_says_who_asked(project):
    run(ci=True, update_baseline=True)

    (decision,) = api.baseline_history(ID).raw["data"]["decisions"]
    assert decision["reason"] == "--update-baseline"
    assert decision["by"]
    assert decision["source_hash"].startswith("sha256:")
    assert decision["vars_hash"].startswith("sha256:")


# ------------------------------------------------------------------------------------------------- unused


@pytest.mark.parametrize(
    ("path", "options", "breaks"),
    [
        (".", {"only": ["*::says"]}, False),
        (".", {"shard": "1/1"}, False),
        (".", {"expression": "says"}, False),
        (FILE, {}, False),
        (".", {}, True),
    ],
    ids=["filtered", "sharded", "by-words", "one-file", "failed"],
)
def test_unused_is_never_said_unless_the_whole_suite_ran_to_its_end(project, path, options, breaks):
    run(update_baseline=True)
    rewritten(project, 'name = "prints"', 'name = "says"')
    run(update_baseline=True)
    if breaks:
        rewritten(project, "spans_total = 2", "spans_total = 3")

    result = run(path, ci=True, **options)

    assert "CLN706" not in result.diagnostics["code"].tolist()
    assert "CLN706" in run(".").diagnostics["code"].tolist() or breaks


def test_a_directory_that_holds_every_scenario_file_is_the_whole_suite(project):
    run(update_baseline=True)
    (project / "tests").mkdir()
    (project / FILE).rename(project / "tests" / FILE)

    result = run("tests", ci=True)

    assert "CLN706" in result.diagnostics["code"].tolist()
    (project / "more").mkdir()
    shutil.copy(project / "tests" / FILE, project / "more" / FILE)
    assert "CLN706" not in run("tests", ci=True).diagnostics["code"].tolist()


def test_baselines_of_cells_and_of_files_that_no_search_finds_are_never_called_unused(project):
    shutil.copy(project / FILE, project / "by-hand.toml.tera")
    cell = Cell("mine", (project / FILE).read_text(encoding="utf-8"), project)
    for path, given in (("by-hand.toml.tera", None), ((), cell)):
        api.run(path, cell=given, backend="process", baseline=True, update_baseline=True)

    result = run(".", ci=True)

    assert len(list((project / ".clnrm" / "baselines").glob("*.json"))) == 2
    assert "CLN706" not in result.diagnostics["code"].tolist()
    assert api.baseline_gc(unused=True, ask=lambda _: True).frame.query("type == 'baseline'").empty


def test_what_waits_of_a_scenario_that_is_no_more_is_forgotten_by_the_next_run(project):
    run(update_baseline=True)
    run(vars={"root": "other"})
    rewritten(project, 'name = "prints"', 'name = "says"')

    run()

    assert api.review().frame["id"].tolist() == [f"{FILE}::says"]


def test_what_waits_of_a_file_that_is_no_more_is_forgotten_by_the_next_whole_run(project):
    run(update_baseline=True)
    run(vars={"root": "other"})
    (project / FILE).rename(project / f"new-{FILE}")

    run(".")

    assert api.review().frame["id"].tolist() == [f"new-{FILE}::prints"]


def test_a_scenario_that_was_renamed_is_told_where_its_baseline_is_called_unused(project):
    run(update_baseline=True)
    rewritten(project, 'name = "prints"', 'name = "says"')

    found = [one for one in run(".", ci=True).diff.comparisons if one.status == "unused"]

    assert f"`{FILE}::says` has the same trace and no baseline" in found[0].diagnostics[0].hint


# ----------------------------------------------------------------------------------------- gc, blame, views


def clnrm(*words):
    return subprocess.run(
        [sys.executable, "-m", "clnrm_nb", *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_baselines_without_a_scenario_go_only_once_somebody_said_yes_and_can_be_brought_back(project):
    run(update_baseline=True)
    (file,) = (project / ".clnrm" / "baselines").glob("*.json")
    before = file.read_bytes()
    rewritten(project, 'name = "prints"', 'name = "says"')

    unasked = api.baseline_gc(unused=True)
    refused = api.baseline_gc(unused=True, ask=lambda _: False)
    dry = api.baseline_gc(unused=True, dry_run=True, ask=lambda _: True)
    still_there = file.exists()
    asked = []
    done = api.baseline_gc(unused=True, ask=lambda files: asked.extend(files) or True)

    assert [one.exit_code for one in (unasked, refused, dry, done)] == [1, 0, 0, 0]
    assert still_there
    assert asked == [file.relative_to(project).as_posix()]
    assert not file.exists()
    api.baseline_restore(ID)
    assert file.read_bytes() == before


def test_no_baseline_is_called_unused_while_a_file_cannot_be_read(project):
    run(update_baseline=True)
    (project / "broken.clnrm.toml").write_text("[meta\n", encoding="utf-8")

    with pytest.raises(UsageError, match=r"broken\.clnrm\.toml has errors"):
        api.baseline_gc(unused=True, ask=lambda _: True)


def test_blame_and_gc_are_commands(project):
    run(update_baseline=True)

    blamed = clnrm("baseline", "blame", ID, "-f", "json")
    collected = clnrm("baseline", "gc", "--dry-run")

    lines = json.loads(blamed.stdout)["data"]["lines"]
    assert [line["path"] for line in lines if line["kind"] == "span"] == ["checkout", "checkout/reserve"]
    assert {line["version"] for line in lines} == {1}
    assert (collected.returncode, "0 stored files" in collected.stdout) == (0, True)


def test_gc_after_a_run_takes_nothing_that_a_later_command_needs(project):
    run(update_baseline=True)
    run(vars={"root": "other"})
    for path in (project / ".clnrm" / "objects").rglob("*"):
        if path.is_file():
            os.utime(path, (1, 1))

    # The trace that waited after the first run, which the second one's has taken the place of.
    assert [row["type"] for row in api.baseline_gc().raw["data"]["rows"]] == ["object"]
    assert api.baseline_gc().raw["data"]["rows"] == []
    api.baseline_accept(ID)
    api.baseline_undo(ID)
    assert run().ok


def test_a_three_way_view_says_when_nothing_of_main_is_known(project):
    run(update_baseline=True)
    run(vars={"root": "other"})

    done = clnrm("diff", FILE, "--run", "never", "--view", "three-way")

    assert done.returncode == 1, done.stderr
    assert "nothing of the main branch is known: this is the difference of two" in done.stdout
    assert "checkout → other" in done.stdout


def test_a_trace_of_main_can_be_named_in_a_three_way_view(project):
    run(update_baseline=True)
    run(vars={"root": "other"})
    (other,) = (project / ".clnrm" / "artifacts").rglob("prints/spans.json")
    shutil.copy(other, project / "main.json")

    found = api.diff(FILE, run_when="never", view="three-way", main="main.json")

    assert found.three_way().frame["standing"].tolist() == ["already on main"]
    assert found.raw["data"]["diffs"][0]["three_way"]["counts"]["already on main"] == 1
    assert "already on main" in repr(found)
    for name in ("mine.md", "mine.html", "mine.json", "mine.txt"):
        api.diff(FILE, run_when="never", view="three-way", main="main.json", output=name)
        assert "already on main" in (project / name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("a.json",), "two trace files are compared, and 1 is given"),
        (("a.json", "a.json", "a.json"), "and 3 are given"),
        (("a.json", "nothing.json"), "CLN001 cannot read `nothing.json`"),
        (("a.json", FILE), f"a.json is a trace file and {FILE} is not"),
        (("-", "-"), "standard input can be one of the two traces only"),
        (
            ("a.json", "a.json", "--view", "three-way"),
            "`clnrm diff a.json a.json --view three-way --main FILE`",
        ),
    ],
    ids=["one", "three", "no-file", "mixed", "twice-stdin", "three-way"],
)
def test_what_is_no_pair_of_traces_is_one_sentence(project, words, says):
    span = {"name": "a", "trace_id": "1" * 32, "span_id": "1" * 16}
    (project / "a.json").write_text(json.dumps(span), encoding="utf-8")

    done = clnrm("diff", *words)

    assert done.returncode == 2
    assert says in done.stderr
    assert "CLN201" not in done.stdout + done.stderr


def test_a_report_of_a_diff_that_cannot_be_written_is_one_sentence(project):
    run()
    (trace,) = (project / ".clnrm" / "artifacts").rglob("prints/spans.json")

    done = clnrm("diff", str(trace), str(trace), "-o", str(project))

    assert done.returncode == 2
    assert "cannot write" in done.stderr
    assert "CLN901" not in done.stderr


def test_one_side_may_come_from_standard_input(project):
    run()
    (trace,) = (project / ".clnrm" / "artifacts").rglob("prints/spans.json")
    with trace.open("rb") as content:
        done = subprocess.run(
            [sys.executable, "-m", "clnrm_nb", "diff", str(trace), "-"],
            stdin=content, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
