"""The report of a run, and of findings, as HTML.

The same order and words as on the terminal: every test with its state, what did not pass in full, findings,
and the trace to unfold. Each list states its window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.explain import summary
from clnrm_nb.report.excerpt import excerpt_html, excerpt_of, repair_html, repair_of
from clnrm_nb.report.html import Weighed, details, escape, escape_block, status, table
from clnrm_nb.report.resulttext import place_text, summary_words
from clnrm_nb.report.signs import backend_words
from clnrm_nb.report.text import duration_text, number_text, one_line, value_text
from clnrm_nb.report.timings import timing_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.report.excerpt import Source
    from clnrm_nb.report.results import RunResult

__all__ = ["findings_html", "outcome_rows", "result_html"]

_TESTS_BYTES: Final = 20_000
_PROBLEMS_BYTES: Final = 26_000
_FINDINGS_BYTES: Final = 8_000
_DIFFS_BYTES: Final = 12_000
_DIFF_ROWS: Final = 60
_LONGEST_OUTPUT: Final = 2_000
_LONGEST_VALUE: Final = 1_500


def result_html(result: RunResult, trace: str, *, scale: float = 1.0) -> str:
    """The whole report without a frame.

    Parameters
    ----------
    result : RunResult
    trace : str
        HTML of its trace, or nothing.
    scale : float
        Files bear more than notebook outputs: times the budget of each list.
    """
    tests = result.tests
    problems = Weighed(
        (part for test in tests for part in _problems(test)),
        sum(1 for test in tests for _ in _problems(test)),
        int((_PROBLEMS_BYTES - (_DIFFS_BYTES if result.diff else 0)) * scale),
    )
    parts = [
        f"<h3>{_summary(result)}</h3>",
        *(f"<p dir=auto>{escape(note)}</p>" for note in result.notes),
        _tests_table(tests, int(_TESTS_BYTES * scale)),
        *problems,
        problems.note("(all of them: .expectations, .frame)"),
        findings_html(result.raw["diagnostics"], "", int(_FINDINGS_BYTES * scale)),
        _differences(result, scale),
    ]
    if spent := result.raw["data"].get("timings"):
        parts.append(details("where the time went", f"<pre>{escape_block(timing_text(spent), 4_000)}</pre>"))
    if trace:
        parts.append(details("trace", trace))
    return "".join(parts)


def _differences(result: RunResult, scale: float) -> str:
    """What differs from the accepted traces, test by test, and how much is the same."""
    if result.diff is None:
        return ""
    from clnrm_nb.report.diffview import comparisons_html

    return comparisons_html(
        result.diff.comparisons,
        budget_bytes=int(_DIFFS_BYTES * scale),
        rows=int(_DIFF_ROWS * scale),
        with_unchanged=scale > 1,
    )


def _summary(result: RunResult) -> str:
    words = ", ".join(status_count for status_count, _ in summary_words(result.summary))
    verdict = "ok" if result.ok else "failed"
    total = number_text(result.summary["total"], "test")
    took = duration_text(result.raw["duration_ms"])
    exit_text = "" if result.ok else f", exit {result.exit_code}"
    return f"{status(verdict)} {escape(f'{total}: {words}' if words else total)}, {took}{exit_text}"


def _tests_table(tests: Sequence[Mapping[str, Any]], budget_bytes: int) -> str:
    if not tests:
        return ""
    rows = Weighed(map(_test_row, tests), len(tests), budget_bytes)
    header = ("status", "test", "scenarios", "expectations", "spans", "duration")
    return table("", header, rows) + rows.note("(all of them: .frame)")


def _test_row(test: Mapping[str, Any]) -> str:
    beside = backend_words(test)
    if test.get("stored_status"):
        beside = ", ".join(filter(None, (beside, f"stored: {test['stored_status']}")))
    passed = sum(result["status"] == "passed" for result in test["expectations"])
    reason = test.get("reason")
    why = f"<br><span class=q>{escape(reason, 300)}</span>" if reason and test["status"] != "passed" else ""
    return (
        f"<tr><td>{status(test['status'], beside)}</td><th scope=row dir=auto>{escape(test['id'])}{why}</th>"
        f"<td>{_scenarios(test)}</td><td class=n>{passed} of {len(test['expectations'])} passed</td>"
        f"<td class=n>{number_text(test.get('span_count') or 0)}"
        f"{'' if test.get('complete', True) else ' (trace incomplete)'}</td>"
        f"<td class=n>{duration_text(test['duration_ms'])}</td></tr>"
    )


def _scenarios(test: Mapping[str, Any]) -> str:
    names = [
        f"<bdi>{escape(scenario['name'], 60)}</bdi>: {escape(scenario['status'])}"
        for scenario in test["scenarios"][:6]
    ]
    left = len(test["scenarios"]) - 6
    return "<br>".join([*names, f"and {left} more"] if left > 0 else names)


# ----------------------------------------------------------------------------------------------- problems


def _problems(test: Mapping[str, Any]) -> Iterator[str]:
    for scenario in test["scenarios"]:
        for command in scenario["commands"]:
            if command["status"] not in {"passed", "skipped"}:
                yield _command(test, scenario, command)
    for result in test["expectations"]:
        if result["status"] != "passed":
            yield _verdict(test, result)


def _command(test: Mapping[str, Any], scenario: Mapping[str, Any], command: Mapping[str, Any]) -> str:
    argv = " ".join(map(str, command.get("argv") or ()))
    facts = {
        "reason": command.get("reason"),
        "command": argv,
        "service": command.get("service"),
        "exit code": command.get("exit_code"),
        "attempts": command.get("attempts") if command.get("attempts", 1) > 1 else None,
    }
    blocks = "".join(
        f"<dt>{stream}</dt><dd><pre dir=auto>{escape_block(command[stream], _LONGEST_OUTPUT)}</pre></dd>"
        for stream in ("stdout", "stderr")
        if command.get(stream)
    )
    title = f"{status(command['status'])} command <bdi>{escape(command['name'])}</bdi> of <bdi>"
    title += f"{escape(scenario['name'])}</bdi> in <bdi>{escape(test['id'])}</bdi>"
    return details(title, f"<dl>{_facts(facts)}{blocks}</dl>", is_open=True)


def _verdict(test: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    scope = f"{result['scenario']} :: " if result.get("scenario") else ""
    place = place_text(result) or test["id"]
    facts = {name: result.get(name) for name in ("message", "expected", "actual", "reason")}
    title = f"{status(result['status'])} <bdi>{escape(scope + result['id'])}</bdi> "
    title += f"<span class=q>{escape(place)}</span>"
    return details(title, f"<dl>{_facts(facts)}</dl>", is_open=True)


def _facts(facts: Mapping[str, Any]) -> str:
    return "".join(
        f"<dt>{name}</dt><dd dir=auto>{escape_block(value_text(value), _LONGEST_VALUE)}</dd>"
        for name, value in facts.items()
        if value is not None and value != ""
    )


# ----------------------------------------------------------------------------------------------- findings


def findings_html(
    findings: Sequence[Mapping[str, Any]],
    headline: str,
    budget_bytes: int,
    sources: Mapping[str, Source] | None = None,
) -> str:
    """A table of findings, the lines they are about below each; nothing where there are none and no headline.

    Parameters
    ----------
    sources : mapping of str to Source, optional
        The files by the names findings use.
    """
    title = f"<h4>{escape(headline)}</h4>" if headline else ""
    if not findings:
        return title
    known = sources or {}
    rows = Weighed(
        (_finding_row(finding, known.get(finding["file"] or "")) for finding in findings),
        len(findings),
        budget_bytes,
    )
    header = ("severity", "code", "place", "finding")
    return title + table("findings", header, rows) + rows.note("(all of them: .diagnostics)")


def _finding_row(finding: Mapping[str, Any], source: Source | None) -> str:
    hint = f"<br><span class=q>{escape(finding['hint'])}</span>" if finding.get("hint") else ""
    related = "".join(
        f"<br><span class=q>see {escape(place_text(other))}: {escape(other['message'])}</span>"
        for other in finding.get("related", ())
    )
    return (
        f"<tr><td>{status(finding['severity'])}</td><td class=w>{_code(finding['code'])}</td>"
        f"<td dir=auto>{_place(finding, source)}</td>"
        f"<td class=l dir=auto>{escape(finding['message'], 600)}{hint}{related}"
        f"{_fix(finding, source)}</td></tr>"
        f"{_excerpt_row(finding, source)}"
    )


def _code(code: str) -> str:
    """The code; opened, what it means and where there is more."""
    meaning = f"{escape(summary(code))} <code>clnrm explain {escape(code)}</code>"
    return f"<details><summary><code>{escape(code)}</code></summary>{meaning}</details>"


def _place(finding: Mapping[str, Any], source: Source | None) -> str:
    """``file:line:column``, linked where the reader can have the file: JupyterLab opens it at that line."""
    text = place_text(finding)
    file = one_line(str(finding.get("file") or ""))
    # Where the column is narrow, the line breaks between file and position, never inside a number.
    place = f"{escape(file)}<wbr>{escape(text[len(file) :])}" if len(text) > len(file) else escape(text)
    if source is None or source.href is None or not finding.get("line"):
        return place
    return f'<a href="{escape(source.href)}#line={finding["line"] - 1}">{place}</a>'


def _fix(finding: Mapping[str, Any], source: Source | None) -> str:
    fix = finding.get("fix")
    if not fix:
        return ""
    beside = "" if fix["safe"] else " (may change what the file means)"
    change = repair_html(repair_of(source, fix))
    return f"<br><span class=q>fix: {escape(fix['title'])}{beside}</span>{change}"


def _excerpt_row(finding: Mapping[str, Any], source: Source | None) -> str:
    excerpt = excerpt_of(source, finding)
    if excerpt is None:
        return ""
    return f"<tr><td colspan=4>{excerpt_html(excerpt, finding['severity'])}</td></tr>"


def outcome_rows(files: Sequence[Mapping[str, Any]]) -> str:
    """A table of files with their outcomes."""
    if not files:
        return ""
    rows = Weighed(
        (
            f"<tr><td>{status(file['outcome'])}</td><th scope=row dir=auto>{escape(file['file'])}</th></tr>"
            for file in files
        ),
        len(files),
        20_000,
    )
    return table("", ("outcome", "file"), rows) + rows.note()
