"""The report of a run for people at a terminal.

One line a test; what did not pass follows in full: the command with its output, the expectation with what was
expected, what was found and where it is written. Passed details are shown for small runs and with ``-v``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len

from clnrm_nb.codes import STATUSES
from clnrm_nb.report.excerpt import excerpt_lines, excerpt_of, repair_lines, repair_of
from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.signs import Signs, backend_words
from clnrm_nb.report.text import clipped, duration_text, number_text, one_line, value_text, visible, wrapped
from clnrm_nb.report.timings import timing_lines

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from clnrm_nb.report.excerpt import Source
    from clnrm_nb.report.results import RunResult

__all__ = ["finding_lines", "place_text", "result_lines", "summary_words"]

_SMALL_RUN: Final = 3
_OUTPUT_LINES: Final = 15
_DIFF_LINES: Final = 40
_WELL: Final = frozenset({"passed", "cached", "skipped"})
_LONGEST_VALUE: Final = 2_000


def result_lines(
    result: RunResult, *, signs: Signs, width: int, is_verbose: bool, limit: int | None = None
) -> list[Line]:
    """The whole report.

    Parameters
    ----------
    result : RunResult
    signs : Signs
    width : int
        Cells of a line.
    is_verbose : bool
        Show passed commands and expectations too.
    limit : int, optional
        After so many lines no further test is shown; default: no limit.
    """
    with_steps = is_verbose or len(result.heads) <= _SMALL_RUN
    # One line is all that most tests get: of cached ones no more is read for it than their heads.
    tests = result.tests if with_steps or "digests" in result.shows else result.heads
    name_cells = min(max([cell_len(one_line(test["id"])) for test in tests], default=0), max(width - 60, 24))
    lines: list[Line] = []
    for index, test in enumerate(tests):
        if limit is not None and len(lines) >= limit:
            lines.append(line((f"showing {index} of {number_text(len(tests), 'test')}", "dim")))
            break
        lines.append(_test_line(test, signs, name_cells))
        if with_steps or test["status"] not in _WELL:
            lines += _scenario_lines(test, signs, width, is_verbose=is_verbose)
            lines += _expectation_lines(test, signs, width, is_verbose=is_verbose)
        lines += _detail_lines(test, result.shows)
        lines += _diff_lines(result, test, signs, width, is_verbose=is_verbose)
    shown = [f for f in result.findings if is_verbose or f["severity"] != "info"]
    if shown:
        lines.append(line())
    for finding in _unrepeated(shown, tests)[:limit]:
        lines += finding_lines(finding, signs=signs, width=width)
    if is_verbose and len(result.spans):
        lines += [line(), *result.spans.lines(signs=signs, width=width, rows=60)]
    if pool := result.pool:
        lines += [line(), _pool_line(pool)]
    if spent := result.head["data"].get("timings"):
        lines += [line(), *timing_lines(spent)]
    notes = [line(one_line(note)) for note in result.notes]
    return [*lines, line(), _summary_line(result, signs), *notes]


def _pool_line(pool: Mapping[str, Any]) -> Line:
    """What became of runner containers that were used again."""
    discarded = sum(pool["discards"].values())
    reasons = ", ".join(f"{one_line(why)} ({count})" for why, count in pool["discards"].items())
    text = f"verified: {number_text(pool['uses'], 'use')} of {number_text(pool['made'], 'runner')}"
    text += f", {discarded} thrown away" + (f": {reasons}" if reasons else "")
    if pool["audited"]:
        text += f"; audited {pool['audited']}, differing {pool['differing']}"
    return line((text, "dim"))


def _diff_lines(
    result: RunResult, test: Mapping[str, Any], signs: Signs, width: int, *, is_verbose: bool
) -> list[Line]:
    """What the traces of a test were compared with; findings stand among those of the run."""
    if result.diff is None:
        return []
    from clnrm_nb.report.difftext import compared_lines

    lines: list[Line] = []
    for compared in result.diff.of_test(test["id"]):
        mine = compared_lines(
            compared,
            signs=signs,
            width=width,
            only_diffs=True,
            depth=result.diff.depth,
            is_verbose=is_verbose,
            indent="  ",
            with_findings=False,
        )
        left = 0 if is_verbose else len(mine) - _DIFF_LINES
        lines += mine[:_DIFF_LINES] if left > 0 else mine
        if left > 0:
            text = f"    showing {_DIFF_LINES} of {len(mine):,} lines (all of them: .diff.tree())"
            lines.append(line((text, "dim")))
    return lines


def _detail_lines(test: Mapping[str, Any], shows: Container[str]) -> list[Line]:
    """What was asked for by ``--digest`` and ``--timings``."""
    lines: list[Line] = []
    if "digests" in shows:
        lines += [
            line(f"  {scenario['trace_digest'] or 'no trace':<71}  ", one_line(scenario["name"]))
            for scenario in test["scenarios"]
        ]
    if "timings" in shows and test.get("timings_ms"):
        spent = test["timings_ms"].items()
        lines.append(line("  ", (", ".join(f"{phase} {duration_text(ms)}" for phase, ms in spent), "dim")))
    return lines


def _test_line(test: Mapping[str, Any], signs: Signs, name_cells: int) -> Line:
    status = test["status"]
    name = clipped(one_line(test["id"]), name_cells, signs.ellipsis)
    pad = " " * (name_cells - cell_len(name))
    beside = list(filter(None, (duration_text(test["duration_ms"]), backend_words(test))))
    if test.get("span_count"):
        beside.append(number_text(test["span_count"], "span"))
    if test.get("stored_status"):
        beside.append(f"stored: {test['stored_status']}")
    if not test.get("complete", True):
        beside.append("trace incomplete")
    reason = test.get("reason") or ""
    if test.get("taken_over_from"):
        told = f"taken over from run {test['taken_over_from']}"
        beside.append(told)
        reason = reason.removesuffix(told).removesuffix("; ")
    parts = line((f"{signs.status[status]} {status:<11} ", status), (name, "bold"), pad, "  ")
    parts.append((f" {signs.dot} ".join(beside), "dim"))
    if reason and status != "passed" and not _is_explained(test):
        parts.append((f" {signs.dot} {one_line(reason)}", ""))
    return parts


def _is_explained(test: Mapping[str, Any]) -> bool:
    """Whether a part shown below the test's line says why it did not pass."""
    parts = [*test["scenarios"], *test["expectations"]]
    return any(part["status"] in {"failed", "error", "not-evaluated"} for part in parts)


