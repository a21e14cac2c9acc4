"""The report of a run as Markdown, for job summaries and pull requests.

Text from strangers is escaped so that it can neither break a table nor become a link, an image or HTML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from clnrm_nb.report.resulttext import place_text, summary_words
from clnrm_nb.report.signs import backend_words
from clnrm_nb.report.text import duration_text, number_text, one_line, value_text, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.report.results import RunResult

__all__ = ["escaped", "run_markdown"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~@&])")
_LONGEST = 2_000


def run_markdown(result: RunResult) -> str:
    """The whole report."""
    words = ", ".join(text for text, _ in summary_words(result.summary)) or "nothing was run"
    total = number_text(result.summary["total"], "test")
    lines = [
        f"## {'ok' if result.ok else 'failed'}: {total}",
        "",
        f"{words}; {duration_text(result.raw['duration_ms'])}; exit {result.exit_code}",
        "",
    ]
    if result.tests:
        lines += ["| status | test | backend | spans | duration |", "|---|---|---|---:|---:|"]
        lines += [_row(test) for test in result.tests]
        lines.append("")
    for test in result.tests:
        lines += _problems(test)
    if result.diff:
        from clnrm_nb.report.diffmarkdown import compared_markdown

        for compared in result.diff.comparisons:
            if compared.status != "same":
                lines += compared_markdown(compared, result.diff.depth, with_findings=False)
    findings = result.raw["diagnostics"]
    if findings:
        lines += ["### Findings", ""]
        lines += [_finding(finding) for finding in findings]
        lines.append("")
    return "\n".join(lines)


def _row(test: Mapping[str, Any]) -> str:
    stored = f" (stored: {test['stored_status']})" if test.get("stored_status") else ""
    cells = (
        f"**{test['status']}**{stored}",
        escaped(test["id"]),
        escaped(backend_words(test)),
        number_text(test.get("span_count") or 0),
        duration_text(test["duration_ms"]),
    )
    return f"| {' | '.join(cells)} |"


def _problems(test: Mapping[str, Any]) -> Iterator[str]:
    bad = [result for result in test["expectations"] if result["status"] != "passed"]
    commands = [
        (scenario["name"], command)
        for scenario in test["scenarios"]
        for command in scenario["commands"]
        if command["status"] not in {"passed", "skipped"}
    ]
    if not bad and not commands:
        return
    yield from (f"### {escaped(test['id'])}", "")
    for scenario, command in commands:
        reason = f": {escaped(command['reason'])}" if command.get("reason") else ""
        yield f"- **{command['status']}** command {escaped(command['name'])} of {escaped(scenario)}{reason}"
        for stream in ("stdout", "stderr"):
            yield from _output(stream, command.get(stream) or "")
    if commands and bad:
        yield ""
    for result in bad:
        place = place_text(result)
        yield f"- **{result['status']}** {escaped(result['id'])}{f' ({escaped(place)})' if place else ''}"
        yield f"  - {escaped(result['message'])}"
        for name in ("expected", "actual", "reason"):
            if result.get(name) is not None:
                yield f"  - {name}: {escaped(value_text(result[name]))}"
    yield ""


def _output(stream: str, text: str) -> Iterator[str]:
    if not text.strip():
        return
    # An indented block knows no closing fence that output could hold.
    yield from ("", f"  {stream}:", "")
    for line in visible(text[-_LONGEST:].rstrip()).split("\n"):
        yield f"      {line}"


def _finding(finding: Mapping[str, Any]) -> str:
    place = place_text(finding)
    where = f"{escaped(place)}: " if place else ""
    # Of a comparison it says how to see it again; of others it is for whoever edits the file.
    is_comparison = str(finding["code"]).startswith("CLN70") and finding.get("hint")
    hint = f"\n  {escaped(finding['hint'])}" if is_comparison else ""
    return f"- **{finding['severity']}** {finding['code']} {where}{escaped(finding['message'])}{hint}"


def escaped(text: str) -> str:
    """Text of strangers for one line of Markdown."""
    shown = one_line(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)")
    # A bare address becomes a link, and a name or a number after @ or # a mention: hosts look for these in
    # what is rendered, where a backslash is gone.
    text = _SPECIAL.sub(r"\\\1", shown).replace("://", ":\u200b//").replace("www.", "www\u200b.")
    return text.replace("\\@", "\\@\u200b").replace("\\#", "\\#\u200b")