# ----------------------------------------------------------------------------------------------- commands


def _scenario_lines(test: Mapping[str, Any], signs: Signs, width: int, *, is_verbose: bool) -> list[Line]:
    lines: list[Line] = []
    for scenario in test["scenarios"]:
        status = scenario["status"]
        spans = number_text(scenario["span_count"], "span")
        beside = f" {signs.dot} ".join((duration_text(scenario["duration_ms"]), spans))
        head = f"  {signs.status[status]} {status:<11} "
        lines.append(line((head, status), one_line(scenario["name"]), "  ", (beside, "dim")))
        if scenario.get("reason"):
            lines += _paragraph(scenario["reason"], "      ", width)
        for command in scenario["commands"]:
            lines += _command_lines(command, signs, width, is_verbose=is_verbose)
    return lines


def _command_lines(command: Mapping[str, Any], signs: Signs, width: int, *, is_verbose: bool) -> list[Line]:
    status = command["status"]
    argv = " ".join(map(str, command.get("argv") or ()))
    where = f"[{one_line(command['service'])}] " if command.get("service") else ""
    name = f"{one_line(command['name'])}: " if command["name"] not in {"", "run"} else ""
    exit_code = command.get("exit_code")
    beside = [duration_text(command["duration_ms"])]
    if exit_code is not None:
        beside.insert(0, f"exit {exit_code}")
    if command.get("attempts", 1) > 1:
        beside.append(f"{command['attempts']} attempts")
    tail = f" {signs.dot} ".join(beside)
    room = max(width - cell_len(name) - cell_len(where) - cell_len(tail) - 10, 20)
    text = f"{where}{name}{clipped(one_line(argv), room, signs.ellipsis)}"
    lines = [line((f"    {signs.status[status]} ", status), text, "  ", (tail, "dim"))]
    if status in {"passed", "skipped"} and not is_verbose:
        return lines
    if command.get("reason"):
        lines += _paragraph(command["reason"], "      ", width)
    for stream in ("stdout", "stderr"):
        lines += _output_lines(stream, command.get(stream) or "", signs)
    return lines


def _output_lines(stream: str, output: str, signs: Signs) -> list[Line]:
    if not output.strip():
        return []
    texts = visible(output.rstrip()).split("\n")
    left_out = len(texts) - _OUTPUT_LINES
    lines = (
        [line((f"      {stream}, the last {_OUTPUT_LINES} of {len(texts)} lines", "dim"))]
        if left_out > 0
        else []
    )
    return lines + [line((f"      {stream} {signs.quote} ", "dim"), text) for text in texts[-_OUTPUT_LINES:]]


# ------------------------------------------------------------------------------------------- expectations


def _expectation_lines(test: Mapping[str, Any], signs: Signs, width: int, *, is_verbose: bool) -> list[Line]:
    results = test["expectations"]
    passed = [result for result in results if result["status"] == "passed"]
    lines: list[Line] = []
    if is_verbose:
        head = (f"  {signs.status['passed']} passed      ", "passed")
        lines += [line(head, one_line(result["id"])) for result in passed]
    elif passed:
        text = f"{number_text(len(passed), 'expectation')} passed"
        lines.append(line((f"  {signs.status['passed']} ", "passed"), (text, "dim")))
    for result in results:
        if result["status"] != "passed":
            lines += _verdict_lines(result, signs, width)
    return lines


def _verdict_lines(result: Mapping[str, Any], signs: Signs, width: int) -> list[Line]:
    word = result["status"]
    place = place_text(result)
    beside = f"  {place}" if place else ""
    scope = f"{one_line(result['scenario'])} :: " if result.get("scenario") else ""
    head = (f"  {signs.status[word]} {word} ", word)
    lines = [line(head, (f"{scope}{one_line(result['id'])}", "bold"), (beside, "dim"))]
    lines += _paragraph(result["message"], "      ", width)
    for name in ("expected", "actual"):
        if result.get(name) is not None:
            lines += _paragraph(value_text(result[name]), f"      {name:<9}", width)
    if result.get("reason"):
        lines += _paragraph(str(result["reason"]), "      reason   ", width)
    return lines


def place_text(result: Mapping[str, Any]) -> str:
    """``file:line`` of a verdict or a finding, as editors link it."""
    if not result.get("file"):
        return ""
    parts = [result["file"], result.get("line"), result.get("column")]
    return ":".join(one_line(str(part)) for part in parts if part is not None)


def _paragraph(text: str, indent: str, width: int) -> list[Line]:
    shown = visible(
        text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}… ({len(text):,} characters)"
    )
    blank = " " * len(indent)
    texts = wrapped(shown, max(width - len(indent), 20))
    return [line((indent if i == 0 else blank, "dim"), part) for i, part in enumerate(texts)]


# ----------------------------------------------------------------------------------------------- findings


def _unrepeated(
    findings: Sequence[Mapping[str, Any]], tests: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Findings without those that only repeat a failed expectation or command shown above."""
    told = {result["message"] for test in tests for result in test["expectations"]}
    told |= {
        command["reason"]
        for test in tests
        for scenario in test["scenarios"]
        for command in scenario["commands"]
        if command.get("reason")
    }
    return [finding for finding in findings if finding["message"] not in told]


def finding_lines(
    finding: Mapping[str, Any], *, signs: Signs, width: int, source: Source | None = None
) -> list[Line]:
    """One finding: place, code and sentence; the lines of `source` it is about; then hint and fix."""
    word = finding["severity"]
    place = place_text(finding)
    head = f"{place}: " if place else ""
    start = f"{signs.status[word]} {word} {finding['code']} "
    room = max(width - 2, 40)
    texts = wrapped(f"{start}{head}{visible(finding['message'])}", room)
    lines = [line((start, word), texts[0].removeprefix(start)), *(line(f"  {text}") for text in texts[1:])]
    if excerpt := excerpt_of(source, finding):
        lines += excerpt_lines(excerpt, word, signs=signs, width=width)
    lines += [
        line(("  see  ", "dim"), f"{place_text(other)}: {one_line(other['message'])}")
        for other in finding.get("related", ())
    ]
    if finding.get("hint"):
        lines += _paragraph(finding["hint"], "  hint ", width)
    if fix := finding.get("fix"):
        beside = "" if fix["safe"] else " (may change what the file means)"
        lines.append(line(("  fix  ", "dim"), f"{one_line(fix['title'])}{beside}"))
        lines += repair_lines(repair_of(source, fix), width=width)
    return lines


# ------------------------------------------------------------------------------------------------ summary


def summary_words(summary: Mapping[str, int]) -> list[tuple[str, str]]:
    """``("2 passed", "passed")`` for every status that occurs, in the order of all reports."""
    return [(f"{summary[word]} {word}", word) for word in STATUSES if summary.get(word)]


def _summary_line(result: RunResult, signs: Signs) -> Line:
    summary = result.summary
    parts = line((number_text(summary["total"], "test"), "bold"))
    for index, (text, word) in enumerate(summary_words(summary)):
        parts += [(": " if index == 0 else ", ", ""), (text, word)]
    tail = f" {signs.dot} {duration_text(result.duration_ms)}"
    if result.exit_code:
        tail += f" {signs.dot} exit {result.exit_code}"
    parts.append((tail, "dim"))
    return parts
